package call

import (
	"hash/maphash"
	"sync"

	"tandem/sip/transaction"
)

// legTable finds the leg that a message belongs to: by our tag of its dialog, which nobody can guess, or by the
// INVITE that made it. It is spread over shards, so that the readers of several sockets do not wait for each
// other. Its size is bounded by MaxCalls and MaxBranches.
type legTable struct {
	seed    maphash.Seed
	shards  [32]legShard
	invites sync.Map // *transaction.Server → *Leg
}

type legShard struct {
	mu   sync.RWMutex
	tags map[string]*Leg
}

func newLegTable() *legTable {
	t := &legTable{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].tags = map[string]*Leg{}
	}
	return t
}

func (t *legTable) shard(tag string) *legShard {
	return &t.shards[maphash.String(t.seed, tag)%uint64(len(t.shards))]
}

func (t *legTable) add(l *Leg) {
	s := t.shard(l.tag)
	s.mu.Lock()
	s.tags[l.tag] = l
	s.mu.Unlock()
	if l.invite != nil {
		t.invites.Store(l.invite, l)
	}
}

func (t *legTable) remove(l *Leg) {
	s := t.shard(l.tag)
	s.mu.Lock()
	delete(s.tags, l.tag)
	s.mu.Unlock()
	if l.invite != nil {
		t.invites.Delete(l.invite)
	}
}

// find is the leg whose dialog has our tag and that Call-ID. The peer's tag is checked by the call itself.
func (t *legTable) find(tag, callID string) *Leg {
	s := t.shard(tag)
	s.mu.RLock()
	l := s.tags[tag]
	s.mu.RUnlock()
	if l == nil || l.callID != callID {
		return nil
	}
	return l
}

// ofInvite is the leg that an INVITE made.
func (t *legTable) ofInvite(tx *transaction.Server) *Leg {
	l, _ := t.invites.Load(tx)
	leg, _ := l.(*Leg)
	return leg
}

// count is the number of dialogs, early ones among them.
func (t *legTable) count() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		n += len(s.tags)
		s.mu.RUnlock()
	}
	return n
}
