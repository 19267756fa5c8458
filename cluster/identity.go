package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// The identity of a node lies in the folder "identity" of this room's: who it is, its key, its certificate, and the authority
// of the cluster, whose own key stays on the node where the cluster began.
const (
	identityDir = "identity"
	fileCA      = "ca.pem"
	fileCAKey   = "ca.key"
	fileCert    = "node.pem"
	fileKey     = "node.key"
	// everyNode is a name that every certificate of a cluster has: nodes are reached by address.
	everyNode = "tandem-cluster"
)

// Certificates of nodes outlive the machines. Who leaves is shut out by a new cluster, or by the members' list.
const certificateLife = 20 * 365 * 24 * time.Hour

// ErrNoIdentity means that this machine belongs to no cluster yet.
var ErrNoIdentity = errors.New("this machine belongs to no cluster: run `tandem cluster init` on the first node, and `tandem cluster join` with its token on the others")

// Identity is who a node is, and how it proves that to the others.
type Identity struct {
	Node        string
	Fingerprint string // of the authority: SHA-256, hexadecimal
	cert        tls.Certificate
	authority   *x509.Certificate
	dir         string
}

// LoadIdentity reads what Init or Join have left in a folder.
func LoadIdentity(dir string) (*Identity, error) {
	id := &Identity{dir: dir}
	at := func(name string) string { return filepath.Join(dir, identityDir, name) }
	ca, err := os.ReadFile(at(fileCA))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoIdentity
	}
	if err != nil {
		return nil, err
	}
	if id.authority, err = parseCertificate(ca); err != nil {
		return nil, fmt.Errorf("%s: %w", at(fileCA), err)
	}
	if id.cert, err = tls.LoadX509KeyPair(at(fileCert), at(fileKey)); err != nil {
		return nil, fmt.Errorf("certificate of this node: %w", err)
	}
	if err := verify(id.cert.Leaf, id.authority); err != nil {
		return nil, fmt.Errorf("%s: %w", at(fileCert), err)
	}
	id.Node = id.cert.Leaf.Subject.CommonName
	id.Fingerprint = fingerprint(id.authority)
	return id, nil
}

// Init begins a cluster in a folder: an authority, the cluster's key, and the identity of its first node.
func Init(dir, node string) (*Identity, error) {
	if !nodeName.MatchString(node) {
		return nil, fmt.Errorf("node name %q: use up to 64 letters, digits, \"-\" and \"_\"", node)
	}
	if id, err := LoadIdentity(dir); err == nil {
		return nil, fmt.Errorf("this machine is node %q of a cluster already: remove %s to leave it", id.Node, filepath.Join(dir, identityDir))
	}
	if err := os.MkdirAll(filepath.Join(dir, identityDir), 0o700); err != nil {
		return nil, err
	}
	if _, err := clusterKey(dir); err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := template("Tandem cluster "+node, nil)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	own, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := sign(ca, key, node, own.Public())
	if err != nil {
		return nil, err
	}
	if err := saveKey(dir, fileCAKey, key); err != nil {
		return nil, err
	}
	if err := saveIdentity(dir, der, cert, own); err != nil {
		return nil, err
	}
	return LoadIdentity(dir)
}

// saveIdentity writes the authority last: without it there is no identity.
func saveIdentity(dir string, ca, cert []byte, key *ecdsa.PrivateKey) error {
	if err := os.MkdirAll(filepath.Join(dir, identityDir), 0o700); err != nil {
		return err
	}
	return errors.Join(saveKey(dir, fileKey, key), savePEM(dir, fileCert, "CERTIFICATE", cert, 0o644), savePEM(dir, fileCA, "CERTIFICATE", ca, 0o644))
}

func saveKey(dir, name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return savePEM(dir, name, "PRIVATE KEY", der, 0o600)
}

func savePEM(dir, name, kind string, der []byte, mode os.FileMode) error {
	return writeFile(filepath.Join(dir, identityDir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func template(name string, names []string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: names,
		// An hour back: the clocks of two machines differ.
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign makes the certificate of a node.
func sign(ca *x509.Certificate, key *ecdsa.PrivateKey, node string, public any) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, template(node, []string{everyNode, node}), ca, public, key)
}

// signer reads the authority's key; only the node where the cluster began has it.
func (id *Identity) signer() (*ecdsa.PrivateKey, error) {
	file := filepath.Join(id.dir, identityDir, fileCAKey)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("this node cannot invite others: only the one where `tandem cluster init` ran can")
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not a key for ECDSA", file)
	}
	return k, nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

func verify(cert, authority *x509.Certificate) error {
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	_, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: everyNode, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// tls is what both sides of every connection between nodes use: each shows a certificate of the cluster's authority, and only
// names in members may speak.
func (id *Identity) tls(members map[string]bool, protocols ...string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(id.authority)
	return &tls.Config{
		Certificates: []tls.Certificate{id.cert}, RootCAs: pool, ClientCAs: pool, ServerName: everyNode,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13, NextProtos: protocols,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("no certificate")
			}
			if name := s.PeerCertificates[0].Subject.CommonName; !members[name] {
				return fmt.Errorf("node %q is no member of this cluster", name)
			}
			return nil
		},
	}
}
