package call

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/dialplan"
	"tandem/sip/digest"
)

const counted = `
numbering { country = "GB" }
class "office" {
  countries        = ["*"]
  calls_per_minute = 2
  minutes_per_day  = 10
  new_country      = "alarm"
}
extension "1001" { class = class.office }
extension "1002" { class = class.office }
extension "1004" {}
trunk "a" { proxy = "192.0.2.50" }
schedule "office" {
  timezone = "UTC"
  open     = ["daily 00:00-24:00"]
}
feature_codes {
  night_schedule = schedule.office
  night_classes  = [class.office]
}
emergency {
  numbers = ["112"]
  trunks  = [trunk.a]
}
route "internal" {
  to = "1xxx"
  dial { extension = call.to }
}
route "echo" {
  to = "400"
  echo {}
}
route "pstn" {
  to = "+..."
  dial { trunks = [trunk.a] }
}
`

func countedPlan(t *testing.T) setup {
	return func(_ *Config, s *Settings) {
		s.Plan = planOf(t, counted)
		s.Credentials = map[string]digest.Credential{}
		for _, x := range s.Plan.Extensions() {
			s.Credentials[x.Number] = digest.NewCredential(x.Number, realm, secretWord+x.Number)
		}
	}
}

// echoes calls the echo and hangs up.
func (o *office) echoes(p *phone) {
	o.Helper()
	d := p.invites("400", "offer")
	d.takes(d.hears("200"))
	d.acks("")
	d.asks("BYE", "")
	p.hears("200 BYE")
	o.latest()
}

// The third call of a minute is refused and its record says why; a minute after the first there is room for one more.
func TestCallsPerMinute(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		o.echoes(alice)
		o.pass(20 * time.Second)
		o.echoes(alice)
		alice.invites("400", "offer").hears("403")
		if r := o.latest(); r.Status != 403 || r.Refused != "class office begins at most 2 calls a minute" {
			o.Errorf("record: %d %q", r.Status, r.Refused)
		}
		o.pass(41 * time.Second)
		o.echoes(alice)
		alice.invites("400", "offer").hears("403")
		o.latest()
		o.pass(time.Minute)
		o.board.begun(o.board.Settings().Plan, dialplan.Facts{From: "1004", To: "400", Now: time.Now()})
		if g := &o.board.groups; len(g.state.Usage) > 0 || len(g.begun) > 0 {
			o.Errorf("what is over is kept: %v %v", g.state.Usage, g.begun)
		}
	}, countedPlan(t))
}

// A call that an extension forwards outside is its own affair: it counts against its limits, and a country that is new to
// it is heard of.
func TestForwardedCallsAreChargedToWhoForwards(t *testing.T) {
	s := New(Config{}, Rooms{Ledger: &fakeLedger{}}, slog.New(slog.DiscardHandler))
	plan := planOf(t, counted)
	const abroad = "+33140000000"
	s.groups.state.Features = map[string]dialplan.Features{"1002": {Forward: dialplan.Forward{Always: abroad}}}
	now := time.Now()
	goes := func() (payer string) {
		d := s.route(plan, dialplan.Facts{From: "1004", To: "1002", Now: now})
		if len(d.Steps) > 0 {
			if dial, ok := d.Steps[0].(dialplan.Dial); ok {
				return dial.Payer
			}
		}
		return ""
	}
	if payer := goes(); payer != "1002" {
		t.Fatalf("%q pays for the forwarded call", payer)
	}
	c := &Call{board: s, settings: &Settings{Plan: plan}, log: slog.New(slog.DiscardHandler)}
	if alarms := c.forwardedBy("1002", abroad); len(alarms) != 1 || alarms[0].Rule != "new_country" || s.stats.Alarms.Load() != 1 {
		t.Errorf("the first call to a country raises %v", alarms)
	}
	if alarms := c.forwardedBy("1002", abroad); len(alarms) != 0 {
		t.Errorf("the second call raises %v", alarms)
	}
	s.spent(plan, &Record{From: "1004", payer: "1002", Ended: now, Duration: 120, Attempts: []Attempt{{Trunk: "a", Status: 200}}})
	if u := s.groups.state.Usage; u["1002"].LastMinute != 2 || u["1002"].MinutesToday != 2 || len(u["1004"].Countries) != 0 {
		t.Errorf("usage %+v", u)
	}
	if payer := goes(); payer != "" {
		t.Error("an extension that has begun its two calls of this minute forwards a third")
	}
}

