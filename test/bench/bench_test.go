//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/icholy/digest"
)

// TestAnswersAsAnotherStackDoes compares our digest with somebody else's.
func TestAnswersAsAnotherStackDoes(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		challenge := `Digest realm="` + realm + `", nonce="abc,def=", opaque="o1", algorithm=` + algorithm + `, qop="auth"`
		c := newCredentials("1001", algorithm, "sip:"+realm)
		if err := c.challenged([]byte("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: " + challenge + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		parsed, err := digest.ParseChallenge(challenge)
		if err != nil {
			t.Fatal(err)
		}
		for count := 1; count <= 2; count++ {
			line := strings.TrimSuffix(string(c.appendHeader(nil, "REGISTER")), "\r\n")
			got, err := digest.ParseCredentials(strings.TrimPrefix(line, "Authorization: "))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			want, err := digest.Digest(parsed, digest.Options{
				Method: "REGISTER", URI: "sip:" + realm, Username: "1001", Password: password, Cnonce: cnonce, Count: count,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Response != want.Response || got.Nc != count || got.Nonce != "abc,def=" || got.Opaque != "o1" {
				t.Errorf("%s, count %d: %+v, want response %s", algorithm, count, got, want.Response)
			}
		}
	}
}

func TestReadsWhatServersWrite(t *testing.T) {
	m := []byte("SIP/2.0 401 Unauthorized\r\nCall-ID: 17.3.9@h\r\nWWW-Authenticate: Digest realm=\"r\", cnonce=\"x\", nonce=\"n\", algorithm=MD5\r\n" +
		"Contact: <sip:a@b;lr>;q=1\r\n\r\nv=0\r\nm=audio 4002 RTP/AVP 0\r\n")
	if got := status(m); got != 401 {
		t.Errorf("status %d", got)
	}
	if got := number(header(m, "call-id")); got != 17 {
		t.Errorf("number %d", got)
	}
	if got := parameter(header(m, "WWW-Authenticate"), "nonce"); got != "n" {
		t.Errorf("nonce %q", got)
	}
	if got := string(target(header(m, "Contact"))); got != "sip:a@b;lr" {
		t.Errorf("target %q", got)
	}
	if got := mediaPort(m); got != 4002 {
		t.Errorf("port %d", got)
	}
	if header(m, "v=0") != nil || header(m, "To") != nil {
		t.Error("a header that is not there")
	}
}

func TestBencode(t *testing.T) {
	got := string(bencode(nil, map[string]any{"flags": []any{"a", "bc"}, "command": "ping"}))
	if want := "d7:command4:ping5:flagsl1:a2:bcee"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{9, 1, 2}); got != 2 {
		t.Errorf("odd: %v", got)
	}
	if got := median([]float64{9, 1, 2, 4}); got != 3 {
		t.Errorf("even: %v", got)
	}
}
