package dialplan

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// ahead compiles what calls cannot carry out yet.
func ahead(t *testing.T, text string) *Plan {
	t.Helper()
	src := sourceOf(t, text)
	p, d := Compile(src)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	return p
}

const limited = `
numbering { country = "GB" }
class "office" {
  calls_per_minute = 3
  minutes_per_day  = 60
  countries        = ["*"]
  new_country      = "alarm"
  caller_id        = "+442079460000"
}
class "boss" {
  countries   = ["*"]
  premium     = true
  new_country = "refuse"
}
extension "1001" {
  class = class.office
  did   = "+442079460018"
}
extension "1002" { class = class.office }
extension "1003" { class = class.boss }
route "internal" {
  to = "1xxx"
  dial { extension = call.to }
}
route "out" {
  to        = "+[1-9]x{6,14}"
  caller_id = call.extension.did
  echo {}
}
route "nines" {
  to = "9xx"
  echo {}
}
block_list "fraud" {
  destinations = ["+3706...", "+44207946099x"]
  classes      = [class.office]
}
block_list "all" {
  destinations = ["+371..."]
  status       = 403
}
`

func TestLimits(t *testing.T) {
	p := ahead(t, limited)
	used := func(u Usage) State { return State{Usage: map[string]Usage{"1001": u, "1003": u}} }
	for _, c := range []struct {
		name, from, to string
		state          State
		status         int
		why            string
	}{
		{"within all limits", "1001", "+33140000000", used(Usage{LastMinute: 2, MinutesToday: 59.9, Countries: []string{"FR"}}), 0, ""},
		{"too many a minute", "1001", "1002", used(Usage{LastMinute: 3}), 403, "at most 3 calls a minute"},
		{"too long a day", "1001", "+33140000000", used(Usage{MinutesToday: 60}), 403, "at most 60 minutes a day"},
		{"colleagues are free", "1001", "1002", used(Usage{MinutesToday: 60}), 0, ""},
		{"our own numbers are free", "1002", "02079460018", State{}, 0, ""},
		{"another phone's use", "1002", "1001", used(Usage{LastMinute: 3}), 0, ""},
		{"premium", "1001", "09098790000", State{}, 403, "premium services"},
		{"premium abroad", "1001", "+39899123456", State{}, 403, "premium services"},
		{"satellites", "1001", "+881612345678", State{}, 403, "premium services"},
		{"premium for the boss", "1003", "09098790000", State{}, 0, ""},
		{"a new country is refused", "1003", "+33140000000", State{}, 403, "has never called FR"},
		{"a country called before", "1003", "+33140000000", used(Usage{Countries: []string{"DE", "FR"}}), 0, ""},
		{"at home nothing is new", "1003", "02079460111", State{}, 0, ""},
		{"a blocked destination", "1001", "+37061234567", State{}, 603, "calls to +37061234567 are blocked"},
		{"blocked at home", "1001", "02079460991", State{}, 603, "are blocked"},
		{"blocked for others", "1003", "02079460991", State{}, 0, ""},
		{"blocked for all", "1003", "+37161234567", used(Usage{Countries: []string{"LV"}}), 403, "are blocked"},
	} {
		d := p.Route(Facts{From: c.from, To: c.to, State: c.state})
		last := d.Reasons[len(d.Reasons)-1].Why
		if d.Reject.Status != c.status || !strings.Contains(last, c.why) {
			t.Errorf("%s: %d %q, want %d %q", c.name, d.Reject.Status, last, c.status, c.why)
		}
	}
	d := p.Route(Facts{From: "1001", To: "+33140000000"})
	if len(d.Alarms) != 1 || d.Alarms[0].Rule != "new_country" || d.Reject.Status != 0 {
		t.Errorf("no alarm: %+v", d)
	}
}

func TestCallerIDOutside(t *testing.T) {
	p := ahead(t, limited)
	for _, c := range []struct{ from, to, want string }{
		{"1001", "02079460111", "+442079460018"}, // its own
		{"1002", "02079460111", "+442079460000"}, // that of its class
		{"1003", "02079460111", "1003"},          // nobody said otherwise
		{"1002", "1001", "1002"},                 // inside extensions are shown
		{"1002", "02079460018", "1002"},
	} {
		if d := p.Route(Facts{From: c.from, To: c.to}); d.CallerID.Number != c.want {
			t.Errorf("%s dials %s and shows %s, want %s", c.from, c.to, d.CallerID.Number, c.want)
		}
	}
}

