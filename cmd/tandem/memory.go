package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much the heap may grow between two collections, in percent of what is in use. What a switch holds are small
// things in great number (transactions that linger 32 s, bindings), so that Go's own 100 spends a fifth of a call's CPU on
// looking through them; 200 half of that.
const gcPercent = 200

// collectLess trades memory for CPU, unless the operator has said what to do (GOGC). GOMEMLIMIT stays in force.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
