package stranger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// wrongSDP are the bodies that media/sdp refuses, by file name.
func wrongSDP(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../media/sdp/testdata/wrong/*.sdp")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	all := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(string(raw), "\r\n", "\n"); text != "" {
			all[filepath.Base(f)] = strings.ReplaceAll(text, "\n", "\r\n")
		}
	}
	return all
}

// A malformed session description is refused wherever it comes, and the call in progress goes on: in an INVITE, in a
// re-INVITE of either side, and in the callee's 200, after which the callee is told that there is no call.
func TestMalformedSDP(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob, carol, dave := o.phone("1001"), o.phone("1002"), o.phone("1003"), o.phone("1004")
	c := connect(t, alice, bob)
	for name, body := range wrongSDP(t) {
		r := carol.New("INVITE", "1004")
		r.Body = body
		if m := carol.Ask(r); !among(m.Status(), 400, 415, 488) {
			t.Errorf("%s in INVITE: %s", name, m.Raw)
		}
		for _, side := range []*wire.Call{c.a, c.b} {
			if m := side.Ask("INVITE", body); !among(m.Status(), 400, 415, 488) {
				t.Errorf("%s in re-INVITE of %s: %s", name, side.Phone.User, m.Raw)
			}
			if m := side.Ask("UPDATE", body); !among(m.Status(), 400, 415, 488) {
				t.Errorf("%s in UPDATE of %s: %s", name, side.Phone.User, m.Raw)
			}
		}
		wrongAnswer(t, name, body, carol, dave)
		if t.Failed() {
			break
		}
	}
	dave.Quiet(100 * time.Millisecond)
	c.goesOn()
	if got, lost := c.pure(); lost*1000 > got {
		t.Errorf("%d of %d packets lost", lost, got)
	}
	c.end()
	o.Idle(2 * time.Second)
}

// wrongAnswer has the callee answer with a body that nobody can use.
func wrongAnswer(t *testing.T, name, body string, caller, callee *wire.Phone) {
	t.Helper()
	m := wire.NewMedia(t, caller.Local.Addr().String(), "CARL")
	defer m.Stop()
	out := caller.Invite(callee.User, m.SDP())
	in := callee.Rung()
	in.Respond(200, body)
	in.Acked()
	in.Ended(5 * time.Second)
	if m := out.Final(5 * time.Second); m.Status() < 400 {
		t.Errorf("%s in 200: %s", name, m.Raw)
	}
}

// Bodies of other types, and bodies that belong to nobody.
func TestOddBodies(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	c := connect(t, alice, bob)
	heard, _ := bob.Count()
	deep := strings.Repeat("[", 30000)
	for name, body := range map[string][2]string{
		"no type": {"", "v=0\r\n"}, "text": {"text/plain", "hello"}, "a type of its own": {"x/y;z=\"", "hello"},
		"multipart without boundary": {"multipart/mixed", "--x\r\n\r\n--x--"}, "deep": {"application/json", deep},
		"multipart cut short":      {"multipart/mixed;boundary=x", "--x\r\nContent-Type: application/sdp\r\n"},
		"multipart with bare ends": {"multipart/mixed;boundary=x", "--x\n\n--x--\n"},
	} {
		r := alice.New("INVITE", "1002")
		r.Type, r.Body = body[0], body[1]
		if body[0] == "" {
			r.Type = "application/octet-stream"
		}
		if m := alice.Ask(r); !among(m.Status(), 400, 415, 488) {
			t.Errorf("%s in INVITE: %s", name, m.Raw)
		}
		for _, method := range []string{"INVITE", "UPDATE"} {
			r := c.a.Next(method, r.Body)
			r.Type = body[0]
			if body[0] == "" {
				r.Type = "application/octet-stream"
			}
			if m := alice.Do(r); !among(m.Status(), 400, 415, 488) {
				t.Errorf("%s in %s: %s", name, method, m.Raw)
			}
		}
	}
	if now, _ := bob.Count(); now != heard {
		t.Errorf("bob's phone received %d packets", now-heard)
	}
	c.goesOn()
	c.end()
	o.Idle(2 * time.Second)
}
