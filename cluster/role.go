package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Switch is what a node does when its role changes. The calls come one after the other, from one goroutine.
type Switch interface {
	// Promote gets ready to serve in an epoch, and returns when the first packet that arrives would be served: records
	// are applied up to the last one, sockets are bound. ctx ends when the role is lost meanwhile. An error gives the
	// role away.
	Promote(ctx context.Context, epoch uint64) error
	// Serve begins what may begin once the address is here: timers, registrations at carriers.
	Serve(epoch uint64)
	// Finish begins a planned change: what has begun, and what nobody else could go on with, ends or comes to where somebody could, if that is
	// soon. It hears its answers, and nothing new is begun meanwhile.
	Finish()
	// Yield goes on with it: what has come in is finished, and written. Nothing is taken any more.
	Yield()
	// Demote ends serving. The lease is gone by then, so nothing leaves any more.
	Demote()
}

// role decides who is active, by the leader of a raft group of all members (Ongaro and Ousterhout 2014): a term has one
// leader at most, and the term is the epoch. A witness that wins hands over to a switch.
type role struct {
	e        *Engine
	sw       Switch
	raft     *raft.Raft
	timers   time.Duration
	door     *door
	stable   *stable
	claims   *claims
	patience *patience

	state    atomic.Pointer[string] // for people: "active", "standby", "witness", "promoting", "suspended", "no majority"
	since    atomic.Int64           // nanoseconds of time.Now
	leader   atomic.Pointer[string]
	term     atomic.Uint64 // in which this node serves: that of its epoch, or a later one if nobody else has served since
	yielding atomic.Bool
	granting sync.Mutex
	failover chan failoverRequest
}

type failoverRequest struct {
	to     string
	owing  bool // also while records are owed
	answer chan error
}

func ptr(s string) *string { return &s }

// openRole joins the raft group. It waits for one election time first: this process may have promised something just before
// it ended, and a promise lasts no longer than that.
func (e *Engine) openRole(ctx context.Context) (*role, error) {
	r := &role{e: e, timers: e.cfg.Timers, door: e.door, claims: newClaims(), failover: make(chan failoverRequest)}
	r.state.Store(ptr("starting"))
	r.leader.Store(ptr(""))
	select {
	case <-time.After(2 * r.timers):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	single, err := lastEpoch(e.cfg.Dir)
	if err != nil {
		return nil, err
	}
	if r.stable, err = openStable(e.cfg.Dir, single); err != nil {
		return nil, err
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: raftLog{e}, DisableTime: true})
	r.patience = newPatience(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: r.door, MaxPool: 3, Timeout: max(2*r.timers, 300*time.Millisecond), Logger: logger,
	}))
	r.patience.beat = func(term uint64) { e.late.heard(term, BootTime(), r.timers) }
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(e.cfg.Node)
	// Our own lease ends sooner than raft's. Raft's may be as long as an election: a leader that was slow for less is not deposed.
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = r.timers, r.timers, r.timers-lookShorter
	cfg.CommitTimeout = r.timers / 5
	cfg.SnapshotInterval, cfg.SnapshotThreshold = 24*time.Hour, 1<<20 // there is nothing to snapshot
	cfg.Logger, cfg.NoLegacyTelemetry = logger, true
	logs, err := firstLog(e.cfg)
	if err != nil {
		return nil, err
	}
	r.raft, err = raft.NewRaft(cfg, r.claims, logs, r.stable, raft.NewDiscardSnapshotStore(), r.patience)
	if err != nil {
		_ = r.patience.Close()
		return nil, fmt.Errorf("role: %w", err)
	}
	r.patience.raft.Store(r.raft)
	return r, nil
}

// firstLog is a log in memory that names the members: every node begins with the same one.
func firstLog(c Config) (*raft.InmemStore, error) {
	var members raft.Configuration
	for _, m := range c.Members {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(m.Name), Address: raft.ServerAddress(m.role())})
	}
	logs := raft.NewInmemStore()
	return logs, logs.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(members)})
}

// run plays the role until ctx ends, and gives it up then.
func (r *role) run(ctx context.Context, sw Switch) error {
	r.sw = sw
	var renewing sync.WaitGroup
	renew, stop := context.WithCancel(context.Background())
	renewing.Go(func() { r.renew(renew) })
	watch := make(chan raft.Observation, 64)
	observer := raft.NewObserver(watch, false, func(o *raft.Observation) bool { _, ok := o.Data.(raft.LeaderObservation); return ok })
	r.raft.RegisterObserver(observer)
	defer func() {
		r.raft.DeregisterObserver(observer)
		stop()
		renewing.Wait()
	}()
	r.become(r.resting())
	lonely := time.NewTicker(lonelyAfter / 4)
	defer lonely.Stop()
	led := time.Now() // when somebody was last seen to lead
	var look <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			if r.e.lease.Epoch() != 0 { // suspended
				r.demote()
			}
			return r.leave()
		case leads := <-r.raft.LeaderCh():
			if leads {
				r.lead(ctx)
				led = time.Now()
			}
		case member := <-r.door.ended:
			if look == nil {
				look = r.hasten(member)
			}
		case <-look:
			look = nil
			r.look()
		case o := <-watch:
			r.observe(string(o.Data.(raft.LeaderObservation).LeaderID))
		case <-r.claims.changed:
			if epoch := r.e.lease.Epoch(); epoch != 0 && !r.isOurs(epoch) {
				r.demote()
			}
		case <-lonely.C:
			// Who led before the observer was there, or while its queue was full, is seen here.
			if _, id := r.raft.LeaderWithID(); id != "" || r.raft.State() == raft.Leader {
				r.observe(string(id))
				led = time.Now()
			} else if time.Since(led) > lonelyAfter+3*r.timers {
				r.alone()
			}
		case f := <-r.failover:
			f.answer <- fmt.Errorf("this node is not the active one (%s is): ask there", orNobody(*r.leader.Load()))
		}
	}
}

