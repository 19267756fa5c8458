package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is held is summed up alike in any order, over values that replaced each other and records that were deleted.
func TestHolding(t *testing.T) {
	var one, other, less holding
	put := func(h *holding, key, value string) {
		h.put(key, sumOf(key, 2, []byte(value)), value == "")
	}
	for _, h := range []*holding{&one, &other, &less} {
		h.complete()
	}
	put(&one, "a", "1")
	put(&one, "b", "2")
	put(&one, "c", "3")
	put(&one, "a", "4")
	put(&one, "c", "")
	put(&other, "d", "")
	put(&other, "b", "2")
	put(&other, "a", "4")
	put(&other, "a", "4")
	put(&less, "a", "1")
	put(&less, "b", "2")
	x, _ := one.get()
	if y, _ := other.get(); x != y || x.Records != 2 {
		t.Errorf("%+v and %+v", x, y)
	}
	if y, _ := less.get(); x == y || y.Records != 2 {
		t.Errorf("an old value makes no difference: %+v", y)
	}
	if sumOf("a", 1, nil) == sumOf("a", 2, nil) || sumOf("ab", 1, nil) == sumOf("a", 1, []byte("b")) {
		t.Error("form and key make no difference")
	}
}

// A checksum that has been overtaken counts for as long as a standby may take to say it, also when the ring has gone round.
func TestHadUntilLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h holding
		h.complete()
		h.put("a", 1, false)
		before, _ := h.get()
		for n := range mostMarks - 1 {
			h.put("b", uint64(10+n), false)
		}
		if !h.had(before, time.Now()) {
			t.Error("forgotten at once")
		}
		h.put("b", 5, false)
		h.put("b", 6, false)
		if h.had(before, time.Now()) {
			t.Error("known although the ring went round")
		}
		before, _ = h.get()
		<-time.After(time.Minute)
		h.put("c", 6, false)
		<-time.After(recently)
		if !h.had(before, time.Now()) {
			t.Error("it was held until three seconds ago")
		}
		<-time.After(time.Millisecond)
		if h.had(before, time.Now()) {
			t.Error("it was held too long ago")
		}
	})
}

// The node that serves compares what the standby says with what it has held lately: a standby that is behind for a moment agrees, one that
// stays different is a problem by the name of the bucket, and one that reads anew is not asked.
func TestAgreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		cfg := Config{Node: "a", Buckets: []Bucket{{Name: "reg"}, {Name: "call"}, {Name: "media", MaxAge: time.Hour}}, Tell: func(ev Event) { told = append(told, ev.Name) }}
		e := &Engine{log: quiet, cfg: cfg, buckets: map[string]*bucket{}, writer: &writer{}}
		for _, b := range cfg.Buckets {
			e.buckets[b.Name] = &bucket{Bucket: b}
		}
		e.lease.begin(3)
		reg, call := &e.buckets["reg"].holding, &e.buckets["call"].holding
		hear := func(holds map[string]Holding) {
			e.agrees.hear(e, Peer{Node: "b", Role: "standby", Holds: holds}, time.Now())
		}
		hear(map[string]Holding{"reg": {}, "call": {}})
		if e.agrees.get(time.Now()).Node != "" || e.holds() != nil {
			t.Error("compared before this node has read everything")
		}
		reg.complete()
		call.complete()
		reg.put("1001", 7, false)
		call.put("x", 9, false)
		said := e.holds()
		if len(said) != 2 {
			t.Fatalf("compared: %v", said)
		}
		hear(said)
		if got := e.agrees.get(time.Now()).String(); got != "standby b holds the same 2 records (checksum 0000000000000010)" {
			t.Error(got)
		}
		reg.put("1002", 8, false)
		<-time.After(time.Second)
		hear(said) // as it was a moment ago
		if x := e.agrees.get(time.Now()); x.Records != 2 || len(x.Differs) > 0 {
			t.Errorf("behind for a moment: %+v", x)
		}
		for range 4 + 5 {
			<-time.After(time.Second)
			hear(said)
		}
		if x := e.agrees.get(time.Now()); !slices.Equal(x.Differs, []string{"reg"}) || !strings.Contains(x.String(), "records of reg") || !slices.Equal(told, []string{"standby differs"}) {
			t.Errorf("different for long: %+v, told %v", x, told)
		}
		hear(e.holds())
		if x := e.agrees.get(time.Now()); len(x.Differs) > 0 || x.Records != 3 || !slices.Equal(told, []string{"standby differs", "standby agrees"}) {
			t.Errorf("the same again: %+v, told %v", x, told)
		}
		<-time.After(heardWithin + 1)
		if e.agrees.get(time.Now()).Node != "" {
			t.Error("one that is not heard any more holds what it held")
		}
		hear(e.holds())
		hear(nil)
		if e.agrees.get(time.Now()).Node != "" {
			t.Error("one that reads anew has been asked")
		}
	})
}

