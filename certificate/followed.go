package certificate

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path"
	"strings"
	"sync"
)

// Followed shows certificates that another node obtains, and asks no authority. It is bounded by what that node has.
type Followed struct {
	domains []string // of the configuration: the first is shown to who names nobody

	mu    sync.RWMutex
	files map[string]halves           // by name without ending
	shown map[string]*tls.Certificate // by the names in them
}

// halves are the files of one certificate: both are told one after the other, so for a moment they do not fit.
type halves struct {
	chain, key []byte
	fit        *tls.Certificate // the last two that did
}

// NewFollowed follows the certificates of some names.
func NewFollowed(domains []string) *Followed {
	return &Followed{domains: domains, files: map[string]halves{}, shown: map[string]*tls.Certificate{}}
}

// Take takes a file that the other node tells of (ACME.Tell); nil: it was deleted there. What is no certificate is left alone.
func (f *Followed) Take(name string, value []byte) error {
	ending := path.Ext(name)
	if !strings.HasPrefix(name, "certificates/") || ending != ".crt" && ending != ".key" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	base := strings.TrimSuffix(name, ending)
	h := f.files[base]
	if ending == ".crt" {
		h.chain = value
	} else {
		h.key = value
	}
	var err error
	switch {
	case h.chain == nil && h.key == nil:
		delete(f.files, base)
		f.show()
		return nil
	case h.chain != nil && h.key != nil:
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(h.chain, h.key); err == nil {
			h.fit = &pair
		} else if h.fit != nil {
			err = nil // a renewal of which the other half is to come
		}
	}
	f.files[base] = h
	f.show()
	if err != nil {
		return fmt.Errorf("certificate %s: %w", base, err)
	}
	return nil
}

// show finds what each name is shown: of two certificates the one that ends later. The caller holds the lock.
func (f *Followed) show() {
	clear(f.shown)
	for _, h := range f.files {
		if h.fit == nil {
			continue
		}
		for _, name := range namesIn(h.fit.Leaf) {
			if old := f.shown[name]; old == nil || old.Leaf.NotAfter.Before(h.fit.Leaf.NotAfter) {
				f.shown[name] = h.fit
			}
		}
	}
}

func namesIn(c *x509.Certificate) (names []string) {
	for _, n := range c.DNSNames {
		names = append(names, strings.ToLower(n))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// ForHandshake is what a TLS listener shows to a client; ErrNoCertificate until the other node has told of one.
func (f *Followed) ForHandshake(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	_, parent, _ := strings.Cut(name, ".")
	if c := cmp.Or(f.shown[name], f.shown["*."+parent]); c != nil {
		return c, nil
	}
	if len(f.domains) > 0 {
		if c := f.shown[strings.ToLower(f.domains[0])]; c != nil {
			return c, nil
		}
	}
	return nil, ErrNoCertificate
}
