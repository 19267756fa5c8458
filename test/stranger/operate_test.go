package stranger

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// socket are the flags with which a command finds this switch even when its configuration is broken.
func (o *office) socket() []string {
	return []string{"--socket", filepath.Join(o.Dir, "state", "admin.sock")}
}

// tell runs a command with --json and decodes what it prints.
func (o *office) tell(into any, args ...string) {
	o.t.Helper()
	out, err := o.Command(append(args, "--json")...)
	if err != nil {
		o.t.Fatalf("tandem %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		o.t.Fatalf("tandem %s: %v in\n%s", strings.Join(args, " "), err, out)
	}
}

type snapshot struct {
	Call, State, From, Dialled string
	Legs                       []map[string]any
}

// Every command that asks or steers a running switch, as a program reads it.
func TestCommands(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	c := connect(t, alice, bob)

	var version, status map[string]any
	o.tell(&version, "version")
	o.tell(&status, append([]string{"status"}, o.socket()...)...)
	for _, key := range []string{"version", "go", "platform"} {
		if version[key] == "" || version[key] == nil {
			t.Errorf("version without %s: %v", key, version)
		}
	}
	for key, want := range map[string]float64{"calls": 1, "registrations": 2} {
		if status[key] != want {
			t.Errorf("status: %s is %v, want %v", key, status[key], want)
		}
	}
	var registrations []map[string]any
	o.tell(&registrations, append([]string{"registrations"}, o.socket()...)...)
	if len(registrations) != 2 || registrations[0]["extension"] != "1001" || registrations[0]["source"] != alice.Local.String() {
		t.Errorf("registrations: %v", registrations)
	}
	var calls []snapshot
	o.tell(&calls, append([]string{"calls"}, o.socket()...)...)
	if len(calls) != 1 || calls[0].From != "1001" || calls[0].Dialled != "1002" || len(calls[0].Legs) != 2 {
		t.Fatalf("calls: %+v", calls)
	}

	var explained, checked any
	o.tell(&explained, "route", "--config", o.Dir, "--from", "1001", "--to", "1002")
	if text, _ := json.Marshal(explained); !strings.Contains(string(text), `"internal"`) {
		t.Errorf("route: %s", text)
	}
	o.tell(&checked, "check", "--config", o.Dir)

	if out, err := o.Command(append([]string{"hangup", "no-such-call"}, o.socket()...)...); err == nil {
		t.Errorf("hanging up no call: %s", out)
	}
	var hung map[string]any
	o.tell(&hung, append([]string{"hangup", calls[0].Call}, o.socket()...)...)
	c.a.Ended(5 * time.Second)
	c.b.Ended(5 * time.Second)
	o.Idle(2 * time.Second)
	o.tell(&calls, append([]string{"calls"}, o.socket()...)...)
	if len(calls) != 0 {
		t.Errorf("calls after the hangup: %+v", calls)
	}

	for _, args := range [][]string{{"frobnicate"}, {"route", "--from", "1001"}, {"calls", "--socket", "/nowhere/x.sock"}, {"check", "--config", "/nowhere"}, {"serve", "--config", "/nowhere"}} {
		if out, err := o.Command(args...); err == nil || strings.Contains(out, "goroutine") || strings.TrimSpace(out) == "" {
			t.Errorf("tandem %v: %v, %q", args, err, out)
		}
	}
}

// A reload, by signal and by command, while a call goes on: nothing is dropped, new calls see the new plan. A broken
// configuration changes nothing and is told with its place.
func TestReloadUnderACall(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob, carol := o.phone("1001"), o.phone("1002"), o.over("TCP", "1003")
	c := connect(t, alice, bob)
	before := o.bindings()
	dial := func(number string) int {
		m := wire.NewMedia(t, carol.Local.Addr().String(), "CARL")
		defer m.Stop()
		r := carol.New("INVITE", number)
		r.Body = m.SDP()
		answer := carol.Ask(r)
		if answer.Status() == 200 {
			call := &wire.Call{Phone: carol, From: r.From, To: answer.Get("to"), ID: r.CallID, Seq: 2, Invite: r, Peer: wire.Target(answer.Get("contact"))}
			call.AckTo(answer)
			call.Bye()
		}
		return answer.Status()
	}
	if s := dial("9000"); s != 404 {
		t.Errorf("9000 before it exists: %d", s)
	}
	o.Write("more.hcl", "route \"more\" {\n  to = \"9000\"\n  echo {}\n}\n")
	o.Signal(syscall.SIGHUP)
	o.Eventually(5*time.Second, "reloaded", func() bool { return dial("9000") == 200 })

	for name, text := range map[string]string{
		"syntax":          "route \"x\" {",
		"unknown step":    "route \"x\" {\n  to = \"8000\"\n  dail {}\n}\n",
		"ambiguous route": "route \"x\" {\n  to = \"9000\"\n  echo {}\n}\n",
		"unknown class":   "route \"x\" {\n  from = [class.offic]\n  to = \"8000\"\n  echo {}\n}\n",
		"a port in use":   "listen \"twice\" {\n  transport = \"udp\"\n  address = \"HOST:5060\"\n}\n",
	} {
		o.Write("broken.hcl", text)
		out, err := o.Command(append([]string{"reload"}, o.socket()...)...)
		if err == nil || !strings.Contains(out, "broken.hcl:") && !strings.Contains(out, "more.hcl:") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		failed := strings.Count(o.Log(), "configuration not reloaded")
		o.Signal(syscall.SIGHUP)
		o.Eventually(5*time.Second, "refused", func() bool { return strings.Count(o.Log(), "configuration not reloaded") > failed })
		if s := dial("9000"); s != 200 {
			t.Errorf("%s: 9000 got %d: the running plan changed", name, s)
		}
	}
	if err := os.Remove(filepath.Join(o.Dir, "broken.hcl")); err != nil {
		t.Fatal(err)
	}
	// Reload again and again, the certificate among what changes.
	for range 10 {
		if out, err := o.Command(append([]string{"reload"}, o.socket()...)...); err != nil {
			t.Errorf("reload: %v\n%s", err, out)
		}
	}
	if after := o.bindings(); len(after) != len(before) {
		t.Errorf("bindings were %v and are %v", before, after)
	}
	c.goesOn()
	if got, lost := c.pure(); lost != 0 {
		t.Errorf("%d of %d packets lost", lost, got)
	}
	c.end()
	ping(t, carol) // its connection was kept
	o.Idle(2 * time.Second)
}

// The first SIGINT refuses new calls and lets those in progress end, after which the process does; the commands tell
// the same, and take it back.
func TestDrain(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob, carol := o.phone("1001"), o.phone("1002"), o.phone("1003")
	refused := func() bool {
		t.Helper()
		r := carol.New("INVITE", "9196")
		r.Body = wire.NewMedia(t, carol.Local.Addr().String(), "CARL").SDP()
		m := carol.Ask(r)
		if m.Status() == 503 {
			if n, err := strconv.Atoi(m.Get("retry-after")); err != nil || n < 1 {
				t.Errorf("503 without a time: %s", m.Raw)
			}
			return true
		}
		if m.Status() == 200 {
			call := &wire.Call{Phone: carol, From: r.From, To: m.Get("to"), ID: r.CallID, Seq: 2, Invite: r, Peer: wire.Target(m.Get("contact"))}
			call.AckTo(m)
			call.Bye()
			return false
		}
		t.Fatalf("INVITE: %s", m.Raw)
		return false
	}
	if refused() {
		t.Fatal("503 before the drain")
	}
	c := connect(t, alice, bob)
	var status map[string]any
	o.tell(&status, append([]string{"drain"}, o.socket()...)...)
	if !refused() || o.page("/readyz") != http.StatusServiceUnavailable || o.page("/healthz") != http.StatusOK {
		t.Error("the switch takes calls while it drains, or says that it does")
	}
	// Who is new is told to come later, each at another time; who is here stays.
	if m := carol.Ask(carol.Registration(carol.Contact(), "Expires: 3600")); m.Status() != 200 {
		t.Errorf("refresh while it drains: %s", m.Raw)
	}
	dave := wire.NewPhone(o.line("UDP", binary.Host()), "1004", binary.Password)
	m := dave.Ask(dave.Registration(dave.Contact(), "Expires: 3600"))
	if n, err := strconv.Atoi(m.Get("retry-after")); m.Status() != 503 || err != nil || n < 5 || n > 10 {
		t.Errorf("a new phone while it drains: %s", m.Raw)
	}
	moved := wire.NewPhone(o.line("TCP", binary.Host()), "1001", binary.Password) // of a call
	if m := moved.Ask(moved.Registration(moved.Contact(), "Expires: 0")); m.Status() != 200 {
		t.Errorf("an end while it drains: %s", m.Raw)
	}
	if m := moved.Ask(moved.Registration(moved.Contact(), "Expires: 3600")); m.Status() != 200 {
		t.Errorf("who is in a call while it drains: %s", m.Raw)
	}
	o.tell(&status, append([]string{"drain", "--off"}, o.socket()...)...)
	if refused() || o.page("/readyz") != http.StatusOK {
		t.Error("the switch takes no calls after the drain was taken back")
	}
	o.Signal(syscall.SIGINT)
	o.Eventually(5*time.Second, "refusing", refused)
	info := c.a.Next("INFO", "x")
	info.Type = "application/x-note"
	alice.Send(alice.Text(info)) // what belongs to the call is still served
	bob.Reply(bob.Request(5*time.Second, "INFO"), 200, wire.Reply{})
	alice.Await(5*time.Second, "200 to INFO", func(m wire.Message) bool { return m.Status() == 200 })
	c.goesOn()
	if got, lost := c.pure(); lost*1000 > got {
		t.Errorf("%d of %d packets lost", lost, got)
	}
	select {
	case <-o.Done():
		t.Fatal("the process ended under a call")
	default:
	}
	c.end()
	select {
	case <-o.Done():
	case <-time.After(10 * time.Second):
		t.Error("the process did not end after its last call")
	}
	if all := o.Records(); len(all) < 2 {
		t.Errorf("%d call records", len(all))
	}
}

// The second SIGINT ends at once: both phones are told.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	o := open(t)
	c := connect(t, o.phone("1001"), o.over("TCP", "1002"))
	ringing := prepare(t, o.phone("1003"), o.phone("1004"))
	ringing.place(ringing.phones())
	o.Signal(syscall.SIGINT)
	o.Eventually(5*time.Second, "draining", func() bool { return strings.Contains(o.Log(), "draining") })
	start := time.Now()
	o.Signal(syscall.SIGINT)
	c.a.Ended(2 * time.Second)
	c.b.Ended(2 * time.Second)
	if m := ringing.a.Final(2 * time.Second); m.Status() < 400 {
		t.Errorf("the call that rang: %s", m.Raw)
	}
	cancel := ringing.b.Phone.Request(2*time.Second, "CANCEL")
	ringing.b.Phone.Reply(cancel, 200, wire.Reply{})
	ringing.b.Respond(487, "")
	select {
	case <-o.Done():
		t.Logf("ended %v after the second signal", time.Since(start).Round(time.Millisecond))
	case <-time.After(10 * time.Second):
		t.Error("the process did not end within 10 s")
	}
	if all := o.Records(); len(all) != 2 {
		t.Errorf("%d call records: %v", len(all), all)
	}
}
