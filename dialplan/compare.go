package dialplan

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
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

// numbers gives one number of each region, as they are dialled.
func (c *comparison) numbers() ([]string, bool) {
	matchers := []*matcher{c.plans[0].matcher, c.plans[1].matcher, c.marks(), countryMatcher()}
	sig := c.permits()
	only := -1
	if touched, some := c.touched(); some {
		if len(touched) == 0 {
			return nil, true
		}
		matchers, only = append(matchers, newMatcher(touched)), len(matchers)
	}
	numbers, complete := regionsOf(matchers, only, func(number string, accepted [][]int32) string {
		b := make([]byte, 0, 64)
		for _, list := range accepted[:3] {
			b = binary.AppendUvarint(b, uint64(len(list)))
			for _, p := range list {
				b = binary.AppendUvarint(b, uint64(p))
			}
		}
		return string(b) + sig(Country(number))
	})
	a, b := c.plans[0].numbering, c.plans[1].numbering
	if a == b {
		return numbers, complete
	}
	all := slices.Clone(numbers) // what is dialled means something else: try the numbers as they are dialled too
	for _, n := range numbers {
		for _, x := range []*Numbering{&a, &b} {
			if d := x.Dial(n); !slices.Contains(all[max(0, len(all)-4):], d) && d != n {
				all = append(all, d)
			}
		}
	}
	return all, complete
}

// touched is the patterns of the routes that differ, where nothing else does: a call to any other number
// goes as before. false: something differs that any call may depend on.
func (c *comparison) touched() ([]*Pattern, bool) {
	was, is := c.plans[0].shared(), c.plans[1].shared()
	if was != is {
		return nil, false
	}
	var out []*Pattern
	seen := map[string]bool{}
	add := func(p *Pattern) {
		if !seen[p.key()] {
			seen[p.key()] = true
			out = append(out, p)
		}
	}
	for i, p := range c.plans {
		other := c.plans[1-i]
		same := map[string]bool{} // tables that both have, row by row
		for _, t := range p.tables {
			same[t.name] = slices.ContainsFunc(other.tables, func(o routeTable) bool { return o.name == t.name && o.text == t.text })
		}
		theirs := map[string]string{}
		for _, r := range other.routes {
			if !same[r.table] {
				theirs[r.name] = r.describe()
			}
		}
		for _, r := range p.routes {
			if !same[r.table] && theirs[r.name] != r.describe() {
				add(r.to)
			}
		}
	}
	return out, true
}

// shared is all that a plan says beside its routes.
func (p *Plan) shared() string {
	var b strings.Builder
	for _, part := range p.parts(false) {
		fmt.Fprintf(&b, "%s\x00%s\x00%s\n", part.Kind, part.Name, part.Text)
	}
	return b.String()
}

// permits tells which classes may dial a country, as a text.
func (c *comparison) permits() func(country string) string {
	memo := map[string]string{}
	return func(country string) string {
		if s, ok := memo[country]; ok {
			return s
		}
		var b strings.Builder
		for _, p := range c.plans {
			fmt.Fprint(&b, country == p.numbering.Country, country == "")
			for _, name := range keys(p.classes) {
				list := p.classes[name].Countries
				fmt.Fprint(&b, slices.Contains(list, country) || slices.Contains(list, "*"))
			}
		}
		memo[country] = b.String()
		return memo[country]
	}
}

func countryMatcher() *matcher {
	var patterns []*Pattern
	for _, prefix := range slices.Sorted(maps.Keys(world.country)) {
		if p, err := ParsePattern("+" + prefix + "..."); err == nil {
			patterns = append(patterns, p)
		}
	}
	return newMatcher(patterns)
}

// marks is the numbers and prefixes that the plans tell apart beside their patterns: extensions, numbers of their own
// in the public network, and what stands in conditions.
func (c *comparison) marks() *matcher {
	var patterns []*Pattern
	seen := map[string]bool{}
	add := func(text string) {
		if p, err := ParsePattern(text); err == nil && !seen[p.key()] {
			seen[p.key()] = true
			patterns = append(patterns, p)
		}
	}
	for _, p := range c.plans {
		for number := range p.extensions {
			add(number)
		}
		for number := range p.dids {
			add(number)
		}
		for _, r := range p.routes {
			for _, text := range r.when.literals() {
				add(text)
				add(text + "...")
			}
		}
		for _, text := range p.marks() {
			add(text)
		}
	}
	return newMatcher(patterns)
}

