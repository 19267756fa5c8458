//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	binary := flag.String("tandem", "bin/tandem", "the built binary")
	file := flag.String("json", "", "file for the figures")
	quick := flag.Bool("quick", false, "fewer and shorter rounds")
	only := flag.String("only", "register,call,rtp,browser,memory,setup", "sections to measure; there is also pair")
	calls := flag.Int("calls", 300, "calls held while packets are measured")
	rounds := flag.Int("rounds", 7, "rounds of each subject")
	against := flag.String("against", "", "another build of the switch to compare with, instead of kamailio and rtpengine")
	length := flag.Duration("length", 2*time.Second, "of one round")
	serve := flag.String("serve", "", "be a relay of browser legs on standard input and output: media or pion; or rooms for SIP and HTTP addresses")
	flag.Parse()
	if *serve != "" {
		serving := func() error { return serveRelay(*serve, os.Stdin, os.Stdout) }
		if *serve == "rooms" {
			serving = func() error { return serveRooms(flag.Arg(0), flag.Arg(1), os.Stdin) }
		}
		if err := serving(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if *quick {
		*rounds, *length = 3, time.Second
	}
	if err := bench(*binary, *against, *file, *only, *calls, *rounds, *length); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(binary, against, file, only string, calls, rounds int, length time.Duration) error {
	if calls < 1 || calls > mostLines || calls*2%stride == 0 {
		return fmt.Errorf("calls: 1 to %d, and no multiple of %d", mostLines, stride)
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tandem-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := pinToLastCore(); err != nil {
		return err
	}
	l := &lab{dir: dir, binary: binary, core: 0, rounds: rounds, length: length, calls: calls}
	r := &report{Date: time.Now().UTC().Truncate(time.Second), Machine: machine(), Rounds: rounds, Seconds: length.Seconds(), Versions: []string{
		version(binary, "version"), version("kamailio", "-v"), version("rtpengine", "--version"), runtime.Version(),
	}}
	fmt.Printf("%s\n%s\n%s\n", r.Date.Format(time.RFC3339), r.Machine, strings.Join(r.Versions, "\n"))
	type part struct {
		name string
		run  func() (*section, error)
	}
	parts := []part{{"register", l.registrations}, {"call", l.callSection}, {"rtp", l.packets}, {"browser", l.browserPackets}, {"memory", l.browserMemory}, {"setup", l.setups}}
	if against != "" {
		c := &comparison{lab: l, builds: []build{{"this build", binary, servers}, {"the other", against, older}}}
		parts = []part{{"register", c.registrations}, {"call", c.calls}, {"rtp", c.packets}}
	}
	for _, part := range parts {
		if !strings.Contains(only, part.name) {
			continue
		}
		s, err := part.run()
		if err != nil {
			return err
		}
		s.print(os.Stdout)
		r.Sections = append(r.Sections, s)
	}
	if strings.Contains(only, "pair") {
		all, err := l.pairs()
		for _, s := range all {
			s.print(os.Stdout)
		}
		if r.Sections = append(r.Sections, all...); err != nil {
			return err
		}
	}
	if file == "" {
		return nil
	}
	return r.save(file)
}

// priority is asked for the load and, by inheritance, for the servers, so that what else the machine does disturbs them less.
const priority = -20

// pinToLastCore keeps the load away from the servers, which get core 0. With one core they share it.
func pinToLastCore() error {
	last := lastCore()
	if last == 0 {
		fmt.Println("one core only: servers and load share it")
	}
	var set unix.CPUSet
	set.Set(last)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks { // threads that start later inherit it
		tid := 0
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pin the load to core %d: %w", last, err)
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, priority) // root may; without it the figures are noisier
	}
	return nil
}

// machine names processor, cores and kernel.
func machine() string {
	name := "unknown processor"
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			name = strings.TrimSpace(value)
			break
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("%s, %d cores, Linux %s", name, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]))
}
