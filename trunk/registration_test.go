package trunk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func account() Config {
	return Config{
		Name: "a", Proxies: []transport.Target{{Host: "carrier.example"}},
		Credential: digest.NewCredential("acct", "carrier.example", "secret"),
		Registers:  []Register{{User: "acct"}},
	}.WithDefaults()
}

func started() Registration {
	c := account()
	return newRegistration(&c, c.Registers[0], "LINE")
}

// send has the registration write a REGISTER.
func send(t *testing.T, r *Registration) *sip.Message {
	t.Helper()
	w := sip.NewWriter(nil)
	r.Write(w, "SIP/2.0/UDP 192.0.2.1;branch="+sip.NewBranch(), "192.0.2.1:5060", "Test")
	raw, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	m := new(sip.Message)
	if err := m.Parse(string(raw)); err != nil {
		t.Fatal(err)
	}
	return m
}

// answer is a response to a request with further header lines.
func answer(t *testing.T, req *sip.Message, status int, lines ...string) *sip.Message {
	t.Helper()
	text := string(sip.AppendResponse(nil, req, status, "", "tag"))
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for _, l := range lines {
		head += "\r\n" + l
	}
	m := new(sip.Message)
	if err := m.Parse(head + "\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return m
}

const challenge = `WWW-Authenticate: Digest realm="carrier.example", nonce="%s", algorithm=SHA-256, qop="auth"`

func TestRegistrationIsMadeAndRefreshed(t *testing.T) {
	r, now := started(), noon
	if !r.Tick(now) {
		t.Fatal("it does not begin at once")
	}
	first := send(t, &r)
	if first.Has(sip.HeaderAuthorization) {
		t.Error("credentials before anybody asked")
	}
	if got := first.Header(sip.HeaderContact); got != "<sip:acct@192.0.2.1:5060;line=LINE>" {
		t.Error("Contact:", got)
	}
	if r.Receive(now, answer(t, first, 401, fmt.Sprintf(challenge, "n1"))) != Again {
		t.Fatal("a challenge is not answered")
	}
	second := send(t, &r)
	if !strings.Contains(second.Header(sip.HeaderAuthorization), `nonce="n1"`) {
		t.Error("Authorization:", second.Header(sip.HeaderAuthorization))
	}
	ok := answer(t, second, 200, "Contact: <sip:acct@192.0.2.1:5060;line=OTHER>;expires=7, <sip:acct@192.0.2.1:5060;line=LINE>;expires=100",
		"Service-Route: <sip:edge.carrier.example;lr>", "P-Associated-URI: <sip:+442079460000@carrier.example>, <tel:+442079460001>")
	if r.Receive(now, ok) != Settled || r.state != Registered {
		t.Fatal("state:", r.state, r.why)
	}
	if len(r.routes) != 1 || r.routes[0] != "<sip:edge.carrier.example;lr>" || len(r.uris) != 2 {
		t.Error("routes:", r.routes, "uris:", r.uris)
	}
	wait := r.Deadline().Sub(now)
	if wait < 60*time.Second || wait > 86*time.Second {
		t.Errorf("refreshed after %v of 100 s", wait)
	}
	now = r.Deadline()
	if r.Tick(now.Add(-time.Millisecond)) || !r.Tick(now) {
		t.Fatal("not refreshed at its time")
	}
	third := send(t, &r)
	if !strings.Contains(third.Header(sip.HeaderAuthorization), "nc=00000002") {
		t.Error("the refresh waits for a challenge:", third.Header(sip.HeaderAuthorization))
	}
	if third.CallID() != first.CallID() || third.FromTag() != first.FromTag() {
		t.Error("another Call-ID or tag (RFC 3261 §10.2.4)")
	}
	r.Receive(now, answer(t, third, 200, "Expires: 100"))
	if !r.Leave(now) || !r.Tick(now) {
		t.Fatal("cannot leave")
	}
	if got := send(t, &r).Header(sip.HeaderExpires); got != "0" {
		t.Error("Expires on leaving:", got)
	}
}

func TestRefreshesAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		r := started()
		r.Tick(noon)
		r.Receive(noon, answer(t, send(t, &r), 200, "Expires: 600"))
		seen[r.Deadline().Sub(noon)] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 trunks refresh at %d instants", len(seen))
	}
}