// Minutes outside count on the day that they are of, in the zone of the plan.
func TestMinutesADay(t *testing.T) {
	s := New(Config{}, Rooms{Ledger: &fakeLedger{}}, slog.New(slog.DiscardHandler))
	plan := planOf(t, counted)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	out := Record{From: "1001", Ended: noon, Duration: 601, Attempts: []Attempt{{Trunk: "a", Status: 200}}}
	ask := func(to string, at time.Time) int {
		return s.route(plan, dialplan.Facts{From: "1001", To: to, Now: at}).Reject.Status
	}
	inside := out
	inside.Attempts = []Attempt{{Extension: "1002", Status: 200}}
	s.spent(plan, &inside)
	if got := ask("+442079460018", noon); got != 0 {
		t.Error("minutes inside count:", got)
	}
	s.spent(plan, &out)
	if got := ask("+442079460018", noon); got != 403 {
		t.Error("after ten minutes outside:", got)
	}
	if got := ask("1002", noon); got != 0 {
		t.Error("calls inside are refused:", got)
	}
	late := out
	late.Ended = noon.Add(-13 * time.Hour)
	s.spent(plan, &late)
	if got := ask("+442079460018", noon); got != 403 {
		t.Error("after a record of yesterday:", got)
	}
	s.begun(plan, dialplan.Facts{From: "1002", To: "400", Now: noon.Add(12 * time.Hour)})
	if got := ask("+442079460018", noon.Add(12*time.Hour)); got != 0 {
		t.Error("on the next day:", got)
	}
}

// fakeMemory keeps values in memory.
type fakeMemory struct {
	mu     sync.Mutex
	values map[string][]byte
	answer error
}

func (m *fakeMemory) Keep(key string, value []byte, done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	if m.values[key] = value; value == nil {
		delete(m.values, key)
	}
	if done != nil {
		go done(m.answer)
	}
}

// remembering is a switchboard that has taken what is kept in a memory.
func remembering(t *testing.T, plan *dialplan.Plan, values map[string][]byte) *Switchboard {
	s := New(Config{}, Rooms{Ledger: &fakeLedger{}, Memory: &fakeMemory{}}, slog.New(slog.DiscardHandler))
	s.Update(&Settings{Plan: plan})
	for key, v := range values {
		if err := s.Remember(key, v); err != nil {
			t.Error(err)
		}
	}
	return s
}

// The first call to a country is an alarm, the second is not; what was set and used is there for another process at once, each
// under its key, and what is taken back is forgotten.
func TestStateIsKept(t *testing.T) {
	plan := planOf(t, counted)
	now := time.Now()
	call := func(s *Switchboard) []dialplan.Alarm {
		return s.begun(plan, dialplan.Facts{From: "1001", To: "+33140000000", Now: now}).Alarms
	}
	memory := &fakeMemory{}
	s := New(Config{}, Rooms{Ledger: &fakeLedger{}, Memory: memory}, slog.New(slog.DiscardHandler))
	s.Update(&Settings{Plan: plan})
	if a := call(s); len(a) != 1 || a[0].Why != "extension 1001 has never called FR before" {
		t.Errorf("alarms %v", a)
	}
	if a := call(s); len(a) != 0 {
		t.Errorf("a second alarm: %v", a)
	}
	for _, set := range []dialplan.Set{{Feature: dialplan.ForwardBusy, Number: "1004"}, {Feature: dialplan.DoNotDisturbOn},
		{Feature: dialplan.Night, Schedule: "office", State: dialplan.ClosedByHand}} {
		if err := s.Set("1002", set); err != nil {
			t.Fatal(err)
		}
	}
	if s.Set("1999", dialplan.Set{Feature: dialplan.DoNotDisturbOn}) == nil || s.Set("", dialplan.Set{Schedule: "x"}) == nil {
		t.Error("what is not there is set")
	}
	s.spent(plan, &Record{From: "1001", Ended: now, Duration: 300, Attempts: []Attempt{{Trunk: "a", Status: 200}}})
	again := remembering(t, plan, memory.values)
	f, err := again.Features("1002")
	if err != nil || !f.DoNotDisturb || f.Forward.Busy != "1004" || again.Switches()["office"] {
		t.Errorf("features %+v, switches %v, %v", f, again.Switches(), err)
	}
	if _, closed := again.Switches()["office"]; !closed {
		t.Error("the night switch is forgotten")
	}
	if a := call(again); len(a) != 0 {
		t.Errorf("the country is forgotten: %v", a)
	}
	if u := again.groups.state.Usage["1001"]; u.MinutesToday != 5 {
		t.Errorf("usage %+v", u)
	}
	for _, set := range []dialplan.Set{{Feature: dialplan.ForwardOff}, {Feature: dialplan.DoNotDisturbOff}, {Feature: dialplan.Night, Schedule: "office", State: dialplan.ByHours}} {
		if err := s.Set("1002", set); err != nil {
			t.Fatal(err)
		}
	}
	for key := range memory.values {
		if key != "usage/1001" {
			t.Errorf("%s = %s is still kept", key, memory.values[key])
		}
	}
	if err := again.Remember("features/1002", nil); err != nil {
		t.Fatal(err)
	}
	if f, _ := again.Features("1002"); f.DoNotDisturb {
		t.Error("what was forgotten elsewhere still counts")
	}
	memory.answer = ErrDeposed
	if err := s.Set("1002", dialplan.Set{Feature: dialplan.DoNotDisturbOn}); !errors.Is(err, ErrDeposed) {
		t.Errorf("set while another node serves: %v", err)
	}
}

