package dialplan

import (
	"encoding/json"
	"strings"
	"testing"
)

const tested = office + `
test "busy" {
  call    = { from = "1001", to = "1002" }
  outcome = { "1002" = "busy" }
  expect  = { route = "internal", tried = ["1002"], steps = ["dial", "play"], plays = ["busy.wav"], status = 200, answered = "switch" }
}
test "a code has its own handler" {
  call    = { from = "1002", to = "1001" }
  outcome = { "1001" = "unreachable", "1002" = 408 }
  expect  = { tried = ["1001", "1002"], plays = ["nobody.wav"] }
}
test "a failure that nobody handles" {
  call    = { from = "1002", to = "1001" }
  outcome = { "1001" = 488 }
  expect  = { tried = ["1001"], status = 488 }
}
test "open" {
  call    = { from = "1004", to = "02079460000", at = "2026-11-23T10:00:00Z" }
  outcome = { "1001" = "busy" }
  expect  = { number = "+442079460000", route = "line-open", tried = ["1001", "1002"], answered = "1002", status = 200 }
}
test "closed" {
  call   = { from = "1004", to = "02079460000", at = "2026-11-22T10:00:00Z" }
  expect = { route = "line-closed", steps = ["play", "reject"], status = 480 }
}
test "own number" {
  call   = { from = "1001", to = "02079460018" }
  expect = { route = "did", caller_id = "+442079460018", caller_name = "Alice outside" }
}
`

func TestTestsOfAPlan(t *testing.T) {
	p := plan(t, tested)
	proof := p.Test()
	if proof.Failed != 0 || len(proof.Tests) != 6 || p.Tests() != 6 {
		t.Errorf("%s", proof)
	}
	var unreached []string
	for _, u := range proof.Unreached {
		unreached = append(unreached, u.Route)
	}
	if got := strings.Join(unreached, " "); got != "desk boss tone no" {
		t.Errorf("unreached: %s", got)
	}
	if p.Version() != plan(t, office).Version() {
		t.Error("a test changes the plan's version: calls go the same way")
	}
	if text, err := json.Marshal(proof); err != nil || !strings.Contains(string(text), `"route":"desk"`) {
		t.Errorf("%s %v", text, err)
	}
}

func TestAFailedTestSaysWhatAndWhere(t *testing.T) {
	p := plan(t, office+`
test "wrong" {
  call   = { from = "1001", to = "1002" }
  expect = {
    route = "desk"
    tried = ["1002", "1001"]
    plays = ["busy.wav"]
  }
}
test "when" {
  call   = { from = "1001", to = "02079460000" }
  expect = { route = "line-closed" }
}
`)
	proof := p.Test()
	got := proof.String()
	for _, want := range []string{
		"FAIL  wrong (a.hcl:", `route is internal, expected desk`, `tried is 1002, expected 1002, 1001`, `plays is nothing, expected busy.wav`,
		`won      route "internal"`, "FAIL  when", `at is a condition that was asked without one`, "2 tests, 2 failed; 2 of 8 routes reached",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if proof.Failed != 2 || proof.Failures() == "" {
		t.Error("the failures are not counted")
	}
}

func TestRingingInATrial(t *testing.T) {
	in := func(strategy string) *Plan { return plan(t, strings.Replace(office, `"all"`, `"`+strategy+`"`, 1)) }
	busy, no := Outcomes{"1001": {Status: 486}, "1002": {Status: 486}}, Outcomes{"1001": {Status: 603}}
	for _, x := range []struct {
		strategy string
		o        Outcomes
		tried    string
		status   int
	}{
		{"all", nil, "1001 1002", 200}, {"all", busy, "1001 1002", 486}, {"all", no, "1001 1002", 200},
		{"in_order", nil, "1001", 200}, {"in_order", busy, "1001 1002", 486}, {"in_order", no, "1001", 603},
	} {
		got := in(x.strategy).Try(Facts{From: "1004", To: "1000"}, x.o)
		if strings.Join(got.Tried, " ") != x.tried || got.Status != x.status {
			t.Errorf("%s with %v: %v %d", x.strategy, x.o, got.Tried, got.Status)
		}
	}
}
