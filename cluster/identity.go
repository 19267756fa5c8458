package cluster

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// The identity of a node lies in the folder "identity" of this room's: who it is, its key, its certificate, and the authority
// of the cluster. The authority's own key is on the switches, so that the loss of one machine leaves somebody who can invite
// another; a witness has none.
const (
	identityDir = "identity"
	fileCA      = "ca.pem"
	fileCAKey   = "ca.key"
	fileCert    = "node.pem" // with the key, so that both are exchanged at once
	fileKey     = "node.key" // the key again, where versions before looked for it
	// everyNode is a name that every certificate of a cluster has: nodes are reached by address.
	everyNode = "tandem-cluster"
)

// ErrNoIdentity means that this machine belongs to no cluster yet.
var ErrNoIdentity = errors.New("this machine belongs to no cluster: run `tandem cluster init` on the first node, and `tandem cluster join` with its token on the others")

// Identity is who a node is, and how it proves that to the others. Its methods may be called from any goroutine.
type Identity struct {
	Node        string
	Fingerprint string // of the authority: SHA-256, hexadecimal
	authority   *x509.Certificate
	pool        *x509.CertPool // the authority alone
	dir         string
	cert        atomic.Pointer[tls.Certificate]
	life        time.Duration // of the certificates that it signs

	signing sync.Mutex                     // one certificate at a time
	out     atomic.Pointer[map[string]int] // see machines.go; never changed in place
	outMu   sync.Mutex                     // for who changes it
	read    sync.Mutex                     // guards the next two
	certAt  time.Time                      // of the files, when they were read
	outAt   time.Time
}

func (id *Identity) file(name string) string { return filepath.Join(id.dir, identityDir, name) }

// LoadIdentity reads what Init or Join have left in a folder. The certificate may have ended: see Identity.ready.
func LoadIdentity(dir string) (*Identity, error) {
	id := &Identity{dir: dir, life: certificateLife}
	ca, err := os.ReadFile(id.file(fileCA))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoIdentity
	}
	if err != nil {
		return nil, err
	}
	if id.authority, err = parseCertificate(ca); err != nil {
		return nil, fmt.Errorf("%s: %w", id.file(fileCA), err)
	}
	id.pool = x509.NewCertPool()
	id.pool.AddCert(id.authority)
	id.Fingerprint = fingerprint(id.authority)
	if err := id.refresh(); err != nil {
		return nil, err
	}
	id.Node = id.leaf().Subject.CommonName
	return id, nil
}

// refresh reads what another process may have written since: a certificate, or which machines are out. Every shard of a machine has an
// Identity of its own for the one folder.
func (id *Identity) refresh() error {
	id.read.Lock()
	defer id.read.Unlock()
	if at, changed := changedSince(id.file(fileCert), id.certAt); changed {
		cert, err := id.readCertificate()
		if err != nil {
			return err
		}
		id.cert.Store(cert)
		id.certAt = at
	}
	if at, changed := changedSince(id.file(fileOut), id.outAt); changed || id.out.Load() == nil {
		if err := id.readOut(); err != nil {
			return err
		}
		id.outAt = at
	}
	return nil
}

func changedSince(file string, at time.Time) (time.Time, bool) {
	info, err := os.Stat(file)
	if err != nil {
		return at, at.IsZero() // the reader says why
	}
	return info.ModTime(), !info.ModTime().Equal(at)
}

func (id *Identity) readCertificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(id.file(fileCert), id.file(fileCert))
	if err != nil { // as versions before wrote it
		cert, err = tls.LoadX509KeyPair(id.file(fileCert), id.file(fileKey))
	}
	if err != nil {
		return nil, fmt.Errorf("certificate of this node: %w", err)
	}
	if err := verify(cert.Leaf, id.authority, cert.Leaf.NotAfter); err != nil {
		return nil, fmt.Errorf("%s: %w", id.file(fileCert), err)
	}
	return &cert, nil
}

// leaf is the certificate of this node.
func (id *Identity) leaf() *x509.Certificate { return id.cert.Load().Leaf }

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
	ca, err := newAuthority(node, key)
	if err != nil {
		return nil, err
	}
	own, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := sign(ca, key, node, 0, certificateLife, own.Public())
	if err != nil {
		return nil, err
	}
	if err := saveKey(dir, fileCAKey, key); err != nil {
		return nil, err
	}
	if err := saveIdentity(dir, ca.Raw, cert, own); err != nil {
		return nil, err
	}
	return LoadIdentity(dir)
}

// saveIdentity writes the authority last: without it there is no identity.
func saveIdentity(dir string, ca, cert []byte, key *ecdsa.PrivateKey) error {
	return errors.Join(saveCertificate(dir, cert, key), savePEM(dir, fileCA, 0o644, pem.Block{Type: "CERTIFICATE", Bytes: ca}))
}

// saveCertificate puts a certificate and its key in place whole or not at all.
func saveCertificate(dir string, cert []byte, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(savePEM(dir, fileCert, 0o600, pem.Block{Type: "CERTIFICATE", Bytes: cert}, pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		saveKey(dir, fileKey, key))
}

func saveKey(dir, name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return savePEM(dir, name, 0o600, pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func savePEM(dir, name string, mode os.FileMode, blocks ...pem.Block) error {
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(&b)...)
	}
	if err := os.MkdirAll(filepath.Join(dir, identityDir), 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, identityDir, name), text, mode)
}

// errNoSigner means that another machine must be asked.
var errNoSigner = errors.New("this node has not the authority's key: the switches have it, that where `tandem cluster init` ran and those that have joined since")

// signer reads the authority's key.
func (id *Identity) signer() (*ecdsa.PrivateKey, error) {
	file := id.file(fileCAKey)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoSigner
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

// tls is what both sides of every connection between nodes use: each shows a certificate of the cluster's authority, and only
// names in members may speak. The certificate is the one there is when a connection begins, so that a renewed one needs no restart;
// connections that are open go on.
func (id *Identity) tls(members map[string]bool, protocols ...string) *tls.Config {
	return &tls.Config{
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.cert.Load(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.cert.Load(), nil },
		RootCAs:              id.pool, ClientCAs: id.pool, ServerName: everyNode,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13, NextProtos: protocols,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("no certificate")
			}
			name := s.PeerCertificates[0].Subject.CommonName
			if !members[name] {
				return fmt.Errorf("node %q is no member of this cluster", name)
			}
			return id.admits(s.PeerCertificates[0])
		},
	}
}
