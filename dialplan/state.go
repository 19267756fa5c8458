package dialplan

import "time"

// State is what a Plan must know of the moment beside the clock. Its owner is the room of the calls, which counts and
// keeps it; Route only reads it, so it may be shared by calls that are routed at once. The zero State is the state
// after a first start: nobody has called, and nothing is switched.
type State struct {
	Turns     map[string]uint64    // by group: calls that it has had, for round_robin
	IdleSince map[string]time.Time // by extension: when its last call ended; absent: it had none
	Usage     map[string]Usage     // by extension: what its class's limits are held against
	// Switches is the night switch, by schedule: while an entry is there the schedule is open or closed by hand.
	Switches map[string]bool // true: open
	// Features is what people have set at their phones, by extension; an entry replaces what the file says.
	Features map[string]Features
}

// Usage is what an extension has used. Times are those of the switch; a day is one of the zone of numbering.
type Usage struct {
	LastMinute   int      // calls that it began in the last 60 seconds
	MinutesToday float64  // of its answered calls to numbers outside
	Countries    []string // that it has called before, ISO 3166; for the alarm of a new one
}

// Features is what an extension does with calls for it.
type Features struct {
	DoNotDisturb bool    `json:"do_not_disturb,omitempty"`
	Forward      Forward `json:"forward,omitzero"`
}

// Forward is where calls go that are for an extension, as numbers that it could dial itself; empty: nowhere.
type Forward struct {
	Always      string        `json:"always,omitempty"`
	Busy        string        `json:"busy,omitempty"`
	NoAnswer    string        `json:"no_answer,omitempty"`
	Unreachable string        `json:"unreachable,omitempty"`
	After       time.Duration `json:"after,omitempty"` // of ringing, before NoAnswer; 0: as long as the route says
}

// open tells whether a schedule is open for a call: by hand, or else by its hours.
func (e *env) open(s *Schedule) bool {
	if by, ok := e.facts.State.Switches[s.Name]; ok {
		return by
	}
	return s.Open(e.facts.Now)
}

// features is what an extension does with calls for it.
func (e *env) features(x *Extension) Features {
	if f, ok := e.facts.State.Features[x.Number]; ok {
		return f
	}
	return x.Features
}
