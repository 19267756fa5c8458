package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/console"
)

// A claim whose node never comes back is settled by hand: the node that serves writes the records. Whose a claim is stands in one value, so it
// is always one node's, whoever dies meanwhile. The mark stays in the store, without doing any harm, until the lost node is back after all and
// looks whether it had written them before it died.

// mark stands as a line of its own before those of a claim that another node has settled, or is about to.
type mark struct {
	By   string `json:"settled_by"`
	Done bool   `json:"done,omitempty"` // they are in its file
}

// ownerOf tells who writes the records of a claim, and its lines without the mark.
func ownerOf(key string, value []byte) (owner string, m mark, lines []byte) {
	owner, _, _ = strings.Cut(key, "/")
	first, rest, _ := bytes.Cut(value, []byte("\n"))
	if json.Unmarshal(first, &m) != nil || m.By == "" {
		return owner, mark{}, value
	}
	return m.By, m, rest
}

func (m mark) before(lines []byte) []byte {
	first, _ := json.Marshal(m) // strings and booleans
	return append(append(first, '\n'), lines...)
}

// settledLines are the lines as the settling node writes them: each names the node that may have written it too.
func settledLines(lines []byte, claimant string) (out []byte) {
	name, _ := json.Marshal(claimant)
	for line := range bytes.Lines(lines) {
		if rest, ok := bytes.CutPrefix(line, []byte("{")); ok {
			out = append(append(append(out, `{"settled_for":`...), name...), ',')
			out = append(out, rest...)
		}
	}
	return out
}

// unclaimed are the claims of other nodes that the node that serves knows of: for its alarm.
type unclaimed struct {
	mu  sync.Mutex
	all claimed // nil: none
}

func (u *unclaimed) set(c claimed) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = c
}

func (u *unclaimed) gone(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, key)
}

// calls counts those whose records wait for a node.
func (u *unclaimed) calls(node string) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, value := range u.all {
		if owner, _, lines := ownerOf(key, value); owner == node {
			n += len(call.Claimed(lines))
		}
	}
	return n
}

// Cluster is the state of the engine and of the pair.
func (v view) Cluster() cluster.Status {
	s := v.n.state.Status()
	if v.n.ledger == nil { // a witness
		return s
	}
	if n, why := v.n.ledger.Waiting(); why != "" {
		s.Problems = append(s.Problems, fmt.Sprintf("%d call records wait in memory, since their file does not take them: %s", n, why))
	}
	for _, m := range s.Members {
		if n := v.n.unclaimed.calls(m.Node); n > 0 && m.Role == cluster.NotHeard {
			s.Problems = append(s.Problems, fmt.Sprintf("node %s has claimed the records of %d calls and writes them when it is back; if it never will be: tandem cluster settle %s", m.Node, n, m.Node))
		}
	}
	return s
}

const (
	// settleWithin bounds the whole.
	settleWithin = 15 * time.Second
	// settlePause is how long the lost node is listened for once more: one that started at this moment may have read its claims.
	settlePause = 3 * time.Second
)

// Settle writes the records that a node had claimed which will not be back.
func (v view) Settle(lost string) (out console.Settled, err error) {
	n := v.n
	out.Node = lost
	if err := n.maySettle(lost); err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleWithin)
	defer cancel()
	claims, err := n.claimsOf(ctx, lost)
	if err != nil {
		return out, err
	}
	out.Calls, err = n.settle(ctx, lost, claims, n.staysLost)
	slices.Sort(out.Calls)
	return out, err
}

func (n *Node) maySettle(lost string) error {
	s := n.state.Status()
	i := slices.IndexFunc(s.Members, func(m cluster.Peer) bool { return m.Node == lost })
	switch {
	case s.Role != "active" || !s.Held:
		return fmt.Errorf("this node does not serve (%s does): ask there", s.Active)
	case lost == s.Node:
		return fmt.Errorf("node %s is this one: its records are in its file", lost)
	case i < 0:
		return fmt.Errorf("the cluster block has no node %q", lost)
	case s.Members[i].Role != cluster.NotHeard:
		return fmt.Errorf("node %s is heard: it writes what it has claimed by itself when it has started", lost)
	}
	return nil
}

