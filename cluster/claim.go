package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A claim says which node serves from an epoch on. It stands in the raft log before that node serves: who leads later has it, and so
// knows whether anybody has served since it did so itself.
type claim struct {
	Node  string `json:"node"`
	Epoch uint64 `json:"epoch"`
}

// claims is the machine that the raft log drives: it remembers the last claim, and nothing else.
type claims struct {
	last    atomic.Pointer[claim]
	changed chan struct{} // has room for one: somebody looks again
}

func newClaims() *claims {
	c := &claims{changed: make(chan struct{}, 1)}
	c.last.Store(&claim{})
	return c
}

// Apply takes one claim; of two the later epoch counts, since a log that is read again begins with old ones.
func (c *claims) Apply(l *raft.Log) any {
	var x claim
	if json.Unmarshal(l.Data, &x) != nil || x.Epoch <= c.last.Load().Epoch {
		return nil
	}
	c.last.Store(&x)
	select {
	case c.changed <- struct{}{}:
	default:
	}
	return nil
}

// The log is short and never compacted, so there is nothing to snapshot.

func (c *claims) Snapshot() (raft.FSMSnapshot, error) { return c, nil }
func (c *claims) Restore(r io.ReadCloser) error       { return r.Close() }
func (c *claims) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (c *claims) Release()                            {}

// isOurs tells whether this node was the last to serve, in an epoch of its own.
func (r *role) isOurs(epoch uint64) bool {
	return *r.claims.last.Load() == claim{r.e.cfg.Node, epoch}
}

// claim writes that this node serves from an epoch on. An error means that it does not lead any more.
func (r *role) claim(epoch uint64) error {
	b, err := json.Marshal(claim{r.e.cfg.Node, epoch})
	if err != nil {
		return err
	}
	return r.insist(func(time.Duration) raft.Future { return r.raft.Apply(b, 0) })
}

// mayGoOn tells whether this node, which leads again, was the last to serve, and so may go on with what it has.
func (r *role) mayGoOn(epoch uint64) bool {
	return r.insist(r.raft.Barrier) == nil && r.isOurs(epoch)
}

// insist asks raft again while the end of a handing over that failed is in the way.
func (r *role) insist(ask func(time.Duration) raft.Future) (err error) {
	for err = ask(0).Error(); errors.Is(err, raft.ErrLeadershipTransferInProgress) && r.raft.State() == raft.Leader; err = ask(0).Error() {
		<-time.After(r.timers / 30)
	}
	return err
}
