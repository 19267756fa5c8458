package trunk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// status calls a number, hangs up where it is answered, and tells what came back.
func status(t *testing.T, p *phone.Phone, number string) int {
	t.Helper()
	c := dial(t, p, number, phone.CallOptions{})
	if err := c.WaitAnswered(within(t, patience)); err == nil {
		if err := c.Hangup(within(t, patience)); err != nil {
			t.Error(err)
		}
	}
	return c.Report().Status
}

// code dials a feature code: the switch answers, gives a tone and hangs up.
func code(t *testing.T, p *phone.Phone, digits string) {
	t.Helper()
	c := dial(t, p, digits, phone.CallOptions{})
	if err := c.WaitAnswered(within(t, patience)); err != nil {
		t.Fatalf("%s: %v, status %d", digits, err, c.Report().Status)
	}
	if _, err := c.Wait(within(t, patience)); err != nil {
		t.Fatalf("%s does not end: %v", digits, err)
	}
}

const codes = `
feature_codes {
  night_schedule = schedule.office
  night_classes  = [class.office]
}
schedule "office" {
  timezone = "UTC"
  open     = ["daily 00:00-24:00"]
}
route "desk" {
  to   = "500"
  when = schedule.office.is_open
  echo {}
}
route "desk closed" {
  to = "500"
  reject { status = 480 }
}
`

