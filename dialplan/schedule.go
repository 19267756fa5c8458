package dialplan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a small machine has no zone files, and an office opens at nine all the same
)

// Schedule says when a place is open, by the clock on its wall: times follow the zone through summer and winter.
type Schedule struct {
	Name string
	Zone *time.Location

	open   []period
	closed []dates
}

// period is open from one minute of the day to another, on weekdays or on dates. One that ends before it begins ends
// on the day after.
type period struct {
	weekdays uint8 // bit 0: Sunday; 0: by dates
	dates    dates
	from, to int // minutes since midnight, to excluded
	text     string
}

// String is the period as it was written.
func (p period) String() string { return p.text }

// dates is a span of days, both included. Year 0 means every year.
type dates struct{ first, last day }

// String is the span as it is written.
func (d dates) String() string {
	if d.first == d.last {
		return d.first.String()
	}
	return d.first.String() + ".." + d.last.String()
}

// String is 2026-12-25, or 12-25 for every year.
func (d day) String() string {
	if d.year == 0 {
		return fmt.Sprintf("%02d-%02d", d.month, d.day)
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day)
}

type day struct {
	year  int
	month time.Month
	day   int
}

// Open tells whether the place is open at a moment.
func (s *Schedule) Open(at time.Time) bool {
	local := at.In(s.Zone)
	minute := local.Hour()*60 + local.Minute()
	today := dayOf(local)
	yesterday := dayOf(time.Date(today.year, today.month, today.day-1, 12, 0, 0, 0, time.UTC))
	for _, p := range s.open {
		overnight := p.to <= p.from
		if s.on(p, today) && minute >= p.from && (overnight || minute < p.to) {
			return true
		}
		if overnight && s.on(p, yesterday) && minute < p.to {
			return true
		}
	}
	return false
}

// on tells whether the period begins on the day. A closed day closes the weekdays' periods; one that names the date
// itself was written for it and stands.
func (s *Schedule) on(p period, d day) bool {
	if p.weekdays == 0 {
		return p.dates.hold(d)
	}
	weekday := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC).Weekday()
	if p.weekdays>>weekday&1 == 0 {
		return false
	}
	for _, c := range s.closed {
		if c.hold(d) {
			return false
		}
	}
	return true
}

func dayOf(t time.Time) day {
	y, m, d := t.Date()
	return day{y, m, d}
}

func (d dates) hold(x day) bool {
	if d.first.year != 0 {
		return !x.before(d.first) && !d.last.before(x)
	}
	x.year = 0
	if d.last.before(d.first) { // over New Year
		return !x.before(d.first) || !d.last.before(x)
	}
	return !x.before(d.first) && !d.last.before(x)
}

func (d day) before(o day) bool {
	if d.year != o.year {
		return d.year < o.year
	}
	if d.month != o.month {
		return d.month < o.month
	}
	return d.day < o.day
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parsePeriod reads "mon-fri 09:00-17:30", "sat,sun 10:00-12:00", "daily 22:00-02:00", "2026-12-24 09:00-12:00".
func parsePeriod(text string) (period, error) {
	when, hours, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		return period{}, fmt.Errorf("%q: write days and hours, as in \"mon-fri 09:00-17:30\"", text)
	}
	p := period{text: strings.Join(strings.Fields(text), " ")}
	var err error
	if p.from, p.to, err = parseHours(strings.TrimSpace(hours)); err != nil {
		return period{}, err
	}
	if when[0] >= '0' && when[0] <= '9' {
		p.dates, err = parseDates(when)
	} else {
		p.weekdays, err = parseWeekdays(when)
	}
	return p, err
}

func parseHours(text string) (from, to int, err error) {
	a, b, ok := strings.Cut(text, "-")
	from, err1 := clock(a)
	to, err2 := clock(b)
	if !ok || err1 != nil || err2 != nil || from == 24*60 {
		return 0, 0, fmt.Errorf("%q is no span of hours: write \"09:00-17:30\", \"22:00-06:00\" for a night, \"00:00-24:00\" for a day", text)
	}
	return from, to, nil
}

func clock(s string) (int, error) {
	h, m, ok := strings.Cut(strings.TrimSpace(s), ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || len(m) != 2 || err1 != nil || err2 != nil || hour < 0 || minute < 0 || minute > 59 || hour*60+minute > 24*60 {
		return 0, fmt.Errorf("%q is no time of day", s)
	}
	return hour*60 + minute, nil
}

func parseWeekdays(text string) (mask uint8, err error) {
	if text == "daily" {
		return 1<<7 - 1, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		a, b, span := strings.Cut(part, "-")
		if !span {
			b = a
		}
		from, to := weekday(a), weekday(b)
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("%q is no day: write mon, tue, wed, thu, fri, sat, sun, a span such as mon-fri, or daily", part)
		}
		for ; ; from = (from + 1) % 7 {
			mask |= 1 << from
			if from == to {
				break
			}
		}
	}
	return mask, nil
}

func weekday(s string) int {
	for i, w := range weekdays {
		if s == w {
			return i
		}
	}
	return -1
}

// parseDates reads "2026-12-25", "12-25" (every year), "2026-12-24..2027-01-01" and "12-24..01-01".
func parseDates(text string) (dates, error) {
	a, b, span := strings.Cut(text, "..")
	if !span {
		b = a
	}
	first, err := parseDay(a)
	if err != nil {
		return dates{}, err
	}
	last, err := parseDay(b)
	if err != nil {
		return dates{}, err
	}
	if (first.year == 0) != (last.year == 0) {
		return dates{}, fmt.Errorf("%q has a year at one end only", text)
	}
	if first.year != 0 && last.before(first) {
		return dates{}, fmt.Errorf("%q ends before it begins", text)
	}
	return dates{first, last}, nil
}

func parseDay(s string) (day, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return dayOf(t), nil
	}
	if t, err := time.Parse(time.DateOnly, "2000-"+s); err == nil { // a leap year: 02-29 is a day
		return day{0, t.Month(), t.Day()}, nil
	}
	return day{}, fmt.Errorf("%q is no date: write 2026-12-25, or 12-25 for every year", s)
}
