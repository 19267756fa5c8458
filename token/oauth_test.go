package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const issuer, audience = "https://id.example.com", "tandem"

var now = time.Unix(1764331200, 0)

// issuing is an issuer with keys.
type issuing struct {
	ec      *ecdsa.PrivateKey
	rsa     *rsa.PrivateKey
	weak    *rsa.PrivateKey
	foreign *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuing {
	t.Helper()
	ec, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	foreign, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	strong, err3 := rsa.GenerateKey(rand.Reader, 2048)
	weak, err4 := rsa.GenerateKey(rand.Reader, 1024)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return &issuing{ec, strong, weak, foreign}
}

// set is what the issuer publishes, with what must be passed over.
func (i *issuing) set(t *testing.T) []byte {
	t.Helper()
	set := map[string]any{"keys": []any{
		jose.JSONWebKey{Key: i.ec.Public(), KeyID: "ec", Use: "sig"},
		jose.JSONWebKey{Key: i.rsa.Public(), KeyID: "rsa", Algorithm: "RS256"},
		jose.JSONWebKey{Key: i.weak.Public(), KeyID: "weak"},
		jose.JSONWebKey{Key: []byte("a secret that everybody knows now"), KeyID: "oct"},
		jose.JSONWebKey{Key: i.foreign.Public(), KeyID: "enc", Use: "enc"},
		map[string]string{"kty": "of the future", "kid": "new"},
	}}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key crypto.PrivateKey, kid string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func with(change map[string]any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": audience, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "extension": "1001"}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func opened(t *testing.T, i *issuing) *OAuth {
	t.Helper()
	keys, err := readKeys(i.set(t))
	if err != nil {
		t.Fatal(err)
	}
	o := NewOAuth(slog.New(slog.DiscardHandler))
	o.set.Store(&trust{cfg: &OAuthConfig{Issuer: issuer, Audience: audience, Claim: "extension", JWKS: "x"}, keys: keys})
	return o
}

func TestVerifyToken(t *testing.T) {
	i := newIssuer(t)
	o := opened(t, i)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuer+`","aud":"tandem","extension":"1001"}`)) + "."
	good := sign(t, jose.ES256, i.ec, "ec", with(nil))
	parts := strings.Split(good, ".")
	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"ES256", good, nil},
		{"RS256", sign(t, jose.RS256, i.rsa, "rsa", with(nil)), nil},
		{"for several audiences", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"aud": []string{"other", audience}})), nil},
		{"clocks differ a little", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"iat": now.Add(50 * time.Second).Unix()})), nil},
		{"expired: the caller judges", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"exp": now.Add(-time.Hour).Unix()})), nil},
		{"none", none, errMalformed},
		{"HS256 with the public key's id", sign(t, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), "ec", with(nil)), errMalformed},
		{"RS512", sign(t, jose.RS512, i.rsa, "rsa", with(nil)), errMalformed},
		{"another key under the same id", sign(t, jose.ES256, i.foreign, "ec", with(nil)), errSignature},
		{"a key for encryption", sign(t, jose.ES256, i.foreign, "enc", with(nil)), errKey},
		{"a weak key", sign(t, jose.RS256, i.weak, "weak", with(nil)), errKey},
		{"no key id", sign(t, jose.ES256, i.ec, "", with(nil)), errKey},
		{"changed on the way", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuer+`","aud":"tandem","extension":"1002"}`)) + "." + parts[2], errSignature},
		{"another issuer", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"iss": "https://evil.example"})), errClaims},
		{"another audience", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"aud": "other"})), errClaims},
		{"no audience", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"aud": nil})), errClaims},
		{"no expiry", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"exp": nil})), errNoExpiry},
		{"not yet", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()})), errEarly},
		{"of the future", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"iat": now.Add(time.Hour).Unix()})), errEarly},
		{"nobody", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"extension": nil})), errNoUser},
		{"a number for a text", sign(t, jose.ES256, i.ec, "ec", with(map[string]any{"extension": 1001})), errNoUser},
		{"nonsense", "nonsense", errMalformed},
		{"empty", "", errMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			user, until, err := o.Verify(now, c.token)
			if !errors.Is(err, c.want) || err == nil && (user != "1001" || until.IsZero()) {
				t.Errorf("%q until %v, %v; want %v", user, until, err, c.want)
			}
		})
	}
}

