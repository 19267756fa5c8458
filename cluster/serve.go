package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// active serves while this node leads in a term: from now on, or on from where it was if nobody else has served since. An error
// means that the promotion failed.
func (r *role) active(ctx context.Context, term uint64) error {
	serve, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer stop()
		r.untilLost(serve, term)
	})
	defer watching.Wait()
	defer stop()
	if epoch := r.e.lease.Epoch(); epoch != 0 {
		if !r.goOn(epoch, term) {
			return nil
		}
	} else if err := r.begin(serve, term); err != nil {
		r.demote()
		return err
	}
	for {
		select {
		case <-serve.Done():
			if ctx.Err() == nil {
				r.suspend()
				return nil
			}
			r.e.yield(r.sw) // the process ends
			r.demote()
			return nil
		case f := <-r.failover:
			err := r.planned(f)
			f.answer <- err
			if err == nil {
				r.demote()
				return nil
			}
		}
	}
}

// begin begins an epoch.
func (r *role) begin(ctx context.Context, epoch uint64) error {
	r.become("promoting")
	began := time.Now()
	if err := r.claim(epoch); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	r.term.Store(epoch)
	r.e.lease.begin(epoch)
	r.confirm(epoch)
	r.e.writer.begin(epoch)
	if err := r.sw.Promote(ctx, epoch); err != nil {
		return err
	}
	r.e.lease.admit()
	r.e.address.up()
	r.become("active")
	r.e.log.Info("this node is active", "epoch", epoch, "took", time.Since(began).Round(10*time.Microsecond))
	r.sw.Serve(epoch)
	return nil
}

// untilLost returns when this node leads no more in a term. It need not be quick as a rule, for the lease has ended before; but a member to
// which a transfer was given up may stand for election all the same, and the witness follow it at once.
func (r *role) untilLost(ctx context.Context, term uint64) {
	changed := make(chan raft.Observation, 1)
	watch := raft.NewObserver(changed, false, func(o *raft.Observation) bool { _, is := o.Data.(raft.RaftState); return is })
	r.raft.RegisterObserver(watch)
	defer r.raft.DeregisterObserver(watch)
	tick := time.NewTicker(r.timers / 6)
	defer tick.Stop()
	for r.raft.State() == raft.Leader && r.raft.CurrentTerm() == term {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// suspend ends the right to serve, and keeps everything else: the others did not answer for a while, or elect somebody. It lasts
// until this node leads again, or finds another's claim, or nobody has led for too long.
func (r *role) suspend() {
	r.granting.Lock()
	r.e.lease.revoke()
	r.granting.Unlock()
	r.e.address.down()
	if r.e.lease.Epoch() == 0 {
		return // it was lost before it began
	}
	r.become("suspended")
	if epoch := r.e.lease.Epoch(); !r.isOurs(epoch) { // the claim may have come while nobody looked at changes
		r.demote()
	}
}

// goOn ends the suspension of a node that leads again; false if another one has served meanwhile.
func (r *role) goOn(epoch, term uint64) bool {
	if !r.mayGoOn(epoch) {
		if !r.isOurs(epoch) {
			r.demote()
		}
		return false
	}
	r.term.Store(term)
	r.confirm(epoch)
	r.e.address.up()
	r.become("active")
	r.e.log.Info("this node goes on, since no other has served meanwhile", "epoch", epoch, "term", term)
	return true
}

// demote ends the epoch: first the right to send, then the address, then the switch.
func (r *role) demote() {
	r.granting.Lock()
	r.e.lease.end()
	r.granting.Unlock()
	r.e.address.down()
	r.e.writer.end()
	r.sw.Demote()
	r.become(r.resting())
}

// yield prepares a planned change: what comes from now on is for who serves next.
func (e *Engine) yield(sw Switch) {
	e.lease.shut.Store(closing)
	sw.Finish()
	e.lease.shut.Store(shut)
	sw.Yield()
}

// planned gives the role to another node while everything works.
func (r *role) planned(f failoverRequest) error {
	m := r.e.member(f.to)
	if !r.patience.answers(raft.ServerID(f.to), r.timers) {
		return fmt.Errorf("node %s does not answer, so nothing has changed", f.to)
	}
	r.e.yield(r.sw)
	r.granting.Lock()
	r.yielding.Store(true)
	r.e.lease.revoke()
	r.granting.Unlock()
	defer r.yielding.Store(false)
	if n := r.e.writer.owes(); n > 0 && !f.owing {
		r.resume()
		return fmt.Errorf("%d records that were answered for are not held by another node yet, so nothing has changed", n)
	}
	r.e.address.down()
	if err := r.transfer(*m); err != nil {
		r.resume()
		return fmt.Errorf("node %s did not take over, and this one goes on: %w", f.to, err)
	}
	return nil
}

// resume goes on after a planned change that did not come about.
func (r *role) resume() {
	r.yielding.Store(false)
	r.e.lease.admit()
	r.confirm(r.e.lease.Epoch())
	r.e.address.up()
}

// giveAway hands over after a promotion that failed, to whoever is there, and else tries again as any leader would.
func (r *role) giveAway(ctx context.Context) {
	for _, m := range r.e.cfg.Members {
		if !m.Witness && m.Name != r.e.cfg.Node && ctx.Err() == nil {
			_ = r.transfer(m)
		}
	}
}

// transfer hands the lead to a member that answers.
func (r *role) transfer(m Member) error {
	if !r.patience.answers(raft.ServerID(m.Name), r.timers) {
		return fmt.Errorf("node %s does not answer", m.Name)
	}
	return r.raft.LeadershipTransferToServer(raft.ServerID(m.Name), raft.ServerAddress(m.role())).Error()
}

// renew keeps the lease while a majority confirms that this node leads, and the tempo.
func (r *role) renew(ctx context.Context) {
	tick := time.NewTicker(r.timers / 6)
	defer tick.Stop()
	for {
		r.tempo()
		if epoch := r.e.lease.Epoch(); epoch != 0 {
			r.confirm(epoch)
			nudge(r.e.writer.words)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.e.writer.doubts:
		case <-tick.C:
		}
	}
}

// confirm asks a majority whether this node still leads. The lease counts from when what they have answered was sent: those who did wait at
// least one election time before they follow somebody else.
func (r *role) confirm(epoch uint64) {
	if r.yielding.Load() || r.raft.State() != raft.Leader {
		return
	}
	asked := BootTime()
	if r.raft.VerifyLeader().Error() != nil || r.raft.CurrentTerm() != r.term.Load() {
		return
	}
	answered := BootTime()
	r.e.late.note(answered, answered-asked)
	r.granting.Lock() // against demote and planned, who must have the last word
	defer r.granting.Unlock()
	if r.e.lease.Epoch() == epoch && !r.yielding.Load() {
		since := min(asked, r.patience.agreedSince(len(r.e.cfg.Members)/2))
		r.e.lease.grantSince(since, r.timers*4/5)
	}
}
