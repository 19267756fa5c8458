package dialplan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(t testing.TB, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

const office = people + `
schedule "office" {
  timezone = "Europe/London"
  open     = ["mon-fri 09:00-17:30"]
}
ring_group "sales" {
  strategy = "all"
  members  = [extension["1001"], extension["1002"]]
  timeout  = "25s"
}
route "internal" {
  from = [class.office, class.guest]
  to   = "1xxx"
  dial {
    extension = call.to
    timeout   = "20s"
  }
  on "busy" "486" {
    play { file = "busy.wav" }
  }
  on "unreachable" {
    dial { extension = extension["1002"] }
    on "no_answer" {
      play { file = "nobody.wav" }
    }
  }
}
route "desk" {
  to   = "1000"
  ring { group = ring_group.sales }
}
route "line-open" {
  to   = "+442079460000"
  when = schedule.office.is_open
  ring { group = ring_group.sales }
}
route "line-closed" {
  to   = "+442079460000"
  play {
    file   = "closed.wav"
    answer = false
  }
  reject {
    status = 480
    reason = "Closed"
  }
}
route "did" {
  to          = "+442079460018"
  caller_id   = call.extension.did
  caller_name = "${call.extension.name} outside"
  dial { extension = call.to }
}
route "boss" {
  from = [extension["1001"]]
  to   = "*9"
  redirect { to = "sip:${call.extension.number}@example.com" }
}
route "tone" {
  to = "9197"
  tone { hz = 1004 }
}
route "no" {
  to = "9..."
  reject {
    status = 603
    reason = "Declined"
    cause  = 21
  }
}
`

func TestRoute(t *testing.T) {
	p := plan(t, office)
	monday := "2026-11-23T10:00:00Z"
	cases := []struct {
		name, from, to, at string
		route              string
		steps              string
		status             int
	}{
		{"a colleague", "1001", "1002", monday, "internal", "dial extension 1002 for 20s; on busy 486 {answer and play busy.wav}; on unreachable {dial extension 1002 for 1m0s; on no_answer {answer and play nobody.wav}}", 0},
		{"the more specific wins", "1001", "1000", monday, "desk", "ring group sales (all: 1002) for 25s", 0},
		{"no such colleague goes where unreachable goes", "1001", "1999", monday, "internal", "dial extension 1002 for 1m0s; on no_answer {answer and play nobody.wav}", 0},
		{"open", "1001", "+442079460000", monday, "line-open", "ring group sales (all: 1002) for 25s", 0},
		{"closed", "1001", "020 7946 0000", "2026-11-23T18:00:00Z", "line-closed", "play closed.wav before answering, then reject 480 Closed", 0},
		{"a colleague's public number", "1002", "02079460018", monday, "did", "dial extension 1001 for 1m0s", 0},
		{"a guest's home country", "1003", "02079460000", monday, "line-open", "ring group sales (all: 1001, 1002) for 25s", 0},
		{"only for the boss", "1001", "*9", monday, "boss", "redirect 302 to sip:1001@example.com", 0},
		{"not for others", "1002", "*9", monday, "", "", 403},
		{"not for those without a class", "1004", "1001", monday, "", "", 403},
		{"a tone", "1004", "9197", monday, "tone", "answer and play 1004 Hz", 0},
		{"refused by a route", "1001", "9111", monday, "no", "reject 603 Declined, cause 21", 0},
		{"no route", "1001", "2000", monday, "", "", 404},
		{"nothing dialled", "1001", "", monday, "", "", 404},
		{"a name", "1001", "alice", monday, "", "", 404},
		{"France is allowed and has no route", "1001", "0033140000000", monday, "", "", 404},
		{"Germany is not allowed", "1001", "004930000000", monday, "", "", 403},
		{"guests stay at home", "1003", "+33140000000", monday, "", "", 403},
		{"Jersey is not Britain", "1003", "01534000000", monday, "", "", 403},
		{"satellites belong to nobody", "1001", "+88161234567", monday, "", "", 403},
		{"no country at all", "1001", "+999123456", monday, "", "", 403},
		{"an unknown caller", "1234", "1001", monday, "", "", 403},
		{"no caller", "", "1001", monday, "", "", 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := p.Route(Facts{From: c.from, To: c.to, Now: at(t, c.at)})
			if d.Route != c.route || d.Reject.Status != c.status || DescribeSteps(d.Steps) != c.steps {
				t.Errorf("route %q status %d steps %s\n%+v", d.Route, d.Reject.Status, DescribeSteps(d.Steps), d.Reasons)
			}
			if d.Plan != p.Version() || len(d.Reasons) == 0 {
				t.Errorf("plan %q, reasons %v", d.Plan, d.Reasons)
			}
		})
	}
}

