package cluster

import "sync"

// maxLanes bounds the goroutines that apply the records of a page.
const maxLanes = 64

// perLane is how many records are worth a goroutine.
const perLane = 64

// lanesFor is how many goroutines n records are worth, most at most.
func lanesFor(n, most int) int { return max(1, min(n/perLane, most, maxLanes)) }

// inLanes runs f for each of some lanes, and returns when all have returned. It panics if one of them has.
func inLanes(lanes int, f func(lane int)) {
	if lanes == 1 {
		f(0)
		return
	}
	var wait sync.WaitGroup
	panics := make([]any, lanes)
	for lane := range lanes {
		wait.Go(func() {
			defer func() { panics[lane] = recover() }()
			f(lane)
		})
	}
	wait.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
}
