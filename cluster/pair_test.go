package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// testPair is three members in this process.
type testPair struct {
	t     testing.TB
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
	yields func(*Engine) // nil: it has nothing left to do
}

func (n *testNode) Promote(_ context.Context, epoch uint64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch = epoch
	if n.engine.Lease().Admits() {
		n.log = append(n.log, "takes what comes in before")
	}
	n.log = append(n.log, "promote")
	return nil
}
func (n *testNode) Serve(uint64) { n.note("serve") }
func (n *testNode) Finish() {
	if l := n.engine.Lease(); l.Begins() || !l.Admits() {
		n.note("finish while it takes what is new, or hears no answers")
		return
	}
	n.note("finish")
}
func (n *testNode) Yield() {
	if n.engine.Lease().Admits() || !n.engine.Lease().Held() {
		n.note("yield while it takes what is new, or may not finish what has begun")
		return
	}
	if n.yields != nil {
		n.yields(n.engine)
	}
	n.note("yield")
}
func (n *testNode) Demote() { n.note("demote") }
func (n *testNode) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, s)
}

func freePort(t testing.TB) int { // of two that follow each other
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
	door, err := openDoor(first, map[string]bool{"a": true}, "127.0.0.1:0", anybody, 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range p.names {
		id := first
		if name != "a" {
			token, err := first.Invite(name, name != "w", door.Addr().String(), time.Minute)
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
	cfg.Doubt = func(bucket, key string) { n.mu.Lock(); n.stale = append(n.stale, bucket+"/"+key); n.mu.Unlock() }
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
	t.Parallel()
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
	if did := p.nodes[one].did(); !strings.HasSuffix(did, " finish yield demote") {
		t.Errorf("before the change it did %q: it must begin nothing new, and finish what has begun", did)
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

// A member that hears its leader before it plays its role knows him all the same: who has just come back is told at once.
func TestLeaderThatWasThereFirst(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.start("b")
	p.start("w")
	defer p.endAll()
	p.eventually("b active", func() bool { return p.role("b") == "active" })
	n := &testNode{done: make(chan struct{})}
	e, err := Open(context.Background(), p.cfg["a"], quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.address = newAddresses(e)
	defer e.address.close()
	r, err := e.openRole(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.role = r
	e.mu.Unlock()
	p.eventually("raft of a knows b", func() bool { _, id := r.raft.LeaderWithID(); return id == "b" })
	ctx, stop := context.WithCancel(context.Background())
	go func() { defer close(n.done); _ = r.run(ctx, n) }()
	p.nodes["a"] = &testNode{engine: e}
	p.eventually("a says so", func() bool { return e.Status().Active == "b" })
	p.eventually("and leads the streams", func() bool { return len(e.leads()) == len(testBuckets) })
	delete(p.nodes, "a")
	stop()
	<-n.done
}

// A member that was away for long has the log as soon as it is reached again: it could be elected, and be handed the role.
func TestMemberComesBackWhole(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, name := range p.names {
		p.start(name)
	}
	defer p.endAll()
	p.eventually("one active", func() bool { return p.role("a") == "active" || p.role("b") == "active" })
	one, two := "a", "b"
	if p.role("b") == "active" {
		one, two = "b", "a"
	}
	p.eventually("the other follows", func() bool { return p.role(two) == "standby" })
	p.end(two)
	lead := p.raft(one)
	if err := lead.Apply([]byte("{}"), 0).Error(); err != nil {
		t.Fatal(err)
	}
	failed := make(chan raft.Observation, 64) // one each half second: raft's own pauses have grown to seconds by then
	lead.RegisterObserver(raft.NewObserver(failed, false, func(o *raft.Observation) bool { _, ok := o.Data.(raft.FailedHeartbeatObservation); return ok }))
	p.eventually("away for long", func() bool { return len(failed) >= 12 })
	p.start(two)
	p.eventually("it plays", func() bool { return p.raft(two) != nil })
	back := time.Now()
	p.eventually("it has the log", func() bool { return p.raft(two).LastIndex() >= lead.LastIndex() })
	if took := time.Since(back); took > 2*time.Second {
		t.Errorf("it lacked the log for %v", took)
	}
}

// raft is that of a member; nil: it does not play yet.
func (p *testPair) raft(name string) *raft.Raft {
	if r, ok := p.nodes[name].engine.playing().(*role); ok {
		return r.raft
	}
	return nil
}

// serveWith starts one switch and the witness, which then has the role.
func (p *testPair) serveWith(name string) *testNode {
	n := p.start(name)
	p.start("w")
	p.eventually(name+" active", func() bool {
		for other := range p.nodes { // the preferred one may have come too late
			if other != name && p.role(other) == "active" {
				_ = p.nodes[other].engine.Failover(context.Background())
			}
		}
		return p.role(name) == "active"
	})
	return n
}

func (n *testNode) did() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.log, " ")
}

// T3: a node that loses the lead while nobody else serves is mute, and goes on in place when it leads again: same epoch, same objects.
func TestLapseInPlace(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.start("b") // the store begins with three members
	n := p.serveWith("a")
	defer p.endAll()
	a := n.engine
	epoch := a.Lease().Epoch()
	p.eventually("the standby leads the store", func() bool { return len(p.nodes["b"].engine.leads()) == len(testBuckets) })
	p.end("b")
	p.end("w")
	p.eventually("a mute", func() bool { return p.role("a") == "suspended" })
	if a.Lease().Held() || a.Lease().Epoch() != epoch {
		t.Errorf("while suspended it may serve: %v, in epoch %d after %d", a.Lease().Held(), a.Lease().Epoch(), epoch)
	}
	done := make(chan error, 1)
	a.Put(Write{Bucket: "call", Key: "meanwhile", Value: []byte("x"), Done: func(err error) { done <- err }})
	if err := <-done; err != ErrDegraded {
		t.Errorf("a write while suspended: %v", err)
	}
	p.start("w")
	p.eventually("a serves again", func() bool { return p.role("a") == "active" && a.Lease().Held() })
	p.start("b")
	if did := n.did(); did != "promote serve" || a.Lease().Epoch() != epoch {
		t.Errorf("it was told to %q, and is in epoch %d after %d", did, a.Lease().Epoch(), epoch)
	}
	p.eventually("what was written meanwhile is kept", func() bool {
		for r, err := range a.Load(context.Background(), "call") {
			if err == nil && r.Key == "meanwhile" && !a.buckets["call"].fence.stale(r) {
				return a.Status().Waits == 0
			}
		}
		return false
	})
}

// T3: a node that finds that another one has served is deposed, whoever leads then.
func TestDeposedByClaim(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	n := p.serveWith("a")
	p.start("b")
	defer p.endAll()
	p.eventually("b follows", func() bool { return p.role("b") == "standby" && p.nodes["b"].engine.Status().Active == "a" })
	lead := p.raft("a")
	b := p.nodes["b"].engine
	p.eventually("b active", func() bool {
		_ = lead.LeadershipTransferToServer("b", raft.ServerAddress(b.self.role())).Error()
		return p.role("b") == "active"
	})
	p.eventually("a deposed", func() bool { return p.role("a") == "standby" })
	if did := n.did(); did != "promote serve demote" || n.engine.Lease().Epoch() != 0 {
		t.Errorf("a was told to %q, and is in epoch %d", did, n.engine.Lease().Epoch())
	}
}

// A standby that has not read everything is slow to elect itself, gives way where it is elected, and a witness passes it over.
func TestUnreadyStandbyGivesWay(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	var ready atomic.Bool
	for _, name := range []string{"b", "w"} { // a witness never has
		cfg := p.cfg[name]
		cfg.Ready = ready.Load
		p.cfg[name] = cfg
	}
	n := p.serveWith("a")
	b := p.start("b")
	defer p.endAll()
	w, epoch := p.nodes["w"].engine, n.engine.Lease().Epoch()
	for _, e := range []*Engine{b.engine, w} {
		p.eventually("a and b are heard", func() bool {
			now := time.Now()
			return p.role("b") == "standby" && e.peers.ready("a", now) && (e == b.engine || e.peers.heard("b", now))
		})
	}
	waits := func(name string) time.Duration { return p.raft(name).ReloadableConfig().HeartbeatTimeout }
	p.eventually("b waits for longer, from its next sweep on", func() bool { return waits("b") == b.engine.cfg.Timers+unreadyPatience })
	if got := waits("w"); got != w.cfg.Timers {
		t.Errorf("the witness waits for %v: it does not vote before", got)
	}
	for _, e := range []*Engine{w, b.engine} {
		term := p.raft("a").CurrentTerm()
		p.eventually("another leads, and a again", func() bool {
			if p.raft("a").CurrentTerm() == term {
				_ = p.raft("a").LeadershipTransferToServer(raft.ServerID(e.cfg.Node), raft.ServerAddress(e.self.role())).Error()
			}
			serves := n.engine.role.(*role).term.Load()
			return serves >= term+2 && serves == p.raft("a").CurrentTerm() && p.role("a") == "active" && n.engine.Lease().Held()
		})
	}
	if did := n.did(); did != "promote serve" || n.engine.Lease().Epoch() != epoch {
		t.Errorf("a was told to %q, and is in epoch %d after %d", did, n.engine.Lease().Epoch(), epoch)
	}
	if did := b.did(); did != "" {
		t.Errorf("b was told to %q", did)
	}
	ready.Store(true)
	p.eventually("b is as quick as any", func() bool { return waits("b") == b.engine.cfg.Timers })
}

// T3: who has reached nobody for long is deposed by himself: others may serve that he cannot see.
func TestLongLapseEnds(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	n := p.serveWith("a")
	defer p.endAll()
	p.end("w")
	p.eventually("a gives up", func() bool { return p.role("a") == noMajority })
	if did := n.did(); did != "promote serve demote" {
		t.Errorf("a was told to %q", did)
	}
}

// T1: who follows is told when the leader's connections end, and looks for him as soon as raft allows; a leader who lives is not missed for it.
func TestEndOfTheLeaderIsSeen(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.start("b")
	p.serveWith("a")
	defer p.endAll()
	p.eventually("b follows", func() bool { return p.role("b") == "standby" && p.nodes["b"].engine.Status().Active == "a" })
	b := p.nodes["b"].engine.playing().(*role)
	if b.hasten("w") != nil || b.hasten("a") == nil {
		t.Error("b does not look for its leader alone")
	}
	term := b.raft.CurrentTerm()
	b.look()
	b.look()
	if c := b.raft.ReloadableConfig(); c.HeartbeatTimeout != b.timers {
		t.Errorf("heartbeats are missed after %v from now on, instead of %v", c.HeartbeatTimeout, b.timers)
	}
	p.eventually("a confirmed", func() bool { return p.nodes["a"].engine.Lease().Held() })
	if b.raft.CurrentTerm() != term {
		t.Error("b has looked, and deposed a leader who lives")
	}
	ended := make(chan string, 1)
	one, two := net.Pipe()
	_ = two.Close()
	if _, err := (cord{Conn: one, member: "a", ended: ended}).Read(make([]byte, 1)); err == nil || <-ended != "a" {
		t.Error("the end of a connection is not told")
	}
}

// A member that is stopped while it is still joining ends in an orderly way: start reports any other error of Play.
func TestStoppedWhileJoining(t *testing.T) {
	p := newPair(t)
	p.start("a")
	p.end("a")
}
