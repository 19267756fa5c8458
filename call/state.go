package call

import (
	"slices"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/registrar"
	"tandem/sip/dialog"
	"tandem/sip/transport"
	"tandem/trunk"
)

// stateVersion is the newest form of a State that this code writes. It reads all that are not newer; a field that an older node must
// understand to go on with the call raises it.
const stateVersion = 1

// A State is all that another process needs to go on with a call that was answered, both legs in one, or that rings: a plain value of
// which the form by package record is kept. Times are UTC. It holds keys of media: whoever keeps it seals it.
type State struct {
	Version int       `json:"version"`
	Call    string    `json:"call"`
	Started time.Time `json:"started"`
	Up      time.Time `json:"up"` // when the caller was answered
	EndsAt  time.Time `json:"ends_at"`
	Written time.Time `json:"written,omitzero"` // by the clock that these and all deadlines go by

	Facts      dialplan.Facts     `json:"facts"`
	CallerName string             `json:"caller_name,omitempty"`
	Route      string             `json:"route,omitempty"`
	Number     string             `json:"number"`
	Plan       string             `json:"plan"`
	CallerID   dialplan.CallerID  `json:"caller_id"`
	Emergency  bool               `json:"emergency,omitempty"`
	Shown      *dialplan.CallerID `json:"shown,omitempty"` // after a transfer: who a is
	Step       int                `json:"step,omitempty"`  // place of the current step among the decision's, from 1; 0: none of them

	Record Record     `json:"record"` // so far; Ended tells that the call is ending
	Payer  string     `json:"payer,omitempty"`
	Gone   []LegEntry `json:"gone,omitempty"` // legs that ended, for the record
	Held   []string   `json:"held,omitempty"` // extensions whose limit counts the call

	A LegState  `json:"a"`
	B *LegState `json:"b,omitempty"` // nil: the switch itself is at the other end

	Ringing *RingingState `json:"ringing,omitempty"` // nobody has answered yet

	Parting *LegState `json:"parting,omitempty"` // has transferred the others, and is still to be told goodbye
}

// LegState is one leg of a State.
type LegState struct {
	Leg      string               `json:"leg"`
	Party    string               `json:"party,omitempty"`
	Moved    bool                 `json:"moved,omitempty"` // by a transfer: a was called, or b called
	Gone     bool                 `json:"gone,omitempty"`  // it has ended: only its figures matter
	Dialog   dialog.Dialog        `json:"dialog"`
	Flow     registrar.FlowRecord `json:"flow"`
	NAT      bool                 `json:"nat,omitempty"`
	Web      bool                 `json:"web,omitempty"` // a browser
	Instance string               `json:"instance,omitempty"`
	Contact  string               `json:"contact"`
	Agreed   bool                 `json:"agreed,omitempty"`
	Allows   string               `json:"allows,omitempty"`
	Timer    dialog.SessionTimer  `json:"timer"`
	Seq      uint32               `json:"seq,omitempty"` // CSeq of our INVITE, for a 2xx that comes again
	WantSync bool                 `json:"want_sync,omitempty"`
	Unacked  *UnackedState        `json:"unacked,omitempty"`

	Trunk     string          `json:"trunk,omitempty"`
	Hop       transport.Hop   `json:"hop,omitzero"`
	Direction trunk.Direction `json:"direction,omitempty"`

	Media *media.State `json:"media,omitempty"`
	Stats media.Stats  `json:"stats"`
}

// UnackedState is a 2xx of ours that waits for its ACK.
type UnackedState struct {
	Raw     string               `json:"raw"`
	Flow    registrar.FlowRecord `json:"flow"`
	Seq     uint32               `json:"seq"`
	GiveUp  time.Time            `json:"give_up"`
	Answer  bool                 `json:"answer,omitempty"`
	Initial bool                 `json:"initial,omitempty"`
}

// state is the call as another process would go on with it.
func (c *Call) state() State {
	now := time.Now()
	s := State{
		Version: stateVersion, Call: c.id, Started: byClock(now, c.started), Up: byClock(now, c.answered), EndsAt: byClock(now, c.endsAt), Written: now.UTC(),
		Facts: c.facts, CallerName: c.callerName, Route: c.decision.Route, Number: c.decision.Number, Plan: c.decision.Plan,
		CallerID: c.decision.CallerID, Emergency: c.decision.Emergency, Step: c.stepPlace(),
		Record: c.record, Payer: c.record.payer, Gone: slices.Clone(c.gone),
		Held: c.board.heldOf(c), A: c.a.saved(), Shown: c.shown,
	}
	if !c.record.over.IsZero() {
		s.Record.Ended = byClock(now, c.record.over)
	}
	s.A.Moved = c.a.role == roleUAC
	other := c.b
	if t := c.transfer; t != nil && other == nil { // a transfer under way goes back to who wanted it, or, where that has hung up, is begun again
		s.A.WantSync = true
		if t.by != nil && !t.by.hungUp {
			other, s.Step = t.by, 0
		}
	}
	if l := c.parting; l != nil && !l.hungUp {
		p := l.saved()
		s.Parting = &p
	}
	if other != nil {
		b := other.saved()
		b.Moved = other.role == roleUAS
		s.B = &b
	}
	for _, l := range c.legs {
		if (l.state == legGone || l.hungUp) && l != c.a && l != other {
			s.Gone = append(s.Gone, l.entry())
		}
	}
	return s
}

