package secure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
)

// Two nodes that have one key show one certificate; without a key each process shows its own.
func TestCertificateFor(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	a, err := CertificateFor(key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := CertificateFor(again)
	if err != nil || !bytes.Equal(a.Certificate[0], b.Certificate[0]) {
		t.Errorf("one key, two certificates (%v)", err)
	}
	leaf, err := x509.ParseCertificate(a.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		t.Error(err)
	}
	if c, err := NewCertificate(); err != nil || FingerprintOf(c.Certificate[0]) == FingerprintOf(a.Certificate[0]) {
		t.Errorf("two keys, one certificate (%v)", err)
	}
}
