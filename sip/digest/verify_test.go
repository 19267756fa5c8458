package digest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

const testRealm = "pbx.example.com"

var (
	testNow    = time.Now()
	testSource = netip.MustParseAddrPort("192.0.2.10:5060")
	alice      = NewCredential("alice", testRealm, "wonderland")
	// bob may use SHA-256 only.
	bob = Credential{Username: "bob", Realm: testRealm, SHA256: NewCredential("bob", testRealm, "builder").SHA256}
)

func accounts(user string) (Credential, bool) {
	switch user {
	case "alice":
		return alice, true
	case "bob":
		return bob, true
	}
	return Credential{}, false
}

// request makes a REGISTER from the test source with header lines added.
func request(t testing.TB, cseq int, lines ...string) *sip.Message {
	t.Helper()
	text := fmt.Sprintf("REGISTER sip:pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx%d;rport\r\n"+
		"From: <sip:alice@pbx.example.com>;tag=1\r\nTo: <sip:alice@pbx.example.com>\r\nCall-ID: c1\r\nCSeq: %d REGISTER\r\n", cseq, cseq)
	for _, l := range lines {
		text += l + "\r\n"
	}
	m := new(sip.Message)
	if err := m.Parse(text + "Content-Length: 4\r\n\r\nbody"); err != nil {
		t.Fatal(err)
	}
	m.Source = testSource
	return m
}

// nonceFor gets a nonce the way a phone does.
func nonceFor(t testing.TB, a *Authority, now time.Time) string {
	t.Helper()
	var p params
	rest, _ := isDigest(a.Challenge(now, request(t, 1), false)[0])
	if !p.parse(rest) {
		t.Fatal("our own challenge does not parse")
	}
	return p.value[fNonce]
}

// answer is a header that a phone would send; change it with edits "name=value" (as it stands, with quotes),
// "-name" to leave a parameter out, "+text" to append one.
type answer struct {
	alg      Algorithm
	cred     Credential
	nonce    string
	nc       uint32
	cnonce   string
	qop      string
	method   string
	uri      string
	body     string
	scheme   string
	response string
}

func newAnswer(nonce string) answer {
	return answer{
		alg: SHA256, cred: alice, nonce: nonce, nc: 1, cnonce: "abcd", qop: "auth", method: "REGISTER",
		uri: "sip:pbx.example.com", body: "body", scheme: "Digest",
	}
}

func (a answer) line(edits ...string) string {
	nc := ""
	if a.qop != "" {
		nc = fmt.Sprintf("%08x", a.nc)
	}
	e := exchange{a.alg, a.nonce, nc, a.cnonce, a.qop, a.method, a.uri, a.body}
	if a.response == "" {
		a.response = string(e.appendResponse(nil, a.cred.HA1(a.alg)))
	}
	names := []string{"username", "realm", "nonce", "uri", "response", "algorithm"}
	values := map[string]string{
		"username": `"` + a.cred.Username + `"`, "realm": `"` + a.cred.Realm + `"`, "nonce": `"` + a.nonce + `"`,
		"uri": `"` + a.uri + `"`, "response": `"` + a.response + `"`, "algorithm": a.alg.String(),
	}
	if a.qop != "" {
		names = append(names, "qop", "nc", "cnonce")
		values["qop"], values["nc"], values["cnonce"] = a.qop, nc, `"`+a.cnonce+`"`
	}
	var extra []string
	for _, ed := range edits {
		switch {
		case ed[0] == '-':
			delete(values, ed[1:])
		case ed[0] == '+':
			extra = append(extra, ed[1:])
		default:
			n, v, _ := strings.Cut(ed, "=")
			values[n] = v
		}
	}
	var parts []string
	for _, n := range names {
		if v, ok := values[n]; ok {
			parts = append(parts, n+"="+v)
		}
	}
	return "Authorization: " + a.scheme + " " + strings.Join(append(parts, extra...), ", ")
}

