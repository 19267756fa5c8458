//go:build linux && !portable

package relay

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkLoop sends the packets of n legs through one loop for two seconds, at 50 a second each with phases spread, and reports the CPU
// time of the loop's thread for each. The generator shares the machine but not the thread.
func BenchmarkLoop(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("legs=%d", n), func(b *testing.B) { benchLoop(b, n) })
	}
}

// BenchmarkGate is what a packet costs in a node of a pair because of the question whether this node serves, the reading of the time with it
// that every packet has: asked for each, as it was, and each millisecond, as it is. The question costs what that of the lease does, the kernel's clock.
func BenchmarkGate(b *testing.B) {
	held := func() bool {
		var t unix.Timespec
		return unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) == nil
	}
	for _, x := range []struct {
		name string
		gate gate
	}{
		{"none", gate{}},
		{"asked=packet", gate{held: held}},
		{"asked=millisecond", gate{held: held, trust: trusted}},
	} {
		b.Run(x.name, func(b *testing.B) {
			l := &Loop{gate: x.gate}
			for b.Loop() {
				l.now = time.Now()
				l.serves()
			}
		})
	}
}

func benchLoop(b *testing.B, n int) {
	r := start(b, Config{First: 12000, Last: 19999, Loops: 1})
	legs := make([]*leg, n)
	for i := range legs {
		legs[i] = openLeg(b, r, nil, "127.0.0.1:0", uint32(i+1), Settings{})
		if i%2 == 1 {
			if err := Join(legs[i-1].Port, legs[i].Port); err != nil {
				b.Fatal(err)
			}
		}
	}
	round := func(d time.Duration) {
		begin := time.Now()
		for sent := 0; ; sent++ {
			at := begin.Add(time.Duration(sent) * 20 * time.Millisecond / time.Duration(n))
			if at.Sub(begin) > d {
				return
			}
			if wait := time.Until(at); wait > 250*time.Microsecond {
				time.Sleep(wait)
			}
			legs[sent%n].say(8)
		}
	}
	stop, drained := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drained)
		drain(legs, stop)
	}()
	round(200 * time.Millisecond)
	b.ResetTimer()
	for range b.N {
		cpu, before := cpuOf(r.loops[0]), r.Totals()
		round(2 * time.Second)
		used, after := cpuOf(r.loops[0])-cpu, r.Totals()
		packets := after.PacketsOut - before.PacketsOut
		b.ReportMetric(float64(used.Nanoseconds())/1000/float64(packets), "cpu-µs/packet")
		b.ReportMetric(float64(packets)/2, "packets/s")
		b.ReportMetric(float64(after.Drops.Sum()-before.Drops.Sum()), "drops")
	}
	b.StopTimer()
	close(stop)
	<-drained
}

// cpuOf is what the loop's thread has used.
func cpuOf(l *Loop) (d time.Duration) {
	l.do(func() {
		var u unix.Rusage
		if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
			d = time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	})
	return d
}

// drain empties the peers' sockets now and then, so that the kernel does not take the short way of a full buffer.
func drain(legs []*leg, stop chan struct{}) {
	fds := make([]int, 0, len(legs))
	for _, g := range legs {
		raw, err := g.udp.SyscallConn()
		if err == nil {
			_ = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
	}
	buf := make([]byte, 2048)
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		for _, fd := range fds {
			for {
				if n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); n <= 0 || err != nil {
					break
				}
			}
		}
	}
}