// Minutes are those of a day: a later one ends them, whichever comes first.
func TestMinutesOfAnotherDay(t *testing.T) {
	plan := planOf(t, counted)
	s := New(Config{}, Rooms{Ledger: &fakeLedger{}}, slog.New(slog.DiscardHandler))
	s.Update(&Settings{Plan: plan})
	for _, step := range []struct{ extension, kept string }{
		{"1001", `{"day":"2026-11-27","minutes":7,"countries":["FR"]}`},
		{"1002", `{"day":"2026-11-28","minutes":2}`},
		{"1004", `{"day":"2026-11-27","minutes":9}`},
	} {
		if err := s.Remember("usage/"+step.extension, []byte(step.kept)); err != nil {
			t.Fatal(err)
		}
	}
	usage := s.groups.state.Usage
	if u := usage["1001"]; u.MinutesToday != 0 || len(u.Countries) != 1 {
		t.Errorf("%+v", u)
	}
	if usage["1002"].MinutesToday != 2 || usage["1004"].MinutesToday != 0 {
		t.Errorf("%+v", usage)
	}
	if s.Remember("usage/1001", []byte("{")) == nil || s.Remember("another/1001", []byte("{")) != nil {
		t.Error("what cannot be read is taken, or what is none of ours is refused")
	}
}

// The file of an earlier version says the same under its keys.
func TestOldState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	if _, err := ReadOldState(file); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	month := time.Now().UTC().Format("2006-01")
	for text, good := range map[string]bool{`{"version":1,"feat`: false, `{"version":2}`: false,
		`{"version":1,"switches":{"office":false},"features":{"1002":{"do_not_disturb":true}},"day":"2026-11-28",
		"usage":{"1001":{"minutes":5,"countries":["FR"]}},"trunks":{"a":{"day":"2026-11-28","day_seconds":60,"month":"` + month + `","month_seconds":60}}}`: true} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := ReadOldState(file)
		if (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
		if !good {
			continue
		}
		s := remembering(t, planOf(t, counted), all)
		f, _ := s.Features("1002")
		_, closed := s.Switches()["office"]
		minutes, _ := s.trunks.MinutesOf("a", time.Now())
		if u := s.groups.state.Usage["1001"]; !f.DoNotDisturb || !closed || u.MinutesToday != 5 || len(u.Countries) != 1 || minutes.MonthSeconds != 60 {
			t.Errorf("features %+v, switches %v, usage %+v, minutes %+v", f, s.Switches(), u, minutes)
		}
	}
}

// A code is answered with a tone and obeyed; what the file says is no state.
func TestCodeByPhone(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		bob := o.bob()
		o.dials(bob, "*78")
		if f, _ := o.board.Features("1002"); !f.DoNotDisturb {
			o.Fatal("do not disturb is not set")
		}
		alice.invites("1002", "offer").hears("486")
		o.latest()
		o.dials(bob, "*79")
		if _, kept := o.board.groups.state.Features["1002"]; kept {
			o.Error("what the file says is kept as state")
		}
		o.dials(bob, "*28")
		if open, there := o.board.Switches()["office"]; open || !there {
			o.Error("the night switch is not turned")
		}
		o.dials(bob, "*28")
		if len(o.board.Switches()) > 0 {
			o.Error("the night switch is not turned back")
		}
		alice.invites("*21*1001", "offer").hears("403")
		if r := o.latest(); !strings.Contains(r.Refused, "circle") {
			o.Errorf("refused: %q", r.Refused)
		}
	}, countedPlan(t))
}

// dials has a code dialled and hears it out.
func (o *office) dials(p *phone, code string) {
	o.Helper()
	d := p.invites(code, "offer")
	d.takes(d.hears("200"))
	d.acks("")
	o.settle()
	o.media.of("a").finished()
	p.oks("BYE")
	o.latest()
}

// Of an emergency call the named URL hears, and nothing waits for it: not even a server that hangs.
func TestTellOfEmergency(t *testing.T) {
	told := make(chan string, 1)
	s := New(Config{}, Rooms{Ledger: &fakeLedger{}}, slog.New(slog.DiscardHandler))
	s.hooks = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		told <- r.Method + " " + r.URL.String() + " " + r.Header.Get("Tandem-Signature") + " " + string(body)
		return &http.Response{StatusCode: 204, Body: http.NoBody}, err
	})}
	if err := s.tell(t.Context(), "https://desk.example.com/e", []byte(`{"event":"emergency"}`), "t=1,v1=ab"); err != nil {
		t.Error(err)
	}
	if got := <-told; got != `POST https://desk.example.com/e t=1,v1=ab {"event":"emergency"}` {
		t.Error(got)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// latest is the last record.
func (o *office) latest() Record {
	o.Helper()
	o.settle()
	all := o.ledger.all()
	if len(all) == 0 {
		o.Fatal("no record")
	}
	return all[len(all)-1]
}
