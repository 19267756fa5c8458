package cluster

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// short is how many calls are in progress in a test that is no soak.
const short = 12

// T1, T4, T5 and T7, small: calls and registrations when the serving node is killed, twice.
func TestT1CallsSurviveKills(t *testing.T) {
	t.Parallel()
	p := NewPair(t, election)
	p.line(short)
	for range 2 {
		p.survive(true, func(serves string) { p.kill(serves) }, func(serves string) { p.start(serves) })
	}
	p.agree()
}

// T7: after a takeover each side of a call does what phones do, one after the other: it holds and resumes, refreshes, and in the end hangs up, or
// transfers the other one, which hangs up then.
func TestSoakT7EitherSide(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it: in the small form of T1 the sides take turns")
	}
	p := NewPair(t, election)
	const calls = 4
	p.line(calls)
	talks := make([]*talk, calls)
	for n := range talks {
		talks[n] = p.connect(p.phones[2*n], p.phones[2*n+1], n)
	}
	serves := p.serving()
	p.kill(serves)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
	p.goOn(talks, 20*time.Second)
	for n, c := range talks {
		from, to, fm, tm := c.sides(n%2 == 1)
		c.hold(from, to, fm, tm)
		c.goesOn(5 * time.Second)
		c.refresh(from)
		if n < calls/2 {
			c.bye(from, to)
			continue
		}
		c = c.transfer(from, to, tm, p.spare, n)
		fm.Stop()
		c.bye(c.a, c.b)
	}
	p.idle(other(serves))
	p.agree()
}

// survive is underCalls, and that nobody had to register again.
func (p *Pair) survive(moves bool, begin, end func(serves string)) {
	p.t.Helper()
	now := p.serving()
	if moves {
		now = other(now)
	}
	gaps := p.underCalls(short, moves, begin, end)
	slices.Sort(gaps)
	p.t.Logf("silence: median %v, worst %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
	if _, registrations := p.load(now); registrations != len(p.phones)+1 {
		p.t.Errorf("T4: %d registrations of %d", registrations, len(p.phones)+1)
	}
	c := p.connect(p.phones[1], p.phones[0], 0)
	c.bye(c.a, c.b)
	p.eventually(60*time.Second, "whole again", p.whole)
}

// T3: from the first datagram of the new node on, the old one sends none: with its cable cut, with all packets dropped, where it and the members do
// not hear each other while phones do, and frozen for longer than its lease and thawed. Where only the two switches do not hear each other the role
// stays where it is. T15 has the rest.
func TestT3OneServesAtATime(t *testing.T) {
	t.Parallel()
	p := NewPair(t, election)
	p.line(short)
	for _, f := range []struct {
		name       string
		moves      bool
		begin, end func(serves string)
	}{
		{"cut off", true, p.cut, p.plug},
		{"packets dropped", true, p.drop, p.pass},
		{"members not heard", true, func(s string) {
			p.part(s, other(s), "w")
			p.reached(s)
		}, p.heal},
		{"standby not heard", false, func(s string) {
			p.part(s, other(s))
			p.stays(s)
			c := p.connect(p.spare, p.phones[0], short)
			c.bye(c.b, c.a)
		}, p.heal},
		{"frozen and thawed", true, func(s string) { p.signal(s, syscall.SIGSTOP) }, func(s string) {
			p.signal(s, syscall.SIGCONT)
			p.always(time.Second, "without the address on the thawed node", func() bool { return !p.has(s, virtual) })
		}},
	} {
		p.run("T3 "+f.name, func(t *testing.T) {
			for _, phone := range append(p.phones, p.spare) {
				phone.T = t
			}
			var watching sync.WaitGroup
			stop := make(chan struct{})
			defer watching.Wait()
			defer close(stop)
			watching.Go(func() { p.never(stop, f.name) })
			e := p.listen()
			from, nodes := p.serving(), 1
			if f.moves {
				nodes = 2
			}
			p.survive(f.moves, f.begin, func(s string) {
				if !f.moves {
					f.end(s)
					return
				}
				p.eventually(4*time.Second, "address gone from the old node", func() bool { return !p.has(s, virtual) })
				f.end(s)
				p.eventually(30*time.Second, "the old node stands by", func() bool { x, ok := p.status(s); return ok && x.Role == "standby" })
				if p.serving() == from {
					t.Error("the node that came back took the role")
				}
			})
			t.Logf("silence of the wire: %v", e.done(nodes))
		})
	}
	p.agree()
}
