package cluster

import (
	"strings"
	"testing"
	"time"
)

// An alarm when a clock is more than a second off for sure, none while that is in doubt, and its end when all are together for sure.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	var events []string
	e := &Engine{log: quiet, cfg: Config{Node: "a", Tell: func(ev Event) {
		text := ev.Name + ": " + ev.Detail
		if ev.Alarm {
			text = "alarm " + text
		}
		events = append(events, text)
	}}}
	now := 100 * time.Second
	const remedy = ": run an NTP client on all members"
	for _, step := range []struct {
		what   string
		clocks map[string]Clock
		event  string // "": none
		status string // sentences, a line each
	}{
		{"together", map[string]Clock{"b": {3 * ms, ms}, "w": {-2 * ms, ms}}, "", ""},
		{"more than a second, in doubt", map[string]Clock{"b": {1200 * ms, 400 * ms}, "w": {0, ms}}, "", ""},
		{"more than a second", map[string]Clock{"b": {1200 * ms, 10 * ms}, "w": {0, ms}},
			"alarm clocks apart: the clock of node b is 1.2s ahead of this one's" + remedy, "the clock of node b is 1.2s ahead of this one's" + remedy},
		{"less, in doubt", map[string]Clock{"b": {900 * ms, 400 * ms}, "w": {0, ms}}, "", "the clock of node b is 900ms ahead of this one's" + remedy},
		{"nobody is heard", nil, "", ""},
		{"heard again, and still apart", map[string]Clock{"b": {time.Hour, ms}}, "", "the clock of node b is 1h0m0s ahead of this one's" + remedy},
		{"both others, each another way", map[string]Clock{"b": {time.Hour, ms}, "w": {-time.Hour, ms}},
			"alarm clocks apart: the clock of node b is 1h0m0s ahead of this one's" + remedy + "; the clock of node w is 1h0m0s behind this one's" + remedy,
			"the clock of node b is 1h0m0s ahead of this one's" + remedy + "\nthe clock of node w is 1h0m0s behind this one's" + remedy},
		{"both others agree", map[string]Clock{"b": {time.Hour, ms}, "w": {time.Hour + 10*ms, ms}}, "",
			"the clock of this node is 1h0m0s behind those of nodes b and w" + remedy},
		{"one is right", map[string]Clock{"b": {0, ms}, "w": {time.Hour, ms}}, "", "the clock of node w is 1h0m0s ahead of this one's" + remedy},
		{"both are", map[string]Clock{"b": {0, ms}, "w": {300 * ms, ms}}, "clocks together: those of all members that are heard agree to a second", ""},
	} {
		events = nil
		now += clockKept + time.Second
		for name, x := range step.clocks {
			e.clocks.note(name, x, now)
		}
		e.judgeClocks(now)
		if got := strings.Join(events, "\n"); got != step.event {
			t.Errorf("%s: told %q, not %q", step.what, got, step.event)
		}
		if got := strings.Join(e.clockStatus(now), "\n"); got != step.status {
			t.Errorf("%s: status %q, not %q", step.what, got, step.status)
		}
		if x, heard := e.clocks.of("b", now), step.clocks["b"]; (x == nil) != (len(step.clocks) == 0) || x != nil && *x != heard {
			t.Errorf("%s: clock of b %v", step.what, x)
		}
	}
}