// What is set by dialling and by the command line is obeyed at once and after a restart, and no file of the
// configuration changes.
func TestFeaturesSurviveARestart(t *testing.T) {
	t.Parallel()
	s := open(t, codes)
	before, err := os.ReadFile(filepath.Join(s.Dir, "switch.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	p := desk(t, s)
	if got := status(t, p, "1002"); got != 480 {
		t.Fatalf("nobody is at 1002: %d", got)
	}
	if out, err := s.Run("forward", "1002", "--always", "9196", "--json"); err != nil || !strings.Contains(out, `"always": "9196"`) {
		t.Fatal(err, out)
	}
	if out, err := s.Run("forward", "1003", "--always", "+999999999"); err == nil {
		t.Error("a forward to where it cannot call is set:", out)
	}
	if out, err := s.Run("dnd", "1004", "on"); err != nil || !strings.Contains(out, "do not disturb  on") {
		t.Error(err, out)
	}
	code(t, p, "*28")
	for _, when := range []string{"at once", "after a restart"} {
		if got := status(t, p, "1002"); got != 200 {
			t.Errorf("%s: the forward is not obeyed: %d", when, got)
		}
		if got := status(t, p, "1004"); got != 486 {
			t.Errorf("%s: do not disturb is not obeyed: %d", when, got)
		}
		if got := status(t, p, "500"); got != 480 {
			t.Errorf("%s: the night switch is not obeyed: %d", when, got)
		}
		if when == "at once" {
			s.Restart()
			p = desk(t, s)
		}
	}
	if out, err := s.Run("night", "office", "auto"); err != nil || !strings.Contains(out, "open, by its hours") {
		t.Error(err, out)
	}
	if got := status(t, p, "500"); got != 200 {
		t.Error("the night switch is not left to the hours:", got)
	}
	code(t, p, "*21*9197#") // of 1001's own calls
	if out, err := s.Run("forward", "1001"); err != nil || !strings.Contains(out, "9197") {
		t.Error(err, out)
	}
	code(t, p, "#21#")
	if out, err := s.Run("forward", "1001"); err != nil || strings.Contains(out, "9197") {
		t.Error(err, out)
	}
	if after, _ := os.ReadFile(filepath.Join(s.Dir, "switch.hcl")); string(after) != string(before) {
		t.Error("the configuration has changed")
	}
}

// A third call in a minute is refused, and the record says why. The first call to a country raises an alarm.
func TestLimitsAgainstFraud(t *testing.T) {
	t.Parallel()
	good := answering(t)
	hcl := strings.Replace(binary.Office, `class "office" {}`, "class \"office\" {\n  countries = [\"*\"]\n  calls_per_minute = 2\n  new_country = \"alarm\"\n}", 1)
	s := binary.Start(t, hcl+media+numbering+plainTrunk("good", good)+routes("good"))
	p := desk(t, s)
	for n, want := range []int{200, 200, 403} {
		if got := status(t, p, "+33140000001"); got != want {
			t.Errorf("call %d: %d, want %d", n+1, got, want)
		}
	}
	third := recordOf(t, s, 2)
	var refused, alarms int
	for _, r := range s.Records() {
		if r["refused"] == "class office begins at most 2 calls a minute" {
			refused++
		}
		if r["alarms"] != nil {
			alarms++
		}
	}
	if refused != 1 || alarms != 1 {
		t.Errorf("%d refused, %d alarms: %v", refused, alarms, third)
	}
	if m := s.Metrics(); m["tandem_alarms_total"] != 1 || !strings.Contains(s.Log(), "has never called FR before") {
		t.Errorf("%v alarms, log:\n%s", m["tandem_alarms_total"], s.Log())
	}
}

// An emergency call passes while the switch drains, and who is to be told is told; a server that does not answer holds
// nothing up.
func TestEmergencyWhileDraining(t *testing.T) {
	t.Parallel()
	good := answering(t)
	told := make(chan string, 4)
	desk1 := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.Header.Get("Tandem-Signature") + " " + string(body)
	}))
	defer desk1.Close()
	s := open(t, plainTrunk("good", good)+routes("good")+`
emergency {
  numbers = ["112"]
  trunks  = [trunk.good]
  notify  = ["http://`+silent(t)+`:5061/", "`+desk1.URL+`"]
  secret  = secret("file:password")
}
`)
	p := desk(t, s)
	if out, err := s.Run("drain"); err != nil {
		t.Fatal(err, out)
	}
	if got := status(t, p, "+33140000001"); got != 503 {
		t.Error("an ordinary call while draining:", got)
	}
	if got := status(t, p, "112"); got != 200 {
		t.Error("an emergency call while draining:", got)
	}
	select {
	case message := <-told:
		signed, body, _ := strings.Cut(message, " ")
		seconds, sum, _ := strings.Cut(strings.TrimPrefix(signed, "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(binary.Password))
		_, _ = mac.Write([]byte(seconds + "." + body))
		if hex.EncodeToString(mac.Sum(nil)) != sum {
			t.Error("signed with", signed)
		}
		if !strings.Contains(body, `"from":"1001"`) || !strings.Contains(body, `"number":"112"`) {
			t.Error(body)
		}
	case <-time.After(patience):
		t.Error("nobody is told")
	}
	if m := s.Metrics(); m["tandem_emergency_calls_total"] != 1 {
		t.Errorf("%v emergency calls", m["tandem_emergency_calls_total"])
	}
}

// What a trunk adds, removes and passes is in its INVITEs, the one with credentials among them, and nowhere else.
func TestHeadersOfATrunk(t *testing.T) {
	t.Parallel()
	host := binary.Host()
	s := open(t, plainTrunk("own", host, `username = "me"`, `password = secret("file:password")`, `realm = "own.test"`, `headers {
    add    = { "X-Account" = "4711" }
    remove = ["User-Agent", "Priority"]
    pass   = ["X-Ticket"]
  }`)+routes("own"))
	p := desk(t, s)
	carrier := scripted(t, host, s)
	call := dial(t, p, "+33140000001", phone.CallOptions{Headers: []phone.Header{
		{Name: "X-Ticket", Value: "77"}, {Name: "X-Account", Value: "forged"}, {Name: "Priority", Value: "urgent"}, {Name: "X-Secret", Value: "inside"},
	}})
	refuse(carrier.Rung(), 407, fmt.Sprintf(proxyChallenge, "own.test", "n1"))
	again := carrier.Rung()
	for name, want := range map[string]string{"x-account": "4711", "x-ticket": "77", "priority": "", "user-agent": "", "x-secret": ""} {
		if got := again.Asked.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(again.Asked.Raw, "forged") {
		t.Error("the caller's own value passes")
	}
	refuse(again, 486)
	_ = call.WaitAnswered(within(t, patience))
}
