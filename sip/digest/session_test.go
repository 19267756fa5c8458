package digest

import (
	"errors"
	"strings"
	"testing"

	foreign "github.com/icholy/digest"

	"tandem/sip"
)

// response is what a challenge comes in.
func response(t *testing.T, status string, lines ...string) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse("SIP/2.0 " + status + "\r\nCSeq: 1 REGISTER\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSessionAgainstOurAuthority(t *testing.T) {
	a := New(Config{Realm: testRealm})
	var s Session
	for i := range 5 {
		var name, value string
		var err error
		if i == 0 {
			name, value, err = s.Answer(response(t, "401 Unauthorized", strings.Split(strings.TrimSpace(string(
				a.AppendChallenge(nil, sip.HeaderWWWAuthenticate, testNow, request(t, 1), false))), "\r\n")...),
				alice, "REGISTER", "sip:pbx.example.com", []byte("body"))
		} else {
			name, value, err = s.Authorize(alice, "REGISTER", "sip:pbx.example.com", []byte("body"))
		}
		if err != nil || s.Algorithm != SHA256 || s.Count != uint32(i+1) {
			t.Fatalf("%d: %v, %v, count %d", i, err, s.Algorithm, s.Count)
		}
		verdict(t, a, testNow, request(t, 2+i, name+": "+value), OK, false)
	}
}

func TestSessionChooses(t *testing.T) {
	const sha, md5 = `SHA-256`, `MD5`
	ch := func(alg, more string) string {
		return `Digest realm="pbx.example.com", nonce="n` + alg + `", algorithm=` + alg + more
	}
	md5Only := Credential{Username: "u", Realm: testRealm, MD5: alice.MD5}
	for _, c := range []struct {
		name   string
		status string
		lines  []string
		cred   Credential
		alg    Algorithm
		qop    string
		header string
		err    error
	}{
		{"strongest, though last", "401 x", []string{"WWW-Authenticate: " + ch(md5, ""), "WWW-Authenticate: " + ch(sha, "")}, alice, SHA256, "", "Authorization", nil},
		{"what the credential has", "401 x", []string{"WWW-Authenticate: " + ch(sha, ""), "WWW-Authenticate: " + ch(md5, "")}, md5Only, MD5, "", "Authorization", nil},
		{"proxy", "407 x", []string{"Proxy-Authenticate: " + ch(sha, `, qop="auth-int,auth"`)}, alice, SHA256, "auth", "Proxy-Authorization", nil},
		{"auth-int where nothing else is offered", "401 x", []string{"WWW-Authenticate: " + ch(sha, `, qop="auth-int"`)}, alice, SHA256, "auth-int", "Authorization", nil},
		{"algorithm left out", "401 x", []string{`WWW-Authenticate: Digest realm="pbx.example.com",nonce="n"`}, alice, MD5, "", "Authorization", nil},
		{"ours among several realms", "407 x", []string{`Proxy-Authenticate: Digest realm="a", nonce="1", algorithm=SHA-256`, "Proxy-Authenticate: " + ch(md5, "")}, alice, MD5, "", "Proxy-Authorization", nil},
		{"another realm", "401 x", []string{`WWW-Authenticate: Digest realm="evil", nonce="1"`}, alice, 0, "", "", ErrRealm},
		{"realm in other case", "401 x", []string{`WWW-Authenticate: Digest realm="PBX.example.com", nonce="1"`}, alice, 0, "", "", ErrRealm},
		{"an algorithm that the credential lacks", "401 x", []string{"WWW-Authenticate: " + ch("SHA-512-256", "")}, alice, 0, "", "", ErrAlgorithm},
		{"an algorithm that nobody has", "401 x", []string{"WWW-Authenticate: " + ch("SHA3-256", "")}, account, 0, "", "", ErrAlgorithm},
		{"the longest hash", "401 x", []string{"WWW-Authenticate: " + ch(sha, ""), "WWW-Authenticate: " + ch("sha-512-256", `, qop="auth"`)}, account, SHA512256, "auth", "Authorization", nil},
		{"with a session's key", "401 x", []string{"WWW-Authenticate: " + ch("MD5-sess", `, qop="auth"`)}, account, MD5, "auth", "Authorization", nil},
		{"a session's key without qop", "401 x", []string{"WWW-Authenticate: " + ch("MD5-sess", "")}, account, 0, "", "", ErrAlgorithm},
		{"downgrade to what the credential refuses", "401 x", []string{"WWW-Authenticate: " + ch(md5, "")}, bob, 0, "", "", ErrAlgorithm},
		{"unknown qop", "401 x", []string{"WWW-Authenticate: " + ch(sha, `, qop="conf"`)}, alice, 0, "", "", ErrAlgorithm},
		{"no challenge", "401 x", nil, alice, 0, "", "", ErrChallenge},
		{"407's challenge in a 401", "401 x", []string{"Proxy-Authenticate: " + ch(sha, "")}, alice, 0, "", "", ErrChallenge},
		{"broken", "401 x", []string{`WWW-Authenticate: Digest realm="pbx.example.com", nonce="x`}, alice, 0, "", "", ErrChallenge},
		{"basic", "401 x", []string{`WWW-Authenticate: Basic realm="pbx.example.com"`}, alice, 0, "", "", ErrChallenge},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Session
			name, value, err := s.Answer(response(t, c.status, c.lines...), c.cred, "INVITE", "sip:x@y", nil)
			if !errors.Is(err, c.err) || name != c.header || s.Algorithm != c.alg || s.QOP != c.qop {
				t.Fatalf("%q %v; %v, qop %q", name, err, s.Algorithm, s.QOP)
			}
			if err != nil && value != "" {
				t.Fatalf("an answer beside the error: %s", value)
			}
		})
	}
}

