package digest

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

// A credential that expires proves its user until then and is told apart from a wrong one after that; a second one counts
// as well while a key changes.
func TestExpiringCredential(t *testing.T) {
	const username = "1764331200:1001"
	was := NewCredential(username, testRealm, "was")
	is := NewCredential(username, testRealm, "is")
	is.User, is.Until, is.Or = "1001", testNow.Add(time.Minute), &was
	for _, c := range []struct {
		name, password string
		at             time.Duration
		verdict        Verdict
	}{
		{"new key", "is", 0, OK},
		{"old key", "was", 0, OK},
		{"neither", "neither", 0, Wrong},
		{"a moment before", "is", time.Minute - time.Nanosecond, OK},
		{"too late", "is", time.Minute, Expired},
		{"too late by the old key", "was", time.Hour, Expired},
		{"wrong and too late", "neither", time.Hour, Wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(Config{Realm: testRealm, Lifetime: 2 * time.Hour})
			ans := newAnswer(nonceFor(t, a, testNow))
			ans.cred = NewCredential(username, testRealm, c.password)
			m := request(t, 1, ans.line())
			res := a.Verify(testNow.Add(c.at), m, func(name string) (Credential, bool) { return is, name == username })
			if res.Verdict != c.verdict {
				t.Fatalf("%v, want %v", res.Verdict, c.verdict)
			}
			if res.Verdict == OK && (res.Username != "1001" || !res.Until.Equal(is.Until)) {
				t.Errorf("%+v", res)
			}
			if res.Verdict == Expired && res.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}

// tokens is a Bearer that knows one token.
type tokens struct{ asked int }

func (b *tokens) Verify(now time.Time, token string) (string, time.Time, error) {
	b.asked++
	if token != "good" {
		return "", time.Time{}, errors.New("Unknown token")
	}
	return "1001", testNow.Add(time.Hour), nil
}
func (*tokens) Challenge() string { return `authz_server="https://id.example.com"` }

func TestBearer(t *testing.T) {
	for _, c := range []struct {
		name, via, source string
		lines             []string
		verdict           Verdict
	}{
		{"good", "WSS", "192.0.2.1:5060", []string{"Bearer good"}, OK},
		{"scheme in small letters", "TLS", "192.0.2.1:5060", []string{"bearer  good"}, OK},
		{"beside a digest of another realm", "TLS", "192.0.2.1:5060", []string{`Digest realm="x", username="y"`, "Bearer good"}, OK},
		{"this machine needs no TLS", "WS", "127.0.0.1:5060", []string{"Bearer good"}, OK},
		{"in the clear", "WS", "192.0.2.1:5060", []string{"Bearer good"}, Malformed},
		{"bad", "WSS", "192.0.2.1:5060", []string{"Bearer bad"}, Wrong},
		{"empty", "WSS", "192.0.2.1:5060", []string{"Bearer"}, Malformed},
		{"too long", "WSS", "192.0.2.1:5060", []string{"Bearer " + strings.Repeat("a", longestToken+1)}, Malformed},
		{"two", "WSS", "192.0.2.1:5060", []string{"Bearer good", "Bearer good"}, Malformed},
		{"none", "WSS", "192.0.2.1:5060", nil, Missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(Config{Realm: testRealm})
			a.Accept(&tokens{})
			text := "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/" + c.via + " x.invalid;branch=z9hG4bK1\r\nCSeq: 1 REGISTER\r\n"
			for _, line := range c.lines {
				text += "Authorization: " + line + "\r\n"
			}
			m := parsed(t, text+"Content-Length: 0\r\n\r\n", netip.MustParseAddrPort(c.source))
			if res := a.Verify(testNow, m, nobody); res.Verdict != c.verdict || res.Verdict == OK && res.Username != "1001" {
				t.Errorf("%+v", res)
			}
		})
	}
}

// Guessing at tokens is slowed down before they are looked at, and a challenge offers them beside the digests.
func TestBearerGuesses(t *testing.T) {
	a, b := New(Config{Realm: testRealm}), &tokens{}
	a.Accept(b)
	m := parsed(t, "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK1\r\nAuthorization: Bearer bad\r\nContent-Length: 0\r\n\r\n",
		netip.MustParseAddrPort("192.0.2.1:5060"))
	for range 1000 {
		a.Verify(testNow, m, nobody)
	}
	if b.asked > 20 {
		t.Errorf("%d tokens were looked at", b.asked)
	}
	offered := strings.Join(a.Challenge(testNow, m, false), "\n")
	if !strings.Contains(offered, `Bearer realm="`+testRealm+`", authz_server="https://id.example.com"`) || !strings.HasPrefix(offered, "Digest") {
		t.Errorf("challenge:\n%s", offered)
	}
	a.Accept(nil)
	if offered = strings.Join(a.Challenge(testNow, m, false), "\n"); strings.Contains(offered, "Bearer") {
		t.Errorf("challenge:\n%s", offered)
	}
}

func nobody(string) (Credential, bool) { return Credential{}, false }

func parsed(t *testing.T, text string, source netip.AddrPort) *sip.Message {
	t.Helper()
	var m sip.Message
	if err := m.Parse(text); err != nil {
		t.Fatal(err)
	}
	m.Source = source
	return &m
}