func TestRegistrationAnswers(t *testing.T) {
	tests := []struct {
		name    string
		status  int
		lines   []string
		outcome Outcome
		state   Reg
		waits   [2]time.Duration // from and to, for the next REGISTER
	}{
		{"another realm is not answered", 401, []string{`WWW-Authenticate: Digest realm="evil", nonce="n", algorithm=MD5`}, Settled, RegRefused, [2]time.Duration{5 * time.Minute, time.Hour}},
		{"no digest", 401, []string{`WWW-Authenticate: Basic realm="carrier.example"`}, Settled, RegRefused, [2]time.Duration{5 * time.Minute, time.Hour}},
		{"forbidden", 403, nil, Settled, RegRefused, [2]time.Duration{5 * time.Minute, time.Hour}},
		{"unavailable", 503, []string{"Retry-After: 90"}, Next, RegFailed, [2]time.Duration{90 * time.Second, 90 * time.Second}},
		{"a fault of its own", 500, nil, Next, RegFailed, [2]time.Duration{}},
		{"too brief", 423, []string{"Min-Expires: 1800"}, Again, RegTrying, [2]time.Duration{0, patience}},
		{"too brief without a word", 423, nil, Next, RegFailed, [2]time.Duration{}},
		{"too brief and shorter", 423, []string{"Min-Expires: 60"}, Next, RegFailed, [2]time.Duration{}},
		{"still trying", 100, nil, Settled, RegTrying, [2]time.Duration{0, patience}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := started()
			r.Tick(noon)
			if got := r.Receive(noon, answer(t, send(t, &r), tt.status, tt.lines...)); got != tt.outcome {
				t.Errorf("outcome %v, want %v", got, tt.outcome)
			}
			if r.state != tt.state {
				t.Errorf("state %v (%s), want %v", r.state, r.why, tt.state)
			}
			if wait := r.Deadline().Sub(noon); wait < tt.waits[0] || wait > tt.waits[1] {
				t.Errorf("next after %v, want %v", wait, tt.waits)
			}
			if tt.status == 423 && tt.outcome == Again {
				if got := send(t, &r).Header(sip.HeaderExpires); got != "1800" {
					t.Error("Expires:", got)
				}
			}
		})
	}
}

func TestWrongPasswordIsNotGuessedOn(t *testing.T) {
	r := started()
	r.Tick(noon)
	if r.Receive(noon, answer(t, send(t, &r), 401, fmt.Sprintf(challenge, "n1"))) != Again {
		t.Fatal("not answered")
	}
	if r.Receive(noon, answer(t, send(t, &r), 401, fmt.Sprintf(challenge, "n2"))) != Settled || r.state != RegRefused {
		t.Fatal("answered again:", r.state)
	}
	// A peer that calls every nonce stale is not answered for ever either.
	r = started()
	r.Tick(noon)
	asked := 0
	for r.Receive(noon, answer(t, send(t, &r), 401, fmt.Sprintf(challenge, fmt.Sprint("n", asked))+", stale=true")) == Again {
		if asked++; asked > 5 {
			t.Fatal("answers for ever")
		}
	}
}

func TestBackoffGrowsAndEnds(t *testing.T) {
	r, now := started(), noon
	var waits []time.Duration
	for range 12 {
		if !r.Tick(now) {
			t.Fatal("no REGISTER at", now)
		}
		now = now.Add(patience)
		r.Tick(now) // it runs out of patience
		r.Exhausted(now, "", false)
		waits = append(waits, r.Deadline().Sub(now))
		now = r.Deadline()
	}
	upper := 2 * DefaultRetry // 30 to 60 s after the first failure
	for i, w := range waits {
		if w < upper/2 || w > upper {
			t.Errorf("wait %d is %v, want between half and all of %v (RFC 5626 §4.5)", i, w, upper)
		}
		upper = min(2*upper, backoffLimit)
	}
}

func TestRegistrationExpiresWithoutAnswer(t *testing.T) {
	r := started()
	r.Tick(noon)
	r.Receive(noon, answer(t, send(t, &r), 200, "Expires: 60"))
	now := r.Deadline()
	r.Tick(now)
	r.Tick(now.Add(patience))
	if r.state != Registered {
		t.Error("a binding is lost before its end:", r.state)
	}
	r.Tick(noon.Add(60 * time.Second))
	if r.state == Registered {
		t.Error("a binding outlives its end")
	}
}

func TestBulkContact(t *testing.T) {
	c := account()
	c.Registers[0].Bulk = true
	r := newRegistration(&c, c.Registers[0], "LINE")
	r.Tick(noon)
	m := send(t, &r)
	if m.Header(sip.HeaderContact) != "<sip:192.0.2.1:5060;line=LINE;bnc>" || m.Header(sip.HeaderRequire) != "gin" || m.Header(sip.HeaderProxyRequire) != "gin" {
		t.Error("not RFC 6140:", m.Raw())
	}
}
