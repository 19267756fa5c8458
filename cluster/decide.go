package cluster

import (
	"context"
	"time"
)

// decider is what decides whether this node is the active one: the vote of a majority (role), or, where two machines have no
// witness, a person, a fence or keepalived (hand).
type decider interface {
	// run plays the role until ctx ends, and gives it up then.
	run(ctx context.Context, sw Switch) error
	// standing is how this node stands, for people, since when, and who is active as far as it knows.
	standing() (state string, since time.Time, active string)
	// requests are planned changes, answered once each.
	requests() chan<- failoverRequest
}

func (r *role) standing() (string, time.Time, string) {
	return *r.state.Load(), time.Unix(0, r.since.Load()), *r.leader.Load()
}

func (r *role) requests() chan<- failoverRequest { return r.failover }

// openDecider begins to take part in who is active.
func (e *Engine) openDecider(ctx context.Context) (decider, error) {
	if e.cfg.Decides != ByVote {
		return e.openHand()
	}
	return e.openRole(ctx)
}
