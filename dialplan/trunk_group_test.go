package dialplan

import (
	"strings"
	"testing"
	"time"
)

const grouped = people + `
trunk "a" {}
trunk "b" {}
trunk "c" {}
trunk "d" {}
schedule "day" {
  timezone = "Europe/London"
  open     = ["mon-fri 08:00-18:00"]
}
trunk_group "uk" {
  member {
    trunk  = trunk.a
    weight = 30
  }
  member {
    trunk  = trunk.b
    weight = 70
  }
  member {
    trunk    = trunk.c
    priority = 2
    when     = schedule.day.is_open
  }
  channels = 100
  cps_out  = 20
}
trunk_group "night" {
  member {
    trunk = trunk.d
    when  = schedule.day.is_closed
  }
}
route "out" {
  to = "+44..."
  dial { trunks = [trunk_group.uk, trunk.a, trunk.d] }
  failover { first_reply = "2s" }
}
route "night" {
  to = "+33..."
  dial { trunks = [trunk_group.night] }
}
route "in" {
  from = [trunk_group.uk]
  to   = "+442079460018"
  echo {}
}
emergency {
  numbers = ["999"]
  trunks  = [trunk_group.uk]
}
test "weights" {
  call    = { from = "1001", to = "02079460099", at = "2026-11-23T10:00:00Z" }
  outcome = { "trunk.b" = 503, "trunk.a" = "timeout" }
  expect  = { tried = ["trunk.b", "trunk.a", "trunk.c"], answered = "trunk.c" }
}
`

func TestTrunkGroups(t *testing.T) {
	p := plan(t, grouped)
	day, night := at(t, "2026-11-23T10:00:00Z"), at(t, "2026-11-23T20:00:00Z")
	for _, c := range []struct {
		to   string
		at   time.Time
		want string
	}{
		{"02079460099", day, "dial trunk b with +442079460099 (group uk, rank 0, weight 70) trunk a with +442079460099 (group uk, rank 0, weight 30) trunk c with +442079460099 (group uk, rank 1, weight 1) trunk d with +442079460099 for 1m0s, first reply in 2s"},
		{"02079460099", night, "dial trunk b with +442079460099 (group uk, rank 0, weight 70) trunk a with +442079460099 (group uk, rank 0, weight 30) trunk d with +442079460099 for 1m0s, first reply in 2s"},
		{"+33140000000", day, "reject 404 Not Found, cause 3"},
		{"+33140000000", night, "dial trunk d with +33140000000 (group night, rank 0, weight 1) for 1m0s"},
	} {
		if got := DescribeSteps(p.Route(Facts{From: "1001", To: c.to, Now: c.at}).Steps); got != c.want {
			t.Errorf("%s at %s:\n%s\nwant\n%s", c.to, c.at, got, c.want)
		}
	}
	for trunk, want := range map[string]string{"a": "in", "c": "in", "d": ""} {
		if got := p.Route(Facts{Trunk: trunk, To: "+442079460018"}).Route; got != want {
			t.Errorf("a call over %s takes %q, want %q", trunk, got, want)
		}
	}
	if got := DescribeSteps(p.Route(Facts{From: "1001", To: "999"}).Steps); strings.Count(got, "dial trunk") != 3 {
		t.Error("an emergency call has not every member:", got)
	}
	if proof := p.Test(); proof.Failed != 0 {
		t.Errorf("%s", proof)
	}
	groups := p.TrunkGroups()
	if len(groups) != 2 || groups[1].Channels != [3]int{100, 0, 0} || groups[1].CPS != [3]int{0, 0, 20} || len(groups[1].Members) != 3 {
		t.Errorf("%+v", groups)
	}
	if before, after := p, plan(t, strings.Replace(grouped, "weight = 70", "weight = 20", 1)); before.Version() == after.Version() || len(Compare(before, after, day).Shifts) == 0 {
		t.Error("another weight is the same plan")
	}
}

func TestTrunkGroupsAreChecked(t *testing.T) {
	const head = people + "trunk \"a\" {}\ntrunk \"b\" {}\n"
	for name, c := range map[string]struct{ text, want string }{
		"no member":     {`trunk_group "g" {}`, "no trunk: A trunk group needs trunks"},
		"unknown trunk": {`trunk_group "g" { trunks = [trunk.aa] }`, `There is no trunk "aa". Did you mean trunk.a?`},
		"twice":         {`trunk_group "g" { trunks = [trunk.a, trunk.a] }`, "Trunk a is a member already"},
		"strategy":      {"trunk_group \"g\" {\n trunks = [trunk.a]\n strategy = \"costs\"\n}", `Did you mean "cost"?`},
		"no deck":       {"trunk_group \"g\" {\n trunks = [trunk.a]\n strategy = \"cost\"\n}", "no prices: No rate_deck"},
		"weight":        {"trunk_group \"g\" {\n member {\n trunk = trunk.a\n weight = 0\n }\n}", `"weight" must be a whole number from 1`},
		"condition":     {"trunk_group \"g\" {\n member {\n trunk = trunk.a\n when = call.hor > 3\n }\n}", `call has no "hor"`},
		"unpriced":      {"trunk_group \"g\" {\n trunks = [trunk.a]\n unpriced = \"last\"\n}", `"unpriced" is for strategy = "cost"`},
		"unknown group": {"route \"r\" {\n to = \"+4...\"\n dial { trunks = [trunk_group.g] }\n}", `There is no trunk group "g"`},
		"a group in it": {"trunk_group \"f\" { trunks = [trunk.a] }\ntrunk_group \"g\" { trunks = [trunk_group.f] }", `"trunk_group" cannot stand here`},
	} {
		t.Run(name, func(t *testing.T) { refused(t, []string{c.want}, head+c.text) })
	}
}

// A range of numbers in the public network leads to extensions, groups and flows.
func TestRangesOfNumbersComeIn(t *testing.T) {
	p := plan(t, people+`
trunk "a" {}
ring_group "desk" { members = [extension["1001"], extension["1002"]] }
flow "closed" {
  reject { status = 480 }
}
route "range" {
  from = [trunk.a]
  to   = "+4420794610xx"
  dial { extension = "10${last(call.to, 2)}" }
}
route "desk" {
  from = [trunk.a]
  to   = "+442079461000"
  ring { group = ring_group.desk }
}
route "old" {
  from = [trunk.a]
  to   = "+44207947..."
  flow { run = flow.closed }
}
`)
	for to, want := range map[string]string{
		"+442079461001": "dial extension 1001 for 1m0s",
		"+442079461002": "dial extension 1002 for 1m0s",
		"+442079461077": "reject 404 Not Found, cause 1",
		"+442079461000": "ring group desk (all: 1001, 1002) for 1m0s",
		"+442079470000": "reject 480 ",
	} {
		if got := DescribeSteps(p.Route(Facts{Trunk: "a", To: to}).Steps); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
	refused(t, []string{"not a count: How many digits last() takes"}, people+`
route "r" {
  to = "1xxx"
  dial { extension = last(call.to, call.hour) }
}`)
}
