package stranger

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
)

// After calls of every kind, with a log that tells all it can, neither the log, the call records, the answers of the
// admin socket, the metrics nor anything else in the state folder holds a password, an HA1, a digest answer or a key.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	o := &office{binary.Start(t, binary.Office+media+"log {\n  level = \"debug\"\n}\n"), t}
	ha1 := func(user string) []string {
		text := user + ":" + o.Host + ":" + binary.Password
		a, b := md5.Sum([]byte(text)), sha256.Sum256([]byte(text))
		return []string{hex.EncodeToString(a[:]), hex.EncodeToString(b[:])}
	}
	secrets := map[string]string{"password": binary.Password}
	for _, user := range []string{"1001", "1002", "1003"} {
		for i, h := range ha1(user) {
			secrets[[]string{"MD5", "SHA-256"}[i]+" HA1 of "+user] = h
		}
	}

	alice, bob := o.over("TLS", "1001"), o.over("TLS", "1002")
	c := connect(t, alice, bob)
	secrets["SRTP key of the caller"], secrets["SRTP key of the callee"] = c.am.Secret(), c.bm.Secret()
	secrets["SRTP key of the switch"] = key(t, c.b.Asked.Body)
	secrets["credentials of the INVITE"] = response(t, c.a.Invite.Authority)
	if m := c.a.Ask("INVITE", c.am.SDP()); m.Status() != 200 {
		t.Errorf("re-INVITE: %s", m.Raw)
	} else {
		secrets["SRTP key in the answer"] = key(t, m.Body)
	}
	var calls, registrations any
	o.tell(&calls, append([]string{"calls"}, o.socket()...)...)
	o.tell(&registrations, append([]string{"registrations"}, o.socket()...)...)
	c.end()

	// A wrong password, a malformed body with a key, a request that is cut short, and garbage.
	guess := o.stranger("1003")
	guess.Password = "guessed-secret"
	r := guess.Registration(guess.Contact())
	r = guess.Sign(r, guess.Do(r))
	secrets["a wrong answer"] = response(t, r.Authority)
	guess.Do(r)
	carol := o.over("TLS", "1003")
	bad := carol.New("INVITE", "1001")
	bad.Body = "v=0\r\nm=audio 1 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:cGxhbnRlZC1rZXktdGhhdC1ub2JvZHktc2hvdWxkLXNlZQ==\r\n"
	secrets["a key in a broken body"] = "cGxhbnRlZC1rZXktdGhhdC1ub2JvZHktc2hvdWxkLXNlZQ"
	carol.Ask(bad)
	text := guess.Text(r)
	guess.Send(text[:len(text)-60])
	guess.Send("SIP/2.0 401 no\r\nAuthorization: " + r.Authority + "\r\n\r\n")
	if out, err := o.Command(append([]string{"reload"}, o.socket()...)...); err != nil {
		t.Errorf("reload: %v\n%s", err, out)
	}
	o.Idle(3 * time.Second)

	places := map[string][]byte{"the log": []byte(o.Log())}
	for name, args := range map[string][]string{"status": {"status"}, "registrations": {"registrations"}, "calls": {"calls"}} {
		out, err := o.Command(append(append(args, "--json"), o.socket()...)...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		places[name] = []byte(out)
	}
	walk(t, filepath.Join(o.Dir, "state"), places)
	if !strings.Contains(o.Log(), "call ended") || !strings.Contains(o.Log(), "level=DEBUG") {
		t.Errorf("the log tells too little to prove anything:\n%s", o.Log())
	}
	for place, content := range places {
		for name, secret := range secrets {
			if len(secret) < 8 {
				t.Fatalf("%s: %q", name, secret)
			}
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s is in %s", name, place)
			}
		}
		if bytes.Contains(content, []byte("inline:")) {
			t.Errorf("a key line is in %s", place)
		}
	}
}

func walk(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		into[path] = raw
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// key is the first SRTP key of a session description.
func key(t *testing.T, sdp string) string {
	t.Helper()
	_, rest, ok := strings.Cut(sdp, "inline:")
	if !ok {
		t.Fatalf("no key in\n%s", sdp)
	}
	k, _, _ := strings.Cut(rest, "\r\n")
	k, _, _ = strings.Cut(k, "|")
	return strings.TrimRight(k, "=")
}

// response is the digest of credentials.
func response(t *testing.T, credentials string) string {
	t.Helper()
	_, rest, ok := strings.Cut(credentials, `response="`)
	if !ok {
		t.Fatalf("no response in %s", credentials)
	}
	r, _, _ := strings.Cut(rest, `"`)
	return r
}
