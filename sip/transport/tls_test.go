package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates of a test.
type authority struct {
	t    testing.TB
	dir  string
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.pool.AddCert(a.cert)
	a.file = filepath.Join(a.dir, "ca.pem")
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes name.crt and name.key for names: "sip:..." is a URI, digits an address, all else DNS.
func (a *authority) issue(file string, serial int64, change func(*x509.Certificate), names ...string) (cert, key string) {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		switch {
		case strings.HasPrefix(n, "sip:"):
			u, _ := url.Parse(n)
			template.URIs = append(template.URIs, u)
		case net.ParseIP(n) != nil:
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(n))
		default:
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	if change != nil {
		change(template)
	}
	priv, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, priv.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(priv)
	cert, key = filepath.Join(a.dir, file+".crt"), filepath.Join(a.dir, file+".key")
	a.write(cert, "CERTIFICATE", der)
	a.write(key, "EC PRIVATE KEY", keyDER)
	return cert, key
}

func (a *authority) config(p Proto) Config {
	cert, key := a.issue("server", 2, nil, "sip.example.com")
	return Config{Listen: []Listen{{Name: "secure", Proto: p, Address: "127.0.0.1:0", Certificate: cert, Key: key, ClientCA: a.file}}, RootCA: a.file}
}

func (a *authority) dial(l *Layer, change func(*tls.Config)) (*tls.Conn, error) {
	cfg := &tls.Config{RootCAs: a.pool, ServerName: "sip.example.com"}
	if change != nil {
		change(cfg)
	}
	d := &net.Dialer{Timeout: patience}
	c, err := tls.DialWithDialer(d, "tcp", l.testAddr(0).String(), cfg)
	if err != nil {
		return nil, err
	}
	a.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c, nil
}

// A session that one node began is resumed by another that has the same keys of tickets, and by no other.
func TestSessionsAreResumedElsewhere(t *testing.T) {
	a := newAuthority(t)
	c := a.config(TLS)
	shared := func(time.Time) [][32]byte { return [][32]byte{{1}, {2}} }
	newer := func(time.Time) [][32]byte { return [][32]byte{{3}, {1}} }
	other := func(time.Time) [][32]byte { return [][32]byte{{9}} }
	for _, x := range []struct {
		name          string
		first, second func(time.Time) [][32]byte
		resumed       bool
	}{
		{"the same keys", shared, shared, true},
		{"after a change of keys", shared, newer, true},
		{"other keys", shared, other, false},
		{"keys of its own", shared, nil, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			cache := tls.NewLRUClientSessionCache(4)
			for n, keys := range []func(time.Time) [][32]byte{x.first, x.second} {
				c.TicketKeys = keys
				ear := newEar()
				l := run(t, c, ear)
				nc, err := a.dial(l, func(c *tls.Config) { c.ClientSessionCache = cache })
				if err != nil {
					t.Fatal(err)
				}
				if got := nc.ConnectionState().DidResume; got != (n == 1 && x.resumed) {
					t.Errorf("connection %d: resumed %v", n+1, got)
				}
				// The ticket comes with the first bytes of the server (RFC 8446 §4.6.1): a pong.
				if _, err := nc.Write([]byte("\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(nc, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestTLSVersions(t *testing.T) {
	a := newAuthority(t)
	e := newEar()
	l := run(t, a.config(TLS), e)
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := a.dial(l, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if !ok {
			eventually(t, "a failed handshake counted", func() bool { return l.drops(0, DropHandshake) == 1 })
			continue
		}
		if err != nil {
			continue
		}
		write(t, c, options("TLS", "h", "1", "c", 1))
		h := e.next(t)
		if h.flow.Proto() != TLS || h.flow.Names() != nil {
			t.Errorf("flow %v %v", h.flow.Proto(), h.flow.Names())
		}
		if err := h.flow.Send([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		wantRead(t, c, "answer")
	}
}

func TestTLSClientCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	e := newEar()
	l := run(t, a.config(TLS), e)
	present := func(a *authority, names ...string) func(*tls.Config) {
		cert, key := a.issue("client", 3, nil, names...)
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return func(c *tls.Config) {
			// Shown even to a server that does not name its authority.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
	}
	for want, names := range map[string][]string{
		"carrier.example":  {"Carrier.example"},
		"domain.example":   {"sip:domain.example", "ignored.example", "sip:user@person.example"},
		"carrier2.example": {"carrier2.example"},
	} {
		c, err := a.dial(l, present(a, names...))
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, options("TLS", "h", "1", "c", 1))
		f := e.next(t).flow
		if got := f.Names(); len(got) != 1 || got[0] != want {
			t.Errorf("names %v, want %s", got, want)
		}
		// A name and an address together lead back down this connection.
		remote := localPort(c)
		if got, err := l.Connect(context.Background(), Hop{Proto: TLS, Addr: remote, ServerName: want}); err != nil || got != f {
			t.Errorf("Connect: %v", err)
		}
		if got, err := l.Connect(context.Background(), Hop{Proto: TLS, Addr: remote, ServerName: "other.example"}); err == nil {
			t.Errorf("Connect for another name gave %v", got)
		}
	}
	c, err := a.dial(l, present(stranger, "carrier.example"))
	if err == nil { // TLS 1.3 tells the client at its first read
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || len(e.got) != 0 {
		t.Errorf("a certificate of another authority was taken: %v", err)
	}
}

func TestTLSCertificateRotation(t *testing.T) {
	a := newAuthority(t)
	e := newEar()
	l := run(t, a.config(TLS), e)
	creds := l.listeners[0].settings().creds
	serial := func() int64 {
		t.Helper()
		creds.mu.Lock()
		creds.checked = time.Time{} // a second has gone by
		creds.mu.Unlock()
		c, err := a.dial(l, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 2 {
		t.Fatalf("serial %d", got)
	}
	cert, key := a.issue("server", 77, nil, "sip.example.com")
	if got := serial(); got != 77 {
		t.Errorf("after rotation: serial %d", got)
	}
	if err := os.WriteFile(key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 77 {
		t.Errorf("with a broken key file: serial %d", got)
	}
	os.Remove(cert)
	if got := serial(); got != 77 {
		t.Errorf("without a file: serial %d", got)
	}
	a.issue("server", 78, nil, "sip.example.com")
	if got := serial(); got != 78 {
		t.Errorf("mended: serial %d", got)
	}
	before := creds.current.Load()
	a.issue("server", 79, nil, "sip.example.com")
	if _, err := a.dial(l, nil); err != nil || creds.current.Load() != before {
		t.Errorf("the files are looked at more than once a second: %v", err)
	}
}

func TestTLSConfigErrors(t *testing.T) {
	a := newAuthority(t)
	good := a.config(TLS).Listen[0]
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no key":      {func(c *Config) { c.Listen[0].Key = "" }, `listen "secure": TLS needs certificate and key`},
		"no file":     {func(c *Config) { c.Listen[0].Certificate = "/nowhere" }, "/nowhere"},
		"not a key":   {func(c *Config) { c.Listen[0].Key = a.file }, a.file},
		"no CA":       {func(c *Config) { c.Listen[0].ClientCA = good.Key }, "no certificate in"},
		"no root":     {func(c *Config) { c.RootCA = "/nowhere" }, "root_ca"},
		"no protocol": {func(c *Config) { c.Listen[0].Proto = 0 }, "no transport is set"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Listen: []Listen{good}}
			c.change(&cfg)
			if _, err := New(cfg, newEar(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Two Layers: one is the peer of the other.
func TestConnectTLSVerifiesThePeer(t *testing.T) {
	a := newAuthority(t)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	for name, c := range map[string]struct {
		names  []string
		change func(*x509.Certificate)
		ask    string
		ok     bool
	}{
		"its name":            {[]string{"sip.example.com", "other.example.com"}, nil, "SIP.example.com.", true},
		"its SIP URI":         {[]string{"sip:example.com"}, nil, "example.com", true},
		"its address":         {[]string{"127.0.0.1"}, nil, "127.0.0.1", true},
		"another name":        {[]string{"sip.example.com"}, nil, "victim.example.com", false},
		"a wildcard":          {[]string{"*.example.com"}, nil, "sip.example.com", false},
		"DNS beside SIP URIs": {[]string{"sip:example.com", "sip.example.com"}, nil, "sip.example.com", false},
		"expired":             {[]string{"sip.example.com"}, past, "sip.example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			e, peer := newEar(), newEar()
			cfg := a.config(TLS)
			l := run(t, cfg, e)
			server := cfg
			server.Listen = []Listen{{Name: "peer", Proto: TLS, Address: "127.0.0.1:0", ClientCA: a.file}}
			server.Listen[0].Certificate, server.Listen[0].Key = a.issue("peer", 9, c.change, c.names...)
			far := run(t, server, peer)
			hop := Hop{Proto: TLS, Addr: far.testAddr(0), ServerName: c.ask}
			f, err := l.Connect(context.Background(), hop)
			if (err == nil) != c.ok {
				t.Fatalf("connect: %v", err)
			}
			if !c.ok {
				if l.Stats()[2].Dropped[DropHandshake] != 1 || len(peer.got) != 0 {
					t.Errorf("stats %+v", l.Stats()[2])
				}
				return
			}
			if err := f.Send([]byte(options("TLS", "h", "1", "c", 1))); err != nil {
				t.Fatal(err)
			}
			h := peer.next(t)
			if got := h.flow.Names(); len(got) != 1 || got[0] != "sip.example.com" {
				t.Errorf("our certificate was not shown: %v", got)
			}
			if again, err := l.Connect(context.Background(), hop); err != nil || again != f {
				t.Errorf("not used again: %v", err)
			}
		})
	}
}

// F8 (CVE-2020-15260): two domains on one address do not share a connection.
func TestConnectTLSNeverSharesAcrossNames(t *testing.T) {
	a := newAuthority(t)
	e, peer := newEar(), newEar()
	cfg := a.config(TLS)
	l := run(t, cfg, e)
	server := Config{Listen: []Listen{{Name: "peer", Proto: TLS, Address: "127.0.0.1:0"}}}
	server.Listen[0].Certificate, server.Listen[0].Key = a.issue("peer", 9, nil, "one.example", "two.example")
	far := run(t, server, peer)
	one, err1 := l.Connect(context.Background(), Hop{TLS, far.testAddr(0), "one.example"})
	two, err2 := l.Connect(context.Background(), Hop{TLS, far.testAddr(0), "two.example"})
	if err1 != nil || err2 != nil || one == two {
		t.Errorf("%v %v, the same flow: %v", err1, err2, one == two)
	}
	if _, err := l.Connect(context.Background(), Hop{TLS, far.testAddr(0), "three.example"}); err == nil {
		t.Error("a name that the peer has not proven was taken")
	}
}

func TestSilentTLSClientBlocksNobody(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := newEar()
	cfg := a.config(TLS)
	cfg.Limits.FirstMessage = 2 * time.Second
	l := run(t, cfg, e)
	silent := tcpClient(t, l.testAddr(0))
	c, err := a.dial(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, options("TLS", "h", "1", "c", 1))
	e.next(t)
	wantEOF(t, silent)
	eventually(t, "the late handshake counted", func() bool { return l.drops(0, DropHandshake) == 1 })
}

func TestSentBy(t *testing.T) {
	for name, c := range map[string]struct{ address, advertise, local, want string }{
		"bound":          {"127.0.0.1:0", "", "127.0.0.1:1", "127.0.0.1:PORT"},
		"IPv6":           {"[::1]:0", "", "[::1]:1", "[::1]:PORT"},
		"wildcard":       {"0.0.0.0:0", "", "127.0.0.9:1", "127.0.0.9:PORT"},
		"host":           {"0.0.0.0:0", "sip.example.com", "127.0.0.9:1", "sip.example.com:PORT"},
		"host and port":  {"0.0.0.0:0", "sip.example.com:5060", "127.0.0.9:1", "sip.example.com:5060"},
		"IPv6 advertise": {"[::]:0", "2001:db8::1", "[::1]:1", "[2001:db8::1]:PORT"},
		"in brackets":    {"[::]:0", "[2001:db8::1]", "[::1]:1", "[2001:db8::1]:PORT"},
	} {
		if c.address[0] == '[' && !hasIPv6() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := run(t, Config{Listen: []Listen{{Name: "x", Proto: UDP, Address: c.address, Advertise: c.advertise}}}, newEar())
			f := NewFlow(l.listeners[0].(*udpListener), netip.MustParseAddrPort(c.local), netip.AddrPort{})
			_, port, _ := net.SplitHostPort(l.testAddr(0).String())
			if want := strings.Replace(c.want, "PORT", port, 1); f.SentBy() != want {
				t.Errorf("%q, want %q", f.SentBy(), want)
			}
		})
	}
}
