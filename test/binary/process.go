package binary

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is what the kernel says of the switch.
type Process struct {
	RSS     int64 // bytes resident
	FDs     int
	Threads int
	CPU     time.Duration // used so far, user and system
}

// Process reads /proc. It is zero when the process has ended.
func (s *Switch) Process() Process { return Usage(s.PID()) }

// Usage is what a process has, by its number.
func Usage(pid int) (p Process) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return Process{}
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			p.RSS = n << 10
		case "Threads:":
			p.Threads = int(n)
		}
	}
	if fds, err := os.ReadDir(dir + "fd"); err == nil {
		p.FDs = len(fds)
	}
	p.CPU = cpu(dir)
	return p
}

// cpu adds utime and stime, fields 14 and 15 of stat, in ticks of 10 ms (USER_HZ is 100 on every Linux that Go runs on).
func cpu(dir string) time.Duration {
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
