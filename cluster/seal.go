package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Sealed values are AES-256-GCM (NIST SP 800-38D). Each process derives a key of its own from the cluster's by a random
// salt, so a counter is a nonce that never comes twice, however often processes start: salt, counter, ciphertext, tag.
const (
	keyLength    = 32
	saltLength   = 16
	sealOverhead = saltLength + 8 + 16
)

var errSeal = errors.New("cannot be unsealed: another cluster key, or it was changed on its way")

// sealer seals what this process writes.
type sealer struct {
	aead cipher.AEAD
	salt [saltLength]byte
	n    atomic.Uint64
}

func newSealer(key []byte) (*sealer, error) {
	s := &sealer{}
	_, _ = rand.Read(s.salt[:]) // never fails
	var err error
	s.aead, err = derive(key, s.salt)
	return s, err
}

func derive(key []byte, salt [saltLength]byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key, salt[:], "tandem cluster record", keyLength)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func nonce(n uint64) (b [12]byte) {
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

// seal appends the sealed value to head, which is authenticated with it, as name is.
func (s *sealer) seal(head, value []byte, name string) []byte {
	n := s.n.Add(1)
	iv := nonce(n)
	bound := append(append(make([]byte, 0, len(head)+len(name)), head...), name...)
	out := append(head, s.salt[:]...)
	out = binary.BigEndian.AppendUint64(out, n)
	return s.aead.Seal(out, iv[:], value, bound)
}

// opener unseals what any process of the cluster has written.
type opener struct {
	key []byte
	mu  sync.Mutex
	// One for each process that wrote: bounded, since a cluster has few; forgotten all at once beyond.
	keys map[[saltLength]byte]cipher.AEAD
}

const openerKeys = 64

func newOpener(key []byte) *opener {
	return &opener{key: key, keys: map[[saltLength]byte]cipher.AEAD{}}
}

func (o *opener) open(head, body []byte, name string) ([]byte, error) {
	if len(body) < sealOverhead {
		return nil, errSeal
	}
	salt := [saltLength]byte(body)
	iv := nonce(binary.BigEndian.Uint64(body[saltLength:]))
	aead, err := o.aead(salt)
	if err != nil {
		return nil, err
	}
	bound := append(append(make([]byte, 0, len(head)+len(name)), head...), name...)
	value, err := aead.Open(nil, iv[:], body[saltLength+8:], bound)
	if err != nil {
		return nil, errSeal
	}
	return value, nil
}

func (o *opener) aead(salt [saltLength]byte) (cipher.AEAD, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a, ok := o.keys[salt]; ok {
		return a, nil
	}
	a, err := derive(o.key, salt)
	if err != nil {
		return nil, err
	}
	if len(o.keys) >= openerKeys {
		clear(o.keys)
	}
	o.keys[salt] = a
	return a, nil
}

// clusterKey reads the key of a folder; a folder without one gets a new one.
func clusterKey(dir string) ([]byte, error) {
	file := filepath.Join(dir, "cluster.key")
	key, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		key = make([]byte, keyLength)
		_, _ = rand.Read(key)
		if err := writeFile(file, key, 0o600); err != nil {
			return nil, fmt.Errorf("cluster key: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("cluster key: %w", err)
	case len(key) != keyLength:
		return nil, fmt.Errorf("cluster key: %s has %d bytes, not %d: take it from another node of the cluster", file, len(key), keyLength)
	}
	return key, nil
}

// writeFile puts a file in place whole or not at all.
func writeFile(name string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
