package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip"
)

// credentials are what a TLS listener shows, and asks for. They are read again when a file changes; while
// the new files do not fit together, the old ones serve on.
type credentials struct {
	listen  Listen
	issue   issuer
	log     *slog.Logger
	tickets ticketKeys
	current atomic.Pointer[tls.Config]

	mu      sync.Mutex
	checked time.Time
	keyed   time.Time // when the keys of tickets were last asked for
	stamps  [3]stamp
}

// stamp tells one version of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// issuer gives a certificate in the handshake.
type issuer = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// challengeProtocol is what an authority speaks that looks whether we are who we say (RFC 8737). Nobody else is offered
// it: a phone that names the protocols it knows must not be refused for that.
const challengeProtocol = "acme-tls/1"

// ticketKeys gives the keys that sessions are resumed with, the one that seals first.
type ticketKeys = func(now time.Time) [][32]byte

func newCredentials(cfg Listen, issue issuer, tickets ticketKeys, log *slog.Logger) (*credentials, error) {
	if cfg.Issued {
		if issue == nil {
			return nil, errors.New("no authority is configured that would sign its certificate")
		}
		cfg.Certificate, cfg.Key = "", ""
	} else if cfg.Certificate == "" || cfg.Key == "" {
		return nil, fmt.Errorf("%s needs certificate and key (PEM files)", cfg.Proto)
	}
	c := &credentials{listen: cfg, issue: issue, tickets: tickets, log: log, checked: time.Now(), stamps: stampFiles(cfg)}
	return c, c.load()
}

func stampFiles(cfg Listen) (out [3]stamp) {
	for i, path := range [3]string{cfg.Certificate, cfg.Key, cfg.ClientCA} {
		if fi, err := os.Stat(path); err == nil {
			out[i] = stamp{fi.ModTime(), fi.Size()}
		}
	}
	return out
}

func (c *credentials) load() error {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.listen.Issued {
		cfg.GetCertificate = c.issue
	} else {
		pair, err := tls.LoadX509KeyPair(c.listen.Certificate, c.listen.Key)
		if err != nil {
			return fmt.Errorf("certificate %s with key %s: %w", c.listen.Certificate, c.listen.Key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if c.listen.ClientCA != "" {
		var err error
		if cfg.ClientCAs, err = readPool(c.listen.ClientCA); err != nil {
			return err
		}
		// Asked for, not required: phones and trunks may share the listener, and a trunk without its names is
		// no trunk.
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if c.listen.Issued {
		challenged := cfg.Clone()
		challenged.NextProtos = []string{challengeProtocol}
		cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(hello.SupportedProtos, challengeProtocol) {
				return challenged, nil
			}
			return nil, nil
		}
	}
	c.keyed = time.Now()
	c.rekey(cfg, c.keyed)
	c.current.Store(cfg)
	return nil
}

// rekeyEvery is how often the keys of tickets are asked for: they change by the hour.
const rekeyEvery = time.Minute

// rekey gives a configuration the keys by which a session that another node began is resumed here (RFC 8446 §4.6.1).
func (c *credentials) rekey(cfg *tls.Config, now time.Time) {
	if c.tickets != nil {
		cfg.SetSessionTicketKeys(c.tickets(now))
	}
}

func readPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authorities: no certificate in %s", path)
	}
	return pool, nil
}

// forHandshake looks at the files, at most once a second, and gives the configuration in force. Only one
// handshake does the looking; the others go on with what there is.
func (c *credentials) forHandshake(now time.Time) *tls.Config {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		if now.Sub(c.checked) >= time.Second {
			c.checked = now
			c.refresh()
			if now.Sub(c.keyed) >= rekeyEvery {
				c.keyed = now
				c.rekey(c.current.Load(), now)
			}
		}
	}
	return c.current.Load()
}

