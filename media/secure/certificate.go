package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strings"
	"time"
)

// ErrFingerprint says that a certificate is not the one that the SDP spoke of, or that an a=fingerprint line is of no use.
var ErrFingerprint = errors.New("secure: certificate fingerprint")

// NewCertificate makes the self-signed ECDSA P-256 certificate that a process shows in its DTLS handshakes. It says nothing about us; what binds
// it to a call is its fingerprint in the SDP (RFC 8827 §6.5).
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	return CertificateFor(key)
}

// CertificateFor makes the certificate of a key, each time the same to the last bit: nodes of a cluster that have the key show one
// fingerprint, so a description that one has sent is good at the other.
func CertificateFor(key *ecdsa.PrivateKey) (tls.Certificate, error) {
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return tls.Certificate{}, err
	}
	serial := sha256.Sum256(public)
	// Without an end that matters (RFC 5280 §4.1.2.5), since nobody looks: a switch runs for years, and the fingerprint of a call must not
	// change in its middle.
	t := x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:15]), Subject: pkix.Name{CommonName: "WebRTC"},
		NotBefore: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	// A signature without a source of chance is that of RFC 6979.
	der, err := x509.CreateCertificate(nil, &t, &t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// A Fingerprint is an a=fingerprint line (RFC 8122 §5): the hash function's name in lower case and the hash in upper-case hex with colons.
type Fingerprint struct{ Hash, Value string }

// hashes are the functions that we accept: sha-256 or better. Those below are broken, and a peer that has only them is refused.
var hashes = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New}

// FingerprintOf gives the sha-256 fingerprint of a certificate in DER.
func FingerprintOf(der []byte) Fingerprint {
	return Fingerprint{"sha-256", fingerprint(sha256.New(), der)}
}

func fingerprint(h hash.Hash, der []byte) string {
	h.Write(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", h.Sum(nil)), " ", ":")
}

// ParseFingerprint reads the value of an a=fingerprint line. ErrFingerprint: malformed, or of a hash that proves nothing.
func ParseFingerprint(value string) (Fingerprint, error) {
	name, hex, ok := strings.Cut(strings.TrimSpace(value), " ")
	f := Fingerprint{strings.ToLower(name), strings.ToUpper(strings.TrimSpace(hex))}
	if !ok {
		return f, fmt.Errorf("%w: malformed", ErrFingerprint)
	}
	h := hashes[f.Hash]
	if h == nil {
		return f, fmt.Errorf("%w: hash %.20q is not sha-256, sha-384 or sha-512", ErrFingerprint, f.Hash)
	}
	if len(f.Value) != 3*h().Size()-1 {
		return f, fmt.Errorf("%w: wrong length", ErrFingerprint)
	}
	for i, c := range []byte(f.Value) {
		if i%3 == 2 && c != ':' || i%3 != 2 && !strings.ContainsRune("0123456789ABCDEF", rune(c)) {
			return f, fmt.Errorf("%w: malformed", ErrFingerprint)
		}
	}
	return f, nil
}

// String is the line's value.
func (f Fingerprint) String() string { return f.Hash + " " + f.Value }

// matches says whether the certificate is the one that every usable fingerprint of a description speaks of. Of several lines with one hash any
// may match, as they may speak of several certificates (RFC 8122 §5).
func matches(der []byte, told []Fingerprint) error {
	for _, f := range told {
		h := hashes[f.Hash]
		if h == nil {
			continue
		}
		if subtle.ConstantTimeCompare([]byte(fingerprint(h(), der)), []byte(f.Value)) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: not the one in the SDP", ErrFingerprint)
}
