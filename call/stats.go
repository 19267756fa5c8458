package call

import (
	"sync/atomic"

	"tandem/dialplan"
	"tandem/stir"
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
	Adopted      atomic.Uint64 // calls that another process had begun
	Unheld       atomic.Uint64 // answers that did not wait longer for the journal
	Alarms       atomic.Uint64 // what a person should hear of, by the plan
	Emergencies  atomic.Uint64
	Untold       atomic.Uint64      // messages about emergency calls that did not arrive
	Verified     [3]atomic.Uint64   // calls of carriers whose callers were verified: Passed, Failed, None
	ByCause      [128]atomic.Uint64 // calls ended, by Q.850 cause
}

// Verstats are what Stats.Verified counts, in its order.
var Verstats = [3]stir.Verstat{stir.Passed, stir.Failed, stir.None}

// Stats gives the counters; they may be read at any time.
func (s *Switchboard) Stats() *Stats { return &s.stats }

// Dialogs is the number of dialogs that exist, early ones among them.
func (s *Switchboard) Dialogs() int { return s.legs.count() }

// ended takes the record of a call that is over. What a journal kept of it is forgotten once the record is on the disk.
func (s *Switchboard) ended(plan *dialplan.Plan, r *Record, kept bool) {
	s.stats.ByCause[r.Cause&127].Add(1)
	s.spent(plan, r)
	var forget func() // nil: nobody has it
	if kept && s.journal != nil {
		call := r.Call
		forget = func() { s.journal.Delete(call, nil) }
	}
	s.ledger.Write(*r, forget)
}
