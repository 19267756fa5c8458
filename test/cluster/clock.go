package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A machine's clock is not the test's to set: others live by it, and a time namespace does not move it. So the clock of one process is set.
// All that Go reads of the wall clock it asks of one function of the kernel's vDSO. The binary is built with another one in its place, which
// adds as many seconds as a file says: the store and the votes embedded in it see the step as they would see a real one. The monotonic and
// the boot-time clock do not move, and the shipped binary has nothing of this.
const clockFile = "clock" // in a node's folder: by how many seconds its clock is ahead

// clockSet is added to the command's package.
const clockSet = `package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var ahead int64 // seconds

func install()

func init() {
	set := func() {
		text, err := os.ReadFile(os.Getenv("TANDEM_CLOCK"))
		if n, wrong := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && wrong == nil {
			atomic.StoreInt64(&ahead, n)
		}
	}
	set()
	install()
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			set()
		}
	}()
}
`

// clockRead is too: it is called as C is, with the clock in DI and the place for its time in SI.
const clockRead = `#include "textflag.h"

GLOBL original<>(SB), NOPTR, $8

TEXT read<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ original<>(SB), AX
	TESTL DI, DI // CLOCK_REALTIME
	JZ wall
	JMP AX
wall:
	SUBQ $24, SP
	MOVQ SI, 8(SP)
	CALL AX
	MOVQ 8(SP), SI
	ADDQ $24, SP
	MOVQ ·ahead(SB), AX
	ADDQ AX, (SI)
	XORL AX, AX
	RET

TEXT ·install(SB), NOSPLIT, $0
	MOVQ runtime·vdsoClockgettimeSym(SB), AX
	TESTQ AX, AX
	JZ none
	MOVQ AX, original<>(SB)
	LEAQ read<>(SB), AX
	MOVQ AX, runtime·vdsoClockgettimeSym(SB)
none:
	RET
`

// withClock builds the switch with a clock that the test sets.
func withClock(t testing.TB) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the clock of a process is set on amd64 only")
	}
	at, err := exec.Command("go", "list", "-f", "{{.Dir}}", "tandem/cmd/tandem").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, command := t.TempDir(), strings.TrimSpace(string(at))
	replace := map[string]string{}
	for name, text := range map[string]string{"clock_set.go": clockSet, "clock_read_amd64.s": clockRead} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(command, name)] = filepath.Join(dir, name)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "tandem")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -checklinkname=0", "-overlay", overlay, "-o", path, "tandem/cmd/tandem")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// clocks gives each node a clock that can be set.
func clocks(p *Pair) {
	p.clocks = true
	path := withClock(p.t)
	for name, n := range p.nodes {
		n.path, n.env = path, []string{"TANDEM_CLOCK=" + filepath.Join(n.dir, clockFile)}
		p.step(name, 0)
	}
}

// step sets by how much a node's clock is ahead, in whole seconds.
func (p *Pair) step(name string, by time.Duration) {
	p.t.Helper()
	file := filepath.Join(p.dir, name, clockFile)
	if err := os.WriteFile(file+".new", []byte(strconv.FormatInt(int64(by/time.Second), 10)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil { // it is read whole or not at all
		p.t.Fatal(err)
	}
}

// stepped steps a node's clock under calls: the role stays where it is.
func (p *Pair) stepped(name string, by time.Duration, serves string) {
	p.t.Helper()
	p.step(name, by)
	p.always(3*time.Second, fmt.Sprintf("standing by with the clock of %s %v ahead", name, by), func() bool { return !p.has(other(serves), virtual) })
}