// lonelyAfter is how long nobody may lead, beyond what an election takes, before somebody is told.
const lonelyAfter = 2 * time.Second

const noMajority = "no majority"

func orNobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}

func (r *role) resting() string {
	if r.e.self.Witness {
		return "witness"
	}
	return "standby"
}

func (r *role) become(state string) {
	if *r.state.Load() == state {
		return
	}
	r.state.Store(ptr(state))
	r.since.Store(time.Now().UnixNano())
	r.e.tell(Event{Name: "role", Detail: state})
}

// observe takes note of who leads; the empty name: nobody.
func (r *role) observe(leader string) {
	r.leader.Store(ptr(leader))
	if leader != "" && *r.state.Load() == noMajority {
		r.become(r.resting())
	}
}

// alone is called when nobody has led for a while.
func (r *role) alone() {
	if *r.state.Load() == noMajority {
		return
	}
	if r.e.lease.Epoch() != 0 { // it has served: somebody else may do so by now
		r.demote()
	}
	r.become(noMajority)
	r.e.tell(Event{Name: "no majority", Alarm: true, Detail: fmt.Sprintf(
		"this node does not reach one other of %s; it does not promote itself, since it cannot tell a dead peer from a cut cable", strings.Join(r.e.others(), ", "))})
}

// unreadyPatience is how much longer than an election a node waits for a leader that has not read everything yet. It is at work then, hears
// late, and could not serve. It is less than lonelyAfter: where nobody has led yet, nobody is told so for that.
const unreadyPatience = time.Second

// tempo sets how soon this node gives a leader up. The leader's own heartbeats follow from it, so that it has everybody's.
func (r *role) tempo() {
	want := r.timers
	if !r.e.ready() && r.raft.State() != raft.Leader {
		want += unreadyPatience
	}
	if c := r.raft.ReloadableConfig(); c.HeartbeatTimeout != want {
		c.HeartbeatTimeout, c.ElectionTimeout = want, want
		_ = r.raft.ReloadConfig(c) // only what is out of its bounds is refused
	}
}

// lead is what the leader does until it leads no more.
func (r *role) lead(ctx context.Context) {
	r.tempo()
	term := r.raft.CurrentTerm()
	leads := func() bool { return r.raft.State() == raft.Leader && r.raft.CurrentTerm() == term && ctx.Err() == nil }
	for r.insist(r.raft.Barrier) != nil { // with the claims of all before us
		if !leads() {
			return
		}
	}
	r.leader.Store(ptr(r.e.cfg.Node))
	if to := r.better(); len(to) > 0 && r.handOver(ctx, to) {
		return
	}
	if r.e.self.Witness {
		return
	}
	for leads() {
		if err := r.active(ctx, term); err != nil {
			r.e.tell(Event{Name: "promotion failed", Alarm: true, Detail: err.Error()})
			r.giveAway(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(r.timers):
			}
		}
	}
}

// better is who should be active rather than this node, best first: for a witness the switch that was not active, then the other, but
// who has not read everything last; when the cluster begins, the preferred one. Afterwards nobody: a node that comes back stays standby.
// Who leads and has not read everything itself gives way to who has.
func (r *role) better() []Member {
	last, now := r.claims.last.Load().Node, time.Now()
	var first, rest []Member
	for _, m := range r.e.cfg.Members {
		switch {
		case m.Witness || m.Name == r.e.cfg.Node:
		case last == "" && m.Name == r.e.cfg.Preferred, last != "" && m.Name != last:
			first = append(first, m)
		default:
			rest = append(rest, m)
		}
	}
	var ready, others []Member
	for _, m := range slices.Concat(first, rest) {
		if r.e.peers.ready(m.Name, now) {
			ready = append(ready, m)
		} else {
			others = append(others, m)
		}
	}
	switch {
	case r.e.self.Witness:
		return append(ready, others...)
	case !r.e.ready() && len(ready) > 0:
		return ready
	case last != "":
		return nil
	}
	return first
}

// handOver gives the lead to the first that takes it. A witness goes on until one does.
func (r *role) handOver(ctx context.Context, to []Member) bool {
	for r.raft.State() == raft.Leader && ctx.Err() == nil {
		for _, m := range to {
			if r.transfer(m) == nil {
				return true
			}
		}
		if !r.e.self.Witness {
			return false
		}
		r.become("witness")
		select {
		case <-ctx.Done():
		case <-time.After(r.timers / 3):
		}
	}
	return true
}

// leave ends the membership when the process stops: an active node hands over first, so that nobody waits.
func (r *role) leave() error {
	if r.raft.State() == raft.Leader {
		r.giveAway(context.Background())
	}
	err := r.raft.Shutdown().Error()
	return errors.Join(err, r.stable.Close())
}

// raftLog passes raft's own words on: they matter to who looks for a fault, not to an operator.
type raftLog struct{ e *Engine }

func (l raftLog) Write(b []byte) (int, error) {
	l.e.log.Debug("role: " + strings.TrimSpace(string(b)))
	return len(b), nil
}
