package cluster

import (
	"slices"
	"testing"
	"time"
)

// Two switches with different plans are a problem at once, and an alarm when it stays so; a witness has none.
func TestDifferentPlans(t *testing.T) {
	var told []string
	own := "one"
	e := &Engine{log: quiet, cfg: Config{Node: "a", Members: []Member{{Name: "a"}, {Name: "b"}, {Name: "w", Witness: true}},
		Plan: func() string { return own }, Tell: func(ev Event) { told = append(told, ev.Name) }}}
	now := time.Now()
	hear := func(plan string) {
		e.peers.all = map[string]Peer{"b": {Node: "b", Plan: plan, Heard: now}, "w": {Node: "w", Heard: now}}
	}
	var p plans
	for _, step := range []struct {
		name, plan string
		after      time.Duration
		problem    bool
		told       []string
	}{
		{"the same", "one", 0, false, nil},
		{"another", "two", time.Second, true, nil},
		{"still another", "two", differAfter, true, nil},
		{"for too long", "two", time.Second, true, []string{"different plans"}},
		{"told once", "two", time.Minute, true, []string{"different plans"}},
		{"the same again", "one", time.Second, false, []string{"different plans", "one plan"}},
		{"not heard any more", "two", -time.Minute, false, []string{"different plans", "one plan"}},
	} {
		if now = now.Add(step.after); step.after < 0 {
			hear(step.plan)
			now = now.Add(-2 * step.after)
		} else {
			hear(step.plan)
		}
		p.watch(e, now)
		if got := e.otherPlan(now) != ""; got != step.problem || !slices.Equal(told, step.told) {
			t.Errorf("%s: problem %v, told %v", step.name, got, told)
		}
	}
}
