package registrar

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip/transport"
)

// storeShards is also the number of steps of one round of Run: 256 make pings every 100 ms at 25 s.
const storeShards = 256

// Store knows the bindings of all AORs. It is split into shards, each under its own lock for as long as one AOR
// takes; it may be used from any goroutine. Lookup gives copies.
type Store struct {
	shards   [storeShards]shard
	seed     maphash.Seed
	journal  Journal
	bindings atomic.Int64
	aors     atomic.Int64
}

// shard owns the AORs that hash to it, and knows which of them live on a connection.
type shard struct {
	mu    sync.Mutex
	aors  map[string][]Binding
	flows map[uint64][]string // by the number of a connection: the AORs with a binding on it
}

// NewStore makes an empty Store. journal is told of every change; nil: nobody is.
func NewStore(journal Journal) *Store {
	return &Store{seed: maphash.MakeSeed(), journal: journal}
}

func (s *Store) shard(aor string) *shard {
	return &s.shards[maphash.String(s.seed, aor)%storeShards]
}

// Lookup gives the bindings of a local number that can be reached, the best q first, of equal ones the
// newest; nil: nobody is there. A binding whose connection is gone is left out: its phone must come back first.
func (s *Store) Lookup(aor string, now time.Time) []Binding { return s.AppendLookup(nil, aor, now) }

// AppendLookup appends what Lookup gives.
func (s *Store) AppendLookup(dst []Binding, aor string, now time.Time) []Binding {
	sh := s.shard(aor)
	start := len(dst)
	sh.mu.Lock()
	for i := range sh.aors[aor] {
		b := sh.aors[aor][i]
		if !b.expired(now) && b.reachable() {
			dst = append(dst, b)
		}
	}
	sh.mu.Unlock()
	slices.SortStableFunc(dst[start:], func(a, b Binding) int {
		return cmp.Or(cmp.Compare(b.Q, a.Q), b.Registered.Compare(a.Registered))
	})
	return dst
}

// Count is the number of AORs with bindings, and of bindings. Expired ones count until they are swept, 25 s
// later at most.
func (s *Store) Count() (aors, bindings int) { return int(s.aors.Load()), int(s.bindings.Load()) }

// Drop removes all bindings of a local number and tells how many there were.
func (s *Store) Drop(aor string) int {
	sh := s.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list := sh.aors[aor]
	s.removeAll(sh, aor, list)
	return len(list)
}

// Closed takes the bindings of a closed connection away, so that no call tries them for nothing. A plain TCP phone that is
// where its Contact says keeps its binding without a flow, and is connected to anew (RFC 3261 §18.1.1).
func (s *Store) Closed(f transport.Flow) {
	if !f.Valid() {
		return
	}
	id := f.ID()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, aor := range sh.flows[id] {
			s.cutFlow(sh, aor, id)
		}
		delete(sh.flows, id)
		sh.mu.Unlock()
	}
}

// cutFlow takes a connection out of the bindings of one AOR.
func (s *Store) cutFlow(sh *shard, aor string, id uint64) {
	list := sh.aors[aor]
	kept := list[:0]
	for _, b := range list {
		if b.onConnection() && b.Flow.ID() == id {
			if b.NAT || b.Outbound() || b.Flow.Proto() != transport.TCP {
				continue
			}
			b.Flow = transport.Flow{}
		}
		kept = append(kept, b)
	}
	s.keep(sh, aor, kept)
}

// keep stores the bindings of an AOR after a change and tells the journal. The caller holds the shard.
func (s *Store) keep(sh *shard, aor string, list []Binding) {
	s.put(sh, aor, list)
	switch {
	case s.journal == nil:
	case len(list) == 0:
		s.journal.Delete(aor)
	default:
		s.journal.Put(recordOf(aor, list))
	}
}

