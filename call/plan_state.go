package call

import (
	"slices"
	"sync"
	"time"

	"tandem/dialplan"
	"tandem/trunk"
)

// groupState is what the plan must know of the moment (see dialplan.State). It is bounded by the groups, schedules and
// extensions of the configuration, by the countries of the world for each extension, and by what the classes let
// extensions begin in a minute.
type groupState struct {
	mu    sync.RWMutex
	state dialplan.State
	day   string      // that Usage.MinutesToday is of
	begun []beginning // of the last minute, oldest first; only of extensions whose class counts them

	trunks  *trunk.Set          // whose minutes are kept with it
	memory  Memory              // nil: nothing is kept
	due     map[string]struct{} // keys whose values are to be kept at the next settle
	keeping sync.Mutex          // held while values are on their way to the memory
}

// beginning is a call that an extension began.
type beginning struct {
	at        time.Time
	extension string
}

// route asks the plan.
func (s *Switchboard) route(plan *dialplan.Plan, facts dialplan.Facts) dialplan.Decision {
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	facts.State = s.groups.state
	return plan.Route(facts)
}

// begun asks the plan for a call that begins, and counts it: of two calls at once the second sees the first.
func (s *Switchboard) begun(plan *dialplan.Plan, facts dialplan.Facts) dialplan.Decision {
	g := &s.groups
	g.mu.Lock()
	g.roll(plan, facts.Now)
	facts.State = g.state
	d := plan.Route(facts)
	g.count(plan, &facts, &d)
	changed := len(g.due) > 0
	g.mu.Unlock()
	if changed {
		g.settle()
	}
	return d
}

// roll forgets what is older than a minute, and the minutes of another day. The caller holds the lock.
func (g *groupState) roll(plan *dialplan.Plan, now time.Time) {
	old := 0
	for old < len(g.begun) && now.Sub(g.begun[old].at) >= time.Minute {
		u := g.state.Usage[g.begun[old].extension]
		u.LastMinute--
		g.use(g.begun[old].extension, u)
		old++
	}
	g.begun = slices.Delete(g.begun, 0, old)
	day := plan.Day(now)
	if day == g.day {
		return
	}
	g.day = day
	for extension, u := range g.state.Usage {
		u.MinutesToday = 0
		g.use(extension, u)
	}
}

// use sets what an extension has used; nothing used is not kept.
func (g *groupState) use(extension string, u dialplan.Usage) {
	if u.LastMinute <= 0 && u.MinutesToday == 0 && len(u.Countries) == 0 {
		delete(g.state.Usage, extension)
		return
	}
	if g.state.Usage == nil {
		g.state.Usage = map[string]dialplan.Usage{}
	}
	g.state.Usage[extension] = u
}

// count holds a call that the plan lets begin against its caller.
func (g *groupState) count(plan *dialplan.Plan, f *dialplan.Facts, d *dialplan.Decision) {
	if f.From == "" || d.Reject.Status != 0 || d.Emergency || len(d.Steps) == 0 {
		return
	}
	if _, code := d.Steps[0].(dialplan.Set); code {
		return
	}
	g.charge(plan, f.From, d.Number, f.Now)
}

// charge counts a call to a number against an extension; first: it had called no such country before.
func (g *groupState) charge(plan *dialplan.Plan, extension, number string, now time.Time) (first bool) {
	x, _ := plan.Extension(extension)
	u := g.state.Usage[extension]
	if class, _ := plan.Class(x.Class); class.CallsPerMinute > 0 {
		u.LastMinute++
		g.begun = append(g.begun, beginning{now, extension})
	}
	if country := plan.Abroad(number); country != "" && !slices.Contains(u.Countries, country) {
		u.Countries = append(slices.Clone(u.Countries), country)
		g.note(keyUsage + extension)
		first = true
	}
	g.use(extension, u)
	return first
}

// forwardedBy charges a call that goes outside to the extension that forwards it there, and raises the alarm of a country
// that is new to it.
func (c *Call) forwardedBy(extension, number string) []dialplan.Alarm {
	plan, now := c.settings.Plan, time.Now()
	g := &c.board.groups
	g.mu.Lock()
	g.roll(plan, now)
	first := g.charge(plan, extension, number, now)
	g.mu.Unlock()
	g.settle()
	x, _ := plan.Extension(extension)
	if class, _ := plan.Class(x.Class); !first || !class.AlarmsNewCountry() {
		return nil
	}
	alarms := []dialplan.Alarm{{Rule: "new_country", Why: "extension " + extension + " forwards to a country that it has not called before"}}
	c.alarm(alarms)
	return alarms
}

// turn counts a call of a ring group.
func (s *Switchboard) turn(group string) {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	if s.groups.state.Turns == nil {
		s.groups.state.Turns = map[string]uint64{}
	}
	s.groups.state.Turns[group]++
}

// spent notes what a call that is over has used.
func (s *Switchboard) spent(plan *dialplan.Plan, r *Record) {
	g := &s.groups
	defer g.settle()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.IdleSince == nil {
		g.state.IdleSince = map[string]time.Time{}
	}
	outside := false
	for _, a := range r.Attempts {
		if a.Status == 200 && a.Extension != "" {
			g.state.IdleSince[a.Extension] = r.Ended
		}
		if a.Status == 200 && a.Trunk != "" {
			outside = true
			g.note(keyMinutes + a.Trunk)
		}
	}
	payer := r.From
	if r.payer != "" {
		payer = r.payer
	}
	if !outside || payer == "" || r.Emergency || r.Duration <= 0 {
		return
	}
	if plan.Day(r.Ended) < g.day {
		return // it ended yesterday, and somebody who does not answer any more has been waited for since
	}
	g.roll(plan, r.Ended)
	u := g.state.Usage[payer]
	u.MinutesToday += r.Duration / 60
	g.use(payer, u)
	g.note(keyUsage + payer)
}
