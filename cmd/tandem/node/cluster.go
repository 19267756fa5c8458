package node

import (
	"context"
	"fmt"
	"time"

	"tandem/cluster"
	"tandem/configs"
)

// What is kept in the engine, and how. The value of each bucket is written by the room that owns it, and read by it alone.
const (
	bucketRegistrations = "reg"   // key: AOR
	bucketCalls         = "call"  // key: id of the call; both legs, with the keys of their media
	bucketMedia         = "media" // key: id of the call and leg; counters and addresses that change while it lasts
	bucketRecords       = "cdr"   // key: node and number; call records that a node of a pair claims, until they stand in its file
	bucketState         = "state" // key: what; forwards, do-not-disturb, night switches, usage, lamps
)

var buckets = []cluster.Bucket{
	{Name: bucketRegistrations, Given: true},
	{Name: bucketCalls, Storage: cluster.Memory, Sealed: true, Brief: true}, // a call with a record has ended
	{Name: bucketMedia, Storage: cluster.Memory, Sealed: true, Brief: true, MaxAge: 24 * time.Hour},
	{Name: bucketRecords},
	{Name: bucketState, Sealed: true},
}

// startState opens the engine that holds what outlives this process, and that the other members of a pair follow.
func (n *Node) startState(cfg *configs.Config) (*cluster.Engine, error) {
	c := cluster.Config{Node: "single", Dir: cfg.Node.ClusterDir(), Buckets: buckets,
		// The power of one machine is not a second node: what came in the last second may be lost with it, and a write
		// costs a third of what a flush each time would.
		SyncEvery: time.Second, Doubt: n.doubt, Left: n.left, Form: newestForm}
	c.Store = cfg.Cluster.Store
	if len(cfg.Cluster.Members) > 0 {
		id, err := cluster.LoadIdentity(cfg.IdentityDir())
		if err != nil {
			return nil, err
		}
		c.Node, c.Identity, c.Shard = id.Node, id, cfg.Cluster.Shard
		c.Members, c.Timers, c.Preferred = cfg.Cluster.Members, cfg.Cluster.Election, cfg.Cluster.Preferred
		c.Decides, c.Fence = cfg.Cluster.Decides, cfg.Cluster.Fence
		c.Addresses, c.Hook, c.Report, c.Ready = cfg.Cluster.Addresses, cfg.Cluster.Hook, n.report, n.hot.Load
		c.Plan, c.Formed = n.plan, n.written
		// Registrations and call records are on the disks of two machines before anything is answered; calls and their media are
		// in memory, and no disk is waited for.
		c.SyncEvery = 0
	}
	return cluster.Open(context.Background(), c, n.log.With("room", "cluster"))
}

// plan is the version of the plan in force; a witness has none.
func (n *Node) plan() string {
	if !n.built.Load() {
		return ""
	}
	return n.config.Load().Plan.Version()
}

// paired tells whether the node is one of a pair.
func paired(cfg *configs.Config) bool { return len(cfg.Cluster.Members) > 0 }

// IsWitness tells whether this machine is the witness of its cluster. An error is a sentence for the operator.
func IsWitness(cfg *configs.Config) (bool, error) {
	if !paired(cfg) {
		return false, nil
	}
	id, err := cluster.LoadIdentity(cfg.IdentityDir())
	if err != nil {
		return false, err
	}
	for _, m := range cfg.Cluster.Members {
		if m.Name == id.Node {
			return m.Witness, nil
		}
	}
	return false, fmt.Errorf("this machine joined its cluster as node %q, which the cluster block does not have", id.Node)
}

// failoverWithin bounds a planned change: the standby takes over in some ten milliseconds, or not at all.
const failoverWithin = 5 * time.Second

// takeOverWithin bounds a promotion by somebody's word: a node that has just started reads its disk first.
const takeOverWithin = 20 * time.Second

// TakeOver promotes this node by a person's word that the other one is off.
func (v view) TakeOver() (cluster.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), takeOverWithin)
	defer cancel()
	err := v.n.state.TakeOver(ctx)
	return v.n.state.Status(), err
}

// renewWithin bounds the exchange of a certificate, for which the other switches may be asked.
const renewWithin = 20 * time.Second

// Renew exchanges the certificate of this node.
func (v view) Renew() (cluster.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), renewWithin)
	defer cancel()
	err := v.n.state.Renew(ctx)
	return v.n.state.Status(), err
}

// Remove takes the machine that has a name out of the cluster.
func (v view) Remove(node string) (cluster.Status, error) {
	err := v.n.state.Remove(node)
	return v.n.state.Status(), err
}

// Notify is keepalived's word for this node.
func (v view) Notify(state string) (cluster.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), takeOverWithin)
	defer cancel()
	err := v.n.state.Notify(ctx, state)
	return v.n.state.Status(), err
}

// Failover lets the standby serve; rehearse only tells what would come of it.
func (v view) Failover(rehearse bool) (cluster.Rehearsal, error) {
	r := v.n.state.Rehearse()
	if rehearse {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), failoverWithin)
	defer cancel()
	return r, v.n.state.Failover(ctx)
}
