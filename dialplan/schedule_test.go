package dialplan

import (
	"testing"
	"time"
)

func newSchedule(t *testing.T, zone string, open, closed []string) *Schedule {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	s := &Schedule{Zone: loc}
	for _, o := range open {
		p, err := parsePeriod(o)
		if err != nil {
			t.Fatal(err)
		}
		s.open = append(s.open, p)
	}
	for _, c := range closed {
		d, err := parseDates(c)
		if err != nil {
			t.Fatal(err)
		}
		s.closed = append(s.closed, d)
	}
	return s
}

func TestScheduleOpens(t *testing.T) {
	office := newSchedule(t, "Europe/London", []string{"mon-fri 09:00-17:30", "2026-12-24 09:00-12:00"},
		[]string{"2026-12-24..2026-12-26", "01-01"})
	bar := newSchedule(t, "America/New_York", []string{"fri,sat 22:00-02:00"}, []string{"2026-03-07"})
	night := newSchedule(t, "Europe/Berlin", []string{"daily 02:15-02:45"}, nil)
	cases := []struct {
		name string
		s    *Schedule
		at   string
		open bool
	}{
		{"monday morning in winter", office, "2026-11-23T09:00:00Z", true},
		{"a minute before", office, "2026-11-23T08:59:59Z", false},
		{"the end is excluded", office, "2026-11-23T17:30:00Z", false},
		{"the last minute", office, "2026-11-23T17:29:59Z", true},
		{"sunday", office, "2026-11-22T12:00:00Z", false},
		{"summer: nine in London is eight in UTC", office, "2026-07-06T08:00:00Z", true},
		{"summer: half past five has gone", office, "2026-07-06T16:30:00Z", false},
		{"last friday of winter time", office, "2026-03-27T09:00:00Z", true},
		{"first monday of summer time", office, "2026-03-30T08:00:00Z", true},
		{"first monday of summer time, too early", office, "2026-03-30T07:59:00Z", false},
		{"a closed day with hours of its own", office, "2026-12-24T10:00:00Z", true},
		{"and after them", office, "2026-12-24T13:00:00Z", false},
		{"christmas", office, "2026-12-25T10:00:00Z", false},
		{"every new year", office, "2027-01-01T10:00:00Z", false},
		{"friday night", bar, "2026-11-28T03:30:00Z", true},                             // 22:30 on the 27th
		{"still friday's night on saturday morning", bar, "2026-11-28T06:59:00Z", true}, // 01:59
		{"closed at two", bar, "2026-11-28T07:00:00Z", false},
		{"the clock jumps from two to three: saturday's night ends there", bar, "2026-03-08T06:59:00Z", false}, // the 7th is closed
		{"a week later it is open until two", bar, "2026-03-15T05:59:00Z", true},
		{"thursday's night is not open", bar, "2026-11-27T06:00:00Z", false},
		{"an hour that does not exist", night, "2026-03-29T01:30:00Z", false}, // 03:30
		{"an hour that comes twice, first", night, "2026-10-25T00:30:00Z", true},
		{"an hour that comes twice, again", night, "2026-10-25T01:30:00Z", true},
	}
	for _, c := range cases {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.s.Open(at); got != c.open {
			t.Errorf("%s (%s): open %v", c.name, c.at, got)
		}
	}
}

func TestScheduleOverNewYear(t *testing.T) {
	s := newSchedule(t, "UTC", []string{"daily 00:00-24:00"}, []string{"12-30..01-02"})
	for at, want := range map[string]bool{"2026-12-29": true, "2026-12-30": false, "2027-01-02": false, "2027-01-03": true} {
		d, _ := time.Parse(time.DateOnly, at)
		if s.Open(d.Add(23*time.Hour+59*time.Minute)) != want {
			t.Errorf("%s: open must be %v", at, want)
		}
	}
}

func TestScheduleSpelling(t *testing.T) {
	for _, bad := range []string{"mon-fri", "mo 09:00-10:00", "mon 9-10", "mon 09:00-25:00", "mon 24:00-02:00", "2026-13-01 09:00-10:00", "mon 09:60-10:00", "", "mon- 09:00-10:00"} {
		if p, err := parsePeriod(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, p)
		}
	}
	for _, bad := range []string{"2026-02-30", "25-12", "2026-12-26..2026-12-25", "2026-12-24..12-26", ""} {
		if d, err := parseDates(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, d)
		}
	}
	if p, err := parsePeriod("sat-mon 10:00-12:00"); err != nil || p.weekdays != 1<<6|1<<0|1<<1 {
		t.Errorf("sat-mon: %b %v", p.weekdays, err)
	}
}
