package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"tandem/cluster"
	"tandem/record"
)

// What is written is of the newest form that all switches of a cluster read (cluster.Engine.Form); newestForm is that of this version. It
// reads the one before too. Form 1 was JSON, form 2 is that of package record, form 3 has calls that ring.
const (
	compactForm = 2
	ringingForm = 3
)

// inForm gives a value that a room has written in the newest form as it is in another one.
func inForm[V any](form uint8, raw []byte) (uint8, []byte) {
	if form >= compactForm {
		return form, raw
	}
	var v V
	err := record.Unmarshal(raw, &v)
	if err != nil {
		return newestForm, raw // who cannot read it says so
	}
	old, err := json.Marshal(v)
	if err != nil {
		return newestForm, raw
	}
	return form, old
}

// unread are the records that a node which stands by cannot read, since they are of a later form. The node that serves writes them again
// when it hears of this one: until then it could not take over.
type unread struct {
	mu   sync.Mutex
	keys map[string]struct{} // bounded by the records of the store
}

func (u *unread) note(r cluster.Record, is bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if key := r.Bucket + "/" + r.Key; !is {
		delete(u.keys, key)
	} else {
		if u.keys == nil {
			u.keys = map[string]struct{}{}
		}
		u.keys[key] = struct{}{}
	}
}

func (u *unread) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys)
}

// written says that values should be written again in the form of now. It must not block, and waits once, however often it is said.
func (n *Node) written(uint8) {
	select {
	case n.rewrite <- struct{}{}:
	default:
	}
}

// rewritePause is between two parts of the registrations while they are written again: their writes share the way with those of calls.
const rewritePause = 5 * time.Millisecond

// keepForm writes everything again when the form that all nodes read has changed, until ctx ends: a node of the version before, which has
// just come, could not take over what it cannot read.
func (n *Node) keepForm(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.rewrite:
		}
		began := time.Now()
		n.board.Rewrite()
		n.bindings.Rewrite(func() bool {
			select {
			case <-time.After(rewritePause):
				return true
			case <-ctx.Done():
				return false
			}
		})
		n.log.Info("records written again", "form", n.state.Form(), "took", time.Since(began))
	}
}
