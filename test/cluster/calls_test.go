package cluster

import (
	"slices"
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
		p.survive(func(serves string) { p.kill(serves) }, func(serves string) { p.start(serves) })
	}
	p.agree()
}

// T7: after a takeover each side of a call does what phones do, one after the other: it holds and resumes, refreshes, and in the end hangs up, or
// transfers the other one, which hangs up then.
func TestT7EitherSide(t *testing.T) {
	t.Parallel()
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
func (p *Pair) survive(begin, end func(serves string)) {
	p.t.Helper()
	from := p.serving()
	gaps := p.underCalls(short, begin, end)
	slices.Sort(gaps)
	p.t.Logf("silence: median %v, worst %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
	if _, registrations := p.load(other(from)); registrations != len(p.phones)+1 {
		p.t.Errorf("T4: %d registrations of %d", registrations, len(p.phones)+1)
	}
	c := p.connect(p.phones[1], p.phones[0], 0)
	c.bye(c.a, c.b)
	p.eventually(60*time.Second, "whole again", p.whole)
}

// T3: from the first datagram of the new node on, the old one sends none: with its cable cut, with all packets dropped, and frozen for longer
// than its lease and thawed.
func TestT3OneServesAtATime(t *testing.T) {
	t.Parallel()
	p := NewPair(t, election)
	p.line(short)
	for _, f := range []struct {
		name       string
		begin, end func(serves string)
	}{
		{"cut off", p.cut, p.plug},
		{"packets dropped", p.drop, p.pass},
		{"frozen and thawed", func(s string) { p.signal(s, syscall.SIGSTOP) }, func(s string) {
			p.signal(s, syscall.SIGCONT)
			p.always(time.Second, "without the address on the thawed node", func() bool { return !p.has(s, virtual) })
		}},
	} {
		p.run("T3 "+f.name, func(t *testing.T) {
			for _, phone := range append(p.phones, p.spare) {
				phone.T = t
			}
			e := p.listen()
			from := p.serving()
			p.survive(f.begin, func(s string) {
				p.eventually(4*time.Second, "address gone from the old node", func() bool { return !p.has(s, virtual) })
				f.end(s)
				p.eventually(30*time.Second, "the old node stands by", func() bool { x, ok := p.status(s); return ok && x.Role == "standby" })
				if p.serving() == from {
					t.Error("the node that came back took the role")
				}
			})
			t.Logf("silence of the wire: %v", e.done(2))
		})
	}
}