// Nothing stands in the way of an emergency call: not a route, a class, a limit, a list, a schedule or what a phone set.
func TestEmergency(t *testing.T) {
	p := ahead(t, limited+`
trunk "a" { proxy = "192.0.2.1" }
trunk "b" { proxy = "192.0.2.2" }
block_list "everything" { destinations = ["9...", "1...", "+..."] }
emergency {
  numbers   = ["999", "112"]
  trunks    = [trunk.a, trunk.b]
  notify    = ["https://desk.example.com/emergency"]
  caller_id = "+442079460001"
  secret    = "key"
}
`)
	used := State{
		Usage:    map[string]Usage{"1001": {LastMinute: 99, MinutesToday: 9999}},
		Features: map[string]Features{"1001": {DoNotDisturb: true, Forward: Forward{Always: "1002"}}},
	}
	for _, dialled := range []string{"999", "112", "9-9-9", "+999", "+112"} {
		for from, shows := range map[string]string{"1001": "+442079460018", "1002": "+442079460001", "1003": "+442079460001"} {
			d := p.Route(Facts{From: from, To: dialled, State: used})
			if !d.Emergency || d.Reject.Status != 0 || len(d.Steps) != 1 || d.CallerID.Number != shows || d.MaxCalls != 0 || len(d.Notify) != 1 {
				t.Fatalf("%s dials %s: %+v", from, dialled, d)
			}
			dial := d.Steps[0].(Dial)
			if dial.Targets[0] != (Target{Trunk: "a", Number: d.Number}) || len(d.Number) != 3 {
				t.Errorf("%s: %+v", dialled, dial)
			}
		}
	}
	for _, o := range []Outcome{{Status: 404}, {Status: 486}, {Status: 603}, {Status: 503}, {Status: 408, Silent: true}, {Status: 503, Unreachable: true}} {
		trial := p.Try(Facts{From: "1001", To: "999"}, Outcomes{"trunk.a": o})
		if !slices.Equal(trial.Tried, []string{"trunk.a", "trunk.b"}) || trial.Answered != "trunk.b" {
			t.Errorf("%+v: %+v", o, trial)
		}
	}
	if d := p.Route(Facts{From: "1001", To: "991"}); d.Emergency {
		t.Error("991 is no emergency number")
	}
	if d := p.Route(Facts{From: "4711", To: "999"}); d.Emergency || d.Reject.Status != 403 {
		t.Error("who is nobody may call")
	}
	refused(t, []string{"no way out"}, limited+"emergency {\n numbers = [\"999\"]\n trunks = []\n notify = [\"https://a.example\"]\n}\n")
}

func TestNightSwitch(t *testing.T) {
	p := plan(t, office)
	monday, sunday := at(t, "2026-11-23T10:00:00Z"), at(t, "2026-11-22T10:00:00Z")
	for _, c := range []struct {
		at       time.Time
		switches map[string]bool
		want     string
	}{
		{monday, nil, "line-open"}, {monday, map[string]bool{"office": false}, "line-closed"},
		{sunday, nil, "line-closed"}, {sunday, map[string]bool{"office": true}, "line-open"},
	} {
		d := p.Route(Facts{From: "1001", To: "02079460000", Now: c.at, State: State{Switches: c.switches}})
		if d.Route != c.want {
			t.Errorf("%v %v: %s, want %s", c.at, c.switches, d.Route, c.want)
		}
	}
}

