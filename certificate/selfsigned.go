package certificate

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	selfSignedFor = 365 * 24 * time.Hour
	// renewBefore is how long before its end a self-signed certificate is exchanged.
	renewBefore = 30 * 24 * time.Hour
	// lookEvery is how often the names of the machine are looked at: a laptop that changes its network serves its new address
	// within that time.
	lookEvery = 30 * time.Second
)

// SelfSigned is a certificate that the switch signs itself, in two files.
type SelfSigned struct {
	Certificate, Key string // paths of PEM files
	Names            func() []string
	Log              *slog.Logger
	// Shared is a key that the other nodes of a cluster have too: who pins the key of one trusts all. nil: the one in the file.
	Shared *ecdsa.PrivateKey
}

// NewSelfSigned keeps the files in a folder, which is made. names is asked for what they must hold; the first name is that
// of the subject.
func NewSelfSigned(dir string, names func() []string, log *slog.Logger) *SelfSigned {
	return &SelfSigned{Certificate: filepath.Join(dir, "self-signed.crt"), Key: filepath.Join(dir, "self-signed.key"), Names: names, Log: log}
}

// Ensure writes the files where they are missing, lack a name or end soon; changed tells whether it did. The key stays. Without names
// nothing is written.
func (s *SelfSigned) Ensure(now time.Time) (changed bool, err error) {
	names := s.Names()
	if len(names) == 0 || s.good(names, now) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(s.Key), 0o700); err != nil {
		return false, fmt.Errorf("certificate: %w", err)
	}
	key, err := s.loadKey()
	if err != nil {
		return false, fmt.Errorf("certificate: %w", err)
	}
	if err := s.sign(key, names, now); err != nil {
		return false, fmt.Errorf("certificate: %w", err)
	}
	return true, nil
}

// Run keeps the certificate right until ctx ends.
func (s *SelfSigned) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			changed, err := s.Ensure(now)
			switch {
			case err != nil:
				s.Log.Error("the self-signed certificate cannot be renewed", "err", err)
			case changed:
				s.Log.Info("self-signed certificate written: this machine's names have changed, or it would have ended", "names", len(s.Names()))
			}
		}
	}
}

// good tells whether the files fit together and serve all names for a while.
func (s *SelfSigned) good(names []string, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
	if err != nil || pair.Leaf == nil || now.Before(pair.Leaf.NotBefore) || now.Add(renewBefore).After(pair.Leaf.NotAfter) {
		return false
	}
	if s.Shared != nil && !s.Shared.PublicKey.Equal(pair.Leaf.PublicKey) {
		return false
	}
	for _, n := range names {
		if pair.Leaf.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

// loadKey reads the key, or makes one where there is none that can be read. A shared one takes the place of what is there.
func (s *SelfSigned) loadKey() (crypto.Signer, error) {
	if s.Shared != nil {
		return s.Shared, s.writeKey(s.Shared)
	}
	if text, err := os.ReadFile(s.Key); err == nil {
		if b, _ := pem.Decode(text); b != nil {
			if k, err := x509.ParsePKCS8PrivateKey(b.Bytes); err == nil {
				if signer, ok := k.(crypto.Signer); ok {
					return signer, nil
				}
			}
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return key, s.writeKey(key)
}

func (s *SelfSigned) writeKey(key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(s.Key, "PRIVATE KEY", der, 0o600)
}

// sign writes the certificate. It may sign nothing else: who takes it into a browser trusts this machine and no other.
func (s *SelfSigned) sign(key crypto.Signer, names []string, now time.Time) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0], Organization: []string{"Tandem"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return writePEM(s.Certificate, "CERTIFICATE", der, 0o644)
}

// writePEM puts a file in its place whole: a handshake that reads at the same moment sees the old one or the new one.
func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, b.Bytes(), mode); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
