package dialplan

import (
	"fmt"
	"strings"
	"time"
)

// Explanation is a decision with every rule that was tried: what the dry run prints.
type Explanation struct {
	Facts Facts `json:"call"`
	Decision
	Legs []Target `json:"legs"` // whom the call would reach first, in order
}

// Explain routes a call like Route, and says of the routes that Route need not look at why they lost.
func (p *Plan) Explain(f Facts) Explanation {
	x := Explanation{Facts: f, Legs: []Target{}}
	p.decide(&env{plan: p, facts: &f, explain: true}, &x.Decision)
	tried := map[string]bool{}
	for _, r := range x.Reasons {
		if r.Rule == "route" {
			tried[r.Name] = true
		}
	}
	for _, r := range p.routes {
		switch {
		case tried[r.name] || r.table != "": // a table has too many rows to say of each that it does not match
		case x.Reject.Status != 0 && len(tried) == 0 && x.Reject.Status != 404:
			x.Reasons = append(x.Reasons, Reason{"route", r.name, placeOf(r.at), Lost, "routes were not tried"})
		default:
			x.Reasons = append(x.Reasons, Reason{"route", r.name, placeOf(r.at), Lost, "its pattern " + r.to.text + " does not match"})
		}
	}
	for _, s := range x.Steps {
		switch s := s.(type) {
		case Dial:
			x.Legs = append(x.Legs, s.Targets...)
		case Ring:
			for _, m := range s.Members {
				x.Legs = append(x.Legs, Target{Extension: m})
			}
		}
	}
	return x
}

// String is the explanation for people, ending in a line break.
func (x Explanation) String() string {
	var b strings.Builder
	who := "extension " + x.Caller.Extension
	switch {
	case x.Caller.Trunk != "":
		who = "trunk " + x.Caller.Trunk
	case x.Caller.Extension == "":
		who = "nobody we know"
	case x.Caller.Class != "":
		who += " (class " + x.Caller.Class + ")"
	}
	fmt.Fprintf(&b, "call      %s dials %s at %s\n", who, x.Facts.To, x.Facts.Now.Format(time.RFC3339))
	if x.Number != x.Facts.To && x.Number != "" {
		fmt.Fprintf(&b, "number    %s\n", x.Number)
	}
	for _, r := range x.Reasons {
		fmt.Fprintf(&b, "%-9s %s\n", r.Verdict, r.line())
	}
	if x.Reject.Status != 0 {
		fmt.Fprintf(&b, "answer    %d %s\n", x.Reject.Status, x.Reject.Reason)
	} else {
		fmt.Fprintf(&b, "shows     %s\n", strings.TrimSpace(x.CallerID.Number+" "+x.CallerID.Name))
		fmt.Fprintf(&b, "does      %s\n", DescribeSteps(x.Steps))
	}
	for i, leg := range x.Legs {
		fmt.Fprintf(&b, "leg %-5d %s", i+1, leg)
		if !leg.Price.IsZero() {
			fmt.Fprintf(&b, " at %s", strings.TrimSpace(leg.Price.Rate.String()+" "+leg.Price.Currency))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "plan      %s\n", x.Plan)
	return b.String()
}

func (r Reason) line() string {
	if r.Rule == "trunk_group" {
		return r.Rule + " " + r.Name + ": " + r.Why
	}
	if r.Rule != "route" || r.Name == "" {
		return r.Rule + ": " + r.Why
	}
	return fmt.Sprintf("route %q (%s): %s", r.Name, r.Place, r.Why)
}