// Keys come from the configured place only, once in a while, and stay while it is out of reach; a key that is new is found.
func TestKeysAreFetched(t *testing.T) {
	i := newIssuer(t)
	set := i.set(t)
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		var broken atomic.Bool
		o := NewOAuth(slog.New(slog.DiscardHandler))
		o.fetch = func(_ context.Context, url string) ([]byte, time.Duration, error) {
			asked.Add(1)
			if url != "https://id.example.com/jwks" {
				t.Errorf("asked %s", url)
			}
			if broken.Load() {
				return nil, 0, errors.New("out of reach")
			}
			return set, time.Hour, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		token := sign(t, jose.ES256, i.ec, "ec", with(nil))
		if _, _, err := o.Verify(now, token); !errors.Is(err, errOff) || o.On() {
			t.Errorf("before: %v", err)
		}
		cfg := &OAuthConfig{Issuer: issuer, Audience: audience, Claim: "extension", JWKS: "https://id.example.com/jwks"}
		o.Update(cfg)
		synctest.Wait()
		verify := func(when string, want error) {
			t.Helper()
			if _, _, err := o.Verify(now, token); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", when, err, want)
			}
			synctest.Wait()
		}
		count := func(when string, want int32) {
			t.Helper()
			if n := asked.Load(); n != want {
				t.Errorf("%s: asked %d times, want %d", when, n, want)
			}
		}
		verify("fetched", nil)
		count("at first", 1)
		unknown := sign(t, jose.ES256, i.foreign, "next", with(nil))
		for range 1000 {
			_, _, _ = o.Verify(now, unknown)
		}
		synctest.Wait()
		count("invented keys", 1)
		time.Sleep(askedTooSoon + time.Second)
		synctest.Wait()
		count("a while after", 2)
		broken.Store(true)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		verify("out of reach", nil)
		if n := asked.Load(); n < 10 {
			t.Errorf("asked %d times in two hours out of reach", n)
		}
		o.Update(cfg)
		verify("the same configuration again", nil)
		other := *cfg
		other.Audience = "somebody else"
		o.Update(&other)
		verify("another audience", errClaims)
		o.Update(nil)
		verify("none", errOff)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDownload(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=1800")
		_, _ = w.Write([]byte("{}"))
	})
	mux.Handle("/redirect", http.RedirectHandler("/keys", http.StatusFound))
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxKeySet+1)) })
	server := httptest.NewServer(mux)
	defer server.Close()
	fetch := download(nil)
	if text, keep, err := fetch(t.Context(), server.URL+"/keys"); err != nil || string(text) != "{}" || keep != 30*time.Minute {
		t.Errorf("%q for %v, %v", text, keep, err)
	}
	for path, want := range map[string]string{"/redirect": "302", "/huge": "more than", "/missing": "404"} {
		if _, _, err := fetch(t.Context(), server.URL+path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	for text, ok := range map[string]bool{string(newIssuer(t).set(t)): true, "{}": false, "nonsense": false, `{"keys":[{"kty":"oct","k":"YQ"}]}`: false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckKeySet(path); (err == nil) != ok {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if err := CheckKeySet(path + ".missing"); err == nil {
		t.Error("a file that is not there")
	}
}

func FuzzVerifyToken(f *testing.F) {
	o := NewOAuth(slog.New(slog.DiscardHandler))
	o.set.Store(&trust{cfg: &OAuthConfig{Issuer: issuer, Audience: audience, Claim: "extension"}, keys: map[string]jose.JSONWebKey{}})
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if user, _, err := o.Verify(now, text); err == nil {
			t.Errorf("%q is taken as %q", text, user)
		}
	})
}