func (c *credentials) refresh() {
	stamps := stampFiles(c.listen)
	if stamps == c.stamps {
		return
	}
	c.stamps = stamps
	if err := c.load(); err != nil {
		c.log.Error("new certificate is not usable, the old one stays", "listener", c.listen.Name, "error", err)
		return
	}
	c.log.Info("certificate read again", "listener", c.listen.Name)
}

// acceptTLS does the server's handshake within the deadline that is set.
func (c *conn) acceptTLS(creds *credentials) error {
	t := tls.Server(c.raw, creds.forHandshake(time.Now()))
	if err := t.Handshake(); err != nil {
		return err
	}
	c.secured(t)
	return nil
}

// secured takes the TLS connection and the names that its peer has proven.
func (c *conn) secured(t *tls.Conn) {
	if chains := t.ConnectionState().VerifiedChains; len(chains) > 0 {
		c.names = identities(chains[0][0])
	}
	c.mu.Lock()
	c.nc = t
	c.mu.Unlock()
}

// maxNames bounds what one certificate makes us remember.
const maxNames = 64

// identities are the domains that a certificate speaks for (RFC 5922 §7.1): its SIP URIs without a user
// part, or where it has none its DNS names, in lower case; and its IP addresses, which RFC 5922 leaves out.
func identities(cert *x509.Certificate) []string {
	var names []string
	sipURI := false
	for _, u := range cert.URIs {
		if u.Scheme == "sip" {
			sipURI = true
			if host := sipHost(u); host != "" {
				names = append(names, strings.ToLower(host))
			}
		}
	}
	if !sipURI {
		for _, n := range cert.DNSNames {
			names = append(names, strings.ToLower(n))
		}
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names[:min(len(names), maxNames)]
}

func sipHost(u *url.URL) string {
	parsed, err := sip.ParseURI(u.String())
	if err != nil || parsed.User != "" {
		return ""
	}
	return parsed.Host
}

// outgoing is how TLS connections of ours are verified.
type outgoing struct{ roots *x509.CertPool }

func newOutgoing(c Config) (*outgoing, error) {
	if c.RootCA == "" {
		return &outgoing{}, nil // the system's
	}
	pool, err := readPool(c.RootCA)
	if err != nil {
		return nil, fmt.Errorf("root_ca: %w", err)
	}
	return &outgoing{pool}, nil
}

// dialTLS does the client's handshake. The peer has to prove name itself: a wildcard proves nothing in SIP
// (RFC 5922 §7.2). A peer that asks for a certificate is shown that of our first TLS listener.
func (c *conn) dialTLS(ctx context.Context, name string) error {
	roots := c.layer.now.Load().outgoing.roots
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: name,
		// VerifyConnection does all of it: the standard check would take wildcards and not SIP URIs.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return verifyServer(s, name, roots) },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if own := c.layer.ownCertificate(); own != nil {
				return own, nil
			}
			return &tls.Certificate{}, nil
		},
	}
	t := tls.Client(c.raw, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.names = identities(t.ConnectionState().PeerCertificates[0])
	c.nc = t
	return nil
}

func verifyServer(s tls.ConnectionState, name string, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("peer shows no certificate")
	}
	leaf := s.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return err
	}
	if ip := net.ParseIP(name); ip != nil {
		name = ip.String()
	}
	for _, n := range identities(leaf) {
		if n == name {
			return nil
		}
	}
	return fmt.Errorf("certificate is for %v, not for %q", identities(leaf), name)
}

// own is the certificate that is shown to servers; nil: none yet.
func (c *credentials) own() *tls.Certificate {
	cfg := c.current.Load()
	if len(cfg.Certificates) > 0 {
		return &cfg.Certificates[0]
	}
	issued, err := c.issue(&tls.ClientHelloInfo{})
	if err != nil {
		return nil
	}
	return issued
}

func (l *Layer) ownCertificate() *tls.Certificate {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.listeners {
		if s := ln.settings(); s.Proto == TLS {
			return s.creds.own()
		}
	}
	return nil
}
