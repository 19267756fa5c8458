//go:build linux && !portable

package media

import (
	"net/netip"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tandem/media/sdp"
)

// BenchmarkAdopt is what a leg costs a node that begins to stand by, from its State to open ports: a thousand of them, on an address that is another
// node's. kept is what stays of it.
func BenchmarkAdopt(b *testing.B) {
	for _, how := range []struct {
		name string
		sec  sdp.Security
	}{{"plain", sdp.Plain}, {"srtp", sdp.Optional}} {
		b.Run(how.name, func(b *testing.B) { benchAdopt(b, how.sec) })
	}
}

func benchAdopt(b *testing.B, how sdp.Security) {
	const legs = 1000
	first := run(b, local)
	p := call(b, first, Options{Call: "x", Leg: "a", Secure: true, SRTP: SRTPOptional}, "PCMA", "PCMU", "telephone-event").encrypted(how)
	p.offers(SendRecv)
	p.isAnswered(nil)
	if err := p.s.Echo(); err != nil {
		b.Fatal(err)
	}
	p.say(8, voice)
	p.hear()
	st, ok := p.s.State(false)
	if !ok {
		b.Fatal("session is closed")
	}
	var serves atomic.Bool
	c := local
	c.FirstPort, c.LastPort = 12000, 19999
	e := run(b, c)
	e.Gate(serves.Load)
	sessions := make([]*Session, legs)
	var before, after runtime.MemStats
	var kept, allocs, bytes uint64
	var cpu time.Duration
	b.StopTimer()
	b.ResetTimer()
	for range b.N {
		runtime.GC()
		runtime.ReadMemStats(&before)
		begin := spent()
		b.StartTimer()
		for i := range sessions {
			leg := st
			leg.Shown = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(12000+2*i))
			leg.Port.Local = leg.Shown
			var err error
			if sessions[i], err = e.Adopt(leg, strconv.Itoa(i/2), "a", nil); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		cpu += spent() - begin
		runtime.ReadMemStats(&after)
		allocs, bytes = allocs+after.Mallocs-before.Mallocs, bytes+after.TotalAlloc-before.TotalAlloc
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept += after.HeapAlloc - before.HeapAlloc
		for i, s := range sessions {
			s.Close()
			sessions[i] = nil
		}
	}
	each := float64(b.N * legs)
	b.ReportMetric(float64(cpu.Nanoseconds())/each, "cpu-ns/leg")
	b.ReportMetric(float64(allocs)/each, "allocs/leg")
	b.ReportMetric(float64(bytes)/each, "B/leg")
	b.ReportMetric(float64(kept)/each, "kept-B/leg")
}

// spent is the CPU time of this process so far: unlike that of the clock, it says the same on a machine that has other work.
func spent() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