func TestVerifyHeaders(t *testing.T) {
	cfg := Config{Realm: testRealm, Key: []byte("shared between nodes")}
	foreign := New(Config{Realm: "other.example.com", Key: cfg.Key})
	unkeyed := New(Config{Realm: testRealm, Key: []byte("another key")})
	with := func(f func(*answer)) func(string) []string {
		return func(n string) []string { a := newAnswer(n); f(&a); return []string{a.line()} }
	}
	edit := func(edits ...string) func(string) []string {
		return func(n string) []string { return []string{newAnswer(n).line(edits...)} }
	}
	for _, c := range []struct {
		name  string
		lines func(nonce string) []string
		want  Verdict
	}{
		{"right, SHA-256", edit(), OK},
		{"right, MD5", with(func(a *answer) { a.alg = MD5 }), OK},
		{"right, algorithm left out is MD5", func(n string) []string { a := newAnswer(n); a.alg = MD5; return []string{a.line("-algorithm")} }, OK},
		{"right, auth-int", with(func(a *answer) { a.qop = "auth-int" }), OK},
		{"right, names and scheme in other case", func(n string) []string {
			a := newAnswer(n)
			a.scheme = "dIGEST"
			return []string{strings.Replace(a.line(), "username=", "USERNAME =  ", 1)}
		}, OK},
		{"right, folded", func(n string) []string { return []string{strings.ReplaceAll(newAnswer(n).line(), ", ", ",\r\n  ")} }, OK},
		{"right, quoted qop and algorithm", edit(`qop="auth"`, `algorithm="SHA-256"`), OK},
		{"right, unknown parameter", edit(`+x-other="a, b"`), OK},
		{"right, both algorithms answered", func(n string) []string {
			a := newAnswer(n)
			a.alg = MD5
			return []string{newAnswer(n).line(), a.line()}
		}, OK},
		{"right, beside another realm and scheme", func(n string) []string {
			o := newAnswer(n)
			o.cred.Realm = "elsewhere"
			return []string{"Authorization: Bearer abc", o.line(), newAnswer(n).line()}
		}, OK},
		{"right, transport left out of uri", with(func(a *answer) { a.uri = "sip:PBX.example.com:5060" }), OK},
		{"none", func(string) []string { return nil }, Missing},
		{"unknown scheme", func(string) []string { return []string{"Authorization: NoOneKnowsThisScheme opaque-data=here"} }, Missing},
		{"basic", func(string) []string { return []string{"Authorization: Basic YWxpY2U6d29uZGVybGFuZA=="} }, Missing},
		{"scheme alone", func(string) []string { return []string{"Authorization: Digest"} }, Missing},
		{"other realm", with(func(a *answer) { a.cred = NewCredential("alice", "other", "wonderland") }), Missing},
		{"realm in other case", edit(`realm="PBX.example.com"`), Missing},
		{"algorithm not offered", edit("algorithm=SHA-512-256"), Missing},
		{"session algorithm", edit("algorithm=SHA-256-sess"), Missing},
		{"wrong password", with(func(a *answer) { a.cred.SHA256 = NewCredential("alice", testRealm, "x").SHA256 }), Wrong},
		{"empty password", with(func(a *answer) { a.cred.SHA256 = NewCredential("alice", testRealm, "").SHA256 }), Wrong},
		{"unknown user", with(func(a *answer) { a.cred = NewCredential("mallory", testRealm, "x") }), Wrong},
		{"another user's password", with(func(a *answer) { a.cred.Username = "bob" }), Wrong},
		{"user name in other case", edit(`username="Alice"`), Wrong},
		{"downgrade to MD5", with(func(a *answer) { a.cred, a.alg = NewCredential("bob", testRealm, "builder"), MD5 }), Wrong},
		{"MD5 response for SHA-256", with(func(a *answer) { a.response = strings.Repeat("0", 32) }), Wrong},
		{"HA1 of nobody guessed empty", with(func(a *answer) { a.cred = Credential{Username: "nobody", Realm: testRealm} }), Wrong},
		{"response in upper case", func(n string) []string {
			l := newAnswer(n).line()
			i := strings.Index(l, "response=") + 10
			return []string{l[:i] + strings.ToUpper(l[i:i+64]) + l[i+64:]}
		}, Wrong},
		{"response cut", edit(`response="00"`), Wrong},
		{"made for another method", with(func(a *answer) { a.method = "INVITE" }), Wrong},
		{"auth-int over another body", with(func(a *answer) { a.qop, a.body = "auth-int", "other" }), Wrong},
		{"auth made, auth-int claimed", edit("qop=auth-int"), Wrong},
		{"nc changed after signing", edit("nc=00000002"), Wrong},
		{"cnonce changed after signing", edit(`cnonce="zzzz"`), Wrong},
		{"nonce of another realm", func(string) []string { return []string{newAnswer(nonceFor(t, foreign, testNow)).line()} }, Stale},
		{"nonce of another key", func(string) []string { return []string{newAnswer(nonceFor(t, unkeyed, testNow)).line()} }, Stale},
		{"nonce made up", with(func(a *answer) { a.nonce = strings.Repeat("A", nonceText) }), Stale},
		{"nonce cut", func(n string) []string { return []string{newAnswer(n[:35]).line()} }, Stale},
		{"nonce too long", func(n string) []string { return []string{newAnswer(n + "A").line()} }, Stale},
		{"nonce of another alphabet", with(func(a *answer) { a.nonce = strings.Repeat("+", nonceText) }), Stale},
		{"one bit of the nonce", func(n string) []string {
			b := []byte(n)
			b[9] ^= 1
			return []string{newAnswer(string(b)).line()}
		}, Stale},
		{"no user name", edit("-username"), Malformed},
		{"empty user name", edit(`username=""`), Malformed},
		{"no nonce", edit("-nonce"), Malformed},
		{"empty nonce", edit(`nonce=""`), Malformed},
		{"no uri", edit("-uri"), Malformed},
		{"no response", edit("-response"), Malformed},
		{"empty response", edit(`response=""`), Malformed},
		{"uri of another host", with(func(a *answer) { a.uri = "sip:evil.example.com" }), Malformed},
		{"uri of another user", with(func(a *answer) { a.uri = "sip:bob@pbx.example.com" }), Malformed},
		{"uri of another port", with(func(a *answer) { a.uri = "sip:pbx.example.com:5070" }), Malformed},
		{"uri of another scheme", with(func(a *answer) { a.uri = "sips:pbx.example.com" }), Malformed},
		{"uri is no SIP URI", with(func(a *answer) { a.uri = "/index.html" }), Malformed},
		{"no nc", edit("-nc"), Malformed},
		{"nc zero", with(func(a *answer) { a.nc = 0 }), Malformed},
		{"nc short", edit("nc=1"), Malformed},
		{"nc long", edit("nc=000000001"), Malformed},
		{"nc not hexadecimal", edit("nc=0000000g"), Malformed},
		{"no cnonce", edit("-cnonce"), Malformed},
		{"qop unknown", edit("qop=auth-conf"), Malformed},
		{"qop empty", edit(`qop=""`), Malformed},
		{"no qop (RFC 2069)", with(func(a *answer) { a.qop = "" }), Malformed},
		{"qop left out, nc kept", edit("-qop"), Malformed},
		{"user name twice", edit(`+username="bob"`), Malformed},
		{"response twice", edit(`+response="00"`), Malformed},
		{"nc twice", edit("+nc=00000002"), Malformed},
		{"the same header twice", func(n string) []string { return []string{newAnswer(n).line(), newAnswer(n).line()} }, Malformed},
		{"nine headers", func(n string) []string {
			return append(slicesRepeat("Authorization: Bearer x", 8), newAnswer(n).line())
		}, Malformed},
		{"hashed user name", edit("+userhash=true"), Malformed},
		{"extended user name", edit("+username*=UTF-8''alice"), Malformed},
		{"quote not closed", func(n string) []string { return []string{strings.TrimRight(newAnswer(n).line(), `"`)} }, Malformed},
		{"no comma", func(n string) []string { return []string{strings.Replace(newAnswer(n).line(), ", nonce", " nonce", 1)} }, Malformed},
		{"two commas", func(n string) []string { return []string{strings.Replace(newAnswer(n).line(), ", ", ",, ", 1)} }, Malformed},
		{"comma at the end", func(n string) []string { return []string{newAnswer(n).line() + ","} }, Malformed},
		{"no parameters", func(string) []string { return []string{"Authorization: Digest ,"} }, Malformed},
		{"text only", func(string) []string { return []string{"Authorization: Digest YWxpY2U6"} }, Malformed},
		{"value too long", edit(`+opaque="` + strings.Repeat("x", maxParam+1) + `"`), Malformed},
		{"control character in a value", edit("cnonce=\"a\x01b\""), Malformed},
		{"broken header of another realm", func(n string) []string {
			return []string{`Authorization: Digest realm="other`, newAnswer(n).line()}
		}, Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(cfg)
			got := a.Verify(testNow, request(t, 2, c.lines(nonceFor(t, a, testNow))...), accounts)
			if got.Verdict != c.want {
				t.Fatalf("%v (%s), want %v", got.Verdict, got.Reason, c.want)
			}
			if (got.Verdict == Malformed) != (got.Reason != "") {
				t.Fatalf("reason %q of %v", got.Reason, got.Verdict)
			}
			if got.Verdict == OK && got.Username != "alice" {
				t.Fatalf("user %q", got.Username)
			}
		})
	}
}

