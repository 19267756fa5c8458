package trunk

import (
	"strconv"
	"time"
)

// Minutes is how long the calls out over a trunk have talked, as it is kept over restarts. The periods are those of the
// trunk's time zone.
type Minutes struct {
	Day          string  `json:"day"` // 2026-11-28
	DaySeconds   float64 `json:"day_seconds"`
	Month        string  `json:"month"` // 2026-11
	MonthSeconds float64 `json:"month_seconds"`

	At time.Time `json:"at"` // until when calls in progress are in it
}

// The layouts of periods.
const (
	byDay   = time.DateOnly
	byMonth = "2006-01"
)

// meter counts the talk of one period: a plain value. Calls in progress count while they run, and one that goes on when a
// period begins counts in it from its first instant.
type meter struct {
	layout   string
	zone     *time.Location
	key      string    // of the period
	from, to time.Time // of it; to is the next one's
	spent    time.Duration
	open     int           // calls in progress
	late     time.Duration // how long after from they began, together
}

// roll makes the period that of now.
func (m *meter) roll(now time.Time) {
	if m.key != "" && now.Before(m.to) && now.After(m.from.Add(-time.Hour)) {
		return // the hour before is that of events which are told late; a clock that is set back begins anew
	}
	local, was := now.In(m.zone), m.from
	y, month, day := local.Date()
	if m.layout == byDay {
		m.from, m.to = time.Date(y, month, day, 0, 0, 0, 0, m.zone), time.Date(y, month, day+1, 0, 0, 0, 0, m.zone)
	} else {
		m.from, m.to = time.Date(y, month, 1, 0, 0, 0, 0, m.zone), time.Date(y, month+1, 1, 0, 0, 0, 0, m.zone)
	}
	if key := local.Format(m.layout); key != m.key {
		m.key, m.spent, m.late = key, 0, 0
		return
	}
	m.late += time.Duration(m.open) * was.Sub(m.from) // the same day elsewhere
}

// begin counts a call from an instant on, which may lie before the period.
func (m *meter) begin(since, now time.Time) {
	m.roll(now)
	m.open++
	m.late += max(since.Sub(m.from), 0)
}

// end takes a call off that began at an instant.
func (m *meter) end(began, now time.Time) {
	m.roll(now)
	if began.Before(m.from) {
		began = m.from
	}
	m.open--
	m.late -= began.Sub(m.from)
	m.spent += max(now.Sub(began), 0)
}

// used is the talk of the period so far.
func (m *meter) used(now time.Time) time.Duration {
	m.roll(now)
	return max(m.spent+time.Duration(m.open)*now.Sub(m.from)-m.late, 0)
}

// meters are those of one trunk.
type meters struct {
	day, month meter
	kept       time.Time // of what was restored
}

// begin counts a call from an instant on.
func (m *meters) begin(since, now time.Time) {
	m.day.begin(since, now)
	m.month.begin(since, now)
}

// configure puts a time zone in force. What has been used stays, under the names of its periods.
func (m *meters) configure(timezone string) {
	zone, err := time.LoadLocation(timezone) // "" is UTC
	if err != nil {                          // the configuration has been checked: the machine has lost its zones since
		zone = time.UTC
	}
	m.day.layout, m.month.layout = byDay, byMonth
	for _, x := range []*meter{&m.day, &m.month} {
		if x.zone == nil || x.zone.String() != zone.String() {
			x.zone, x.to = zone, time.Time{} // the period is looked for anew
		}
	}
}

// restore takes what was kept, where its periods have not ended.
func (m *meters) restore(now time.Time, kept Minutes) {
	m.day.roll(now)
	m.month.roll(now)
	m.kept = kept.At
	if kept.Day == m.day.key {
		m.day.spent = seconds(kept.DaySeconds)
	}
	if kept.Month == m.month.key {
		m.month.spent = seconds(kept.MonthSeconds)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// keep is what is to be kept.
func (m *meters) keep(now time.Time) Minutes {
	day, month := m.day.used(now), m.month.used(now)
	return Minutes{m.day.key, day.Seconds(), m.month.key, month.Seconds(), now}
}

// refuse is why no more calls may go out; empty: they may. A call that would begin in the last minute begins: nobody knows
// how long it will be.
func (m *meters) refuse(now time.Time, c *Config) string {
	switch {
	case c.MinutesPerDay > 0 && m.day.used(now) >= time.Duration(c.MinutesPerDay)*time.Minute:
		return "minutes: " + strconv.Itoa(c.MinutesPerDay) + " a day are used up"
	case c.MinutesPerMonth > 0 && m.month.used(now) >= time.Duration(c.MinutesPerMonth)*time.Minute:
		return "minutes: " + strconv.Itoa(c.MinutesPerMonth) + " a month are used up"
	}
	return ""
}

// Minutes is what every trunk has used, for whoever keeps it. Trunks that a reload took away keep theirs.
func (s *Set) Minutes(now time.Time) map[string]Minutes {
	out := map[string]Minutes{}
	s.keeping.Lock()
	for name, m := range s.kept {
		out[name] = m
	}
	s.keeping.Unlock()
	for _, t := range s.All() {
		t.mu.Lock()
		m := t.meters.keep(now)
		t.mu.Unlock()
		if m.MonthSeconds > 0 {
			out[t.name] = m
		}
	}
	return out
}

// MinutesOf is what one trunk has used this month; false: nothing.
func (s *Set) MinutesOf(name string, now time.Time) (Minutes, bool) {
	t := s.Find(name)
	if t == nil {
		s.keeping.Lock()
		defer s.keeping.Unlock()
		m, there := s.kept[name]
		return m, there
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.meters.keep(now)
	return m, m.MonthSeconds > 0
}

// Remember takes what another process has kept of a trunk, one that is there or that comes with an Update. None of its calls may be in
// progress here.
func (s *Set) Remember(name string, m Minutes) {
	if t := s.Find(name); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.meters.restore(time.Now(), m)
		return
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if s.kept == nil {
		s.kept = map[string]Minutes{}
	}
	if _, there := s.kept[name]; there || len(s.kept) < mostKept {
		s.kept[name] = m
	}
}

// recall is what was kept of a trunk that begins; forget keeps that of one that goes.
func (s *Set) recall(t *Trunk, now time.Time) {
	s.keeping.Lock()
	kept := s.kept[t.name]
	delete(s.kept, t.name)
	s.keeping.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.meters.restore(now, kept)
}

// mostKept bounds the trunks that are gone and whose minutes are kept.
const mostKept = 1000

func (s *Set) remember(t *Trunk, now time.Time) {
	t.mu.Lock()
	m := t.meters.keep(now)
	t.mu.Unlock()
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if s.kept == nil {
		s.kept = map[string]Minutes{}
	}
	if m.MonthSeconds > 0 && len(s.kept) < mostKept {
		s.kept[t.name] = m
	}
}

// Same tells whether as much was used, whenever that was noted.
func (m Minutes) Same(o Minutes) bool {
	m.At = o.At
	return m == o
}