// marks is the patterns of a plan beside those of its routes.
func (p *Plan) marks() []string {
	var out []string
	for _, l := range p.blocks {
		for _, d := range l.destinations {
			out = append(out, d.text)
		}
	}
	if p.emergency != nil {
		out = append(out, p.emergency.Numbers...)
	}
	for _, prefix := range premium {
		out = append(out, prefix+"...")
	}
	return out
}

// literals is the texts that an expression has written out.
func (x *expression) literals() []string {
	var out []string
	if x == nil {
		return nil
	}
	hclsyntax.VisitAll(x.tree, func(n hclsyntax.Node) hcl.Diagnostics { //nolint:errcheck // the visitor collects
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String && !l.Val.IsNull() {
			out = append(out, l.Val.AsString())
		}
		return nil
	})
	return out
}

// callers gives one extension of each group that both plans treat alike, and the trunks that both have.
func (c *comparison) callers() []Facts {
	named := [2]map[string]string{}
	for i, p := range c.plans {
		named[i] = map[string]string{}
		for _, r := range p.routes {
			for _, o := range r.from {
				if o.kind == "extension" {
					named[i][o.name] += r.name + "\x00"
				}
			}
			for _, text := range append(r.when.literals(), r.callerID.literals()...) {
				named[i][text] += r.name + "\x00"
			}
		}
	}
	var out []Facts
	seen := map[string]bool{}
	for _, number := range c.plans[0].numbers {
		x, y := c.plans[0].extensions[number], c.plans[1].extensions[number]
		if y == nil {
			continue
		}
		key := fmt.Sprint(x.Class, "\x00", y.Class, "\x00", named[0][number], "\x01", named[1][number], x.DID == "", y.DID == "", x.DID == y.DID, x.Name == y.Name)
		if !seen[key] {
			seen[key] = true
			out = append(out, Facts{From: number})
		}
	}
	for _, name := range keys(c.plans[0].trunks) {
		if c.plans[1].trunks[name] != nil {
			out = append(out, Facts{Trunk: name})
		}
	}
	return out
}

// moments gives one moment for each combination of what the schedules and clocks of both plans say.
func (c *comparison) moments(now time.Time) []time.Time {
	var schedules []*Schedule
	clock := false
	for _, p := range c.plans {
		for _, name := range keys(p.schedules) {
			schedules = append(schedules, p.schedules[name])
		}
		for _, r := range p.routes {
			clock = clock || r.when.asksClock()
		}
	}
	seen := map[string]bool{}
	var out []time.Time
	for _, at := range candidates(schedules, now, clock) {
		var b strings.Builder
		for _, s := range schedules {
			fmt.Fprint(&b, s.Open(at))
		}
		if clock {
			for _, p := range c.plans {
				b.WriteString(at.In(p.zone).Format("15:04 Mon 2006-01-02"))
			}
		}
		if !seen[b.String()] {
			seen[b.String()] = true
			out = append(out, at)
		}
	}
	return out
}

// asksClock tells whether a condition reads the hour or the date itself.
func (x *expression) asksClock() bool {
	if x == nil {
		return false
	}
	for _, path := range x.tree.Variables() {
		if len(path) < 2 || path.RootName() != "call" {
			continue
		}
		if a, ok := path[1].(hcl.TraverseAttr); ok && slices.Contains([]string{"hour", "minute", "weekday", "date"}, a.Name) {
			return true
		}
	}
	return false
}

// candidates is the moments around the edges of schedules: those of eight days from now, and of every day that one
// names; by the hour where a condition reads the clock.
func candidates(schedules []*Schedule, now time.Time, clock bool) []time.Time {
	out := []time.Time{now}
	for _, s := range schedules {
		minutes := map[int]bool{0: true, 12 * 60: true}
		days := map[day]bool{}
		local := now.In(s.Zone)
		for i := range 9 {
			days[dayOf(local.AddDate(0, 0, i))] = true
		}
		for _, p := range s.open {
			minutes[p.from], minutes[p.to%(24*60)] = true, true
			if p.weekdays == 0 {
				p.dates.name(days, local.Year())
			}
		}
		for _, d := range s.closed {
			d.name(days, local.Year())
		}
		for d := range days {
			for m := range minutes {
				out = append(out, time.Date(d.year, d.month, d.day, m/60, m%60, 0, 0, s.Zone))
			}
		}
	}
	if clock {
		for h := range 24 * 8 {
			out = append(out, now.Truncate(time.Hour).Add(time.Duration(h)*time.Hour))
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// name enters the first and last day of a span.
func (d dates) name(days map[day]bool, year int) {
	for _, x := range []day{d.first, d.last} {
		if x.year == 0 {
			x.year = year
		}
		days[x] = true
	}
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
