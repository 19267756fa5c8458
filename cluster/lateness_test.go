package cluster

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// What late heartbeats lead to: nothing after one bad moment, an alarm when it happens again and again, and its end after a good minute.
func TestLateHeartbeats(t *testing.T) {
	t.Parallel()
	var events []string
	e := &Engine{log: quiet, cfg: Config{Timers: 150 * ms, Tell: func(ev Event) { events = append(events, ev.Name+": "+ev.Detail) }}}
	now := 100 * time.Second
	beat := func(gap time.Duration, term uint64) {
		now += gap
		e.late.heard(term, now, e.cfg.Timers)
		e.watchLateness(now)
	}
	steady := func(length time.Duration) {
		for end := now + length; now < end; {
			beat(25*ms, 7)
		}
	}
	steady(70 * time.Second)
	if worst, _ := e.late.last(now, 0); worst != 0 {
		t.Errorf("steady heartbeats are %v late", worst)
	}
	beat(170*ms, 7)
	if worst, often := e.late.last(now, 75*ms); worst != 140*ms || often != 1 {
		t.Errorf("one of 170 ms is %v late, in %d seconds", worst, often)
	}
	steady(2 * time.Second)
	beat(900*ms, 8) // an election
	if worst, _ := e.late.last(now, 0); worst != 140*ms || len(events) != 0 {
		t.Errorf("after an election %v late, and %q", worst, events)
	}
	for range 2 {
		beat(1500*ms, 9)
		beat(130*ms, 9)
	}
	if len(events) != 1 || !strings.Contains(events[0], `heartbeats late: heartbeats come up to 1.47s late`) {
		t.Fatalf("events: %q", events)
	}
	steady(50 * time.Second)
	if len(events) != 1 {
		t.Errorf("events too early: %q", events)
	}
	steady(20 * time.Second)
	if len(events) != 2 || !strings.HasPrefix(events[1], "heartbeats in time") {
		t.Errorf("events: %q", events)
	}
	if worst, _ := e.late.last(now+200*time.Second, 0); worst != 0 {
		t.Errorf("after minutes of nothing still %v", worst)
	}
}

func TestBetterElection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ timers, late, want time.Duration }{
		{150 * ms, 60 * ms, 150 * ms}, {150 * ms, 140 * ms, 300 * ms}, {300 * ms, 140 * ms, 300 * ms}, {150 * ms, 400 * ms, 1200 * ms}, {150 * ms, time.Minute, 5 * time.Second},
	} {
		if got := betterElection(c.timers, c.late); got != c.want {
			t.Errorf("%v late with %v: %v, and should be %v", c.late, c.timers, got, c.want)
		}
	}
}

// Members with different election times do not vote with each other: a lease by the longer one would outlast what those with the
// shorter one wait.
func TestElectionTimesMustAgree(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cfg := p.cfg["b"]
	cfg.Timers = 700 * ms
	p.cfg["b"] = cfg
	p.start("a")
	p.start("b")
	p.start("w")
	defer p.endAll()
	p.eventually("a active", func() bool { return p.role("a") == "active" })
	p.eventually("both say so", func() bool {
		own, other := p.nodes["a"].engine.Status(), p.nodes["b"].engine.Status()
		return strings.Contains(strings.Join(own.Problems, "\n"), "node b has election = 700ms") &&
			strings.Contains(strings.Join(other.Problems, "\n"), "node w has election = 1s") && other.Role == "no majority"
	})
	p.eventually("a measures", func() bool { worst, _ := p.nodes["a"].engine.late.last(BootTime(), 0); return worst > 0 })
}
