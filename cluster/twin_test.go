package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// newTwin is a pair without a witness.
func newTwin(t testing.TB, how Decides) *testPair {
	p := &testPair{t: t, names: []string{"a", "b"}, cfg: map[string]Config{}, nodes: map[string]*testNode{}}
	root := t.TempDir()
	members := []Member{{Name: "a", Host: "127.0.0.1", Port: freePort(t)}, {Name: "b", Host: "127.0.0.2", Port: freePort(t)}}
	a, err := Init(filepath.Join(root, "a"), "a")
	if err != nil {
		t.Fatal(err)
	}
	door, err := openDoor(a, map[string]bool{"a": true}, "127.0.0.1:0", anybody, 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	token, err := a.Invite("b", true, door.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Join(context.Background(), filepath.Join(root, "b"), token)
	if err != nil {
		t.Fatal(err)
	}
	_ = door.Close()
	for name, id := range map[string]*Identity{"a": a, "b": b} {
		p.cfg[name] = Config{Node: name, Dir: filepath.Join(root, name), Buckets: testBuckets, Members: members, Identity: id,
			Timers: 300 * time.Millisecond, SyncEvery: time.Second, Preferred: "a", Decides: how, AckWithin: time.Second}
	}
	return p
}

// crash ends a node without a word to the others.
func (p *testPair) crash(name string) {
	n := p.nodes[name]
	n.engine.twin.link.close()
	n.engine.twin.mirror.down("the test says so")
	p.end(name)
}

// write puts records and waits for their answers.
func (p *testPair) write(e *Engine, bucket, prefix string, n int) {
	p.t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		e.Put(Write{Bucket: bucket, Key: fmt.Sprint(prefix, i), Value: fmt.Append(nil, prefix, " value ", i), Done: func(err error) {
			if err != nil && err != ErrDegraded {
				p.t.Errorf("%s%d: %v", prefix, i, err)
			}
			wg.Done()
		}})
	}
	wg.Wait()
}

func TestTwoNodesWithoutAWitness(t *testing.T) {
	p := newTwin(t, ByHand)
	a := p.start("a")
	p.eventually("a waits for b, since neither has served before", func() bool { return p.role("a") == waiting })
	p.start("b")
	defer p.endAll()
	whole := func(serves, stands string) func() bool {
		return func() bool {
			s := p.nodes[serves].engine.Status()
			return s.Role == "active" && s.Held && s.Copy == "whole" && p.role(stands) == "standby" && p.nodes[stands].engine.Status().Copy == "whole"
		}
	}
	p.eventually("a serves and b holds everything", whole("a", "b"))
	p.write(a.engine, "reg", "one-", 3000)
	p.write(a.engine, "call", "two-", 3000)
	if held := loadAll(t, p.nodes["b"].engine, "call"); len(held) != 3000 || held["two-7"] != "two- value 7" {
		t.Errorf("b holds %d records when their answers are there", len(held))
	}

	// The standby is away for a while; what was written, changed and deleted meanwhile reaches it when it is back.
	p.end("b")
	p.eventually("a is alone", func() bool { s := a.engine.Status(); return s.Degraded && s.Copy == "none" })
	p.write(a.engine, "reg", "late-", 2500)
	if err := a.engine.PutWait(context.Background(), Write{Bucket: "reg", Key: "one-1", Delete: true}); err != nil {
		t.Error(err)
	}
	if err := a.engine.PutWait(context.Background(), Write{Bucket: "reg", Key: "one-2", Value: []byte("changed")}); err != nil {
		t.Error(err)
	}
	b := p.start("b")
	p.eventually("b holds everything again", whole("a", "b"))
	held := loadAll(t, b.engine, "reg")
	if _, there := held["one-1"]; there || held["one-2"] != "changed" || len(held) != 5499 {
		t.Errorf("b holds %d records after its return; one-2 is %q", len(held), held["one-2"])
	}

	// A planned change, and back.
	p.eventually("a has heard that b stands by", func() bool { return a.engine.Rehearse().Possible })
	before := a.engine.Lease().Epoch()
	if err := a.engine.Failover(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.eventually("b serves", whole("b", "a"))
	if after := b.engine.Lease().Epoch(); after <= before || a.engine.Lease().Held() {
		t.Errorf("epoch %d after %d; a holds the lease: %v", after, before, a.engine.Lease().Held())
	}
	if did := a.did(); did != "promote serve finish yield demote" {
		t.Errorf("before the change a did %q: it must take nothing new, and finish what has begun", did)
	}
	if err := a.engine.TakeOver(context.Background()); err == nil {
		t.Error("a person promoted a node beside one that is heard to serve")
	}

	// The serving node goes: the other one waits for a person, and then has every record.
	p.write(b.engine, "reg", "last-", 500)
	p.crash("b")
	p.eventually("a says that it waits", func() bool { return p.role("a") == waiting })
	if a.engine.Lease().Held() {
		t.Error("a promoted itself")
	}
	if err := a.engine.TakeOver(context.Background()); err != nil {
		t.Fatal(err)
	}
	if held := loadAll(t, a.engine, "reg"); len(held) != 5999 {
		t.Errorf("%d records after a's promotion", len(held))
	}
	p.write(a.engine, "reg", "one-", 1)
	b = p.start("b")
	p.eventually("b comes back and stands by", whole("a", "b"))
	if b.epoch != 0 {
		t.Errorf("b served in epoch %d after its return", b.epoch)
	}
}
