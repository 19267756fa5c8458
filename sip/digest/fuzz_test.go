package digest

import (
	"io"
	"strings"
	"testing"

	"tandem/sip"
)

func bodyOf(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// Whatever parses comes out the same when it is written again in quotes, and Verify takes any header.
func FuzzParams(f *testing.F) {
	a := New(Config{Realm: testRealm, NoQop: true})
	f.Add(`username="alice", realm="pbx.example.com", nonce="n", uri="sip:a", response="x", qop=auth, nc=00000001, cnonce="c"`)
	f.Add(`realm="a\"b\\", nonce=abc , stale = TRUE`)
	f.Add("realm=\"x\",\r\n nonce=\"\", x*=y")
	f.Fuzz(func(t *testing.T, text string) {
		var p, again params
		if p.parse(text) {
			var parts []string
			for f := range fieldCount {
				if p.has(f) {
					parts = append(parts, fieldNames[f]+`="`+p.value[f]+`"`)
				}
			}
			if len(parts) > 0 && (!again.parse(strings.Join(parts, ",")) || again != p) {
				t.Fatalf("%q became %q", p.value, again.value)
			}
		}
		m := new(sip.Message)
		if m.Parse("REGISTER sip:pbx.example.com SIP/2.0\r\nAuthorization: Digest "+text+"\r\n\r\n") != nil {
			return
		}
		m.Source = testSource
		if v := a.Verify(testNow, m, accounts).Verdict; v == OK {
			t.Fatalf("%q was let in", text)
		}
		resp := new(sip.Message)
		if resp.Parse("SIP/2.0 401 x\r\nWWW-Authenticate: Digest "+text+"\r\n\r\n") == nil {
			var s Session
			if _, v, err := s.Answer(resp, alice, "INVITE", "sip:x", nil); err == nil && strings.ContainsAny(v, "\r\n\x00") {
				t.Fatalf("line end in %q", v)
			}
		}
	})
}