func TestRouteShowsTheCaller(t *testing.T) {
	p := plan(t, office)
	d := p.Route(Facts{From: "1002", To: "1001", Now: at(t, "2026-11-23T10:00:00Z")})
	if d.CallerID != (CallerID{"1002", "Bob"}) || d.Caller != (Caller{Extension: "1002", Class: "office"}) || d.MaxCalls != 2 {
		t.Errorf("%+v", d)
	}
	d = p.Route(Facts{From: "1001", To: "02079460018", Now: at(t, "2026-11-23T10:00:00Z")})
	if d.CallerID != (CallerID{"+442079460018", "Alice outside"}) {
		t.Errorf("%+v", d.CallerID)
	}
	d = p.Route(Facts{From: "1002", To: "02079460018", Now: at(t, "2026-11-23T10:00:00Z")})
	if d.CallerID.Number != "1002" {
		t.Errorf("without a DID the extension is shown: %+v", d.CallerID)
	}
}

// One plan answers many goroutines (the race detector watches), and each alike.
func TestRouteIsPure(t *testing.T) {
	p := plan(t, office)
	facts := Facts{From: "1001", To: "02079460000", Now: at(t, "2026-11-23T10:00:00Z")}
	want, err := json.Marshal(p.Explain(facts))
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string)
	for range 8 {
		go func() {
			var got []byte
			for range 50 {
				got, _ = json.Marshal(p.Explain(facts))
			}
			answers <- string(got)
		}()
	}
	for range 8 {
		if got := <-answers; got != string(want) {
			t.Errorf("%s\nand once\n%s", want, got)
		}
	}
}

