package node

import (
	"context"
	"fmt"
	"time"

	"tandem/sip/transport"
	"tandem/trunk"
)

// carriers finds the way to trunks: RFC 3263 and a connection.
type carriers struct{ n *Node }

// Resolve gives the hops to try in turn.
func (c carriers) Resolve(ctx context.Context, t transport.Target) ([]transport.Hop, error) {
	return c.n.resolver.ResolveHost(ctx, t)
}

// Connect finds a flow to a hop for a request of size bytes; 0: a short one.
func (c carriers) Connect(ctx context.Context, h transport.Hop, size int) (transport.Flow, error) {
	if size == 0 {
		return c.n.layer.Connect(ctx, h)
	}
	return c.n.layer.ConnectFor(ctx, h, size)
}

// Trunks are the carriers as they are now.
func (v view) Trunks() []trunk.Snapshot {
	now := time.Now()
	out := []trunk.Snapshot{}
	for _, t := range v.n.trunks.All() {
		out = append(out, t.Snapshot(now))
	}
	return out
}

// TrunkGroups are the groups of carriers as they are now.
func (v view) TrunkGroups() []trunk.GroupState { return v.n.trunks.Groups() }

// DrainTrunk keeps new calls off one trunk, or lets them on again.
func (v view) DrainTrunk(name string, on bool) error {
	t := v.n.trunks.Find(name)
	if t == nil {
		return fmt.Errorf("there is no trunk %q: `tandem trunks` lists them", name)
	}
	t.Drain(on)
	v.n.log.Info("trunk drained", "trunk", name, "on", on)
	return nil
}
