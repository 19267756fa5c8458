package call

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/dialplan"
)

// groupState is what the plan must know of the moment (see dialplan.State). It is bounded by the groups, schedules and
// extensions of the configuration, by the countries of the world for each extension, and by what the classes let
// extensions begin in a minute.
type groupState struct {
	mu    sync.RWMutex
	state dialplan.State
	day   string      // that Usage.MinutesToday is of
	begun []beginning // of the last minute, oldest first; only of extensions whose class counts them

	changed chan struct{} // somebody has set something: it is to be kept at once
	used    atomic.Bool   // Usage has changed: it is kept at the next round
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
	defer g.mu.Unlock()
	g.roll(plan, facts.Now)
	facts.State = g.state
	d := plan.Route(facts)
	g.count(plan, &facts, &d)
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
	g.used.Store(true)
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
	u := g.state.Usage[f.From]
	if class, _ := plan.Class(d.Caller.Class); class.CallsPerMinute > 0 {
		u.LastMinute++
		g.begun = append(g.begun, beginning{f.Now, f.From})
	}
	if country := plan.Abroad(d.Number); country != "" && !slices.Contains(u.Countries, country) {
		u.Countries = append(u.Countries, country)
		g.used.Store(true)
	}
	g.use(f.From, u)
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
		outside = outside || a.Status == 200 && a.Trunk != ""
	}
	if !outside || r.From == "" || r.Emergency || r.Duration <= 0 {
		return
	}
	g.roll(plan, r.Ended)
	u := g.state.Usage[r.From]
	u.MinutesToday += r.Duration / 60
	g.use(r.From, u)
	g.used.Store(true)
}
