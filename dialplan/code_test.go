package dialplan

import (
	"strings"
	"testing"
	"time"
)

const coded = `
numbering { country = "GB" }
class "office" { countries = ["GB"] }
class "boss" {}
extension "1001" { class = class.office }
extension "1002" { class = class.boss }
schedule "office" {
  timezone = "Europe/London"
  open     = ["mon-fri 09:00-17:00"]
}
feature_codes {
  forward_no_answer = "*92*"
  forward_busy      = ""
  night_schedule    = schedule.office
  night_classes     = [class.boss]
}
route "internal" {
  to = "1xxx"
  dial { extension = call.to }
}
route "out" {
  to = "+..."
  echo {}
}
`

// A code is a step that sets something; nobody may send calls where he could not call himself.
func TestFeatureCodes(t *testing.T) {
	p := ahead(t, coded)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		from, to string
		state    State
		status   int
		want     Set
	}{
		{from: "1001", to: "*21*1002#", want: Set{Feature: ForwardAlways, Number: "1002"}},
		{from: "1001", to: "*21*1002", want: Set{Feature: ForwardAlways, Number: "1002"}},
		{from: "1001", to: "*21*02079460018#", want: Set{Feature: ForwardAlways, Number: "02079460018"}},
		{from: "1001", to: "*92*1002", want: Set{Feature: ForwardNoAnswer, Number: "1002"}},
		{from: "1001", to: "#21#", want: Set{Feature: ForwardOff}},
		{from: "1001", to: "*78", want: Set{Feature: DoNotDisturbOn}},
		{from: "1001", to: "*79", want: Set{Feature: DoNotDisturbOff}},
		{from: "1002", to: "*28", want: Set{Feature: Night, Schedule: "office", State: ClosedByHand}},
		{from: "1002", to: "*28", state: State{Switches: map[string]bool{"office": false}}, want: Set{Feature: Night, Schedule: "office", State: ByHours}},
		{from: "1001", to: "*28", status: 403},            // not its class
		{from: "1001", to: "*21*1001", status: 403},       // a circle
		{from: "1001", to: "*21*0033140000", status: 403}, // may not dial there
		{from: "1001", to: "*21*", status: 403},           // no number
		{from: "1001", to: "*67*1002", status: 404},       // turned off
		{from: "1001", to: "*61*1002", status: 404},       // moved elsewhere
		{from: "1001", to: "*781", status: 404},
	}
	for _, tt := range tests {
		d := p.Route(Facts{From: tt.from, To: tt.to, Now: noon, State: tt.state})
		if d.Reject.Status != tt.status {
			t.Errorf("%s dials %s: %d, want %d: %v", tt.from, tt.to, d.Reject.Status, tt.status, d.Reasons)
			continue
		}
		if tt.status == 0 && (len(d.Steps) != 1 || d.Steps[0] != Step(tt.want)) {
			t.Errorf("%s dials %s: %v, want %v", tt.from, tt.to, d.Steps, tt.want)
		}
	}
}

// A forward to a code is a forward to nowhere: nothing can be set in somebody else's name.
func TestForwardToACode(t *testing.T) {
	p := ahead(t, coded)
	state := State{Features: map[string]Features{"1002": {Forward: Forward{Always: "*78"}}}}
	d := p.Route(Facts{From: "1001", To: "1002", State: state})
	for _, s := range d.Steps {
		if _, ok := s.(Set); ok {
			t.Errorf("steps %v", d.Steps)
		}
	}
	if _, err := p.MayForward(Facts{}, "1001", "*78"); err == nil {
		t.Error("it may be set")
	}
	if n, err := p.MayForward(Facts{}, "1001", "020 7946-0018"); err != nil || n != "02079460018" {
		t.Errorf("%q %v", n, err)
	}
}

func TestCodesThatHideEachOther(t *testing.T) {
	for _, bad := range []string{
		`feature_codes { forward_busy = "*21*" }`, `feature_codes { night = "*99" }`, `feature_codes { do_not_disturb_on = "1234" }`,
		"feature_codes {\n do_not_disturb_on = \"*21*5\"\n}", "feature_codes {}\nfeature_codes {}",
		"schedule \"o\" {\n timezone = \"UTC\"\n open = [\"daily 09:00-17:00\"]\n}\nfeature_codes { night_schedule = schedule.o }",
	} {
		if p, d := Compile(sourceOf(t, bad)); p != nil || !strings.Contains(describeAll(d), "code") && !strings.Contains(describeAll(d), "night") {
			t.Errorf("%s: %s", bad, describeAll(d))
		}
	}
}
