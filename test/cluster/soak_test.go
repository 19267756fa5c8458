package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/test/wire"
)

// fault is something that happens to the serving node, or near it, and how it ends.
type fault struct {
	name  string
	moves bool // the role moves
	begin func(p *Pair, serves string)
	end   func(p *Pair, served string)
}

var faults = []fault{
	{"kill -9", true, func(p *Pair, s string) { p.kill(s) }, func(p *Pair, s string) { p.start(s) }},
	{"cable", true, func(p *Pair, s string) { p.cut(s) }, func(p *Pair, s string) { p.plug(s) }},
	{"packets dropped", true, func(p *Pair, s string) { p.drop(s) }, func(p *Pair, s string) { p.pass(s) }},
	{"members not heard", true, func(p *Pair, s string) { p.part(s, other(s), "w") }, func(p *Pair, s string) { p.heal(s) }},
	{"members do not hear", true, func(p *Pair, s string) { p.mute(s, other(s), "w") }, func(p *Pair, s string) { p.heal(s) }},
	{"standby not heard", false, func(p *Pair, s string) { p.part(s, other(s)); p.stays(s) }, func(p *Pair, s string) { p.heal(s) }},
	{"stopped", true, func(p *Pair, s string) { p.signal(s, syscall.SIGSTOP) }, func(p *Pair, s string) { p.signal(s, syscall.SIGCONT) }},
	{"planned", true, func(p *Pair, s string) { p.failover(s) }, func(*Pair, string) {}},
	{"standby killed", false, func(p *Pair, s string) { p.kill(other(s)) }, func(p *Pair, s string) { p.start(other(s)) }},
	{"disk of the serving node full", false, func(p *Pair, s string) { p.fill(s) }, func(p *Pair, s string) { p.free(s) }},
	{"disk of the standby full", false, func(p *Pair, s string) { p.fill(other(s)) }, func(p *Pair, s string) { p.free(other(s)) }},
	{"witness killed", false, func(p *Pair, _ string) { p.kill("w") }, func(p *Pair, _ string) { p.start("w") }},
	{"clock of the serving node an hour ahead", false, func(p *Pair, s string) { p.stepped(s, time.Hour, s) }, func(p *Pair, s string) { p.stepped(s, 0, s) }},
	{"clock of the serving node an hour back", false, func(p *Pair, s string) { p.stepped(s, -time.Hour, s) }, func(p *Pair, s string) { p.stepped(s, 0, s) }},
	{"clock of the standby an hour ahead", false, func(p *Pair, s string) { p.stepped(other(s), time.Hour, s) }, func(p *Pair, s string) { p.stepped(other(s), 0, s) }},
	{"clock of the standby an hour back", false, func(p *Pair, s string) { p.stepped(other(s), -time.Hour, s) }, func(p *Pair, s string) { p.stepped(other(s), 0, s) }},
}

// soakElection is that of machines of their own: what T1 and T15 promise is promised for it.
const soakElection = 150 * time.Millisecond

// refreshAfter is how often phones register anew: they are granted an hour, and are gone for whoever takes over after two.
const refreshAfter = 20 * time.Minute

// T15: faults at random for as long as TANDEM_SOAK says, with TANDEM_CALLS calls in progress, and others that come and go: every answered call goes
// on, two nodes never hold the lease nor speak at once, no registration is lost, nothing of a call stays, and in the end each call has one record.
// TANDEM_SEED plays a run again; TANDEM_FAULTS names the only faults to make, parted by commas.
func TestSoakT15Faults(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("TANDEM_SOAK"))
	if err != nil {
		t.Skip("make soak runs it")
	}
	seed := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("TANDEM_SEED"), 10, 64); err == nil {
		seed = v
	}
	calls := 200
	if v, err := strconv.Atoi(os.Getenv("TANDEM_CALLS")); err == nil {
		calls = v
	}
	faults := faults
	if only := os.Getenv("TANDEM_FAULTS"); only != "" {
		faults = slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !slices.Contains(strings.Split(only, ","), f.name) })
		if len(faults) == 0 {
			t.Fatalf("no fault is named %q", only)
		}
	}
	t.Logf("%v with TANDEM_SEED=%d and %d calls", length, seed, calls)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPair(t, timers(), "", clocks)
	phones := make([]*wire.Phone, 2*calls)
	for n := range phones {
		phones[n] = p.phone(fmt.Sprint(1000 + n))
	}
	passing := p.pairs(passingPairs, 1000+len(phones))
	for _, pair := range passing {
		pair[0].Heeds = true
		phones = append(phones, pair[:]...)
	}
	silences := map[string][]time.Duration{}
	rounds, tried, failed := 0, 0, 0
	var mended time.Time
	registered := time.Now()
	for end := time.Now().Add(length); time.Now().Before(end); rounds++ {
		f := faults[random.IntN(len(faults))]
		if time.Since(registered) > refreshAfter {
			for _, phone := range phones {
				phone.Register()
			}
			registered = time.Now()
		}
		t.Logf("%v: %s", time.Now().Format(time.TimeOnly), f.name)
		gaps, tries := p.suffer(f, phones, calls, passing)
		silences[f.name] = append(silences[f.name], gaps...)
		_, errs := spread(tries, time.Time{}, time.Now())
		tried, failed = tried+len(tries), failed+len(errs)
		p.eventually(90*time.Second, "whole again after "+f.name, p.whole)
		mended = p.mended(mended)
	}
	for name, all := range silences {
		slices.Sort(all)
		median, worst := all[len(all)/2], all[len(all)-1]
		t.Logf("%s: %d calls, silence median %v, 99 of 100 %v, worst %v", name, len(all), median, all[len(all)*99/100], worst)
		if name == "kill -9" && timers() == soakElection && (median >= 500*time.Millisecond || worst >= time.Second) {
			t.Error("T1 promises a median under 0.5 s and a worst under 1 s")
		}
	}
	p.agree()
	t.Logf("%d faults; %d of %d calls that came and went failed", rounds, failed, tried)
}

