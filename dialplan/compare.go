package dialplan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Behaviour is how calls would go differently under another plan.
type Behaviour struct {
	Shifts   []Shift `json:"shifts"`
	Numbers  int     `json:"numbers"`  // that were compared: one of each region of either plan
	Callers  int     `json:"callers"`  // one of each group of extensions that are alike, and the trunks
	Moments  int     `json:"moments"`  // one of each combination of open and closed schedules
	Complete bool    `json:"complete"` // false: the plans are too large to be compared on all their regions
}

// Shift is one way in which calls change.
type Shift struct {
	Before   Manner    `json:"before"`
	After    Manner    `json:"after"`
	Callers  []string  `json:"callers"` // a caller of each group that is touched
	Examples []Example `json:"examples"`
	Regions  int       `json:"regions"` // of numbers that are touched
}

// Manner is what becomes of a call: its route and what that does, or the refusal.
type Manner struct {
	Route  string `json:"route,omitempty"`
	Status int    `json:"status,omitempty"` // of a refusal
	Does   string `json:"does"`
}

// Example is a call that goes differently.
type Example struct {
	From  string    `json:"from,omitempty"`
	Trunk string    `json:"trunk,omitempty"`
	To    string    `json:"to"`
	At    time.Time `json:"at"`
}

// mostComparisons bounds the calls that are tried in both plans: a minute or two of one core.
const mostComparisons = 20_000_000

// mostExamples is the calls that are shown of one shift.
const mostExamples = 3

// Compare finds how calls change between two plans: not what is written differently, but what is done differently. It
// tries one number of every region that the patterns, extensions, countries and conditions of either plan cut the
// numbers into, for one caller of every group, at one moment of every combination of open and closed schedules after
// now. Callers that only one of the plans has are left out: they are new or gone.
func Compare(before, after *Plan, now time.Time) Behaviour {
	c := comparison{plans: [2]*Plan{before, after}, shifts: map[string]*Shift{}}
	numbers, complete := c.numbers()
	callers, moments := c.callers(), c.moments(now)
	out := Behaviour{Numbers: len(numbers), Callers: len(callers), Moments: len(moments), Complete: complete, Shifts: []Shift{}}
	budget := mostComparisons
	for _, number := range numbers {
		for _, caller := range callers {
			for _, at := range moments {
				if budget--; budget < 0 {
					out.Complete = false
					break
				}
				facts := caller
				facts.To, facts.Now = number, at
				c.try(facts)
			}
		}
	}
	for _, k := range c.order {
		out.Shifts = append(out.Shifts, *c.shifts[k])
	}
	return out
}

type comparison struct {
	plans  [2]*Plan
	shifts map[string]*Shift
	order  []string
	last   map[string]string // by shift: the last number that was counted

	repriced []string // patterns of prefixes whose prices differ
}

// try routes one call in both plans and notes a difference.
func (c *comparison) try(f Facts) {
	a, b := c.plans[0].Route(f), c.plans[1].Route(f)
	was, is := manner(&a), manner(&b)
	if was.Does == is.Does && was.Status == is.Status {
		return
	}
	key := fmt.Sprint(a.Route, "\x00", a.Reject.Status, "\x00", b.Route, "\x00", b.Reject.Status)
	s := c.shifts[key]
	if s == nil {
		s = &Shift{Before: was, After: is}
		c.shifts[key] = s
		c.order = append(c.order, key)
	}
	if c.last == nil {
		c.last = map[string]string{}
	}
	if c.last[key] != f.To {
		c.last[key] = f.To
		s.Regions++
		if len(s.Examples) < mostExamples {
			s.Examples = append(s.Examples, Example{f.From, f.Trunk, f.To, f.Now})
		}
	}
	who := f.From
	if f.Trunk != "" {
		who = "trunk." + f.Trunk
	}
	if !slices.Contains(s.Callers, who) {
		s.Callers = append(s.Callers, who)
	}
}

// manner is what a decision does, without what it is called.
func manner(d *Decision) Manner {
	if d.Reject.Status != 0 {
		return Manner{Status: d.Reject.Status, Does: fmt.Sprintf("refused with %d", d.Reject.Status)}
	}
	does := DescribeSteps(d.Steps) + "; shows " + strings.TrimSpace(d.CallerID.Number+" "+d.CallerID.Name)
	if d.Emergency {
		does += "; an emergency call"
	}
	if d.MaxCalls != 0 {
		does += fmt.Sprintf("; at most %d calls at once", d.MaxCalls)
	}
	return Manner{Route: d.Route, Does: does}
}

// String is the behaviour for people, ending in a line break.
func (b Behaviour) String() string {
	var out strings.Builder
	for _, s := range b.Shifts {
		e := s.Examples[0]
		who := e.From
		if e.Trunk != "" {
			who = "trunk." + e.Trunk
		}
		fmt.Fprintf(&out, "%s dials %s at %s\n", who, e.To, e.At.Format(time.RFC3339))
		fmt.Fprintf(&out, "  before  %s\n  after   %s\n", s.Before, s.After)
		fmt.Fprintf(&out, "  touches %d regions of numbers, for callers such as %s\n", s.Regions, strings.Join(s.Callers, ", "))
		for _, e := range s.Examples[1:] {
			fmt.Fprintf(&out, "  also    %s\n", e.To)
		}
	}
	fmt.Fprintf(&out, "%d changes in behaviour (compared: %d numbers, %d callers, %d moments)\n", len(b.Shifts), b.Numbers, b.Callers, b.Moments)
	if !b.Complete {
		out.WriteString("The plans are too large to be compared on all their numbers: there may be more.\n")
	}
	return out.String()
}

// String is the manner for people.
func (m Manner) String() string {
	if m.Route == "" {
		return m.Does
	}
	return fmt.Sprintf("route %q: %s", m.Route, m.Does)
}