// live are the legs whose media goes on elsewhere.
func (s *State) live() (legs []*LegState) {
	if s.Ringing != nil {
		for i := range s.Ringing.Branches {
			if l := &s.Ringing.Branches[i].Leg; l.Media != nil {
				legs = append(legs, l)
			}
		}
		return legs
	}
	if !s.Record.Ended.IsZero() {
		return nil
	}
	for _, l := range []*LegState{&s.A, s.B} {
		if l != nil && l.Media != nil && !l.Gone {
			legs = append(legs, l)
		}
	}
	return legs
}

// byClock tells an instant by the clock as it is now: it may have been set since.
func byClock(now, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.UTC().Add(t.Sub(now))
}

// here puts the times of a state that was written so long ago by this process's clock: the writer's may be another one.
func (s *State) here(now time.Time, age time.Duration) {
	if s.Written.IsZero() {
		return // of a version that does not tell
	}
	times := []*time.Time{&s.Started, &s.Up, &s.EndsAt, &s.Record.Ended}
	if s.Ringing != nil {
		times = append(times, &s.Ringing.Ends)
	}
	for _, l := range []*LegState{&s.A, s.B, s.Parting} {
		if l == nil {
			continue
		}
		times = append(times, &l.Timer.Due)
		if l.Unacked != nil {
			times = append(times, &l.Unacked.GiveUp)
		}
	}
	for _, t := range times {
		if !t.IsZero() {
			*t = now.Add(t.Sub(s.Written) - age)
		}
	}
	s.Written = time.Time{}
}

// stepPlace is where the current step stands in what the plan decided: another process asks its own plan for the same.
func (c *Call) stepPlace() int {
	all, left := c.decision.Steps, c.steps
	at := len(all) - len(left)
	if c.b != nil || at < 1 || len(left) > 0 && &all[at] != &left[0] {
		return 0
	}
	return at
}

// saved is the leg as another process would go on with it.
func (l *Leg) saved() LegState {
	s := LegState{
		Leg: l.name, Party: l.party, Gone: l.told(), Dialog: l.dialog, Flow: flowRecord(l.flow), NAT: l.nat, Web: l.web, Instance: l.instance,
		Contact: l.contact, Agreed: l.agreed, Allows: l.allows, Timer: l.timer, WantSync: l.wantSync, Hop: l.hop, Stats: l.stats,
	}
	now := time.Now()
	s.Timer.Due = byClock(now, s.Timer.Due)
	if l.trunk != nil {
		s.Trunk, s.Direction = l.trunk.Name(), l.channel.Direction()
	}
	if l.initial != nil {
		s.Seq = l.initial.seq
	}
	if u := l.unacked; u != nil {
		s.Unacked = &UnackedState{
			Raw: string(u.raw), Flow: flowRecord(u.flow), Seq: u.seq, GiveUp: byClock(now, u.giveUp), Answer: u.answer, Initial: u.initial,
		}
	}
	if l.media != nil {
		s.Stats = l.media.Stats()
		if !l.in().record.Ended.IsZero() { // who goes on writes the record and says goodbye
			return s
		}
		if m, ok := l.media.State(l.unacked != nil && l.unacked.answer); ok {
			s.Media = &m
		}
	}
	return s
}

// told tells whether the peer knows that it is over: it has said so itself, or has answered our BYE, or nobody waits for that any more.
func (l *Leg) told() bool {
	if l.hungUp || l.state != legGone {
		return l.hungUp
	}
	for o := range l.in().pending {
		if o.leg == l && o.purpose == forBye {
			return false
		}
	}
	return true
}

// entry is the leg in the call record.
func (l *Leg) entry() LegEntry {
	stats := l.stats
	if l.media != nil {
		stats = l.media.Stats()
	}
	return LegEntry{
		Leg: l.name, Party: l.party, Peer: l.peer(), Transport: l.transport(), CallID: printable(l.callID), Media: stats,
	}
}

// flowRecord describes a flow for another process.
func flowRecord(f transport.Flow) registrar.FlowRecord {
	if !f.Valid() {
		return registrar.FlowRecord{}
	}
	return registrar.FlowRecord{Proto: f.Proto(), Listener: f.Listener(), Local: f.Local(), Remote: f.Remote()}
}

// heldOf are the extensions whose limit counts a call.
func (s *Switchboard) heldOf(c *Call) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(c.held))
	for extension := range c.held {
		out = append(out, extension)
	}
	slices.Sort(out)
	return out
}
