package dialplan

import (
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Facts is all that a Plan is told about a call. Either From or Trunk is set: who calls has been proven before.
type Facts struct {
	From   string    `json:"from,omitempty"`   // number of the calling extension
	Trunk  string    `json:"trunk,omitempty"`  // name of the trunk that the call came over
	Caller string    `json:"caller,omitempty"` // over a trunk: the calling number that it gave
	To     string    `json:"to"`               // user part of the Request-URI, unescaped, as it was dialled
	Domain string    `json:"domain,omitempty"` // host part of the Request-URI
	Now    time.Time `json:"at"`
	State  State     `json:"-"`
}

// Place is where something stands in the configuration. Line and Column count from 1; a zero Place is nowhere.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is office.hcl:12:3.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

func placeOf(r hcl.Range) Place { return Place{r.Filename, r.Start.Line, r.Start.Column} }

// Caller is who calls: an extension and its class, or a trunk.
type Caller struct {
	Extension string `json:"extension,omitempty"`
	Class     string `json:"class,omitempty"`
	Trunk     string `json:"trunk,omitempty"`
}

// CallerID is what the called side is shown.
type CallerID struct {
	Number string `json:"number"`
	Name   string `json:"name,omitempty"`
}

// Verdict is what became of a rule that was tried.
type Verdict string

// The verdicts.
const (
	Won     Verdict = "won"
	Lost    Verdict = "lost"
	Applied Verdict = "applied" // a rule that changed the call and did not decide it
)

// Reason is one rule that was tried, and why it won or lost.
type Reason struct {
	Rule    string  `json:"rule"` // "route", "numbering", "class", "caller", "dial"
	Name    string  `json:"name,omitempty"`
	Place   Place   `json:"place,omitzero"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Decision is where a call goes. It shares memory with its Plan and must not be changed.
type Decision struct {
	Caller   Caller   `json:"caller"`
	Number   string   `json:"number"`          // what was dialled, after numbering
	Route    string   `json:"route,omitempty"` // the route that won
	Place    Place    `json:"place,omitzero"`
	CallerID CallerID `json:"caller_id"`
	MaxCalls int      `json:"max_calls,omitempty"` // at once for the calling extension, by its class; 0: no limit
	Steps    []Step   `json:"steps,omitempty"`
	Reasons  []Reason `json:"reasons"`
	Alarms   []Alarm  `json:"alarms,omitempty"`
	// Emergency: nothing may stand in the way of this call, no limit of the switch either. Notify is who is told.
	Emergency bool     `json:"emergency,omitempty"`
	Notify    []string `json:"notify,omitempty"`
	Reject    Reject   `json:"reject,omitzero"` // the final response where there are no steps; Status 0: there are
	Plan      string   `json:"plan"`            // version of the plan that decided
}
