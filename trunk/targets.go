package trunk

import (
	"slices"
	"time"

	"tandem/sip/transport"
)

// State is whether a trunk takes calls.
type State uint8

// The states.
const (
	Up       State = iota
	Degraded       // some target is dead, or the carrier does not know us: calls may go and may fail
	Down           // no target answers: no call is tried while another trunk is there
	Drained        // an operator's word: no new calls
)

var stateNames = [...]string{"up", "degraded", "down", "drained"}

// String is the state as it is shown.
func (s State) String() string { return stateNames[s] }

// Targets remembers which hops of a trunk answer. A dead one goes to the end of the list until it may be tried again:
// after a time, or with probes when it has answered often enough. It is a plain value.
type Targets struct {
	probe Probe
	all   []target
}

// target is one hop and how it did.
type target struct {
	hop       transport.Hop
	good, bad int       // probes in a row that were answered, or not
	dead      bool      //
	until     time.Time // dead: when a call may try it again
	wait      time.Duration
	trial     bool // one call tries it; the others wait for what becomes of that
	why       string
}

// How long a dead target rests: at first, and at most, doubling in between (RFC 3261 §21.5.4 leaves it to us).
const (
	firstRest = 5 * time.Second
	longRest  = 2 * time.Minute
	// trialTime is how long the one call that tries a dead target again keeps the others off: longer than a carrier's
	// usual four seconds for a first reply.
	trialTime = 5 * time.Second
	// longestRetryAfter bounds what a peer may ask for.
	longestRetryAfter = 10 * time.Minute
)

// maxTargets bounds the hops that are remembered: some proxies of up to 20 hops each.
const maxTargets = 128

func newTargets(p Probe) Targets { return Targets{probe: p} }

// Learn takes the hops that look-ups give now; the others are forgotten.
func (t *Targets) Learn(hops []transport.Hop) {
	next := make([]target, 0, len(hops))
	for _, h := range hops {
		if len(next) >= maxTargets || slices.ContainsFunc(next, func(x target) bool { return x.hop == h }) {
			continue
		}
		if old := t.find(h); old != nil {
			next = append(next, *old)
		} else {
			next = append(next, target{hop: h})
		}
	}
	t.all = next
}

func (t *Targets) find(h transport.Hop) *target {
	for i := range t.all {
		if t.all[i].hop == h {
			return &t.all[i]
		}
	}
	return nil
}

// Order gives the hops to try: those that answer as they stand, and then the dead ones, the one that rests the shortest
// first. One whose rest is over takes its old place.
func (t *Targets) Order(now time.Time, hops []transport.Hop) []transport.Hop {
	var live, dead []transport.Hop
	for _, h := range hops {
		if x := t.find(h); x != nil && x.resting(now) {
			dead = append(dead, h)
		} else {
			live = append(live, h)
		}
	}
	slices.SortStableFunc(dead, func(a, b transport.Hop) int { return t.find(a).until.Compare(t.find(b).until) })
	return append(live, dead...)
}

// Take is Order for a call that is about to go. One call alone tries a dead target whose rest is over: if it is dead
// still, a hundred others need not wait for it.
func (t *Targets) Take(now time.Time, hops []transport.Hop) []transport.Hop {
	out := t.Order(now, hops)
	if len(out) > 0 {
		if x := t.find(out[0]); x != nil && x.dead && !x.resting(now) {
			x.until, x.trial = now.Add(trialTime), true
		}
	}
	return out
}

func (x *target) resting(now time.Time) bool { return x.dead && now.Before(x.until) }

// Failed notes that a call, a REGISTER or a connection found the hop dead. wait is what its Retry-After asked for; 0:
// nothing.
func (t *Targets) Failed(now time.Time, h transport.Hop, wait time.Duration, why string) {
	x := t.find(h)
	if x == nil {
		return
	}
	x.fail(now, wait, why)
}

func (x *target) fail(now time.Time, wait time.Duration, why string) {
	if !x.resting(now) || x.trial { // what failed together counts once
		x.wait = min(max(2*x.wait, firstRest), longRest)
	}
	rest := max(x.wait, min(wait, longestRetryAfter))
	x.dead, x.trial, x.why, x.good = true, false, why, 0
	if until := now.Add(rest); until.After(x.until) {
		x.until = until
	}
}

// Worked notes that the hop has answered a call or a REGISTER: it lives.
func (t *Targets) Worked(h transport.Hop) {
	if x := t.find(h); x != nil {
		*x = target{hop: h, good: x.good}
	}
}

// Probed notes the outcome of an OPTIONS.
func (t *Targets) Probed(now time.Time, h transport.Hop, answered bool, why string) {
	x := t.find(h)
	if x == nil {
		return
	}
	if answered {
		x.bad = 0
		if x.good++; x.dead && x.good >= t.probe.Up {
			*x = target{hop: h, good: x.good}
		}
		return
	}
	x.good = 0
	if x.bad++; x.bad >= t.probe.Down {
		x.fail(now, 2*t.probe.Interval, why) // as long as it is asked and does not answer
	}
}

// State is up while every target lives, down when all rest.
func (t *Targets) State(now time.Time) (s State, why string) {
	resting := 0
	for i := range t.all {
		if t.all[i].dead {
			s, why = Degraded, t.all[i].hop.String()+": "+t.all[i].why
		}
		if t.all[i].resting(now) {
			resting++
		}
	}
	if resting > 0 && resting == len(t.all) {
		s = Down
	}
	return s, why
}

// TargetState is one hop as it is shown.
type TargetState struct {
	Hop   string    `json:"hop"`
	Dead  bool      `json:"dead"`
	Why   string    `json:"why,omitempty"`
	Until time.Time `json:"until,omitzero"` // when it is tried again
}

// Snapshot is every hop as it is shown.
func (t *Targets) Snapshot() []TargetState {
	out := make([]TargetState, len(t.all))
	for i, x := range t.all {
		out[i] = TargetState{Hop: x.hop.String(), Dead: x.dead, Why: x.why, Until: x.until}
	}
	return out
}
