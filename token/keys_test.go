package token

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

var expiry = time.Unix(1764331200, 0)

// The example was computed with openssl: printf 1764331200:1001 | openssl dgst -sha1 -hmac north -binary | base64
func TestIssue(t *testing.T) {
	p := Keys{[]byte("north")}.Issue("1001", expiry.Add(999*time.Millisecond))
	if p.Username != "1764331200:1001" || p.Password != "H6LXTZq7jxcH/BM+Ms5sAjAzpmo=" || !p.Expires.Equal(expiry) {
		t.Errorf("got %+v", p)
	}
}

func TestVerify(t *testing.T) {
	north, south := []byte("north"), []byte("south")
	pass := Keys{north}.Issue("1001", expiry)
	for _, c := range []struct {
		name               string
		keys               Keys
		username, password string
		ok                 bool
	}{
		{"the key that made it", Keys{north}, pass.Username, pass.Password, true},
		{"the key that is on its way out", Keys{south, north}, pass.Username, pass.Password, true},
		{"another key", Keys{south}, pass.Username, pass.Password, false},
		{"another user", Keys{north}, "1764331200:1002", pass.Password, false},
		{"a later expiry", Keys{north}, "1764331201:1001", pass.Password, false},
		{"no password", Keys{north}, pass.Username, "", false},
		{"no keys", nil, pass.Username, pass.Password, false},
		{"no expiry", Keys{north}, "1001", Keys{north}.Passwords("1001")[0], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			user, expires, ok := c.keys.Verify(c.username, c.password)
			if ok != c.ok {
				t.Fatalf("verified %v, want %v", ok, c.ok)
			}
			if ok && (user != "1001" || !expires.Equal(expiry)) {
				t.Errorf("%q until %v", user, expires)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for username, ok := range map[string]bool{
		"1764331200:1001": true, "0:a": true, "1764331200:a:b": true,
		"": false, "1001": false, ":1001": false, "1764331200:": false, "-1:1001": false, "+1:1001": false, "01:1001": false,
		"1e9:1001": false, " 1:1001": false, "99999999999999999999:1001": false,
	} {
		if _, _, got := Parse(username); got != ok {
			t.Errorf("%q: %v", username, got)
		}
	}
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	if key, err := ReadKey(path); err != nil || key != nil {
		t.Errorf("without a file: %q, %v", key, err)
	}
	const old = "6e6f727468206e6f727468206e6f727468206e6f727468"
	for text, good := range map[string]bool{old + "\n": true, "short\n": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := ReadKey(path); (err == nil) != good || good && string(key) != old {
			t.Errorf("%q: %q, %v", text, key, err)
		}
	}
	if _, err := ReadKey(filepath.Join(path, "below")); err == nil {
		t.Error("a key in a file that is no folder")
	}
}
