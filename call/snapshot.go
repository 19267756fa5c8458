package call

import (
	"sync"
	"time"

	"tandem/sip/transport"
)

// Snapshot is what an operator sees of a call in progress.
type Snapshot struct {
	Call     string        `json:"call"`
	State    string        `json:"state"` // routing, ringing, up, ending
	Started  time.Time     `json:"started"`
	Answered *time.Time    `json:"answered,omitempty"`
	From     string        `json:"from"`
	Dialled  string        `json:"dialled"`
	Number   string        `json:"number"`
	Route    string        `json:"route,omitempty"`
	Plan     string        `json:"plan"`
	Legs     []LegSnapshot `json:"legs"`
}

// LegSnapshot is one leg of a Snapshot.
type LegSnapshot struct {
	Leg       string `json:"leg"`
	Party     string `json:"party,omitempty"`
	State     string `json:"state"` // trying, ringing, up, gone
	Peer      string `json:"peer"`
	Transport string `json:"transport"`
}

// snapshotBox holds what the call's goroutine last published. Texts are made when somebody looks.
type snapshotBox struct {
	mu   sync.Mutex
	s    Snapshot
	up   time.Time
	legs []legView
}

type legView struct {
	name, party string
	state       legState
	flow        transport.Flow
}

var legStates = [...]string{legTrying: "trying", legEarly: "ringing", legUp: "up", legGone: "gone"}

// publish makes the call's state visible to others. It runs after every event, so it does not allocate.
func (c *Call) publish() {
	b := &c.snapshot
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s = Snapshot{
		Call: c.id, State: c.stateName(), Started: c.started, From: c.a.party, Dialled: c.record.Dialled,
		Number: c.record.Number, Route: c.decision.Route, Plan: c.decision.Plan,
	}
	b.up, b.legs = c.answered, b.legs[:0]
	for _, l := range c.legs {
		if l.state != legGone {
			b.legs = append(b.legs, legView{l.name, l.party, l.state, l.flow})
		}
	}
}

func (c *Call) stateName() string {
	switch {
	case c.phase == phaseEnding:
		return "ending"
	case c.a.state == legUp:
		return "up"
	case len(c.ringing) > 0:
		return "ringing"
	}
	return "routing"
}

// Snapshot is the call as its goroutine last published it.
func (c *Call) Snapshot() Snapshot {
	b := &c.snapshot
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.s
	if !b.up.IsZero() {
		answered := b.up
		s.Answered = &answered
	}
	for _, l := range b.legs {
		v := LegSnapshot{Leg: l.name, Party: l.party, State: legStates[l.state]}
		if l.flow.Valid() {
			v.Peer, v.Transport = l.flow.Remote().String(), l.flow.Proto().String()
		}
		s.Legs = append(s.Legs, v)
	}
	return s
}
