package trunk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/wire"
)

// once calls out, hangs up at once, and tells what was tried; n is the number of calls before.
func once(t *testing.T, s *binary.Switch, p *phone.Phone, n int) string {
	t.Helper()
	c := dial(t, p, "+33140000001", phone.CallOptions{})
	if err := c.WaitAnswered(within(t, patience)); err == nil {
		if err := c.Hangup(within(t, patience)); err != nil {
			t.Error(err)
		}
	}
	return strings.Join(tried(recordOf(t, s, n)), ", ")
}

func TestAFullOrDrainedTrunkIsPassedOver(t *testing.T) {
	first, good := answering(t), answering(t)
	s := open(t, plainTrunk("first", first, "channels = 1")+plainTrunk("good", good)+routes("first", "good"))
	p := desk(t, s)
	held := dial(t, p, "+33140000001", phone.CallOptions{})
	if err := held.WaitAnswered(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := once(t, s, p, 0); got != "first: full: 1 channels in use, good 200" {
		t.Error("with a full trunk:", got)
	}
	if err := held.Hangup(within(t, patience)); err != nil {
		t.Error(err)
	}
	recordOf(t, s, 1)
	if got := once(t, s, p, 2); got != "first 200" {
		t.Error("with a free channel:", got)
	}
	if out, err := s.Run("trunks", "drain", "first"); err != nil || !strings.Contains(out, "drained") {
		t.Fatal(err, out)
	}
	if got := once(t, s, p, 3); got != "first: drained, good 200" {
		t.Error("with a drained trunk:", got)
	}
	if out, err := s.Run("trunks", "drain", "first", "--off", "--json"); err != nil || !strings.Contains(out, `"state": "up"`) {
		t.Fatal(err, out)
	}
	if got := once(t, s, p, 4); got != "first 200" {
		t.Error("let on again:", got)
	}
}

func TestCallsASecond(t *testing.T) {
	first, good := answering(t), answering(t)
	s := open(t, plainTrunk("first", first, "cps = 1")+plainTrunk("good", good)+routes("first", "good"))
	p := desk(t, s)
	calls := []*phone.Call{dial(t, p, "+33140000001", phone.CallOptions{}), dial(t, p, "+33140000002", phone.CallOptions{})}
	for _, c := range calls {
		if err := c.WaitAnswered(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	m := s.Metrics()
	if m[`tandem_trunk_calls_total{direction="out",trunk="first"}`] != 1 || m[`tandem_trunk_calls_refused_total{direction="out",trunk="first",why="full"}`] != 1 {
		t.Error("two calls at once, one a second: not one each")
	}
}

func TestRetryAfterKeepsCallsAway(t *testing.T) {
	first, good := failing(t, "503 Service Unavailable", "Retry-After: 60"), answering(t)
	s := open(t, plainTrunk("first", first)+plainTrunk("good", good)+routes("first", "good"))
	p := desk(t, s)
	if got := once(t, s, p, 0); got != "first 503, good 200" {
		t.Error("first call:", got)
	}
	if got := once(t, s, p, 1); !strings.HasPrefix(got, "first: down: ") || !strings.HasSuffix(got, ", good 200") {
		t.Error("second call:", got)
	}
}

func TestProbesFindADeadCarrierAndItsReturn(t *testing.T) {
	host := binary.Host()
	s := open(t, plainTrunk("a", host, `probe {
    interval = "1s"
    timeout  = "300ms"
    down     = 2
    up       = 2
  }`)+routes("a"))
	state := func(name string) func() bool {
		return func() bool { return s.Metrics()[`tandem_trunk_state{state="`+name+`",trunk="a"}`] == 1 }
	}
	s.Eventually(patience, "down", state("down"))
	scripted(t, host, s)
	s.Eventually(patience, "up again", state("up"))
}

// TestALimitOfCallsIn: the carrier itself is refused what it has not paid for.
func TestALimitOfCallsIn(t *testing.T) {
	host := binary.Host()
	s := open(t, plainTrunk("a", host, "accept {}", "channels_in = 1")+`
route "in" {
  from = [trunk.a]
  to   = "+442079460018"
  echo {}
}
`)
	carrier := scripted(t, host, s)
	media := wire.NewMedia(t, host, "a")
	ask := func() wire.Message {
		r := carrier.New("INVITE", "+442079460018")
		r.Body = media.SDP()
		m, ok := carrier.Try(r, 3*time.Second)
		if !ok {
			t.Fatal("no answer")
		}
		return m
	}
	if m := ask(); m.Status() != 200 {
		t.Fatal("first:", m.Start)
	}
	if m := ask(); m.Status() != 503 {
		t.Error("second:", m.Start)
	}
}

// TestMinutesAreKeptOverARestart: the talk of a call, and of one in progress, stands in the metrics before and after; when
// the day's minutes are used up the next trunk has the call, and the record says why.
func TestMinutesAreKeptOverARestart(t *testing.T) {
	t.Parallel()
	first, good := answering(t), answering(t)
	s := open(t, plainTrunk("first", first, "minutes_per_day = 10")+plainTrunk("good", good)+routes("first", "good"))
	used := func() float64 { return s.Metrics()[`tandem_trunk_minutes{period="day",trunk="first"}`] }
	p := desk(t, s)
	c := dial(t, p, "+33140000001", phone.CallOptions{})
	if err := c.WaitAnswered(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	s.Eventually(patience, "the talk of a call in progress counted", func() bool { return used() > 2.0/60 })
	if err := c.Hangup(within(t, patience)); err != nil {
		t.Error(err)
	}
	recordOf(t, s, 0)
	before := used()
	s.Restart()
	if got := used(); got < before-0.001 || got > before+0.001 {
		t.Errorf("%v minutes before the restart and %v after", before, got)
	}
	s.Stop()
	// As an earlier version would have left it: the minutes of the day used up, in a file.
	if err := os.RemoveAll(filepath.Join(s.Dir, "state", "cluster")); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	text := fmt.Sprintf(`{"version":1,"trunks":{"first":{"day":%q,"day_seconds":600,"month":%q,"month_seconds":600}}}`,
		now.Format(time.DateOnly), now.Format("2006-01"))
	file := filepath.Join(s.Dir, "state", "state.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	p = desk(t, s)
	if got := once(t, s, p, 1); got != "first: minutes: 10 a day are used up, good 200" {
		t.Error("with no minute left:", got)
	}
	if n := s.Metrics()[`tandem_trunk_calls_refused_total{direction="out",trunk="first",why="minutes"}`]; n != 1 {
		t.Error("counted", n, "times")
	}
	if out, err := s.Run("trunks"); err != nil || !strings.Contains(out, "10/10") {
		t.Error(err, out)
	}
	if _, err := os.Stat(file + ".taken"); err != nil {
		t.Error("the file was not taken over:", err)
	}
}
