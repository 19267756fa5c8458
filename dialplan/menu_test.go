package dialplan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

const attended = people + `
ring_group "all" { members = [extension["1001"], extension["1002"]] }
trunk "a" { proxy = "192.0.2.1" }
flow "night" {
  play { file = "closed.wav" }
  flow { run = flow.message }
}
flow "message" {
  voicemail { box = extension["1001"] }
}
route "attendant" {
  to = "100"
  menu {
    greeting = "welcome.wav"
    invalid  = "sorry.wav"
    digits   = 4
    choice "1" "2" {
      ring { group = ring_group.all }
      on "no_answer" "busy" {
        flow { run = flow.message }
      }
    }
    choice "1xxx" {
      dial { extension = call.digits }
      on "busy" "unreachable" {
        voicemail { box = call.digits }
      }
    }
    choice "10[01]x" {
      dial { extension = extension["1004"] }
    }
    otherwise {
      dial { extension = extension["1002"] }
    }
  }
}
route "night" {
  to = "101"
  flow { run = flow.night }
}
route "asked" {
  to = "102"
  hook {
    url    = "https://crm.example.com/call"
    secret = "key"
    otherwise {
      play { file = "sorry.wav" }
    }
  }
}
route "mine" {
  to = "*98"
  voicemail {
    box    = call.from
    listen = true
  }
}
route "desk" {
  to = "1xxx"
  dial { extension = call.to }
}
test "a colleague by his number" {
  call    = { from = "1003", to = "100", digits = ["1002"] }
  outcome = { "1004" = "unreachable" }
  expect  = { steps = ["menu", "dial"], tried = ["1004"] }
}
test "a key" {
  call    = { from = "1003", to = "100", digits = ["7", "2"] }
  outcome = { "1001" = "busy", "1002" = "busy" }
  expect  = { steps = ["menu", "ring", "voicemail"], answered = "switch" }
}
test "no key" {
  call   = { from = "1003", to = "100" }
  expect = { steps = ["menu", "dial"], answered = "1002" }
}
test "night" {
  call   = { from = "1003", to = "101" }
  expect = { steps = ["play", "voicemail"], status = 200 }
}
test "the server is silent" {
  call   = { from = "1003", to = "102" }
  expect = { steps = ["hook", "play"], plays = ["sorry.wav"] }
}
`

func attendant(t *testing.T) *Plan {
	t.Helper()
	src := sourceOf(t, attended)
	src.Secret = func(hcl.Expression) (string, hcl.Diagnostics) { return "key", nil }
	p, d := Compile(src)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	return p
}

func TestMenuFlowVoicemailHook(t *testing.T) {
	p := attendant(t)
	if proof := p.Test(); proof.Failed != 0 {
		t.Error(proof)
	}
	want := []string{"/sounds/closed.wav", "/sounds/sorry.wav", "/sounds/welcome.wav"}
	if got := p.Sounds(); !slices.Equal(got, want) {
		t.Errorf("sounds %v", got)
	}
	facts := Facts{From: "1003", To: "100"}
	d := p.Route(facts)
	m := d.Steps[0].(Menu)
	for digits, does := range map[string]string{
		"1":    "ring group all (all: 1001, 1002) for 1m0s; on no_answer busy {voicemail of 1001 for 3m0s, silence 5s}",
		"1002": "dial extension 1004 for 1m0s",
		"1003": "dial extension 1004 for 1m0s",
		"1999": "reject 404 Not Found, cause 1",
	} {
		steps, _, ok := p.Choose(m, facts, digits)
		if !ok || DescribeSteps(steps) != does {
			t.Errorf("%s: %v %s, want %s", digits, ok, DescribeSteps(steps), does)
		}
	}
	if _, _, ok := p.Choose(m, facts, "3"); ok {
		t.Error("3 is no choice")
	}
	for digits, want := range map[string][2]bool{
		"": {true, false}, "1": {true, true}, "10": {true, false}, "1002": {false, true}, "3": {false, false}, "2": {false, true}, "x": {false, false},
	} {
		if more, whole := m.May(digits); more != want[0] || whole != want[1] {
			t.Errorf("%q: more %v whole %v", digits, more, whole)
		}
	}
	if steps := p.Route(Facts{From: "1003", To: "*98"}).Steps; DescribeSteps(steps) != "messages of 1003" {
		t.Errorf("%s", DescribeSteps(steps))
	}
	if text, err := json.Marshal(p.Explain(facts)); err != nil || !strings.Contains(string(text), `{"step":"menu","greeting":"/sounds/welcome.wav"`) {
		t.Errorf("%s %v", text, err)
	}
}

