package dialplan

import (
	"fmt"
	"slices"
	"strings"
)

// Proof is what the tests of a plan say about it.
type Proof struct {
	Plan      string      `json:"plan"`
	Tests     []Verified  `json:"tests"`
	Failed    int         `json:"failed"`
	Routes    int         `json:"routes"`    // a table counts as one
	Unreached []Unreached `json:"unreached"` // routes that no test ends in
}

// Verified is one test that was run.
type Verified struct {
	Name       string     `json:"name"`
	Place      Place      `json:"place"`
	Passed     bool       `json:"passed"`
	Mismatches []Mismatch `json:"mismatches,omitempty"`
	Trial      Trial      `json:"trial"`
}

// Mismatch is one expectation that did not come true.
type Mismatch struct {
	What  string `json:"what"`
	Want  string `json:"want"`
	Got   string `json:"got"`
	Place Place  `json:"place"`
}

// Unreached is a route that no test ends in.
type Unreached struct {
	Route string `json:"route"`
	Place Place  `json:"place"`
}

// Tests is the number of tests in the plan.
func (p *Plan) Tests() int { return len(p.tests) }

// Test runs the tests of the plan, in the order of files and lines.
func (p *Plan) Test() Proof {
	proof := Proof{Plan: p.version, Tests: []Verified{}, Unreached: []Unreached{}}
	reached := map[string]bool{}
	for _, t := range p.tests {
		v := p.verify(t)
		reached[v.Trial.Decision.Route] = true
		if !v.Passed {
			proof.Failed++
		}
		proof.Tests = append(proof.Tests, v)
	}
	for _, r := range p.routes {
		if r.table != "" {
			continue
		}
		proof.Routes++
		if !reached[r.name] {
			proof.Unreached = append(proof.Unreached, Unreached{r.name, placeOf(r.at)})
		}
	}
	for _, t := range p.tables {
		proof.Routes++
		if !slices.ContainsFunc(proof.Tests, func(v Verified) bool { return strings.HasPrefix(v.Trial.Decision.Route, t.name+"/") }) {
			proof.Unreached = append(proof.Unreached, Unreached{t.name, t.at})
		}
	}
	return proof
}

func (p *Plan) verify(t *Case) Verified {
	v := Verified{Name: t.Name, Place: t.Place, Trial: p.Try(t.Facts, t.Outcomes, t.Digits...)}
	for _, x := range t.expect {
		got := v.Trial.said(x.what)
		ok := got == x.want
		if x.what == "plays" {
			got, ok = strings.Join(v.Trial.Plays, ", "), v.Trial.played(x.files)
		}
		if !ok {
			v.Mismatches = append(v.Mismatches, Mismatch{x.what, x.want, got, x.place})
		}
	}
	if v.Trial.asked && !t.timed {
		v.Mismatches = append(v.Mismatches, Mismatch{
			What: "at", Want: "the moment of the call, as in at = \"2026-11-23T10:00:00Z\"", Got: "a condition that was asked without one", Place: t.Place,
		})
	}
	v.Passed = len(v.Mismatches) == 0
	return v
}

// String is the proof for people, ending in a line break.
func (p Proof) String() string {
	var b strings.Builder
	for _, t := range p.Tests {
		b.WriteString(t.String())
	}
	fmt.Fprintf(&b, "%d tests, %d failed; %d of %d routes reached\n", len(p.Tests), p.Failed, p.Routes-len(p.Unreached), p.Routes)
	for _, u := range p.Unreached {
		fmt.Fprintf(&b, "%s: no test reaches route %q\n", u.Place, u.Route)
	}
	return b.String()
}

// String is one test for people: its failures with their places, and how the call was routed.
func (v Verified) String() string {
	if v.Passed {
		return fmt.Sprintf("ok    %s\n", v.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FAIL  %s (%s)\n", v.Name, v.Place)
	for _, m := range v.Mismatches {
		fmt.Fprintf(&b, "      %s: %s is %s, expected %s\n", m.Place, m.What, quoted(m.Got), quoted(m.Want))
	}
	for _, r := range v.Trial.Decision.Reasons {
		fmt.Fprintf(&b, "        %-8s %s\n", r.Verdict, r.line())
	}
	return b.String()
}

func quoted(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Failures is the failed tests for people; empty where there are none.
func (p Proof) Failures() string {
	var b strings.Builder
	for _, t := range p.Tests {
		if !t.Passed {
			b.WriteString(t.String())
		}
	}
	return b.String()
}