func TestSessionEchoesAndStops(t *testing.T) {
	line := `WWW-Authenticate: Digest realm="pbx.example.com", nonce="a\"b", opaque="", qop="auth"`
	var s Session
	if _, _, err := s.Authorize(alice, "INVITE", "sip:x@y", nil); !errors.Is(err, ErrChallenge) {
		t.Fatalf("credentials out of nothing: %v", err)
	}
	_, value, err := s.Answer(response(t, "401 x", line), alice, "INVITE", "sip:x@y", nil)
	if err != nil || !strings.Contains(value, `nonce="a\"b"`) || !strings.Contains(value, `opaque=""`) || !strings.Contains(value, "nc=00000001") {
		t.Fatalf("%v %s", err, value)
	}
	if _, _, err = s.Answer(response(t, "401 x", line), alice, "INVITE", "sip:x@y", nil); !errors.Is(err, ErrRefused) {
		t.Fatalf("the same challenge again: %v", err)
	}
	if _, _, err = s.Answer(response(t, "401 x", strings.Replace(line, `a\"b`, "c", 1)), alice, "INVITE", "sip:x@y", nil); !errors.Is(err, ErrRefused) {
		t.Fatalf("a new nonce after the first answer: %v", err)
	}
	if _, _, err = s.Answer(response(t, "401 x", strings.Replace(line, `a\"b`, "c", 1)+", stale=true"), alice, "INVITE", "sip:x@y", nil); err != nil {
		t.Fatalf("stale: %v", err)
	}
	if _, _, err = s.Authorize(alice, "INVITE", "sip:x\"@y", nil); err == nil {
		t.Fatal("a URI with a quote went into the header")
	}
}

// A client that is not ours answers our challenges.
func TestForeignClient(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		which  int
		strip  string
		nonces int
	}{
		{"SHA-256", Config{Realm: testRealm}, 0, "", 3},
		{"MD5", Config{Realm: testRealm}, 1, "", 3},
		{"SHA-256 without qop", Config{Realm: testRealm, NoQop: true}, 0, `, qop="auth,auth-int"`, 1},
		{"MD5 without qop", Config{Realm: testRealm, NoQop: true}, 1, `, qop="auth,auth-int"`, 1},
		{"auth-int", Config{Realm: testRealm, QOP: "auth-int"}, 0, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(c.cfg)
			text := strings.Replace(a.Challenge(testNow, request(t, 1), false)[c.which], c.strip, "", 1)
			chal, err := foreign.ParseChallenge(text)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.nonces {
				cred, err := foreign.Digest(chal, foreign.Options{
					Method: "REGISTER", URI: "sip:pbx.example.com", Username: "alice", Password: "wonderland",
					Count: i + 1, GetBody: bodyOf("body"),
				})
				if err != nil {
					t.Fatal(err)
				}
				verdict(t, a, testNow, request(t, 2+i, "Authorization: "+cred.String()), OK, false)
			}
		})
	}
}

// Our client answers challenges as the foreign one does.
func TestForeignChallenge(t *testing.T) {
	chal := &foreign.Challenge{Realm: testRealm, Nonce: "n1", Opaque: "o", Algorithm: "SHA-256", QOP: []string{"auth"}}
	var s Session
	_, value, err := s.Answer(response(t, "401 x", "WWW-Authenticate: "+chal.String()), alice, "INVITE", "sip:x@y", nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := foreign.ParseCredentials(value)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := foreign.Digest(chal, foreign.Options{
		Method: "INVITE", URI: "sip:x@y", Username: "alice", Password: "wonderland", Count: 1, Cnonce: ours.Cnonce,
	})
	if err != nil || ours.Response != theirs.Response || ours.Opaque != "o" || ours.Nc != 1 {
		t.Fatalf("ours %+v, theirs %+v, %v", ours, theirs, err)
	}
}
