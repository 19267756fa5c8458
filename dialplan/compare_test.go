package dialplan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Every number lies in a region of which a number was found: one that is in the same patterns of both plans.
func TestRegionsAreComplete(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	all := numbers(4)
	for round := range 150 {
		var sides []*matcher
		for range 2 {
			var patterns []*Pattern
			seen := map[string]bool{}
			for range 1 + r.IntN(6) {
				if p := randomPattern(r); !seen[p.key()] {
					seen[p.key()] = true
					patterns = append(patterns, p)
				}
			}
			sides = append(sides, newMatcher(patterns))
		}
		in := func(number string) string {
			var b strings.Builder
			for _, m := range sides {
				for _, p := range m.patterns {
					fmt.Fprint(&b, p.Matches(number))
				}
			}
			return b.String()
		}
		found, complete := regionsOf(sides, -1, func(number string, accepted [][]int32) string {
			for i, list := range accepted {
				for _, p := range list {
					if !sides[i].patterns[p].Matches(number) {
						t.Errorf("%s is not in %s", number, sides[i].patterns[p])
					}
				}
			}
			return in(number)
		})
		if !complete {
			t.Fatal("a small plan is too large")
		}
		have := map[string]bool{}
		for _, number := range found {
			have[in(number)] = true
		}
		for range 300 {
			number := all[r.IntN(len(all))]
			if strings.HasPrefix(number, "+") && !publicNumber.Matches(number) {
				continue
			}
			if !have[in(number)] {
				t.Fatalf("round %d: no number stands for %s; found %v", round, number, found)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	now := at(t, "2026-11-23T10:00:00Z")
	before := plan(t, office)
	same := Compare(before, plan(t, "# a comment\n"+strings.Replace(office, `route "internal"`, `route "inside"`, 1)), now)
	if len(same.Shifts) != 0 || !same.Complete || same.Numbers < 5 || same.Moments != 2 {
		t.Errorf("another name changes nothing: %s", same)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"a target", `ring { group = ring_group.sales }`, `dial { extension = extension["1004"] }`, "1001 dials 1000 at"},
		{"a pattern widened", `to = "9197"`, `to = "919[78]"`, "1001 dials 9198 at"},
		{"a pattern narrowed", `to   = "1xxx"`, `to   = "1[0-4]xx"`, "before  route \"internal\": "},
		{"a guard dropped", `when = schedule.office.is_open`, `when = schedule.office.is_open || call.from == "1004"`, "1004 dials +442079460000 at"},
		{"an hour more", `09:00-17:30`, `09:00-18:00`, "at 2026-11-23T17:30:00Z"},
		{"a country more", `"GB", "FR"`, `"GB", "FR", "DE"`, "after   refused with 404"},
		{"a handler", `on "busy" "486" {`, `on "488" {`, "on 488"},
		{"a ring time", `timeout   = "20s"`, `timeout   = "21s"`, "for 21s"},
		{"a caller ID", `caller_id   = call.extension.did`, `caller_id   = "+442079460099"`, "shows +442079460099"},
		{"calls at once", `max_calls = 2`, `max_calls = 3`, "at most 3 calls at once"},
		{"a new route", `route "tone" {`, "route \"new\" {\n to = \"*70\"\n echo {}\n}\nroute \"tone\" {", "after   route \"new\": answer and echo"},
		{"a class", "name  = \"Bob\"\n  class = class.office", "name  = \"Bob\"\n  class = class.guest", "1002 dials"},
	} {
		text := strings.Replace(office, c.from, c.to, 1)
		if text == office {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		got := Compare(before, plan(t, text), now)
		if !strings.Contains(got.String(), c.want) {
			t.Errorf("%s: no %q in\n%s", c.name, c.want, got)
		}
	}
}

// A country that a class gains is seen where a route takes its numbers.
func TestCompareSeesCountries(t *testing.T) {
	text := office + "route \"out\" {\n to = \"+[1-9]x{6,14}\"\n reject {\n status = 503\n }\n}\n"
	got := Compare(plan(t, text), plan(t, strings.Replace(text, `"GB", "FR"`, `"GB", "FR", "JE"`, 1)), time.Unix(1790000000, 0))
	if len(got.Shifts) != 1 || Country(got.Shifts[0].Examples[0].To) != "JE" || got.Shifts[0].Before.Status != 403 {
		t.Errorf("%s", got)
	}
}

func TestCompareLargePlans(t *testing.T) {
	a := manyRoutes(t, 3000)
	start := time.Now()
	if got := Compare(a, a, start); len(got.Shifts) != 0 || !got.Complete || got.Numbers != 0 {
		t.Errorf("%s", got)
	}
	b := manyRoutes(t, 3000) // a difference that any call may depend on: all regions are looked at
	b.classes["office"].MaxCalls++
	got := Compare(a, b, start)
	if len(got.Shifts) == 0 || !got.Complete || got.Numbers < 3000 {
		t.Errorf("%d numbers, %d shifts", got.Numbers, len(got.Shifts))
	}
	t.Logf("3,000 routes compared in %v, %d numbers", time.Since(start).Round(time.Millisecond), got.Numbers)
}

func TestReplay(t *testing.T) {
	p := plan(t, office)
	past := Past{
		Call: "c1", Started: at(t, "2026-11-23T10:00:00Z"), From: "1001", Dialled: "1002", Number: "1002", Route: "internal",
		CallerID: "1001", Status: 200, Attempts: []PastAttempt{{Extension: "1002", Status: 480}, {Extension: "1002", Status: 200}},
	}
	if r := p.Replay(past); len(r.Changes) != 0 {
		t.Errorf("nothing has changed, and yet: %s", r)
	}
	other := plan(t, strings.Replace(office, `to   = "1xxx"`, `to   = "1x[1-9]x"`, 1))
	if r := other.Replay(past); !strings.Contains(r.String(), "route     was internal, would be nothing") || !strings.Contains(r.String(), "status    was 200, would be 404") {
		t.Errorf("the route is gone: %s", r)
	}
	group := Past{
		Call: "c2", Started: at(t, "2026-11-23T10:00:00Z"), From: "1004", Dialled: "02079460000", Number: "+442079460000", Route: "line-open",
		CallerID: "1004", Status: 200, Attempts: []PastAttempt{{Extension: "1001", Status: 487}, {Extension: "1002", Status: 200}},
	}
	if r := p.Replay(group); len(r.Changes) != 0 {
		t.Errorf("nothing has changed, and yet: %s", r)
	}
	fewer := plan(t, strings.Replace(office, `[extension["1001"], extension["1002"]]`, `[extension["1001"]]`, 1))
	if r := fewer.Replay(group); !strings.Contains(r.String(), "tried     was 1001, 1002, would be 1001") {
		t.Errorf("a member is gone: %s", r)
	}
	later := plan(t, strings.Replace(office, "09:00-17:30", "11:00-17:30", 1))
	if r := later.Replay(group); !strings.Contains(r.String(), "route     was line-open, would be line-closed (a.hcl:") {
		t.Errorf("the office opens later: %s", r)
	}
}

// What changes in a large plan is found without a walk through all of it.
func TestCompareFindsARowAmongMany(t *testing.T) {
	table := priceList(100_000)
	before, d := withTable(t, listed, table)
	if before == nil {
		t.Fatal(describeAll(d))
	}
	rows := strings.SplitAfter(table, "\n")
	prefix, _, _ := strings.Cut(rows[5000], "...")
	rows[5000] = prefix + "...,499\n"
	after, _ := withTable(t, listed, strings.Join(rows, ""))
	start := time.Now()
	got := Compare(before, after, start)
	if len(got.Shifts) != 1 || !strings.HasPrefix(got.Shifts[0].Examples[0].To, prefix) || !got.Complete || got.Numbers > 100 {
		t.Errorf("%s", got)
	}
	t.Logf("100,000 rows, one of them another: found in %v", time.Since(start).Round(time.Millisecond))
}
