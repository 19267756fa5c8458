package digest

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	foreign "github.com/icholy/digest"
)

var account = NewAccount("acct", testRealm, "pw")

// parameter is a parameter of a header's value, quotes taken off.
func parameter(value, name string) string {
	_, v, _ := strings.Cut(value, name+"=")
	if strings.HasPrefix(v, `"`) {
		v, _, _ = strings.Cut(v[1:], `"`)
		return v
	}
	v, _, _ = strings.Cut(v, ",")
	return v
}

// What a library that is not ours computes of the same challenge and cnonce is what we send.
func TestAccountBesideAForeignLibrary(t *testing.T) {
	for _, alg := range []string{"MD5", "SHA-256", "SHA-512-256"} {
		text := `Digest realm="` + testRealm + `", nonce="n1", qop="auth", algorithm=` + alg
		var s Session
		_, value, err := s.Answer(response(t, "401 x", "WWW-Authenticate: "+text), account, "REGISTER", "sip:x@y", nil)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := foreign.ParseChallenge(text)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := foreign.Digest(asked, foreign.Options{Method: "REGISTER", URI: "sip:x@y", Username: "acct", Password: "pw", Count: 1, Cnonce: parameter(value, "cnonce")})
		if err != nil || parameter(value, "response") != theirs.Response {
			t.Errorf("%s: ours %s, theirs %+v, %v", alg, value, theirs, err)
		}
	}
}

// The key of a session is made of its first nonces (RFC 7616 §3.4.2), and serves while the nonce does.
func TestSessionKeys(t *testing.T) {
	hash := func(text string) string {
		sum := md5.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	var s Session
	_, first, err := s.Answer(response(t, "401 x", `WWW-Authenticate: Digest realm="`+testRealm+`", nonce="n1", qop="auth", algorithm=MD5-sess`), account, "REGISTER", "sip:x@y", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := s.Authorize(account, "REGISTER", "sip:x@y", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []string{first, second} {
		nc, cnonce := parameter(value, "nc"), parameter(value, "cnonce")
		key := hash(hash("acct:"+testRealm+":pw") + ":n1:" + parameter(first, "cnonce"))
		if want := hash(key + ":n1:" + nc + ":" + cnonce + ":auth:" + hash("REGISTER:sip:x@y")); parameter(value, "response") != want || parameter(value, "algorithm") != "MD5-sess" {
			t.Errorf("request %d: %s, want response %s", i+1, value, want)
		}
	}
}
