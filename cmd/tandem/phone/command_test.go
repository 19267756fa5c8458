package phone

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runCommand is `tandem phone` with these arguments and this standard input.
func runCommand(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	cmd := Command()
	var out bytes.Buffer
	cmd.SetArgs(append([]string{"--local", "127.0.0.1"}, args...))
	cmd.SetIn(strings.NewReader(input))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(within(t))
	return out.String(), err
}

func TestCommandCallsAndReports(t *testing.T) {
	leaks(t)
	bob := newPhone(t, Config{User: "bob", Answer: AutoAnswer("tone:700")})
	recorded := filepath.Join(t.TempDir(), "heard.wav")
	out, err := runCommand(t, "", "--call", bob.URI(), "--play", "tone:440", "--hear", "700", "--dtmf", "42", "--for", "2s", "--record", recorded, "--json", "--header", "X-Test: yes")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if !r.Answered || !r.Heard.IsTone(700) || r.DTMFSent != "42" || r.Ended.By != ByLocal || r.Duration < 1.9 || r.MOS < 3.5 {
		t.Errorf("%s", out)
	}
	if sound, err := SoundOf(recorded); err != nil || !sound.IsTone(700) {
		t.Errorf("recorded %v (%v)", sound, err)
	}
	in, err := bob.WaitIncoming(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := headerValue(in.invite.req, "X-Test", ""); got != "yes" {
		t.Errorf("X-Test: %q", got)
	}
	if heard := in.Report(); heard.DTMF != "42" {
		t.Errorf("bob heard %q", heard.DTMF)
	}
}

func TestCommandFailures(t *testing.T) {
	leaks(t)
	bob := newPhone(t, Config{User: "bob", Answer: Busy()})
	silent := newPhone(t, Config{User: "silent", Answer: AutoAnswer("")})
	for _, c := range []struct {
		name string
		want string
		args []string
	}{
		{"nothing to do", "nothing to do: give", nil},
		{"busy", "INVITE was answered 486 Busy Here", []string{"--call", bob.URI()}},
		{"not heard", "no 440 Hz tone", []string{"--call", silent.URI(), "--hear", "440", "--for", "600ms"}},
		{"no server", "without a server", []string{"--call", "101"}},
		{"cannot register", "no server is set", []string{"--register"}},
		{"bad tone", "want a frequency", []string{"--call", bob.URI(), "--play", "tone:x"}},
		{"bad header", "has no colon", []string{"--call", bob.URI(), "--header", "X"}},
		{"injection", "line break", []string{"--call", bob.URI(), "--header", "X: a\r\nEvil: b"}},
		{"bad refusal", "want 300 to 699", []string{"--reject", "200"}},
		{"no password file", "password file", []string{"--register", "--password-file", "/does/not/exist"}},
		{"half a certificate", "belong together", []string{"--register", "--cert", "x"}},
		{"nobody calls", "no incoming call", []string{"--answer", "--wait", "50ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := runCommand(t, "", c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q; printed %s", err, c.want, out)
			}
		})
	}
}

func TestCommandCancelIsSuccess(t *testing.T) {
	leaks(t)
	bob := newPhone(t, Config{User: "bob"})
	out, err := runCommand(t, "", "--call", bob.URI(), "--cancel-after", "50ms")
	if err != nil || !strings.Contains(out, "ended      by local: 487") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCommandAnswers(t *testing.T) {
	leaks(t)
	password := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(password, []byte("secret\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &textServer{algorithm: "MD5", password: "secret", granted: 60}
	server := s.udp(t)
	alice := newPhone(t, Config{User: "alice"})
	done := make(chan error, 1)
	go func() {
		_, err := runCommand(t, "", "--server", server, "--user", "bob", "--password-file", password, "--answer", "--play", "tone:700", "--for", "1s")
		done <- err
	}()
	<-s.arrived
	<-s.arrived
	contact := parseAddress(header(s.requests()[1], "Contact")).uri
	call, err := alice.Call(within(t), contact, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hears(t, "alice", call, 700)
	if e := over(t, call); e.By != ByRemote {
		t.Errorf("ended %+v", e)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	all := s.requests()
	if last := all[len(all)-1]; !strings.Contains(last, ";expires=0") {
		t.Errorf("did not unregister: %s", last)
	}
}

func TestScript(t *testing.T) {
	leaks(t)
	bob := newPhone(t, Config{User: "bob", Answer: AutoAnswer("tone:700")})
	out, err := runCommand(t, `
# a whole conversation
header X-Test: yes
call `+bob.URI()+` late
wait answered 5s
play tone 440
hear 700 within 5s   # his tone
hold
quiet 200ms within 5s
resume
dtmf 12
dtmf 3 info
update
sleep 10ms
report
hangup
wait ended
`, "--script", "-")
	if err != nil || !strings.Contains(out, "a tone of 700") {
		t.Fatalf("%v\n%s", err, out)
	}
	in, err := bob.WaitIncoming(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := in.Report(); r.DTMF != "123" {
		t.Errorf("bob heard %q", r.DTMF)
	}
	bob.SetAnswer(Busy())
	if out, err := runCommand(t, "call "+bob.URI()+"\nexpect status 486\n", "--script", "-"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Both ends are scripts: one waits for the call, answers and checks; its caller is a script too.
func TestScriptsAtBothEnds(t *testing.T) {
	leaks(t)
	callee := newPhone(t, Config{User: "bob"})
	done := make(chan error, 1)
	go func() {
		s := script{phone: callee, out: new(bytes.Buffer)}
		done <- s.run(within(t), strings.NewReader("wait incoming\nplay tone 500\nearly\nhear 440\nanswer\nexpect dtmf 77 5s\nwait ended\n"))
	}()
	if out, err := runCommand(t, "call "+callee.URI()+"\nwait ringing\nplay tone 440\nhear 500\nwait answered\ndtmf 77\nhangup\nexpect status 0\n", "--script", "-"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestScriptErrorsNameTheLine(t *testing.T) {
	leaks(t)
	for input, want := range map[string]string{
		"\nfly\n":                      "line 2: fly: there is no call yet",
		"call":                         "line 1: call: no such step, or words missing",
		"sleep long":                   `line 1: sleep long: "long" is no duration`,
		"wait incoming 10ms":           "no incoming call",
		"hold":                         "there is no call yet",
		"call sip:x@127.0.0.1:9 early": "no such step",
	} {
		if _, err := runCommand(t, input, "--script", "-"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", input, err, want)
		}
	}
}
