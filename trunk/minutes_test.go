package trunk

import (
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// talks is a call out that is answered at once.
func talks(t *testing.T, tr *Trunk, now time.Time) *Channel {
	t.Helper()
	c, why := tr.Admit(now, Out, false)
	if c == nil {
		t.Fatal("refused:", why)
	}
	c.Answered(now)
	return c
}

// atNoon runs a test on a clock that stands at noon: whatever the hour is outside, no day ends in it.
func atNoon(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		test(t)
	})
}

func used(tr *Trunk, now time.Time) MinutesState { return tr.Snapshot(now).Minutes }

func TestMinutesOfCallsInProgressCount(t *testing.T) {
	tr := plain(Config{Name: "a", MinutesPerDay: 10})
	a, b := talks(t, tr, noon), talks(t, tr, noon.Add(time.Minute))
	if got := used(tr, noon.Add(3*time.Minute)).Today; got != 5 {
		t.Error("three and two minutes are", got)
	}
	a.Release(noon.Add(4*time.Minute), sip.CauseNormal)
	if got := used(tr, noon.Add(5*time.Minute)).Today; got != 8 {
		t.Error("four and four minutes are", got)
	}
	if _, why := tr.Admit(noon.Add(7*time.Minute), Out, false); why != "minutes: 10 a day are used up" {
		t.Error("refusal:", why)
	}
	if c, why := tr.Admit(noon.Add(7*time.Minute), In, false); c == nil {
		t.Error("calls in cost the carrier:", why)
	}
	if c, why := tr.Admit(noon.Add(7*time.Minute), Out, true); c == nil {
		t.Error("an emergency call is refused:", why)
	}
	if n := tr.Snapshot(noon).Out.Refusals["minutes"]; n != 1 {
		t.Error("counted", n, "times")
	}
	b.Release(noon.Add(8*time.Minute), sip.CauseNormal)
	b.Release(noon.Add(9*time.Minute), sip.CauseNormal)
	if got := used(tr, noon.Add(time.Hour)).Today; got != 11 {
		t.Error("four and seven minutes are", got)
	}
}

// The day ends at midnight of the trunk's time zone, and a call that goes on counts in the next one from there.
func TestMinutesBeginAnewAtMidnight(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		midnight   time.Time
		month      float64 // minutes of the month a minute after midnight, of 10 before and 1 after
	}{
		{"UTC", "", time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), 11},
		{"west", "America/New_York", time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC), 11},
		{"summer ends that day", "Europe/Paris", time.Date(2026, 10, 25, 23, 0, 0, 0, time.UTC), 11}, // a day of 25 hours
		{"a month ends", "Asia/Tokyo", time.Date(2026, 11, 30, 15, 0, 0, 0, time.UTC), 1},
	} {
		tr := plain(Config{Name: "a", MinutesPerDay: 10, Timezone: c.zone})
		call := talks(t, tr, c.midnight.Add(-10*time.Minute))
		if _, why := tr.Admit(c.midnight.Add(-time.Nanosecond), Out, false); why != "" {
			t.Errorf("%s: %s", c.name, why)
		}
		if got := used(tr, c.midnight.Add(-time.Minute)).Today; got != 9 {
			t.Errorf("%s: %v minutes before midnight", c.name, got)
		}
		if got := used(tr, c.midnight.Add(time.Minute)); got.Today != 1 || got.ThisMonth != c.month {
			t.Errorf("%s: %+v after midnight", c.name, got)
		}
		call.Release(c.midnight.Add(5*time.Minute), sip.CauseNormal)
		if got := used(tr, c.midnight.Add(time.Hour)).Today; got != 5 {
			t.Errorf("%s: %v minutes of the new day", c.name, got)
		}
	}
}

func TestMinutesOfAMonth(t *testing.T) {
	tr := plain(Config{Name: "a", MinutesPerMonth: 60})
	for day := range 3 {
		at := noon.AddDate(0, 0, day)
		talks(t, tr, at).Release(at.Add(20*time.Minute), sip.CauseNormal)
	}
	if _, why := tr.Admit(noon.AddDate(0, 0, 4), Out, false); why != "minutes: 60 a month are used up" {
		t.Error("refusal:", why)
	}
	if c, why := tr.Admit(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Out, false); c == nil {
		t.Error("the month is over:", why)
	}
}

// What is kept is what a restart begins with: the talk of calls in progress too, since nobody will hear of their end.
func TestMinutesSurviveARestart(t *testing.T) { atNoon(t, minutesSurviveARestart) }

func minutesSurviveARestart(t *testing.T) {
	first := New(Rooms{}, slog.New(slog.DiscardHandler))
	config := Config{Name: "a", Proxies: []transport.Target{{Host: "192.0.2.1"}}, MinutesPerDay: 10}
	first.Update([]Config{config})
	now := time.Now()
	c := talks(t, first.Find("a"), now)
	text, err := json.Marshal(first.Minutes(now.Add(5 * time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	c.Release(now.Add(5*time.Minute), sip.CauseNormal)
	first.Update(nil) // a reload takes the trunk away, and the next brings it back
	first.Update([]Config{config})
	if got := used(first.Find("a"), now).Today; got < 4.9 {
		t.Errorf("%v minutes after it was away", got)
	}
	var kept map[string]Minutes
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	second := New(Rooms{}, slog.New(slog.DiscardHandler))
	for name, m := range kept {
		second.Remember(name, m)
	}
	second.Update([]Config{config})
	if got := used(second.Find("a"), now); got.Today < 4.9 || got.ThisMonth < 4.9 {
		t.Errorf("%+v after a restart", got)
	}
	kept["a"] = Minutes{Day: "2001-01-01", DaySeconds: 600, Month: "2001-01", MonthSeconds: 600}
	third := New(Rooms{}, slog.New(slog.DiscardHandler))
	for name, m := range kept {
		third.Remember(name, m)
	}
	third.Update([]Config{config})
	if got := used(third.Find("a"), now); got.Today != 0 || got.ThisMonth != 0 {
		t.Errorf("%+v of periods long past", got)
	}
}

// A call that another process goes on with counts once: until the minutes were kept in them, and from there on by itself.
func TestMinutesOfAReadmittedCall(t *testing.T) { atNoon(t, minutesOfAReadmittedCall) }

func minutesOfAReadmittedCall(t *testing.T) {
	now := time.Now()
	kept := Minutes{Day: now.UTC().Format(byDay), DaySeconds: 240, Month: now.UTC().Format(byMonth), MonthSeconds: 240, At: now.Add(-time.Second)}
	set := grouped(GroupConfig{Channels: Limit{Both: 1}})
	tr := set.Find("a")
	tr.meters.restore(now, kept)
	c := tr.Readmit(Out, now.Add(-5*time.Minute), now.Add(-4*time.Minute))
	if _, why := set.Find("b").Admit(now, Out, false); why == "" {
		t.Error("it does not count in its group")
	}
	if got := used(tr, now.Add(time.Minute)).Today; got < 5 || got > 5.1 {
		t.Errorf("four minutes before, one after: %v", got)
	}
	c.Release(now.Add(time.Minute), sip.CauseNormal)
	if got := used(tr, now.Add(time.Hour)).Today; got < 5 || got > 5.1 {
		t.Errorf("at the end: %v", got)
	}
	fresh := grouped(GroupConfig{}).Find("a") // a standby without kept minutes counts the whole call
	fresh.Readmit(Out, now.Add(-5*time.Minute), now.Add(-4*time.Minute))
	if got := used(fresh, now); got.ThisMonth < 3.9 {
		t.Errorf("%+v", got)
	}
}