// mended logs that the standby was mended, if it is not the time that was logged last: clocks are set, so nothing is later.
func (p *Pair) mended(last time.Time) time.Time {
	p.t.Helper()
	s, _ := p.status(p.serving())
	for _, ev := range slices.Backward(s.Events) {
		if ev.Name == "standby mended" {
			if !ev.At.Equal(last) {
				p.t.Logf("standby mended: %s", ev.Detail)
			}
			return ev.At
		}
	}
	return last
}

// passingPairs are the phones of calls that come and go, ten a second, while something happens: some of them are begun, answered or hung up just
// then. What is promised of them is a record each, once the caller has heard an answer.
const passingPairs = 20

// suffer has calls in progress while a fault begins and ends, and gives how long each was silent, and what came of those that came and went.
func (p *Pair) suffer(f fault, phones []*wire.Phone, calls int, passing [][2]*wire.Phone) (silences []time.Duration, tries []try) {
	p.t.Helper()
	var talks []*talk
	for n := range calls {
		talks = append(talks, p.place(phones[2*n], phones[2*n+1], n))
	}
	p.goOn(talks, 10*time.Second)
	serves := p.serving()
	var watching sync.WaitGroup
	stop := make(chan struct{})
	e := p.listen()
	e.hears(serves)
	watching.Go(func() { p.never(stop, f.name) })
	flow := p.trafficOf(brief, 100*time.Millisecond, passing)
	<-time.After(briefLife)
	f.begin(p, serves)
	if f.moves {
		p.eventually(20*time.Second, "other node serves after "+f.name, func() bool { return p.has(other(serves), virtual) })
	}
	p.goOn(talks, 20*time.Second)
	for _, c := range talks {
		silences = append(silences, c.gap())
	}
	f.end(p, serves)
	tries = flow.end()
	for n, c := range talks {
		if n%2 == 0 {
			c.bye(c.a, c.b)
		} else {
			c.bye(c.b, c.a)
		}
	}
	close(stop)
	watching.Wait()
	nodes, now := 1, serves
	if f.moves {
		nodes, now = 2, other(serves)
	}
	e.done(nodes)
	p.idle(now)
	if _, registrations := p.load(now); registrations != len(phones) {
		p.t.Errorf("%d registrations of %d after %s", registrations, len(phones), f.name)
	}
	return silences, tries
}

// stays is for a node that serves and does not hear its standby, while the witness hears both. It says so; the witness votes for nobody else,
// so it serves on in its epoch, for longer than an election would take.
func (p *Pair) stays(name string) {
	p.t.Helper()
	before, _ := p.status(name)
	p.always(5*time.Second, name+" serving in epoch "+strconv.FormatUint(before.Epoch, 10), func() bool {
		s, ok := p.status(name)
		return ok && s.Epoch == before.Epoch && !p.has(other(name), virtual)
	})
	p.eventually(10*time.Second, "told that the standby is not heard", func() bool {
		s, _ := p.status(name)
		return strings.Contains(strings.Join(s.Problems, "\n"), "node "+other(name)+" is not heard")
	})
}

// never watches that two nodes do not serve at once: both would say so over their sockets, and hold the lease.
func (p *Pair) never(stop <-chan struct{}, during string) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		a, _ := p.status("a")
		b, _ := p.status("b")
		if again, _ := p.status("a"); a.Held && b.Held && again.Held && again.Epoch == a.Epoch {
			p.t.Errorf("two nodes held the lease at once during %q: epochs %d and %d", during, a.Epoch, b.Epoch)
		}
	}
}
