package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// givenPair is a pair in which a serves some records, and b does not run.
func givenPair(t *testing.T, records int) (p *testPair, a *Engine) {
	t.Helper()
	p = wholePair(t)
	p.end("b")
	return p, p.keep("a", records)
}

// wholePair is one in which a serves and b stands by.
func wholePair(t *testing.T) (p *testPair) {
	t.Helper()
	p = newPair(t)
	for _, name := range p.names { // the store wants all of them to begin
		p.start(name)
	}
	p.eventually("a store", func() bool { return p.role("a") == "active" || p.role("b") == "active" })
	p.eventually("a serves", func() bool {
		if p.role("b") == "active" {
			_ = p.nodes["b"].engine.Failover(t.Context())
		}
		return p.role("a") == "active" && p.role("b") == "standby"
	})
	p.eventually("b leads the streams", func() bool { return len(p.nodes["b"].engine.leads()) == len(testBuckets) })
	return p
}

// keep has a node that serves hold some records.
func (p *testPair) keep(name string, records int) *Engine {
	p.t.Helper()
	e := p.nodes[name].engine
	p.hold(e, nil)
	for n := range records {
		put(p.t, e, Write{Bucket: "reg", Key: fmt.Sprint(n), Value: fmt.Append(nil, "v", n), Version: 3})
	}
	p.eventually("all is held", func() bool { s := e.Status(); return s.Waits == 0 && !s.Degraded })
	return e
}

func put(t testing.TB, e *Engine, w Write) {
	t.Helper()
	if err := e.PutWait(context.Background(), w); err != nil && !errors.Is(err, ErrDegraded) {
		t.Error(err)
	}
}

// hold follows the bucket as a standby does; got is what it holds then, in one map that goes on with it.
func (p *testPair) hold(e *Engine, each func(Record)) (f *Follower, got func() map[string]string) {
	p.t.Helper()
	var mu sync.Mutex
	all := map[string]string{}
	p.eventually("read", func() bool { // the store may be electing
		var err error
		f, err = e.HoldWide(context.Background(), "reg", 4, func(r Record) {
			mu.Lock()
			defer mu.Unlock()
			if each != nil {
				each(r)
			}
			if all[r.Key] = string(r.Value); r.Deleted {
				delete(all, r.Key)
			}
		})
		return err == nil
	})
	p.t.Cleanup(f.Close)
	return f, func() map[string]string { mu.Lock(); defer mu.Unlock(); return maps.Clone(all) }
}

// A member that starts is given what the node that serves has written, as old as it is, and goes on from the store; both hold the same.
func TestStandbyIsGivenWhatTheServingNodeHolds(t *testing.T) {
	t.Parallel()
	const records = 2000
	p, a := givenPair(t, records)
	defer p.endAll()
	written := time.Now()
	put(t, a, Write{Bucket: "reg", Key: "7", Delete: true})
	put(t, a, Write{Bucket: "reg", Key: "8", Value: []byte("new"), Version: 4})
	p.eventually("all is held", func() bool { s := a.Status(); return s.Waits == 0 && !s.Degraded })
	p.eventually("a while ago", func() bool { return time.Since(written) > 1500*time.Millisecond })
	var b *Engine
	var got func() map[string]string
	p.eventually("given", func() bool { // it is not while the store is slow
		if b != nil {
			p.end("b")
		}
		p.start("b")
		b = p.nodes["b"].engine
		var read atomic.Int32
		_, got = p.hold(b, func(r Record) {
			switch {
			case r.Seq > 0:
				read.Add(1)
			case r.Key == "8" && (r.Version != 4 || (r.Age-time.Since(written)).Abs() > time.Second):
				t.Errorf("of form %d, %v old", r.Version, r.Age)
			case r.Key == "9" && (r.Version != 3 || r.Age < time.Since(written)):
				t.Errorf("of form %d, %v old", r.Version, r.Age)
			}
		})
		return read.Load() <= 100
	})
	all := got()
	if _, there := all["7"]; there || len(all) != records-1 || all["8"] != "new" || all["9"] != "v9" {
		t.Errorf("%d records, 8 is %q, 9 is %q", len(all), all["8"], all["9"])
	}
	put(t, a, Write{Bucket: "reg", Key: "9", Value: []byte("later")})
	put(t, a, Write{Bucket: "reg", Key: "10", Delete: true})
	p.eventually("told of changes", func() bool { all := got(); _, there := all["10"]; return all["9"] == "later" && !there })
	p.eventually("the same is held", func() bool {
		x, _ := a.buckets["reg"].holding.get()
		y, whole := b.buckets["reg"].holding.get()
		return whole && x == y && x.Records == records-2
	})
	if x, y := &a.buckets["reg"].fence, &b.buckets["reg"].fence; x.epoch != y.epoch || x.epoch != a.Lease().Epoch() {
		t.Errorf("b knows epoch %d, a serves in %d and knows %d", y.epoch, a.Lease().Epoch(), x.epoch)
	}
}

