package dialplan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

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
		for _, g := range p.trunkGroups {
			for _, m := range g.Members {
				clock = clock || m.when.asksClock()
			}
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
