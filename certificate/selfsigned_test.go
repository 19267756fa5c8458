package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"
)

func TestSelfSigned(t *testing.T) {
	names := []string{"pbx.example.com", "localhost", "192.0.2.7", "2001:db8::7"}
	s := NewSelfSigned(t.TempDir()+"/tls", func() []string { return names }, slog.New(slog.DiscardHandler))
	now := time.Now()
	ensure := func(what string, want bool) *x509.Certificate {
		t.Helper()
		changed, err := s.Ensure(now)
		if err != nil || changed != want {
			t.Fatalf("%s: changed %v, %v", what, changed, err)
		}
		pair, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := pair.Leaf.VerifyHostname(n); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		return pair.Leaf
	}
	first := ensure("at first", true)
	ensure("again", false)
	if first.IsCA {
		t.Error("whoever trusts it trusts everything that it signs")
	}
	if mode, err := os.Stat(s.Key); err != nil || mode.Mode().Perm() != 0o600 {
		t.Errorf("the key is not its owner's alone: %v %v", mode.Mode(), err)
	}
	names = append(names, "192.0.2.99")
	moved := ensure("with a new address", true)
	if string(first.RawSubjectPublicKeyInfo) != string(moved.RawSubjectPublicKeyInfo) {
		t.Error("a new address made a new key")
	}
	now = now.Add(selfSignedFor - renewBefore + time.Hour)
	ensure("before it ends", true)
	if err := os.WriteFile(s.Certificate, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	ensure("over a broken file", true)
}

func TestLocalNames(t *testing.T) {
	names := LocalNames("PBX.example.com.", "bad name", "192.0.2.7", "localhost", "x;y")
	if names[0] != "pbx.example.com" || names[1] != "192.0.2.7" || !slices.Contains(names, "127.0.0.1") {
		t.Error(names)
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) || !nameable(n) {
			t.Errorf("%q in %v", n, names)
		}
	}
}

// A node of a cluster signs with the key that all have, also where a key of its own was before.
func TestSharedKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSelfSigned(t.TempDir(), func() []string { return []string{"pbx.example.com"} }, slog.New(slog.DiscardHandler))
	for n, shared := range []*ecdsa.PrivateKey{nil, key, key} {
		s.Shared = shared
		if changed, err := s.Ensure(time.Now()); err != nil || changed != (n < 2) {
			t.Fatalf("%d: changed %v, %v", n, changed, err)
		}
	}
	pair, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
	if err != nil || !key.PublicKey.Equal(pair.Leaf.PublicKey) {
		t.Errorf("another key in the certificate (%v)", err)
	}
}