// staysLost listens for a node once more.
func (n *Node) staysLost(ctx context.Context, lost string) error {
	select {
	case <-time.After(settlePause):
		return n.maySettle(lost)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// claimsOf are the claims that a node would still write, by key.
func (n *Node) claimsOf(ctx context.Context, node string) (claimed, error) {
	all := claimed{}
	for r, err := range n.state.Load(ctx, bucketRecords) {
		if err != nil {
			return nil, fmt.Errorf("claims cannot be read: %w", err)
		}
		all.take(r)
	}
	for key, value := range all {
		if owner, m, _ := ownerOf(key, value); owner != node || m.Done {
			delete(all, key)
		}
	}
	return all, nil
}

var errBack = errors.New("it is back, and writes what it has claimed by itself when it starts next")

// settle takes claims over: first all of them, and then, when the node has been listened for once more, each goes into the file, and it is
// noted that it has. stays waits, and tells whether the node is still lost; from then on they are this node's to write, whatever fails.
func (n *Node) settle(ctx context.Context, lost string, claims claimed, stays func(context.Context, string) error) (calls []string, err error) {
	if len(claims) == 0 {
		return nil, nil
	}
	put := n.putClaims(ctx)
	keys := slices.Sorted(maps.Keys(claims))
	giveBack := func(taken []string) (err error) {
		for _, key := range taken {
			err = errors.Join(err, put(key, claims[key]))
		}
		return err
	}
	for i, key := range keys {
		if err := put(key, mark{By: n.state.Name()}.before(claims[key])); err != nil {
			return nil, errors.Join(fmt.Errorf("claim %s is not taken over: %w", key, err), giveBack(keys[:i]))
		}
	}
	if err := stays(ctx, lost); err != nil {
		return nil, errors.Join(fmt.Errorf("node %s: %w", lost, errBack), giveBack(keys))
	}
	for _, key := range keys {
		lines := claims[key]
		if err := n.ledger.Take(ctx, settledLines(lines, lost)); err != nil {
			return calls, fmt.Errorf("the records of claim %s, and of those after it, are not written; this node does so when it starts next: %w", key, err)
		}
		n.unclaimed.gone(key)
		written := call.Claimed(lines)
		n.log.Warn("records that another node had claimed are in this node's file", "claimed_by", lost, "calls", written)
		calls = append(calls, written...)
		if err := put(key, mark{By: n.state.Name(), Done: true}.before(lines)); err != nil {
			return calls, fmt.Errorf("claim %s is written and not noted as such: %w", key, err)
		}
	}
	return calls, nil
}

// putClaims writes the value of a claim, as long as this node serves in the epoch that it serves in now.
func (n *Node) putClaims(ctx context.Context) func(key string, value []byte) error {
	lease := n.state.Lease()
	epoch := lease.Epoch()
	return func(key string, value []byte) error {
		err := n.state.PutWait(ctx, cluster.Write{Bucket: bucketRecords, Key: key, Value: value})
		if err == nil && (lease.Epoch() != epoch || !lease.Held()) { // a successor may not know of it
			err = cluster.ErrFenced
		}
		return err
	}
}

// backAgain looks at claims that this node had made and another has settled while it was away: nothing is written; those that it had written
// before it died stand in both files, and somebody must know.
func (n *Node) backAgain(settled claimed) {
	written, err := n.ledger.Written()
	if err != nil {
		n.log.Error("call records cannot be read: some that another node has settled may be in both files", "err", err)
	}
	for key, value := range settled {
		by, m, lines := ownerOf(key, value)
		var twice []string
		for _, id := range call.Claimed(lines) {
			if written[id] {
				twice = append(twice, id)
			}
		}
		if len(twice) > 0 {
			n.log.Error("records stand in two files: this node had written them before it was settled; leave out those that say settled_for", "other", by, "calls", twice)
		}
		if m.Done {
			n.doubt(bucketRecords, key)
		}
	}
}