func TestForwardsAndDoNotDisturb(t *testing.T) {
	p := plan(t, office)
	for _, c := range []struct {
		name  string
		set   map[string]Features
		o     Outcomes
		to    string
		tried string
		plays string
	}{
		{"always", map[string]Features{"1002": {Forward: Forward{Always: "1004"}}}, nil, "1002", "1004", ""},
		{"a chain", map[string]Features{"1002": {Forward: Forward{Always: "1001"}}, "1001": {Forward: Forward{Always: "1004"}}}, nil, "1002", "1004", ""},
		{"a circle rings where it began", map[string]Features{"1002": {Forward: Forward{Always: "1001"}}, "1001": {Forward: Forward{Always: "1002"}}}, nil, "1002", "1002", ""},
		{"busy", map[string]Features{"1002": {Forward: Forward{Busy: "1004"}}}, Outcomes{"1002": {Status: 486}}, "1002", "1002 1004", ""},
		{"not busy", map[string]Features{"1002": {Forward: Forward{Busy: "1004"}}}, nil, "1002", "1002", ""},
		{"no answer", map[string]Features{"1002": {Forward: Forward{NoAnswer: "1004", After: 5 * time.Second}}}, Outcomes{"1002": {Status: 408}}, "1002", "1002 1004", ""},
		{"unreachable", map[string]Features{"1003": {Forward: Forward{Unreachable: "1004"}}}, Outcomes{"1003": {Status: 480}}, "1003", "1003 1004", ""},
		{"to a number that it may not dial", map[string]Features{"1003": {Forward: Forward{Always: "+33140000000"}}}, nil, "1003", "1003", ""},
		{"do not disturb is busy for the route", map[string]Features{"1002": {DoNotDisturb: true}}, nil, "1002", "", "/sounds/busy.wav"},
		{"do not disturb, but forwarded", map[string]Features{"1002": {DoNotDisturb: true, Forward: Forward{Busy: "1004"}}}, nil, "1002", "1004", ""},
		{"a group leaves out who wants no calls", map[string]Features{"1001": {DoNotDisturb: true}}, nil, "1000", "1002", ""},
	} {
		got := p.Try(Facts{From: "1003", To: c.to, State: State{Features: c.set}}, c.o)
		if c.to == "1003" {
			got = p.Try(Facts{From: "1001", To: c.to, State: State{Features: c.set}}, c.o)
		}
		if strings.Join(got.Tried, " ") != c.tried || strings.Join(got.Plays, " ") != c.plays {
			t.Errorf("%s: tried %v, played %v\n%+v", c.name, got.Tried, got.Plays, got.Decision.Reasons)
		}
	}
	everybody := map[string]Features{}
	for _, x := range []string{"1001", "1002", "1003", "1004"} {
		everybody[x] = Features{Forward: Forward{Busy: "1001", NoAnswer: "1002", Unreachable: "1003"}}
	}
	if d := p.Route(Facts{From: "1001", To: "1002", State: State{Features: everybody}}); forwarded(d) > mostForwards || len(d.Reasons) > 100 {
		t.Errorf("forwards upon forwards: %d of %d reasons", forwarded(d), len(d.Reasons))
	}
	d := p.Route(Facts{From: "1001", To: "1002", State: State{Features: map[string]Features{"1002": {Forward: Forward{NoAnswer: "1004", After: 5 * time.Second}}}}})
	if dial := d.Steps[0].(Dial); dial.Timeout != 5*time.Second || dial.On[0].Classes[0] != "no_answer" {
		t.Errorf("%+v", dial)
	}
	if d := p.Route(Facts{From: "1001", To: "1002"}); len(d.Steps[0].(Dial).On) != 2 {
		t.Error("a call changed the plan")
	}
}

func TestStateInTests(t *testing.T) {
	p := plan(t, office+`
test "by hand" {
  call   = { from = "1001", to = "02079460000", at = "2026-11-23T10:00:00Z" }
  state  = { closed = ["office"] }
  expect = { route = "line-closed" }
}
test "forwarded" {
  call   = { from = "1001", to = "1003" }
  state  = { forward = { "1003" = "1004" }, do_not_disturb = ["1002"] }
  expect = { tried = ["1004"] }
}
`)
	if proof := p.Test(); proof.Failed != 0 {
		t.Error(proof)
	}
	refused(t, []string{`There is no schedule "offce". Did you mean "office"?`, `There is no extension "1009"`, "nothing that a state may say"}, office+`
test "wrong" {
  call   = { from = "1001", to = "1003" }
  state  = { open = ["offce"], do_not_disturb = ["1009"], minuts_today = 5 }
  expect = { status = 200 }
}
`)
}

func forwarded(d Decision) (n int) {
	for _, r := range d.Reasons {
		if r.Rule == "forward" && r.Verdict == Applied {
			n++
		}
	}
	return n
}
