package phones

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// An OAuth server of the test's own: phones show its tokens in place of passwords (RFC 8898), over TLS.
func TestBearerTokens(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, "key", err)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, "key", err)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}})
	}))
	t.Cleanup(server.Close)
	o := open(t, `
oauth {
  issuer   = "https://id.example.com"
  audience = "tandem"
  jwks     = "`+server.URL+`/jwks"
  claim    = "extension"
}
`)
	token := func(by *ecdsa.PrivateKey, extension string, life time.Duration) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: by, KeyID: "1"}}, nil)
		must(t, "signer", err)
		text, err := jwt.Signed(s).Claims(map[string]any{
			"iss": "https://id.example.com", "aud": "tandem", "extension": extension, "exp": time.Now().Add(life).Unix(),
		}).Serialize()
		must(t, "token", err)
		return text
	}
	callee, to := o.desk(t, "udp")
	callee.SetAnswer(phone.AutoAnswer("tone:660"))
	user := o.extension(t)
	bearer := func(text string) phone.Config {
		c := o.browser(user, "wss")
		c.Bearer, c.Password = text, ""
		return c
	}
	until(t, "keys fetched", func() bool { return asked.Load() > 0 })
	a := start(t, bearer(token(key, user, time.Hour)))
	until(t, "registered", func() bool { return a.Register(within(t), time.Minute) == nil })
	call, err := a.Call(within(t), to, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	hear(t, "caller", call, 660)
	must(t, "hang up", call.Hangup(within(t)))

	for name, c := range map[string]struct {
		token  string
		status int
		reason string
	}{
		"expired":           {token(key, user, -time.Minute), 403, "expired"},
		"another extension": {token(key, to, time.Hour), 403, ""},
		"no extension":      {token(key, "2999", time.Hour), 401, "no extension"},
		"another key":       {token(foreign, user, time.Hour), 401, "signature"},
		"nonsense":          {"nonsense", 401, "Malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			config := bearer(c.token)
			config.WebRTC, config.Codecs, config.Local = false, nil, binary.Host() // guesses count against their source
			p := start(t, config)
			var refusal *phone.StatusError
			for _, err := range []error{p.Register(within(t), time.Minute), second(p.Call(within(t), to, phone.CallOptions{}))} {
				if !errors.As(err, &refusal) || refusal.Code != c.status || !strings.Contains(refusal.Reason, c.reason) {
					t.Errorf("%v, want %d %s", err, c.status, c.reason)
				}
			}
		})
	}
	// Whoever has neither is told where tokens come from, and passwords still count.
	var refusal *phone.StatusError
	p := start(t, bearer(""))
	if err := p.Register(within(t), time.Minute); !errors.As(err, &refusal) || !told(refusal, `authz_server="https://id.example.com"`) {
		t.Errorf("challenge: %v", err)
	}
	register(t, o.config(o.extension(t), "udp"))
	if n := asked.Load(); n > 2 {
		t.Errorf("the issuer was asked %d times", n)
	}
	o.Idle(patience)
}

func told(e *phone.StatusError, text string) bool {
	for _, h := range e.Headers {
		if h.Name == "WWW-Authenticate" && strings.Contains(h.Value, text) {
			return true
		}
	}
	return false
}
