package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// live is a message as the store gives it on, of a record with this sequence.
func live(e *Engine, w Write, seq int) *nats.Msg {
	m := nats.NewMsg(followPrefix)
	m.Header.Set("Nats-Subject", e.buckets[w.Bucket].subject+escape(w.Key))
	m.Header.Set("Nats-Sequence", strconv.Itoa(seq))
	m.Data = wrap(w, e.lease.Epoch(), e.cfg.Node, nil)
	return m
}

// What is given on may be ahead of the replica that answers this node: nothing between is left out.
func TestFollowerLeavesNothingOut(t *testing.T) {
	e := openTest(t, t.TempDir())
	defer e.Close()
	var seen []string
	f := &Follower{e: e, b: e.buckets["reg"], fn: func(r Record) { seen = append(seen, r.Key) }, next: 1}
	write := func(n int) Write {
		return Write{Bucket: "reg", Key: fmt.Sprint("k", n), Value: []byte("v")}
	}
	if err := errors.Join(e.PutWait(t.Context(), write(0)), f.catchUp(t.Context())); err != nil {
		t.Fatal(err)
	}
	seen = nil
	next := int(f.next)
	f.take(t.Context(), live(e, write(4), next+3)) // 1 to 3 are not here yet, nor is 4
	if len(seen) > 0 || f.next != uint64(next) {
		t.Fatalf("given %v, and goes on with %d", seen, f.next)
	}
	for n := range 5 {
		if err := e.PutWait(t.Context(), write(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(2 * settleEvery)
	f.take(t.Context(), live(e, write(5), next+4))
	if fmt.Sprint(seen) != "[k1 k2 k3 k4 k5]" {
		t.Errorf("given %v", seen)
	}
}

// A node that may have begun to serve before it had read everything does not delete what a standby has beyond it.
func TestWhatWasNotReadIsNotDeleted(t *testing.T) {
	t.Parallel()
	const records = 20
	p := wholePair(t)
	defer p.endAll()
	a, b := p.keep("a", records), p.nodes["b"].engine
	f, got := p.hold(b, nil)
	readAll(a, b)
	reg := a.buckets["reg"]
	p.eventually("agreed at first", func() bool { x := a.Status().Agrees; return x != nil && x.Records == records && len(x.Differs) == 0 })
	if reg.fence.begunAfter(reg.read.Load()) {
		t.Fatal("a node that has read all there was is not believed")
	}
	reg.fence.mu.Lock()
	reg.fence.seq = 1 << 40
	reg.fence.mu.Unlock()
	f.hand(Record{Key: "unread", Value: []byte("v")}, BootTime())
	p.eventually("it is seen that they differ", func() bool { x := a.Status().Agrees; return x != nil && len(x.Differs) > 0 })
	if err := a.Failover(t.Context()); err == nil || a.Rehearse().Possible {
		t.Errorf("it is handed over to a node that differs: %v", err)
	}
	<-time.After(3 * mendEvery)
	if got()["unread"] == "" {
		t.Error("it was deleted")
	}
}

// Nothing is handed over while the one that would serve lacks what somebody was told.
func TestNothingIsHandedOverThatIsOwed(t *testing.T) {
	t.Parallel()
	p := wholePair(t)
	defer p.endAll()
	a := p.nodes["a"].engine
	p.eventually("it could be", func() bool { return a.Rehearse().Possible })
	w := a.writer
	w.mu.Lock()
	w.latest["owed"] = &flight{w: Write{Bucket: "reg", Key: "owed"}, told: true, held: true}
	w.mu.Unlock()
	if r := a.Rehearse(); r.Possible {
		t.Error("the rehearsal says that it can be")
	}
	if err := a.Failover(t.Context()); err == nil {
		t.Error("it was handed over")
	}
	if l := a.Lease(); p.role("a") != "active" || !l.Begins() {
		t.Errorf("a does not go on: %s", p.role("a"))
	}
	w.mu.Lock()
	delete(w.latest, "owed")
	w.mu.Unlock()
	p.eventually("b serves", func() bool {
		_ = a.Failover(context.Background()) // it may be refused when the machine is busy
		return p.role("b") == "active"
	})
}

// A planned change of two machines without a witness: the other one stops taking records while this one finishes what it has begun.
func TestTheOtherFallsBehindWhileThisOneYields(t *testing.T) {
	t.Parallel()
	p := newTwin(t, ByHand)
	a := p.start("a")
	p.start("b")
	defer p.endAll()
	p.eventually("whole", func() bool {
		return p.role("a") == "active" && a.engine.Status().Copy == "whole" && a.engine.Rehearse().Possible
	})
	a.yields = func(e *Engine) {
		e.twin.mirror.down("its store refuses a record")
		if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "last", Value: []byte("word")}); err != nil {
			t.Error(err)
		}
	}
	if err := a.engine.Failover(t.Context()); err == nil {
		t.Error("it was handed over")
	}
	if l := a.engine.Lease(); p.role("a") != "active" || !l.Begins() || loadAll(t, a.engine, "reg")["last"] != "word" {
		t.Error("a does not go on with its last record")
	}
}

// keepalived tells both at once, and then settles on one.
func TestKeepalivedTellsBoth(t *testing.T) {
	t.Parallel()
	p := newTwin(t, ByKeepalived)
	a, b := p.start("a"), p.start("b")
	defer p.endAll()
	hears := func(n *testNode) bool { _, ago, _, ok := n.engine.twin.link.last(); return ok && ago < time.Second }
	p.eventually("both hear each other", func() bool { return hears(a) && hears(b) && p.role("a") == "standby" && p.role("b") == "standby" })
	told := make(chan error, 2)
	for _, n := range []*testNode{a, b} {
		go func() { told <- n.engine.Notify(t.Context(), string(keepalivedMaster)) }()
	}
	<-told
	<-told
	p.eventually("one of them serves, and nobody else says so", func() bool {
		return p.role("a") == "active" && a.engine.lease.Held() && p.role("b") != "active" || p.role("b") == "active" && b.engine.lease.Held() && p.role("a") != "active"
	})
	one, two := a, b
	if p.role("b") == "active" {
		one, two = b, a
	}
	if err := one.engine.Notify(t.Context(), "BACKUP"); err != nil {
		t.Error(err)
	}
	if err := two.engine.Notify(t.Context(), string(keepalivedMaster)); err != nil {
		t.Error(err)
	}
	p.eventually("the one that it settled on serves", func() bool { return p.role(two.engine.Name()) == "active" && two.engine.lease.Held() })
}

// Who takes over has all that its own replica has, though the store gives a question to any: here to one that lags at first.
func TestCatchUpReadsWhatOurReplicaHas(t *testing.T) {
	r := newReplica(t, func(r *replica, n int) {
		if n < 3 {
			r.send(n, nats.Header{"Status": {"404"}})
			return
		}
		r.record(n, 1, 0)
		r.end(n, 1, 0)
	})
	_, f := r.stored()
	if err := f.catchUpTo(t.Context(), r.engine.ownLast(r.bucket)); err != nil || f.next != 2 {
		t.Errorf("goes on with %d, %v", f.next, err)
	}
}

// What was the last one of our replica, and has been forgotten since, is waited for once.
func TestCatchUpWaitsOnceForWhatIsGone(t *testing.T) {
	r := newReplica(t, func(r *replica, n int) { r.send(n, nats.Header{"Status": {"404"}}) })
	stream, f := r.stored()
	if err := stream.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{21, 22} {
		if err := f.catchUpTo(t.Context(), r.engine.ownLast(r.bucket)); err != nil || len(r.asked) != want {
			t.Errorf("time %d: asked %d times, and not %d; %v", n+1, len(r.asked), want, err)
		}
	}
}