func TestGroupOrder(t *testing.T) {
	members := []string{"1", "2", "3"}
	noon := at(t, "2026-11-23T12:00:00Z")
	state := State{
		Turns:     map[string]uint64{"g": 4},
		IdleSince: map[string]time.Time{"1": noon, "3": noon.Add(-time.Hour)},
	}
	for s, want := range map[Strategy][]string{
		RingAll: {"1", "2", "3"}, InOrder: {"1", "2", "3"}, RoundRobin: {"2", "3", "1"}, LongestIdle: {"2", "3", "1"},
	} {
		if got := s.order("g", members, &state); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
	if got := RoundRobin.order("new", members, &State{}); !slices.Equal(got, members) {
		t.Errorf("after a start: %v", got)
	}
	if !slices.Equal(members, []string{"1", "2", "3"}) {
		t.Error("the plan's own list was changed")
	}
	p := plan(t, strings.Replace(office, `"all"`, `"round_robin"`, 1))
	for turn, want := range map[uint64]string{0: "1001", 1: "1002", 2: "1001"} {
		d := p.Route(Facts{From: "1004", To: "1000", State: State{Turns: map[string]uint64{"sales": turn}}})
		if got := d.Steps[0].(Ring); got.Members[0] != want || got.Each != 15*time.Second {
			t.Errorf("turn %d begins with %s: %+v", turn, got.Members[0], got)
		}
	}
}

func TestFailureClasses(t *testing.T) {
	for status, want := range map[int]Failure{
		486: Busy, 600: Busy, 408: NoAnswer, 487: NoAnswer, 603: Declined, 403: Declined, 404: Unreachable, 480: Unreachable,
		503: Unreachable, 488: "", 500: "", 415: "",
	} {
		if got := ClassOf(status, false); got != want {
			t.Errorf("%d is %q, want %q", status, got, want)
		}
	}
	if ClassOf(408, true) != Timeout {
		t.Error("silence is a timeout")
	}
	on := []Handler{{Classes: []string{"busy"}}, {Classes: []string{"488", "timeout"}}, {Classes: []string{"4xx", "5xx"}}}
	for _, c := range []struct {
		status int
		silent bool
		want   int
	}{{486, false, 0}, {488, false, 1}, {408, true, 1}, {480, false, 2}, {503, false, 2}, {600, false, 0}, {603, false, -1}, {503, true, 1}} {
		got := -1
		if h := HandlerFor(on, c.status, c.silent); h != nil {
			got = slices.IndexFunc(on, func(x Handler) bool { return slices.Equal(x.Classes, h.Classes) })
		}
		if got != c.want {
			t.Errorf("%d (silent %v) goes to handler %d, want %d", c.status, c.silent, got, c.want)
		}
	}
}

// A naive reading of the rules, route by route, must choose what the compiled plan chooses.
func TestRouteAgainstNaivePlan(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	all := numbers(4)
	compiled := 0
	for range 400 {
		var b strings.Builder
		b.WriteString(people)
		type naive struct {
			name    string
			pattern *Pattern
			from    string
			when    string
		}
		var routes []naive
		for i := range 2 + r.IntN(8) {
			n := naive{fmt.Sprintf("r%d", i), randomPattern(r), []string{"", "class.office", "class.guest"}[r.IntN(3)], []string{"", "call.hour < 12", "call.hour >= 12"}[r.IntN(3)]}
			routes = append(routes, n)
			fmt.Fprintf(&b, "route %q {\n to = %q\n", n.name, n.pattern.text)
			if n.from != "" {
				fmt.Fprintf(&b, " from = [%s]\n", n.from)
			}
			if n.when != "" {
				fmt.Fprintf(&b, " when = %s\n", n.when)
			}
			b.WriteString(" echo {}\n}\n")
		}
		p, d := Compile(sourceOf(t, b.String()))
		if d.HasErrors() {
			continue // it clashes somewhere; that these are the right ones is tested elsewhere
		}
		compiled++
		for range 60 {
			number := all[r.IntN(len(all))]
			caller := []string{"1001", "1003", "1004"}[r.IntN(3)]
			hour := r.IntN(24)
			facts := Facts{From: caller, To: number, Now: time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC)}
			got := p.Route(facts)
			best := -1
			for i, n := range routes {
				class, _ := p.Extension(caller)
				if !n.pattern.Matches(got.Number) || got.Number[0] == '+' && !publicNumber.Matches(got.Number) || n.from != "" && n.from != "class."+class.Class ||
					n.when == "call.hour < 12" && hour >= 12 || n.when == "call.hour >= 12" && hour < 12 {
					continue
				}
				if best < 0 {
					best = i
					continue
				}
				rel, _ := relate(n.pattern, routes[best].pattern)
				if rel == inside || rel == equal && n.when != "" && routes[best].when == "" {
					best = i
				}
			}
			want := ""
			if best >= 0 && got.Reject.Status != 403 {
				want = routes[best].name
			}
			if got.Route != want {
				t.Fatalf("%s dials %s at %d: %q, want %q\n%s\n%+v", caller, number, hour, got.Route, want, b.String(), got.Reasons)
			}
		}
	}
	if compiled < 50 {
		t.Errorf("only %d plans of 400 had no clash: the test sees too little", compiled)
	}
}

func TestExplain(t *testing.T) {
	p := plan(t, office)
	got := p.Explain(Facts{From: "1001", To: "1000", Now: at(t, "2026-11-23T10:00:00Z")}).String()
	for _, want := range []string{
		"call      extension 1001 (class office) dials 1000 at 2026-11-23T10:00:00Z\n",
		"won       route \"desk\" (a.hcl:",
		"lost      route \"internal\" (a.hcl:", "a more specific pattern won",
		"its pattern 9... does not match",
		"leg 1     extension 1002\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	x := p.Explain(Facts{From: "1001", To: "1000"})
	if n := len(p.routes); len(x.Reasons) != n {
		t.Errorf("%d of %d routes are explained", len(x.Reasons), n)
	}
	if text, err := json.Marshal(x); err != nil || !strings.Contains(string(text), `"steps":[{"step":"ring","group":"sales","strategy":"all","members":["1002"],"timeout":25}]`) {
		t.Errorf("%s %v", text, err)
	}
}
