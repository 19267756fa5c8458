package phones

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/token"
)

const tokenBlock = `
token {
  secret   = secret("file:token-new")
  previous = secret("file:token-old")
  api_key  = secret("file:api-key")
  longest  = "2h"
}
`

// pass asks the switch for a password that expires, by the command line.
func (o *office) pass(t *testing.T, extension, life string) token.Pass {
	t.Helper()
	out, err := o.Run("token", extension, "--for", life, "--json")
	var p token.Pass
	if err == nil {
		err = json.Unmarshal([]byte(out), &p)
	}
	if err != nil {
		t.Fatalf("token: %v: %s", err, out)
	}
	return p
}

// lent is the configuration of a phone that has a pass instead of the extension's password.
func (o *office) lent(user, transport string, p token.Pass) phone.Config {
	c := o.config(user, transport)
	c.AuthUser, c.Password = p.Username, p.Password
	return c
}

// A page is given a user name and a password for an hour, over HTTP or on the command line, and telephones with them. What
// has expired, belongs to somebody else or was signed by nobody is told so.
func TestShortLivedPasswords(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Repeat("old", 12), strings.Repeat("new", 12)
	o := openWith(t, map[string]string{"token-new": fresh, "token-old": old, "api-key": "0123456789abcdef"}, tokenBlock)
	callee, to := o.desk(t, "udp")
	callee.SetAnswer(phone.AutoAnswer("tone:660"))
	user := o.extension(t)

	overHTTP := o.askHTTP(t, "0123456789abcdef", user)
	for name, p := range map[string]token.Pass{
		"command line": o.pass(t, user, "1h"), "HTTP": overHTTP,
		"the secret before": token.Keys{[]byte(old)}.Issue(user, time.Now().Add(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			a := register(t, o.lent(user, "wss", p))
			call, err := a.Call(within(t), to, phone.CallOptions{Play: "tone:440"})
			must(t, "call", err)
			hear(t, "caller", call, 660)
			must(t, "hang up", call.Hangup(within(t)))
			must(t, "unregister", a.Unregister(within(t)))
		})
	}
	for name, c := range map[string]struct {
		pass   token.Pass
		user   string
		status int
		reason string
	}{
		"expired":               {token.Keys{[]byte(fresh)}.Issue(user, time.Now().Add(-time.Second)), user, 403, "expired"},
		"for another extension": {overHTTP, o.extension(t), 403, ""},
		"signed by nobody":      {token.Keys{[]byte("somebody")}.Issue(user, time.Now().Add(time.Hour)), user, 401, ""},
		"for no extension":      {token.Keys{[]byte(fresh)}.Issue("2999", time.Now().Add(time.Hour)), "2999", 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, o.lent(c.user, "wss", c.pass))
			var refusal *phone.StatusError
			for _, err := range []error{p.Register(within(t), time.Minute), second(p.Call(within(t), to, phone.CallOptions{}))} {
				if !errors.As(err, &refusal) || refusal.Code != c.status || !strings.Contains(refusal.Reason, c.reason) {
					t.Errorf("%v, want %d %s", err, c.status, c.reason)
				}
			}
		})
	}
	if out, err := o.Run("token", user, "--for", "3h"); err == nil {
		t.Errorf("three hours are given: %s", out)
	}
	if _, status := o.postToken(t, "0123456789abcdee", user); status != http.StatusUnauthorized {
		t.Errorf("another key: %d", status)
	}
	o.Idle(patience)
}

// A binding does not outlive the password that it was made with.
func TestBindingEndsWithItsPassword(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	user := o.extension(t)
	p := start(t, o.lent(user, "ws", o.pass(t, user, "3s")))
	must(t, "register", p.Register(within(t), 10*time.Minute))
	caller, _ := o.desk(t, "udp")
	until(t, "out of reach", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := caller.Call(ctx, user, phone.CallOptions{})
		var refusal *phone.StatusError
		return errors.As(err, &refusal) && refusal.Code == 480
	})
	key := filepath.Join(o.Dir, "state", "cluster", "cluster.key")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key that the first start made: %v, %v", info, err)
	}
}

func second(_ *phone.Call, err error) error { return err }

func (o *office) askHTTP(t *testing.T, key, extension string) token.Pass {
	t.Helper()
	p, status := o.postToken(t, key, extension)
	if status != http.StatusOK || p.Username == "" {
		t.Fatalf("POST /v1/token: %d %+v", status, p)
	}
	return p
}

func (o *office) postToken(t *testing.T, key, extension string) (p token.Pass, status int) {
	t.Helper()
	form := url.Values{"extension": {extension}, "for": {"30m"}}
	r, err := http.NewRequestWithContext(within(t), http.MethodPost, "http://"+o.Addr(9090)+"/v1/token", strings.NewReader(form.Encode()))
	must(t, "request", err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(r)
	must(t, "POST", err)
	defer func() { _ = res.Body.Close() }()
	_ = json.NewDecoder(res.Body).Decode(&p)
	return p, res.StatusCode
}
