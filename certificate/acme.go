package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// Config is what an ACME authority is asked for.
type Config struct {
	Domains   []string      // names, or public addresses where the authority signs those
	Email     string        // the authority writes to it; may be empty
	Directory string        // URL of the authority; empty: Let's Encrypt
	Profile   string        // of the authority, such as "shortlived"; empty: its default
	RootCA    string        // PEM file that the authority's own server is verified against; empty: the system's
	HTTPPort  int           // where challenges of HTTP-01 are answered; default 80
	TLSPort   int           // where those of TLS-ALPN-01 are, if no listener of ours has it; default 443
	Host      string        // to bind for both; empty: all addresses
	lookEvery time.Duration // whether a certificate ends soon; 0: every ten minutes
	// Told hears of each file that changes, by its name in the folder; nil: it is gone. Another node takes it by Remember.
	Told      func(name string, value []byte)
	Challenge string // "http" or "tls": only that one; empty: both, whichever works
}

// ErrNoCertificate is a handshake before the authority has signed anything.
var ErrNoCertificate = errors.New("certificate: the authority has not signed one yet")

// ACME obtains certificates, keeps them in a folder and renews them in time.
type ACME struct {
	config Config
	cache  *certmagic.Cache
	magic  *certmagic.Config
	files  told
	ended  sync.Once
	log    *slog.Logger

	mu   sync.Mutex
	last time.Time // when a certificate was obtained last
}

// NewACME makes it; Run works. The account and the certificates are kept in the folder.
func NewACME(c Config, dir string, log *slog.Logger) (*ACME, error) {
	a := &ACME{config: c, log: log, files: told{&certmagic.FileStorage{Path: dir}, func(string, []byte) {}, newWork()}}
	if c.Told != nil {
		a.files.tell = c.Told
	}
	zapped := bridge(log)
	issuer := certmagic.ACMEIssuer{
		CA: certmagic.LetsEncryptProductionCA, Email: c.Email, Agreed: true, Profile: c.Profile, AltHTTPPort: c.HTTPPort,
		AltTLSALPNPort: c.TLSPort, ListenHost: c.Host, Logger: zapped,
		DisableHTTPChallenge: c.Challenge == "tls", DisableTLSALPNChallenge: c.Challenge == "http",
	}
	if c.Directory != "" {
		issuer.CA, issuer.TestCA = c.Directory, c.Directory
	}
	if c.RootCA != "" {
		text, err := os.ReadFile(c.RootCA)
		if err != nil {
			return nil, fmt.Errorf("acme: root_ca: %w", err)
		}
		if issuer.TrustedRoots = x509.NewCertPool(); !issuer.TrustedRoots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("acme: root_ca: no certificate in %s", c.RootCA)
		}
	}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil }, Logger: zapped,
		RenewCheckInterval: c.lookEvery,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		Storage: a.files, Logger: zapped, OnEvent: a.event, OCSP: certmagic.OCSPConfig{DisableStapling: true},
		// A client that names nobody gets the first: SIP phones seldom send a server name.
		DefaultServerName: c.Domains[0], FallbackServerName: c.Domains[0],
	})
	a.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(a.magic, issuer)}
	return a, nil
}

// Run obtains and renews until ctx ends. What fails is tried again, later and later; calls over other listeners go on.
func (a *ACME) Run(ctx context.Context) error {
	defer a.Close()
	if err := a.magic.ManageAsync(ctx, a.config.Domains); err != nil {
		return fmt.Errorf("acme: %w", err)
	}
	<-ctx.Done()
	return nil
}

// closeWithin bounds the wait for an order that is being placed while its context ends.
const closeWithin = 5 * time.Second

// Close releases what NewACME started, also where Run was never called. When it returns no file comes to the folder any more, and nothing is
// told. A nil ACME has nothing.
func (a *ACME) Close() {
	if a != nil {
		a.ended.Do(func() {
			a.cache.Stop()
			a.files.work.close(closeWithin)
		})
	}
}

// ForHandshake is what a TLS listener shows to a client: the certificate of the name that it asks for, or the answer to a
// challenge of TLS-ALPN-01 (RFC 8737).
func (a *ACME) ForHandshake(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := a.magic.GetCertificate(hello)
	if err != nil || c == nil {
		return nil, errors.Join(ErrNoCertificate, err)
	}
	return c, nil
}

// Challenge tells whether a handshake is one of an authority that looks for an answer.
func Challenge(hello *tls.ClientHelloInfo) bool {
	return slices.Contains(hello.SupportedProtos, "acme-tls/1")
}

// Obtained is when a certificate was obtained last; zero: not since the start.
func (a *ACME) Obtained() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// event hears of what certmagic does.
func (a *ACME) event(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		a.mu.Lock()
		a.last = time.Now()
		a.mu.Unlock()
		a.log.Info("certificate obtained", "name", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		a.log.Error("the authority signs no certificate: it must reach this machine on port 80 or 443 by that name", "name", data["identifier"], "err", data["error"])
	}
	return nil
}
