package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testPair is three members in this process.
type testPair struct {
	t     *testing.T
	names []string
	cfg   map[string]Config
	nodes map[string]*testNode
}

type testNode struct {
	engine *Engine
	stop   context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	log    []string
	epoch  uint64
	stale  []string
	events []Event
}

func (n *testNode) Promote(_ context.Context, epoch uint64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch = epoch
	n.log = append(n.log, "promote")
	return nil
}
func (n *testNode) Serve(uint64) { n.note("serve") }
func (n *testNode) Yield()       { n.note("yield") }
func (n *testNode) Demote()      { n.note("demote") }
func (n *testNode) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, s)
}

func freePort(t *testing.T) int { // of two that follow each other
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		m, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = l.Close()
		if err == nil {
			_ = m.Close()
			return port
		}
	}
	t.Fatal("no ports")
	return 0
}

func newPair(t *testing.T) *testPair {
	p := &testPair{t: t, names: []string{"a", "b", "w"}, cfg: map[string]Config{}, nodes: map[string]*testNode{}}
	root := t.TempDir()
	var members []Member
	for i, name := range p.names {
		members = append(members, Member{Name: name, Host: fmt.Sprintf("127.0.0.%d", i+1), Port: freePort(t), Witness: name == "w"})
	}
	first, err := Init(filepath.Join(root, "a"), "a")
	if err != nil {
		t.Fatal(err)
	}
	door, err := openDoor(first, map[string]bool{"a": true}, "127.0.0.1:0", quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range p.names {
		id := first
		if name != "a" {
			token, err := first.Invite(name, door.Addr().String(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if id, err = Join(context.Background(), filepath.Join(root, name), token); err != nil {
				t.Fatal(err)
			}
		}
		p.cfg[name] = Config{Node: name, Dir: filepath.Join(root, name), Buckets: testBuckets, Members: members, Identity: id,
			Timers: time.Second, SyncEvery: time.Second, Preferred: "a"}
	}
	_ = door.Close()
	return p
}

func (p *testPair) start(name string) *testNode {
	p.t.Helper()
	n := &testNode{done: make(chan struct{})}
	cfg := p.cfg[name]
	cfg.Stale = func(bucket, key string) { n.mu.Lock(); n.stale = append(n.stale, bucket+"/"+key); n.mu.Unlock() }
	cfg.Tell = func(e Event) {
		n.mu.Lock()
		n.events = append(n.events, e)
		n.mu.Unlock()
		p.t.Logf("%s %s: %s %s", time.Now().Format("05.000"), name, e.Name, e.Detail)
	}
	e, err := Open(context.Background(), cfg, quiet)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.engine, n.stop = e, cancel
	go func() {
		defer close(n.done)
		if err := e.Play(ctx, n); err != nil {
			p.t.Errorf("%s: %v", name, err)
		}
	}()
	p.nodes[name] = n
	return n
}

func (p *testPair) end(name string) {
	n := p.nodes[name]
	delete(p.nodes, name)
	n.stop()
	<-n.done
	n.engine.Close()
}

func (p *testPair) endAll() {
	for name := range p.nodes {
		p.end(name)
	}
}

func (p *testPair) eventually(what string, ok func() bool) {
	p.t.Helper()
	limit := time.After(40 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			for name, n := range p.nodes {
				s, _ := json.Marshal(n.engine.Status())
				p.t.Logf("%s: %s", name, s)
			}
			p.t.Fatalf("not %s", what)
		}
	}
}

func (p *testPair) role(name string) string { return p.nodes[name].engine.Status().Role }

func TestPairKeepsRecordsAndTheRole(t *testing.T) {
	p := newPair(t)
	for _, name := range p.names {
		p.start(name)
	}
	defer p.endAll()
	one, two := "a", "b" // on a busy machine the preferred node may not be the first
	p.eventually("one active", func() bool {
		if p.role("b") == "active" {
			one, two = "b", "a"
		}
		return p.role(one) == "active" && p.role(two) == "standby" && p.role("w") == "witness"
	})
	a, b := p.nodes[one].engine, p.nodes[two].engine
	p.eventually("the standby leads the streams", func() bool { return len(b.leads()) == len(testBuckets) })

	if err := b.PutWait(context.Background(), Write{Bucket: "reg", Key: "x"}); err != ErrFenced {
		t.Errorf("a write by the standby: %v", err)
	}
	var mu sync.Mutex
	seen := map[string]string{}
	f, err := b.Follow(context.Background(), "call", func(r Record) { mu.Lock(); seen[r.Key] = string(r.Value); mu.Unlock() })
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Add(1)
		a.Put(Write{Bucket: "call", Key: fmt.Sprint(i), Value: fmt.Append(nil, "v", i), Done: func(err error) {
			if err != nil && err != ErrDegraded {
				t.Errorf("%d: %v", i, err)
			}
			wg.Done()
		}})
	}
	wg.Wait()
	p.eventually("all written", func() bool { return a.Status().Waits == 0 })

	before := a.Lease().Epoch()
	p.eventually("the other one active", func() bool {
		_ = a.Failover(context.Background()) // it may be refused when the machine is busy, and then nothing has changed
		return p.role(two) == "active" && p.role(one) == "standby"
	})
	if err := f.CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if len(seen) != 2000 || seen["1999"] != "v1999" {
		t.Errorf("%d records on the standby", len(seen))
	}
	mu.Unlock()
	f.Close()
	if after := b.Lease().Epoch(); after <= before || a.Lease().Held() {
		t.Errorf("epoch %d after %d; a holds the lease: %v", after, before, a.Lease().Held())
	}

	// The witness and the new active node go on without a.
	p.end(one)
	if err := b.PutWait(context.Background(), Write{Bucket: "reg", Key: "1001", Value: []byte("here")}); err != nil && err != ErrDegraded {
		t.Error(err)
	}
	p.eventually("written by two of three", func() bool { s := b.Status(); return s.Waits == 0 && !s.Degraded })
	p.end("w")
	p.eventually("b alone serves no more", func() bool { return p.role(two) == "no majority" && !b.Lease().Held() })
	p.start(one)
	p.eventually("one of the two active again", func() bool { return p.role("a") == "active" || p.role("b") == "active" })
}
