package dialplan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Past is a call that was: what a plan needs of a call record. Its JSON is that of the record.
type Past struct {
	Call     string        `json:"call"`
	Started  time.Time     `json:"started"`
	From     string        `json:"from,omitempty"`
	Trunk    string        `json:"trunk,omitempty"`  // that it came over
	Caller   string        `json:"caller,omitempty"` // number that the trunk gave
	Dialled  string        `json:"dialled"`
	Number   string        `json:"number"`
	Route    string        `json:"route,omitempty"`
	CallerID string        `json:"caller_id,omitempty"`
	Plan     string        `json:"plan"`
	Status   int           `json:"status"`
	Attempts []PastAttempt `json:"attempts,omitempty"`
}

// PastAttempt is one target that was tried.
type PastAttempt struct {
	Extension string `json:"extension,omitempty"`
	Trunk     string `json:"trunk,omitempty"`
	Status    int    `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Replayed is an old call that would go differently now.
type Replayed struct {
	Call    string     `json:"call"`
	Started time.Time  `json:"started"`
	From    string     `json:"from"`
	Dialled string     `json:"dialled"`
	Changes []Mismatch `json:"changes"` // Want: what was; Got: what would be
}

// Replay routes an old call through the plan, with what its targets answered then; targets that it did not try count
// as unreachable. No change: the call would go as it went.
func (p *Plan) Replay(x Past) Replayed {
	out := Replayed{Call: x.Call, Started: x.Started, From: x.From, Dialled: x.Dialled}
	if x.Trunk != "" {
		out.From = "trunk." + x.Trunk
	}
	t := p.Try(Facts{From: x.From, Trunk: x.Trunk, Caller: x.Caller, To: x.Dialled, Now: x.Started}, p.outcomes(x.Attempts))
	changed := func(what, was, is string, at Place) {
		if was != is {
			out.Changes = append(out.Changes, Mismatch{what, was, is, at})
		}
	}
	d := &t.Decision
	changed("number", x.Number, d.Number, d.Place)
	changed("route", x.Route, d.Route, d.Place)
	if d.Reject.Status != 0 && x.Status != d.Reject.Status {
		changed("status", fmt.Sprint(x.Status), fmt.Sprint(d.Reject.Status), d.Place)
	}
	if x.Route != "" && d.Route != "" {
		changed("caller_id", x.CallerID, d.CallerID.Number, d.Place)
	}
	var tried []string
	for _, a := range x.Attempts {
		label := Target{Extension: a.Extension, Trunk: a.Trunk}.Label()
		if !slices.Contains(tried, label) {
			tried = append(tried, label)
		}
	}
	if missing := slices.DeleteFunc(slices.Clone(tried), func(l string) bool { return slices.Contains(t.Tried, l) }); len(missing) > 0 {
		changed("tried", strings.Join(tried, ", "), strings.Join(t.Tried, ", "), d.Place)
	}
	return out
}

// outcomes is what every target answered: the best word of its contacts.
func (p *Plan) outcomes(attempts []PastAttempt) Outcomes {
	o := Outcomes{}
	for number := range p.extensions {
		o[number] = outcomeWords["unreachable"]
	}
	for name := range p.trunks {
		o["trunk."+name] = Outcome{Status: 503, Unreachable: true}
	}
	seen := map[string]bool{}
	for _, a := range attempts {
		label := Target{Extension: a.Extension, Trunk: a.Trunk}.Label()
		out := Outcome{Status: a.Status, Silent: a.Reason == "no reply", Unreachable: a.Reason == "unreachable"}
		if a.Status == 487 || a.Status == 0 { // given up by the caller, or because another answered
			out = outcomeWords["no_answer"]
		}
		if before := o[label]; seen[label] {
			out = *better(&before, &out)
		}
		o[label], seen[label] = out, true
	}
	return o
}

// String is the call for people, ending in a line break.
func (r Replayed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s dialled %s\n", r.Started.Format(time.RFC3339), r.From, r.Dialled)
	for _, m := range r.Changes {
		fmt.Fprintf(&b, "  %-9s was %s, would be %s", m.What, quoted(m.Want), quoted(m.Got))
		if m.Place.Line > 0 {
			fmt.Fprintf(&b, " (%s)", m.Place)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
