package registrar

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// Journal is told of every change of the Store, so that a standby can follow; a refresh that changes nothing but the time, within the
// time that it has been told, is none. Both methods are called with the AOR's
// shard held, because the order of changes of one AOR must be kept: they append to memory and return, and they must
// not block or call the Store.
type Journal interface {
	// Put replaces everything that is known of the record's AOR.
	Put(Record)
	// Delete forgets an AOR.
	Delete(aor string)
}

// Record is all bindings of one AOR as they are journaled and kept in snapshots. It holds no pointers into the
// process, and its JSON form is what nodes of different versions exchange.
type Record struct {
	AOR      string          `json:"aor"`
	Bindings []BindingRecord `json:"bindings"`
	Written  time.Time       `json:"written,omitzero"` // by the clock that the times go by
}

// Here puts the times of a record that was written so long ago by this process's clock: the writer's may be another one, or may have been set
// since. A record of a version that does not tell when it was written keeps its times.
func (r *Record) Here(now time.Time, age time.Duration) {
	if r.Written.IsZero() {
		return
	}
	for i := range r.Bindings {
		b := &r.Bindings[i]
		b.Expires = now.Add(b.Expires.Sub(r.Written) - age)
		b.Registered = now.Add(b.Registered.Sub(r.Written) - age)
	}
	r.Written = time.Time{}
}

// BindingRecord is a Binding whose flow is described instead of held. Times are UTC.
type BindingRecord struct {
	Contact    string         `json:"contact"`
	Params     string         `json:"params,omitempty"`
	CallID     string         `json:"call_id"`
	CSeq       uint32         `json:"cseq"`
	Instance   string         `json:"instance,omitempty"`
	RegID      uint32         `json:"reg_id,omitempty"`
	Q          uint16         `json:"q"`
	UserAgent  string         `json:"user_agent,omitempty"`
	Path       []string       `json:"path,omitempty"`
	NAT        bool           `json:"nat,omitempty"`
	Source     netip.AddrPort `json:"source"`
	Expires    time.Time      `json:"expires"` // later than what the phone was granted: refreshes until then are not told
	Registered time.Time      `json:"registered"`
	Flow       *FlowRecord    `json:"flow,omitempty"`
}

// FlowRecord says what a flow was: enough to find a UDP flow again on a node with the same listener.
type FlowRecord struct {
	Proto    transport.Proto `json:"proto"`
	Listener string          `json:"listener"`
	Local    netip.AddrPort  `json:"local"`
	Remote   netip.AddrPort  `json:"remote"`
}

// recordOf tells times by the clock as it is now: it may have been set since a phone registered, and what is left of a registration goes by the
// monotonic clock.
func recordOf(aor string, list []Binding) Record {
	now := time.Now()
	r := Record{AOR: aor, Bindings: make([]BindingRecord, len(list)), Written: now.UTC()}
	clock := func(t time.Time) time.Time { return r.Written.Add(t.Sub(now)) }
	for i := range list {
		b := &list[i]
		r.Bindings[i] = BindingRecord{
			Contact: b.Contact, Params: string(b.Params), CallID: b.CallID, CSeq: b.CSeq, Instance: b.Instance,
			RegID: b.RegID, Q: b.Q, UserAgent: b.UserAgent, Path: b.Path, NAT: b.NAT, Source: b.Source,
			Expires: clock(later(b.Expires, b.kept)), Registered: clock(b.Registered),
		}
		if f := b.Flow; f.Valid() {
			r.Bindings[i].Flow = &FlowRecord{f.Proto(), f.Listener(), f.Local(), f.Remote()}
		}
	}
	return r
}

// Doubt says that the Journal may not have what it was told of an AOR last, or, without one, of any: it is told again, of one now, of all
// with their next refreshes.
func (s *Store) Doubt(aor string) {
	if aor != "" {
		sh := s.shard(aor)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if list := sh.aors[aor]; s.journal != nil && len(list) == 0 {
			s.journal.Delete(aor)
		} else {
			s.keep(sh, aor, list)
		}
		return
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, list := range sh.aors {
			for i := range list {
				list[i].kept = time.Time{}
			}
		}
		sh.mu.Unlock()
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Snapshot gives everything, for a standby that begins to follow. Its reader queues what the Journal is told from
// before the call on, and applies the queue after the snapshot: a Record is whole, so the last one of an AOR is right.
func (s *Store) Snapshot() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for i := range s.shards {
			sh := &s.shards[i]
			sh.mu.Lock()
			records := make([]Record, 0, len(sh.aors))
			for aor, list := range sh.aors {
				records = append(records, recordOf(aor, list))
			}
			sh.mu.Unlock()
			for _, r := range records {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Apply puts a Record in the place of what is known of its AOR; one without bindings deletes. attach finds the flow that a
// record describes, or one that is not alive: such a binding keeps its place, and is not rung until its phone comes back. One that has expired
// meanwhile is there until the next round of Run, which lets the Journal forget it. The Journal is not told.
func (s *Store) Apply(now time.Time, r Record, attach func(FlowRecord) transport.Flow) {
	list := bindingsOf(now, r, attach)
	sh := s.shard(r.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := slices.Clone(sh.aors[r.AOR])
	s.put(sh, r.AOR, list)
	sh.moved(r.AOR, old, list)
}

// Merge takes what another node had answered for until a time, at, and had not been able to tell anybody. What phones have registered here
// since then stays; what they have taken back since comes again, until it expires. The Journal is told.
func (s *Store) Merge(now, at time.Time, r Record, attach func(FlowRecord) transport.Flow) {
	list := slices.DeleteFunc(bindingsOf(now, r, attach), func(b Binding) bool { return b.expired(now) })
	sh := s.shard(r.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := slices.Clone(sh.aors[r.AOR])
	for _, here := range old {
		if here.Registered.After(at) {
			list = append(slices.DeleteFunc(list, func(b Binding) bool { return b.samePlace(&here) }), here)
		}
	}
	if len(old)+len(list) == 0 {
		return
	}
	s.keep(sh, r.AOR, list)
	sh.moved(r.AOR, old, list)
}

// samePlace tells whether a REGISTER for one of two bindings of an AOR would refresh the other.
func (b *Binding) samePlace(x *Binding) bool {
	if b.Outbound() && x.Outbound() {
		return b.Instance == x.Instance && b.RegID == x.RegID
	}
	return b.Contact == x.Contact
}

func bindingsOf(now time.Time, r Record, attach func(FlowRecord) transport.Flow) []Binding {
	list := make([]Binding, 0, len(r.Bindings))
	for _, x := range r.Bindings {
		b := Binding{
			AOR: r.AOR, Contact: x.Contact, Params: sip.Params(x.Params), CallID: x.CallID, CSeq: x.CSeq,
			Instance: x.Instance, RegID: x.RegID, Q: x.Q, UserAgent: x.UserAgent, Path: x.Path, NAT: x.NAT,
			Source: x.Source, Registered: x.Registered,
			// Counted from here on by the monotonic clock, as all bindings are.
			Expires: now.Add(x.Expires.Sub(now)),
		}
		b.kept = b.Expires
		if x.Flow != nil {
			b.Flow = attach(*x.Flow)
		}
		list = append(list, b)
	}
	return list
}

// moved notes which connections an AOR is on now, and on which no more. The caller holds the shard.
func (sh *shard) moved(aor string, old, list []Binding) {
	for i := range old {
		sh.leave(old[i].Flow, aor, list)
	}
	for i := range list {
		sh.join(&list[i])
	}
}