// put stores the bindings of an AOR; they may be the first ones of the slice that is stored already. It is the one
// place where the counts change. The caller holds the shard.
func (s *Store) put(sh *shard, aor string, list []Binding) {
	old, known := sh.aors[aor]
	s.bindings.Add(int64(len(list) - len(old)))
	if len(list) == 0 {
		if known {
			delete(sh.aors, aor)
			s.aors.Add(-1)
		}
		return
	}
	if !known {
		if sh.aors == nil {
			sh.aors, sh.flows = map[string][]Binding{}, map[uint64][]string{}
		}
		s.aors.Add(1)
	}
	if known && len(list) < len(old) && &list[0] == &old[0] {
		clear(old[len(list):]) // what was cut off must not live on in the array
	}
	// A map keeps the key that it was last given: aor would pin the message that it came in.
	sh.aors[list[0].AOR] = list
}

// join notes that an AOR has a binding on a connection. The caller holds the shard.
func (sh *shard) join(b *Binding) {
	if !b.onConnection() {
		return
	}
	if id := b.Flow.ID(); !slices.Contains(sh.flows[id], b.AOR) {
		sh.flows[id] = append(sh.flows[id], b.AOR)
	}
}

// leave notes that one binding of an AOR left a connection; rest are the bindings that the AOR has now.
func (sh *shard) leave(f transport.Flow, aor string, rest []Binding) {
	if !f.Valid() || !f.Proto().Reliable() {
		return
	}
	id := f.ID()
	for i := range rest {
		if rest[i].onConnection() && rest[i].Flow.ID() == id {
			return
		}
	}
	list := sh.flows[id]
	if i := slices.Index(list, aor); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(sh.flows, id)
	} else {
		sh.flows[id] = list
	}
}

// purge removes what has expired from one AOR and gives the rest. The caller holds the shard.
func (s *Store) purge(sh *shard, aor string, now time.Time) []Binding {
	list := sh.aors[aor]
	if !slices.ContainsFunc(list, func(b Binding) bool { return b.expired(now) }) {
		return list
	}
	var gone []transport.Flow
	kept := list[:0]
	for _, b := range list {
		if b.expired(now) {
			gone = append(gone, b.Flow)
		} else {
			kept = append(kept, b)
		}
	}
	s.keep(sh, aor, kept)
	for _, f := range gone {
		sh.leave(f, aor, kept)
	}
	return kept
}

// sweep purges one shard, and gives the flows of the bindings that want is true for.
func (s *Store) sweep(i int, now time.Time, dst []transport.Flow, want func(*Binding) bool) []transport.Flow {
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for aor := range sh.aors {
		list := s.purge(sh, aor, now)
		for i := range list {
			if want != nil && want(&list[i]) {
				dst = append(dst, list[i].Flow)
			}
		}
	}
	return dst
}

// Expire removes everything that has expired: what Run does by and by.
func (s *Store) Expire(now time.Time) {
	for i := range s.shards {
		s.sweep(i, now, nil, nil)
	}
}

// Cursor is a place in the list of all bindings; the zero Cursor is its start.
type Cursor struct {
	Shard int
	AOR   string // last one given
}

// All gives at least limit bindings from a place on, if there are so many, whole AORs, and the place after them; done
// when there are no more. The order stays while the Store changes, so that a console can page.
func (s *Store) All(at Cursor, limit int, now time.Time) (page []Binding, next Cursor, done bool) {
	for ; at.Shard < storeShards; at = (Cursor{Shard: at.Shard + 1}) {
		sh := &s.shards[at.Shard]
		sh.mu.Lock()
		names := make([]string, 0, len(sh.aors))
		for aor := range sh.aors {
			if aor > at.AOR || at.AOR == "" {
				names = append(names, aor)
			}
		}
		slices.Sort(names)
		for _, aor := range names {
			if len(page) >= limit {
				break
			}
			at.AOR = aor
			for _, b := range sh.aors[aor] {
				if !b.expired(now) {
					page = append(page, b)
				}
			}
		}
		more := len(names) > 0 && at.AOR != names[len(names)-1]
		sh.mu.Unlock()
		if more || len(page) >= limit {
			return page, at, false
		}
	}
	return page, at, true
}
