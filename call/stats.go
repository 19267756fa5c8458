package call

import (
	"sync"
	"sync/atomic"
	"time"

	"tandem/dialplan"
)

// Stats count what the switchboard has done since the start.
type Stats struct {
	Started      atomic.Uint64 // INVITEs admitted
	Answered     atomic.Uint64
	Refused      atomic.Uint64 // 503 while draining or full, 403 by a class's limit
	AuthFailures atomic.Uint64
	Throttled    atomic.Uint64 // requests of sources that failed too often
	InboxFull    atomic.Uint64
	Panics       atomic.Uint64
	ByCause      [128]atomic.Uint64 // calls ended, by Q.850 cause
}

// Stats gives the counters; they may be read at any time.
func (s *Switchboard) Stats() *Stats { return &s.stats }

// Dialogs is the number of dialogs that exist, early ones among them.
func (s *Switchboard) Dialogs() int { return s.legs.count() }

// groupState is what the plan must know of the moment (see dialplan.State). It is bounded by the groups and
// extensions of the configuration.
type groupState struct {
	mu    sync.RWMutex
	state dialplan.State
}

// route asks the plan.
func (s *Switchboard) route(plan *dialplan.Plan, facts dialplan.Facts) dialplan.Decision {
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	facts.State = s.groups.state
	return plan.Route(facts)
}

// turn counts a call of a ring group.
func (s *Switchboard) turn(group string) {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	if s.groups.state.Turns == nil {
		s.groups.state.Turns = map[string]uint64{}
	}
	s.groups.state.Turns[group]++
}

// ended takes the record of a call that is over.
func (s *Switchboard) ended(r *Record) {
	s.stats.ByCause[r.Cause&127].Add(1)
	s.groups.mu.Lock()
	if s.groups.state.IdleSince == nil {
		s.groups.state.IdleSince = map[string]time.Time{}
	}
	for _, a := range r.Attempts {
		if a.Status == 200 && a.Extension != "" {
			s.groups.state.IdleSince[a.Extension] = r.Ended
		}
	}
	s.groups.mu.Unlock()
	s.ledger.Write(*r)
}
