//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is the unit of utime and stime in /proc: USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// process is a server under load, pinned to one core with all its children.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file that holds what it wrote
	done chan struct{}
	err  error // of the process, once done is closed

	stdin, stdout *os.File // nil: none, and the log
}

// start runs a server on one core. Its output goes to a file in dir.
func start(dir string, core int, name string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(name), done: make(chan struct{})}
	return p, p.run(dir, core, name, args...)
}

// startTalking is start for one that is asked by its standard input and answers by its output.
func startTalking(dir string, core int, as, name string, args ...string) (p *process, in io.WriteCloser, out io.Reader, err error) {
	p = &process{name: as, done: make(chan struct{})}
	theirs, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, answers, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	p.stdin, p.stdout = theirs, answers
	err = p.run(dir, core, name, args...)
	_ = theirs.Close()
	_ = answers.Close()
	return p, in, out, err
}

func (p *process) run(dir string, core int, name string, args ...string) error {
	p.log = filepath.Join(dir, p.name+".log")
	out, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	p.cmd = exec.Command("taskset", append([]string{"-c", strconv.Itoa(core), name}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if p.stdin != nil {
		p.cmd.Stdin, p.cmd.Stdout = p.stdin, p.stdout
	}
	// A group of its own, so that the children of a server that dies go with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// stop ends the server and all that it started.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if strings.HasPrefix(p.name, "tandem") { // the first signal drains
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// until waits until ok; it gives up when the server dies or after ten seconds.
func (p *process) until(what string, ok func() bool) error {
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended before it was %s: %w\n%s", p.name, what, errors.Join(p.err, errors.New("see its log")), p.tail())
		case <-deadline.C:
			return fmt.Errorf("%s is not %s\n%s", p.name, what, p.tail())
		}
	}
	return nil
}

// tail is the end of the server's log.
func (p *process) tail() string {
	raw, _ := os.ReadFile(p.log)
	return string(raw[max(0, len(raw)-2000):])
}

// cpu is the CPU time that the server and all its children have used, user and system.
func (p *process) cpu() time.Duration {
	tree := map[int]bool{p.cmd.Process.Pid: true}
	ticks := map[int]int64{}
	parents := map[int]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, t, ok := stat(pid); ok {
			parents[pid], ticks[pid] = parent, t
		}
	}
	for grew := true; grew; {
		grew = false
		for pid, parent := range parents {
			if tree[parent] && !tree[pid] {
				tree[pid], grew = true, true
			}
		}
	}
	sum := int64(0)
	for pid := range tree {
		sum += ticks[pid]
	}
	return time.Duration(sum) * time.Second / ticksPerSecond
}

// stat reads the parent and the CPU ticks of a process: fields 4, 14 and 15 of proc(5), counted after the name, which may
// hold anything.
func stat(pid int) (parent int, ticks int64, ok bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(f) < 13 {
		return 0, 0, false
	}
	parent, _ = strconv.Atoi(f[1])
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return parent, user + system, true
}
