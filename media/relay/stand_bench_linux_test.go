//go:build linux && !portable

package relay

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spent is the CPU time of this process so far: unlike that of the clock, it says the same on a machine that has other work.
func spent() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// idlePorts gives a loop that nobody runs n ports of answered calls in which nothing moves: latched, watched for silence, noted once.
func idlePorts(b *testing.B, n int) *Relay {
	b.Helper()
	r, err := New(Config{First: 12000, Last: 19999, Loops: 1}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.shut)
	l := r.loops[0]
	l.now = time.Now()
	for i := range n {
		p := r.newPort(netip.AddrPortFrom(loopback, uint16(12000+2*(i%4000))), nil, 7, "")
		p.web = &browser{} // without sockets, of which so many are more than a process may have
		if err := l.adopt(p); err != nil {
			b.Fatal(err)
		}
		p.web = nil
		p.rtp, p.rtcp = &socket{fd: -1, port: p, kind: openRTP}, &socket{fd: -1, port: p, kind: openRTCP}
		if err := p.Configure(agreedWith(ap("127.0.0.1:4000"))); err != nil {
			b.Fatal(err)
		}
		_ = p.do(func() { p.source.latched = p.set.Remote })
		p.State()
	}
	return r
}

// agreedWith is what is agreed with a phone as a rule.
func agreedWith(remote netip.AddrPort) Settings {
	return Settings{
		Remote: remote, RemoteRTCP: netip.AddrPortFrom(remote.Addr(), remote.Port()+1), MaySend: true, MayReceive: true,
		Receive: []Format{pcma, event}, Send: []Format{pcma, event}, SilenceIn: time.Hour, SilenceOut: time.Hour,
	}
}

// BenchmarkChores is one round of a loop's chores, of which there are ten a second, with ports that have nothing to be looked after but the
// report of their own every five seconds.
func BenchmarkChores(b *testing.B) {
	for _, n := range []int{1000, 18000} {
		b.Run(fmt.Sprintf("idle=%d", n), func(b *testing.B) {
			l := idlePorts(b, n).loops[0]
			round := func() {
				l.clock.chore = time.Time{}
				l.tick()
			}
			round() // the first report of each gets its time
			cpu := spent()
			for b.Loop() {
				round()
			}
			b.ReportMetric(float64((spent()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkNotes is the look for streams that have moved, which is taken each second, at ports of which none has.
func BenchmarkNotes(b *testing.B) {
	for _, n := range []int{1000, 18000} {
		b.Run(fmt.Sprintf("idle=%d", n), func(b *testing.B) {
			r := idlePorts(b, n)
			r.Notes(func(*Port, State) {}) // the first look of each
			cpu := spent()
			for b.Loop() {
				r.Notes(func(*Port, State) { b.Error("something moved") })
			}
			b.ReportMetric(float64((spent()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}
