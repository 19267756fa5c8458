// Package sipp runs SIPp, a phone or carrier of somebody else's that follows a script, for the tests.
package sipp

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/test/binary"
)

// What may be asked of it beside its script.
var (
	Echo  = []string{"-mp", "6000", "-rtp_echo"}                              // it sends back the sound that it hears
	Stats = []string{"-trace_stat", "-stf", "stat.csv", "-fd", "1"}           // for Counts
	Once  = []string{"-m", "1", "-timeout", "30s", "-timeout_error"}          // one call, every step of which must be as written
	Trace = []string{"-trace_err", "-error_file", "errors.log", "-trace_msg"} // shown when the test fails
)

// A Run is a SIPp at work, at port 5060 of a host.
type Run struct {
	t    testing.TB
	host string
	dir  string
	out  bytes.Buffer
	cmd  *exec.Cmd
	once sync.Once
	done chan struct{}
	err  error // once done is closed
}

// Start runs a script, which is XML, at a host until the test ends. The test is left out where there is no SIPp.
func Start(t testing.TB, host, script string, args ...string) *Run {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run uses no other program")
	}
	binary.Need(t, "sipp", "sip-tester")
	r := &Run{t: t, host: host, dir: t.TempDir(), done: make(chan struct{})}
	file := filepath.Join(r.dir, "script.xml")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command("sipp", append([]string{"-sf", file, "-i", host, "-mi", host, "-p", "5060", "-nostdin"}, args...)...)
	r.cmd.Dir, r.cmd.Stderr = r.dir, &r.out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			r.tell()
		}
	})
	return r
}

// Stop kills it; again it does nothing.
func (r *Run) Stop() {
	r.once.Do(func() { _ = r.cmd.Process.Kill() })
	<-r.done
}

// tell logs what it wrote, when the test has failed.
func (r *Run) tell() {
	if text := strings.TrimSpace(r.out.String()); text != "" {
		r.t.Log(text)
	}
	files, _ := filepath.Glob(filepath.Join(r.dir, "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		r.t.Logf("%s:\n%s", filepath.Base(f), text)
	}
}

// Listens waits until it has its port.
func (r *Run) Listens(limit time.Duration) *Run {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !r.bound() {
		select {
		case <-tick.C:
		case <-r.done:
			r.t.Fatalf("SIPp does not take the script: %v\n%s", r.err, r.out.String())
		case <-end.C:
			r.t.Fatalf("SIPp does not listen at %s", r.host)
		}
	}
	return r
}

// bound looks for its port among the machine's sockets.
func (r *Run) bound() bool {
	udp, _ := os.ReadFile("/proc/net/udp")
	tcp, _ := os.ReadFile("/proc/net/tcp")
	return strings.Contains(string(udp)+string(tcp), procAddr(r.host)+":13C4")
}

// procAddr is an IPv4 address as /proc/net/udp has it.
func procAddr(host string) string {
	b := netip.MustParseAddr(host).As4()
	return fmt.Sprintf("%02X%02X%02X%02X", b[3], b[2], b[1], b[0])
}

// Wait gives what it ended with: nil when all calls went as the script says.
func (r *Run) Wait(limit time.Duration) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case <-r.done:
		if r.err != nil {
			return fmt.Errorf("SIPp: %w\n%s", r.err, r.out.String())
		}
		return nil
	case <-end.C:
		return errors.New("SIPp does not end")
	}
}

// Counts are its successful and its failed calls, of a Run with Stats that has ended.
func (r *Run) Counts() (good, bad int) {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "stat.csv"))
	if err != nil {
		r.t.Fatal(err)
	}
	table := csv.NewReader(bytes.NewReader(raw))
	table.Comma, table.FieldsPerRecord = ';', -1
	lines, err := table.ReadAll()
	if err != nil || len(lines) < 2 {
		r.t.Fatalf("statistics of SIPp: %v, %d lines", err, len(lines))
	}
	last := func(name string) int {
		i := slices.Index(lines[0], name)
		if i < 0 {
			r.t.Fatalf("SIPp counts no %s", name)
		}
		n, _ := strconv.Atoi(lines[len(lines)-1][i])
		return n
	}
	return last("SuccessfulCall(C)"), last("FailedCall(C)")
}