// The switch that serves says of its standby that it holds the same, through writes, changes and deletions, after the standby came back with
// an empty memory, and after the two have changed places; and it says when one record is another one there.
func TestStandbyAgrees(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	defer p.endAll()
	for _, name := range p.names {
		p.start(name)
	}
	one, two := "a", "b"
	p.eventually("one active", func() bool {
		if p.role("b") == "active" {
			one, two = "b", "a"
		}
		return p.role(one) == "active" && p.role(two) == "standby"
	})
	followers := map[string][]*Follower{}
	hold := func(name string) {
		for _, b := range testBuckets {
			p.eventually(name+" follows "+b.Name, func() bool {
				f, err := p.nodes[name].engine.Hold(t.Context(), b.Name, func(Record) {})
				if err == nil {
					followers[name] = append(followers[name], f)
				}
				return err == nil
			})
		}
	}
	let := func(name string) {
		for _, f := range followers[name] {
			f.Close()
		}
		delete(followers, name)
	}
	hold(one)
	let(one) // as a node that is promoted does
	hold(two)
	write := func(n int, what string) {
		for i := range n {
			p.nodes[one].engine.Put(Write{Bucket: "reg", Key: fmt.Sprint(i), Value: fmt.Append(nil, what, i), Delete: what == ""})
		}
	}
	agrees := func(when string, want int) Agreement {
		t.Helper()
		var x *Agreement
		p.eventually("agreed "+when, func() bool {
			x = p.nodes[one].engine.Status().Agrees
			return x != nil && x.Node == two && x.Records == want && len(x.Differs) == 0
		})
		return *x
	}
	write(500, "v")
	first := agrees("after writes", 500)
	write(500, "w")
	write(100, "")
	if x := agrees("after changes and deletions", 400); x.Sum == first.Sum {
		t.Error("the checksum has not changed")
	}
	// A record that goes by itself, as the version before wrote registrations, in the place of one that stays.
	p.nodes[one].engine.Put(Write{Bucket: "reg", Key: "400", Value: []byte("w400"), TTL: time.Hour})
	agrees("after one that goes by itself", 399)
	let(two)
	p.end(two)
	p.start(two)
	p.eventually("it stands by", func() bool { return p.role(two) == "standby" })
	p.eventually("not agreed while it has read nothing", func() bool { return p.nodes[one].engine.Status().Agrees == nil })
	hold(two)
	agrees("after it came back", 399)

	p.eventually("changed places", func() bool {
		_ = p.nodes[one].engine.Failover(context.Background())
		return p.role(two) == "active" && p.role(one) == "standby"
	})
	for _, f := range followers[two] { // as a node that takes over does: what it has not read before it begins, it deletes nowhere
		if err := f.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	let(two)
	p.end(one) // a switch that is deposed is built anew
	p.start(one)
	one, two = two, one
	hold(two)
	agrees("after they have changed places", 399)

	p.nodes[two].engine.buckets["reg"].holding.put("77", 1, false)
	p.eventually("told which bucket differs", func() bool {
		s := p.nodes[one].engine.Status()
		return s.Agrees != nil && slices.Equal(s.Agrees.Differs, []string{"reg"}) && slices.Contains(s.Problems, s.Agrees.problem())
	})
	agrees("after it was mended", 399)
	let(two)
}
