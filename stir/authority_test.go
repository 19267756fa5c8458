package stir

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"
)

// Of the call that most tests are about.
const (
	caller = "+442079460018"
	callee = "+33140000001"
	where  = "https://certs.carrier.example/chain.pem"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var theCall = Call{Orig: caller, To: callee, Called: callee}

// authorityOf is somebody who signs certificates, with a chain below it.
type testCA struct {
	t     testing.TB
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newCA(t testing.TB) *testCA {
	t.Helper()
	ca := &testCA{t: t, key: newKey(t, elliptic.P256()), roots: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "STI-PA root of the tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert = ca.sign(template, template, &ca.key.PublicKey, ca.key)
	ca.roots.AddCert(ca.cert)
	return ca
}

func (ca *testCA) sign(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	ca.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		ca.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return c
}

// leaf is a certificate for a key, PEM; list is its TNAuthList, nil: it has none.
func (ca *testCA) leaf(key crypto.PublicKey, list []byte, change ...func(*x509.Certificate)) []byte {
	ca.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "SHAKEN 709J"},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if list != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: tnAuthList, Critical: true, Value: list}}
	}
	for _, c := range change {
		c(template)
	}
	return asPEM("CERTIFICATE", ca.sign(template, ca.cert, key, ca.key).Raw)
}

func asPEM(kind string, der []byte) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	return b.Bytes()
}

func keyPEM(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return asPEM("PRIVATE KEY", der)
}

// Entries of a TNAuthList.
func entry(t testing.TB, tag int, inner any, params string) asn1.RawValue {
	t.Helper()
	der, err := asn1.MarshalWithParams(inner, params)
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: der}
}

func listOf(t testing.TB, entries ...asn1.RawValue) []byte {
	t.Helper()
	der, err := asn1.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

type tnRange struct {
	Start string `asn1:"ia5"`
	Count int
}

// signing is a signer, and what others fetch of it.
type signing struct {
	*Signer
	ca    *testCA
	key   *ecdsa.PrivateKey
	chain []byte
}

func newSigning(t testing.TB, list []byte, change ...func(*x509.Certificate)) *signing {
	t.Helper()
	s := &signing{ca: newCA(t), key: newKey(t, elliptic.P256())}
	s.chain = s.ca.leaf(&s.key.PublicKey, list, change...)
	// A certificate that has expired cannot be signed with by us, and still must be refused from others.
	good := s.ca.leaf(&s.key.PublicKey, list, func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(1, 0, 0) })
	signer, err := NewSigner(good, keyPEM(t, s.key), where)
	if err != nil {
		t.Fatal(err)
	}
	s.Signer = signer
	return s
}

// verifier trusts the root of a signing, and finds its chain where it says.
func (s *signing) verifier() *Verifier {
	return NewVerifier(Config{Roots: s.ca.roots, Fetch: s.serve})
}

func (s *signing) serve(_ context.Context, address string) ([]byte, time.Duration, error) {
	if address != where {
		return nil, 0, errors.New("no such file")
	}
	return s.chain, 0, nil
}

func (s *signing) identity(t testing.TB, a Attestation, orig, dest string) string {
	t.Helper()
	v, err := s.Sign(noon, a, orig, dest, "1001")
	if err != nil {
		t.Fatal(err)
	}
	return v
}
