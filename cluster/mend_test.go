package cluster

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// A standby that holds something else than the node that serves is given it anew: what it lacks, what it has otherwise, and what it has beyond.
func TestStandbyIsMended(t *testing.T) {
	t.Parallel()
	const records = 1500
	p := wholePair(t)
	defer p.endAll()
	a, b := p.keep("a", records), p.nodes["b"].engine
	f, got := p.hold(b, nil)
	agrees := func() bool {
		x := a.Status().Agrees
		return x != nil && len(x.Differs) == 0 && x.Records == records
	}
	readAll(a, b)
	p.eventually("agreed at first", agrees)
	want := got()
	now := BootTime()
	f.hand(Record{Key: "ghost", Value: []byte("it was deleted")}, now)
	f.hand(Record{Key: "7", Value: []byte("as it was before")}, now)
	for n := range 600 { // more than are written at a time
		f.hand(Record{Key: fmt.Sprint(100 + n), Deleted: true}, now)
	}
	p.eventually("it holds the same again", func() bool { return maps.Equal(got(), want) })
	p.eventually("agreed again", agrees)
	told := func(event string) bool {
		n := p.nodes["a"]
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.ContainsFunc(n.events, func(ev Event) bool { return ev.Name == event })
	}
	p.eventually("everybody is told", func() bool { return told("standby differs") && told("standby mended") && told("standby agrees") })
}

// readAll has engines take all their buckets for read: those that a test does not write are read by nobody, and compared all the same.
func readAll(engines ...*Engine) {
	for _, e := range engines {
		for b := range e.compared {
			b.holding.complete()
		}
	}
}

// What was written, or is being written, since the difference was seen is not overwritten.
func TestMendingGivesWay(t *testing.T) {
	x := newFlights()
	x.e.log, x.e.cfg.Tell = quiet, func(Event) {}
	reg := x.e.buckets["reg"]
	x.inbox, x.epoch = "inbox.", 1
	try := func(what string, w Write, want bool) {
		t.Helper()
		w.Bucket = "reg"
		if got := x.again(reg, w); got != want {
			t.Errorf("%s: written %v", what, got)
		}
		clear(x.latest)
	}
	reg.holding.put("a", sumOf("a", 1, []byte("value")), false)
	held, gone := Write{Key: "a", Version: 1, Value: []byte("value")}, Write{Key: "b", Delete: true}
	try("a node that does not serve", held, false)
	x.e.lease.begin(1)
	try("no right to serve at this moment", held, false)
	x.e.lease.grant(forever)
	x.e.cfg.Members = []Member{{Name: "a"}, {Name: "b"}}
	try("what is held", held, true)
	try("what is not held", gone, true)
	try("what is held otherwise now", Write{Key: "a", Version: 1, Value: []byte("before")}, false)
	try("what is held, as deleted", Write{Key: "a", Delete: true}, false)
	try("what is not held, as written", Write{Key: "b", Value: []byte("value")}, false)
	x.latest["a"] = &flight{}
	if x.again(reg, held) {
		t.Error("overtakes a write that is on its way")
	}
	clear(x.latest)
	x.degraded = true
	try("the store is away", held, false)
}

func TestHeldIsRead(t *testing.T) {
	e := &Engine{buckets: map[string]*bucket{"reg": {}}}
	h := &e.buckets["reg"].holding
	want := map[string]uint64{}
	for n := range 1000 {
		key := fmt.Sprint("key", n, "\xff")
		h.put(key, uint64(n)<<50, false)
		want[key] = uint64(n) << 50
	}
	got := map[string]uint64{}
	for n := range holdingParts {
		answer := e.tellHeld(fmt.Append(nil, "reg ", n))
		part, err := readHeld(answer)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(got, part)
		for cut := 1; cut < len(answer); cut++ {
			if x, err := readHeld(answer[:cut]); err == nil && len(x) >= len(part) && len(part) > 0 {
				t.Fatalf("cut at %d of %d, read %v", cut, len(answer), x)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d records of %d", len(got), len(want))
	}
	for _, question := range []string{"", "none", "reg -1", "reg 256", "reg x"} {
		if answer := e.tellHeld([]byte(question)); answer != nil {
			t.Errorf("%q is answered", question)
		}
	}
	if _, err := readHeld(nil); err == nil {
		t.Error("nothing is read")
	}
}