func TestHookIsSignedAndItsAnswerChecked(t *testing.T) {
	p := attendant(t)
	facts := Facts{From: "1001", To: "102", Now: at(t, "2026-11-23T10:00:00Z")}
	h := p.Route(facts).Steps[0].(Hook)
	body, signature := h.Request(Asked{Call: "c1", From: "1001", To: "102", Number: "102", At: facts.Now, Plan: p.Version()})
	mac := hmac.New(sha256.New, []byte("key"))
	fmt.Fprintf(mac, "%d.%s", facts.Now.Unix(), body)
	if signature != fmt.Sprintf("t=%d,v1=%s", facts.Now.Unix(), hex.EncodeToString(mac.Sum(nil))) || !json.Valid(body) {
		t.Errorf("%s signed %s", body, signature)
	}
	if strings.Contains(fmt.Sprint(p.Parts()), "key \"key\"") || strings.Contains(DescribeSteps([]Step{h}), "(key key)") {
		t.Error("the key is shown")
	}
	for answer, want := range map[string]string{
		`{"steps":[{"step":"play","file":"/sounds/sorry.wav"},{"step":"dial","extension":"1002","timeout":20}]}`: "answer and play /sounds/sorry.wav, then dial extension 1002 for 20s",
		`{"steps":[{"step":"ring","group":"all"}]}`:                                                              "ring group all (all: 1002) for 1m0s",
		`{"steps":[{"step":"dial","trunks":["a"],"number":"0033140000000"}]}`:                                    "dial trunk a with +33140000000 for 1m0s",
		`{"steps":[{"step":"reject","status":603,"reason":"No"}]}`:                                               "reject 603 No",
		`{"steps":[{"step":"redirect","to":"sip:a@example.com"}]}`:                                               "redirect 302 to sip:a@example.com",
	} {
		steps, err := p.Answer(facts, []byte(answer))
		if err != nil || DescribeSteps(steps) != want {
			t.Errorf("%s: %v %s", answer, err, DescribeSteps(steps))
		}
	}
	for answer, want := range map[string]string{
		`{}`: "0 steps", `[`: "not the JSON", `{"steps":[{"stap":"dial"}]}`: "not the JSON",
		`{"steps":[{"step":"dial","extension":"1009"}]}`:                                    "no extension",
		`{"steps":[{"step":"dial"}]}`:                                                       "no extension",
		`{"steps":[{"step":"dial","trunks":["z"],"number":"+33140000000"}]}`:                "no trunk",
		`{"steps":[{"step":"dial","trunks":["a"],"number":"+12125550100"}]}`:                "may not dial +12125550100",
		`{"steps":[{"step":"dial","trunks":["a"],"number":"+449098790000"}]}`:               "may not dial",
		`{"steps":[{"step":"play","file":"/etc/passwd"}]}`:                                  "no sound",
		`{"steps":[{"step":"reject","status":200}]}`:                                        "no refusal",
		`{"steps":[{"step":"reject","status":603,"reason":"a\r\nContact: x"}]}`:             "no refusal",
		`{"steps":[{"step":"redirect","to":"a\r\nb"}]}`:                                     "no address",
		`{"steps":[{"step":"echo"},{"step":"echo"}]}`:                                       "nothing can follow",
		`{"steps":[{"step":"hook"}]}`:                                                       "no such step",
		`{"steps":[` + strings.Repeat(`{"step":"echo"},`, 20) + `{"step":"echo"}]}`:         "1 to 16",
		`{"steps":[{"step":"echo","reason":"` + strings.Repeat("a", longestAnswer) + `"}]}`: "more than",
	} {
		if steps, err := p.Answer(facts, []byte(answer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s (%v)", answer, err, want, steps)
		}
	}
}

func TestFlowsInACircle(t *testing.T) {
	refused(t, []string{"a runs b runs c runs a: a call would never leave it"}, people+`
flow "a" {
  flow { run = flow.b }
}
flow "b" {
  play { file = "x.wav" }
  flow { run = flow.c }
}
flow "c" {
  dial { extension = extension["1001"] }
  on "busy" {
    flow { run = flow.a }
  }
}
`)
	p := plan(t, people+`
flow "desk" {
  dial { extension = extension["1001"] }
  on "busy" {
    echo {}
  }
}
route "a" {
  to = "21"
  flow { run = flow.desk }
  on "no_answer" {
    tone {}
  }
}
route "b" {
  to = "22"
  flow { run = flow.desk }
}
`)
	for to, want := range map[string]string{
		"21": "dial extension 1001 for 1m0s; on busy {answer and echo}; on no_answer {answer and play 1004 Hz}",
		"22": "dial extension 1001 for 1m0s; on busy {answer and echo}",
	} {
		if got := DescribeSteps(p.Route(Facts{From: "1002", To: to}).Steps); got != want {
			t.Errorf("%s: %s", to, got)
		}
	}
}
