package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/call"
	"tandem/cluster"
)

// claims implement call.Claims for a node of a pair. A claim is a record of the store under NODE/NUMBER that holds the lines: the node that
// made it writes them into its file, now or when it is back, and no other one does.
type claims struct {
	engine *cluster.Engine
	node   string

	mu   sync.Mutex
	left []release // those that the store has not taken yet; bounded by the batches of one outage
}

// release is a claim to forget, after the states of its calls.
type release struct {
	claim string
	calls []string
}

var _ call.Claims = (*claims)(nil)

// claimAgain is how often a claim is tried while the store is away. The records wait meanwhile, in memory and as states of their calls.
const claimAgain = 200 * time.Millisecond

// releaseAgain is how often a release is tried that the store did not take in time.
const releaseAgain = time.Second

func claimKey(node string, n int64) string {
	return node + "/" + time.Unix(0, n).UTC().Format("20060102T150405.000000000")
}

// Claim implements call.Claims. A claim counts when it is held and the lease after it: then no successor has begun before it. A node that is
// suspended waits for one or the other.
func (c *claims) Claim(ctx context.Context, lines []byte) (string, error) {
	c.releaseLeft()
	lease := c.engine.Lease()
	epoch, held, key := lease.Epoch(), false, claimKey(c.node, time.Now().UnixNano())
	for {
		if !held {
			err := c.engine.PutWait(ctx, cluster.Write{Bucket: bucketRecords, Key: key, Value: lines})
			if held = err == nil; !held && !errors.Is(err, cluster.ErrDegraded) && !errors.Is(err, cluster.ErrFull) {
				return "", err
			}
		}
		switch {
		case lease.Epoch() != epoch:
			return "", cluster.ErrFenced
		case held && lease.Held():
			return key, nil
		}
		again := time.NewTimer(claimAgain)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return "", ctx.Err()
		}
	}
}

// Release implements call.Claims: the claim goes when every state has gone.
func (c *claims) Release(claim string, calls []string) {
	var waits atomic.Int64
	var failed atomic.Bool
	waits.Store(int64(len(calls)) + 1)
	landed := func(err error) {
		if err != nil {
			failed.Store(true)
		}
		switch {
		case waits.Add(-1) > 0:
		case failed.Load():
			c.mu.Lock()
			c.left = append(c.left, release{claim, calls})
			c.mu.Unlock()
		default:
			c.engine.Put(cluster.Write{Bucket: bucketRecords, Key: claim, Delete: true})
		}
	}
	for _, id := range calls {
		c.engine.Put(cluster.Write{Bucket: bucketCalls, Key: id, Delete: true, Done: landed})
	}
	landed(nil)
}

// run releases what the store had not taken in time, until ctx ends: no call may end for hours. A single node has no claims.
func (c *claims) run(ctx context.Context) error {
	if c == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(releaseAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.releaseLeft()
		}
	}
}

func (c *claims) releaseLeft() {
	c.mu.Lock()
	left := c.left
	c.left = nil
	c.mu.Unlock()
	for _, r := range left {
		c.Release(r.claim, r.calls)
	}
}

// claimed is what a node that stands by knows of claims, by key.
type claimed map[string][]byte

func (c claimed) take(r cluster.Record) {
	if r.Deleted {
		delete(c, r.Key)
	} else {
		c[r.Key] = r.Value
	}
}

// calls are those of the claims of other nodes: their records are written, or will be when that node is back.
func (c claimed) calls(node string) (out []string) {
	for key, value := range c {
		if owner, _, lines := ownerOf(key, value); owner != node {
			out = append(out, call.Claimed(lines)...)
		}
	}
	return out
}

// waits are those that another node would still write.
func (c claimed) waits(node string) claimed {
	out := claimed{}
	for key, value := range c {
		if owner, m, _ := ownerOf(key, value); owner != node && !m.Done {
			out[key] = value
		}
	}
	return out
}

// ownClaims are those that this node made, or settled, before it died, and those of its own that another node has settled.
func (n *Node) ownClaims(ctx context.Context) (own, settled claimed, err error) {
	own, settled = claimed{}, claimed{}
	self := n.state.Name()
	for r, err := range n.state.Load(ctx, bucketRecords) {
		if err != nil {
			return nil, nil, err
		}
		switch owner, m, _ := ownerOf(r.Key, r.Value); {
		case owner == self && !m.Done:
			own.take(r)
		case strings.HasPrefix(r.Key, self+"/") && owner != self:
			settled.take(r)
		}
	}
	return own, settled, nil
}

// settleClaims writes what this node had claimed and not written when it died, and has the node that serves forget the claims. Those that
// cannot be written stay in the store, and in own.
func (n *Node) settleClaims(own claimed, write func(lines []byte) error) (settled []string) {
	for key, value := range own {
		if err := write(linesOf(key, value)); err != nil {
			n.log.Debug("a claim is not settled yet", "claim", key, "err", err)
			continue
		}
		delete(own, key)
		settled = append(settled, key)
		n.doubt(bucketRecords, key)
	}
	return settled
}

// linesOf are the lines of a claim as this node writes them.
func linesOf(key string, value []byte) []byte {
	_, m, lines := ownerOf(key, value)
	if m.By == "" {
		return lines
	}
	claimant, _, _ := strings.Cut(key, "/")
	return settledLines(lines, claimant)
}

// settleAgain is how often claims that a full disk does not take are tried.
const settleAgain = 2 * time.Second

// settleLater goes on with claims that could not be settled when this node began to follow, until all are or ctx ends. Their calls count
// as written meanwhile.
func (n *Node) settleLater(ctx context.Context, own claimed) {
	if len(own) == 0 {
		return
	}
	tick := time.NewTicker(settleAgain)
	defer tick.Stop()
	for len(own) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.settleClaims(own, func(lines []byte) error { return n.ledger.Take(ctx, lines) })
	}
	n.log.Info("records of calls that this node had claimed are in their file now")
}
