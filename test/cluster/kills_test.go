package cluster

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// number reads a number from the environment.
func number(name string, otherwise int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return otherwise
}

// timers is the election of a soak: soakElection, or TANDEM_ELECTION on a machine that is short of time, where T1's silence is no promise.
func timers() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("TANDEM_ELECTION")); err == nil {
		return d
	}
	return soakElection
}

// soakConfiguration is that of the rig with the timers of a soak, and with ports that rest for a second only: the load takes thousands.
func soakConfiguration() string {
	return strings.NewReplacer("ELECTION", timers().String(), `"0s"`, `"1s"`).Replace(configuration)
}

// T1: TANDEM_KILLS times (30) the serving node is killed under TANDEM_CALLS calls (200) with 50 packets a second each way: every answered call
// goes on, with the silence that is promised, on switches that have written many records. T7: afterwards each of them is held and taken up,
// refreshed, transferred or hung up by either side. In the end both nodes hold no more than before the first call.
func TestSoakT1Kills(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	kills, calls := number("TANDEM_KILLS", 30), number("TANDEM_CALLS", 200)
	p := newPair(t, soakElection, "", aged)
	p.line(calls)
	quiet := p.quiet()
	var all []time.Duration
	for kill := range kills {
		gaps := p.underCalls(calls, true, func(serves string) { p.kill(serves) }, func(serves string) { p.start(serves) })
		slices.Sort(gaps)
		t.Logf("kill %d: silence median %v, worst %v; %s", kill+1, gaps[len(gaps)/2], gaps[len(gaps)-1], p.tookOver(p.serving()))
		all = append(all, gaps...)
		p.eventually(90*time.Second, "whole again", p.whole)
	}
	slices.Sort(all)
	median, worst := all[len(all)/2], all[len(all)-1]
	t.Logf("T1: %d kills, %d calls, silence median %v, 90 of 100 %v, 99 of 100 %v, worst %v", kills, len(all), median, all[len(all)*90/100], all[len(all)*99/100], worst)
	if median >= 500*time.Millisecond || worst >= time.Second {
		t.Error("T1 promises a median under 0.5 s and a worst under 1 s")
	}
	p.agree()
	p.back(quiet)
}

// underCalls has calls in progress while a fault begins, which moves the role or does not, and gives how long each was silent; then T7: what
// either side may do works in each. The fault ends, and nothing of the calls is left.
func (p *Pair) underCalls(calls int, moves bool, begin, end func(serves string)) (gaps []time.Duration) {
	p.t.Helper()
	serves := p.serving()
	talks := make([]*talk, calls)
	for n := range talks {
		talks[n] = p.place(p.phones[2*n], p.phones[2*n+1], n)
	}
	p.goOn(talks, 10*time.Second)
	begin(serves)
	now := serves
	if moves {
		now = other(serves)
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(now, virtual) })
	}
	p.goOn(talks, 20*time.Second)
	for _, c := range talks {
		gaps = append(gaps, c.gap())
	}
	end(serves)
	for n, c := range talks {
		p.either(c, n)
	}
	p.idle(now)
	return gaps
}

// either lets one of the two sides do what phones do: hold and resume, refresh, transfer, hang up; after four calls the other one. Every fourth
// call is transferred.
func (p *Pair) either(c *talk, n int) {
	p.t.Helper()
	from, to, fm, tm := c.sides(n/4%2 == 1)
	switch n % 4 {
	case 0:
		c.refresh(from)
		c = c.transfer(from, to, tm, p.spare, n)
		fm.Stop()
		from, to = c.a, c.b
	case 1, 2:
		c.hold(from, to, fm, tm)
		c.goesOn(5 * time.Second)
	case 3:
		c.refresh(to)
	}
	c.bye(to, from)
}
