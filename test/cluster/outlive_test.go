package cluster

import (
	"os"
	"testing"
	"time"
)

// Calls outlive one takeover after the other: in each, both sides hold and refresh, and one call is transferred, so that what the next node
// goes on with was made by several before it. With TANDEM_SOAK there are TANDEM_KILLS (20), else two.
func TestCallsOutliveManyTakeovers(t *testing.T) {
	t.Parallel()
	kills := 2
	if os.Getenv("TANDEM_SOAK") != "" {
		kills = number("TANDEM_KILLS", 20)
	}
	const calls = 4
	p := NewPair(t, election)
	p.line(calls)
	talks := make([]*talk, calls)
	for n := range talks {
		talks[n] = p.connect(p.phones[2*n], p.phones[2*n+1], n)
	}
	free := p.spare
	for kill := range kills {
		leaves, left := talks[0].a, talks[0].am
		talks[0] = talks[0].transfer(leaves, talks[0].b, talks[0].bm, free, calls+kill)
		left.Stop()
		free = leaves.Phone
		serves := p.serving()
		p.kill(serves)
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
		p.goOn(talks, 20*time.Second)
		p.start(serves)
		for n, c := range talks {
			if n%2 == 0 {
				c.hold(c.a, c.b, c.am, c.bm)
			} else {
				c.hold(c.b, c.a, c.bm, c.am)
			}
			c.refresh(c.a)
			c.refresh(c.b)
		}
		p.eventually(90*time.Second, "whole again", p.whole)
	}
	p.goOn(talks, 5*time.Second)
	for n, c := range talks {
		if n%2 == 0 {
			c.bye(c.b, c.a)
		} else {
			c.bye(c.a, c.b)
		}
	}
	p.idle(p.serving())
	p.agree()
}