func slicesRepeat(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

func TestProxyAuthorizationIsItsOwnHeader(t *testing.T) {
	a := New(Config{Realm: testRealm})
	line := newAnswer(nonceFor(t, a, testNow)).line()
	if v := a.VerifyProxy(testNow, request(t, 2, line), accounts).Verdict; v != Missing {
		t.Fatalf("Authorization taken for Proxy-Authorization: %v", v)
	}
	if v := a.VerifyProxy(testNow, request(t, 2, "Proxy-"+line), accounts).Verdict; v != OK {
		t.Fatalf("Proxy-Authorization: %v", v)
	}
}

func TestChallengeOffersTheStrongestFirst(t *testing.T) {
	a := New(Config{Realm: `a "quoted" realm`})
	got := a.Challenge(testNow, request(t, 1), true)
	if len(got) != 2 || !strings.Contains(got[0], "algorithm=SHA-256") || !strings.Contains(got[1], "algorithm=MD5") {
		t.Fatalf("challenges %q", got)
	}
	for _, c := range got {
		var p params
		rest, ok := isDigest(c)
		if !ok || !p.parse(rest) || unescape(p.value[fRealm]) != `a "quoted" realm` ||
			p.value[fQop] != "auth,auth-int" || p.value[fStale] != "true" {
			t.Fatalf("challenge %q", c)
		}
	}
}

// libre 1 (Debian's baresip 1.0) ends its registration at the first algorithm that it does not know.
func TestOldAgentsSeeOnlyMD5(t *testing.T) {
	a := New(Config{Realm: testRealm})
	old := a.Challenge(testNow, request(t, 1, "User-Agent: baresip v1.0.0 (x86_64/linux)"), false)
	if len(old) != 1 || !strings.Contains(old[0], "algorithm=MD5") {
		t.Fatalf("challenges for an old agent: %q", old)
	}
	strict := New(Config{Realm: testRealm, Algorithms: []Algorithm{SHA256}})
	if c := strict.Challenge(testNow, request(t, 1, "User-Agent: baresip v1.0.0"), false); len(c) != 1 || !strings.Contains(c[0], "SHA-256") {
		t.Fatalf("MD5 offered though it is not among the algorithms: %q", c)
	}
	if v := strict.Verify(testNow, request(t, 2, md5Answer(nonceFor(t, strict, testNow))), accounts).Verdict; v != Missing {
		t.Fatalf("MD5 answer where only SHA-256 is offered: %v", v)
	}
}

func md5Answer(nonce string) string {
	a := newAnswer(nonce)
	a.alg = MD5
	return a.line()
}
