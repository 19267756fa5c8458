package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tandem/test/wire"
)

// Answered calls and registrations when the serving node dies, and in a planned change: T1, T2, T4, T5 and T7, small.
func TestCallsGoOn(t *testing.T) {
	t.Parallel()
	p := NewPair(t, election)
	const calls = 6
	var phones []*wire.Phone
	for n := range 2 * calls {
		phones = append(phones, p.phone(fmt.Sprint(1000+n)))
	}
	answered := 0
	for _, fault := range []struct {
		name string
		do   func(from string)
	}{
		{"T2 planned change", func(from string) { p.failover(from) }},
		{"T1 kill -9", func(from string) { p.kill(from) }},
		{"T3 cut off", func(from string) { p.cut(from) }},
	} {
		p.run(fault.name, func(t *testing.T) {
			for _, phone := range phones {
				phone.T = t
			}
			from := p.serving()
			var talks []*talk
			for n := range calls {
				talks = append(talks, p.connect(phones[2*n], phones[2*n+1], n))
				answered++
			}
			fault.do(from)
			p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
			var gaps []time.Duration
			for _, c := range talks {
				c.goesOn(20 * time.Second)
				gaps = append(gaps, c.gap())
			}
			slices.Sort(gaps)
			t.Logf("silence: median %v, worst %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
			// T7: holds and hang-ups by either side.
			for n, c := range talks {
				if n%2 == 0 {
					c.hold(c.a, c.b, c.am, c.bm)
					c.bye(c.b, c.a)
				} else {
					c.hold(c.b, c.a, c.bm, c.am)
					c.bye(c.a, c.b)
				}
			}
			to := other(from)
			if _, registrations := p.load(to); registrations != len(phones) {
				t.Errorf("T4: %d registrations of %d", registrations, len(phones))
			}
			c := p.connect(phones[1], phones[0], calls) // nobody had to register again
			answered++
			c.bye(c.a, c.b)
			p.eventually(10*time.Second, "no call left", func() bool { calls, _ := p.load(to); return calls == 0 })
			switch fault.name {
			case "T1 kill -9":
				p.start(from)
			case "T3 cut off":
				p.plug(from)
			}
			p.eventually(60*time.Second, "whole again", p.whole)
		})
	}
	p.agree(answered)
}