// Where nobody gives, the store is read.
func TestStoreIsReadWhereNobodyGives(t *testing.T) {
	t.Parallel()
	const records = 300
	p, a := givenPair(t, records)
	defer p.endAll()
	a.writer.mu.Lock()
	a.buckets["reg"].lacks = true
	a.writer.mu.Unlock()
	p.start("b")
	read := 0
	_, got := p.hold(p.nodes["b"].engine, func(r Record) {
		if r.Seq > 0 {
			read++
		}
	})
	if all := got(); len(all) != records || read < records {
		t.Errorf("%d records, %d of them from the store", len(all), read)
	}
}

// What is on its way to the store is given in the place of what was there; while the store is away nothing is.
func TestGivenIsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	b := &bucket{Bucket: Bucket{Name: "reg", Given: true}, givable: &givable{}}
	e := &Engine{buckets: map[string]*bucket{"reg": b}}
	w := &writer{e: e, epoch: 5, latest: map[string]*flight{}}
	e.writer = w
	e.lease.begin(5)
	e.lease.grant(BootTime() + time.Hour)
	b.holding.complete()
	part := func(key string) string {
		_, all, ok := w.gives(b, partOf(key))
		if !ok {
			return "nothing"
		}
		return string(all[key].value)
	}
	flies := func(x Write) *flight {
		x.Bucket = "reg"
		f := &flight{w: x, subject: x.Key, put: time.Now(), bucket: b}
		w.latest[x.Key] = f
		return f
	}
	first := flies(Write{Key: fenceName})
	one := flies(Write{Key: "k", Value: []byte("1")})
	if got := part("k"); got != "nothing" {
		t.Errorf("before this node's epoch has begun in the store: %s", got)
	}
	w.acknowledged(first, []byte(`{"stream":"reg","seq":70}`))
	if got := part("k"); got != "1" {
		t.Errorf("on its way: %s", got)
	}
	delete(w.latest, "k")
	w.acknowledged(one, []byte(`{"stream":"reg","seq":71,"duplicate":false}`))
	if got := part("k"); got != "1" {
		t.Errorf("acknowledged: %s", got)
	}
	if head, _, _ := w.gives(b, 0); head != (givenHead{71, 5, 70}) {
		t.Errorf("head %v", head)
	}
	flies(Write{Key: "k", Delete: true})
	if got := part("k"); got != "" {
		t.Errorf("its end is on its way: %s", got)
	}
	flies(Write{Key: "k", Value: []byte("2")})
	if got := part("k"); got != "2" {
		t.Errorf("on its way: %s", got)
	}
	for what, f := range map[string]func() func(){
		"degraded":        func() func() { w.degraded = true; return func() { w.degraded = false } },
		"something waits": func() func() { w.backlog = w.latest; return func() { w.backlog = nil } },
		"another epoch":   func() func() { w.epoch = 6; return func() { w.epoch = 5 } },
		"no lease":        func() func() { e.lease.revoke(); return func() { e.lease.grant(BootTime() + time.Hour) } },
	} {
		undo := f()
		if got := part("k"); got != "nothing" {
			t.Errorf("%s: %s", what, got)
		}
		if got := e.give([]byte("reg " + fmt.Sprint(partOf("k")))); !bytes.Equal(got, nothingGiven) {
			t.Errorf("%s: %q", what, got)
		}
		undo()
	}
	if _, all, err := readGiven("reg", e.give([]byte("reg "+fmt.Sprint(partOf("k"))))); err != nil || len(all) != 1 || string(all[0].Value) != "2" || all[0].Epoch != 5 {
		t.Errorf("%v, %v", all, err)
	}
	for _, question := range []string{"", "reg", "reg -1", "reg 256", "call 1", "reg x"} {
		if got := e.give([]byte(question)); !bytes.Equal(got, nothingGiven) {
			t.Errorf("%q: %q", question, got)
		}
	}
}

// An answer that was cut, or is none, is not read; nor is one given that would be too long.
func TestGivenThatCannotBeRead(t *testing.T) {
	t.Parallel()
	all := map[string]given{"1001": {2, []byte("value"), 3 * time.Second}, "1002": {1, nil, 0}}
	whole := appendGiven(nil, givenHead{9, 2, 3}, all, 5*time.Second)
	if head, records, err := readGiven("reg", whole); err != nil || head != (givenHead{9, 2, 3}) || len(records) != 2 {
		t.Fatal(head, records, err)
	}
	for n := range whole {
		if _, records, err := readGiven("reg", whole[:n]); err == nil {
			t.Errorf("the first %d bytes of %d: %v", n, len(whole), records)
		}
	}
	long := map[string]given{"x": {1, []byte(strings.Repeat("x", mostGiven)), 0}}
	if got := appendGiven(nil, givenHead{1, 1, 1}, long, 0); !bytes.Equal(got, nothingGiven) {
		t.Errorf("%d bytes", len(got))
	}
}
