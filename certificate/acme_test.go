package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/pem"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// authority is Let's Encrypt's own test server, in this process: every name is 127.0.0.1 for it.
type authority struct {
	directory, root string
	close           func()
}

func startAuthority(t *testing.T, httpPort, tlsPort int, lasts uint64) authority { // lasts: seconds that a certificate is good for
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	signer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "d", ValidityPeriod: lasts}})
	front := wfe.New(quiet, store, va.New(quiet, httpPort, tlsPort, true, names(t), store), signer, []string{"pebble"}, true, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	root := filepath.Join(t.TempDir(), "authority.pem")
	must(t, os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return authority{server.URL + wfe.DirectoryPath, root, server.Close}
}

// names is the address of a name server that says 127.0.0.1 to everything.
func names(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if q := r.Question[0]; q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return l.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort is one that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, p, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(p)
	return n
}

// serve runs an ACME and gives a function that does a handshake with it as a client would.
func serve(t *testing.T, c Config, dir string) (*ACME, func() *x509.Certificate) {
	t.Helper()

	a, err := NewACME(c, dir, slog.New(slog.NewTextHandler(newTestLog(t), &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	return a, func() *x509.Certificate {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		go func() { _ = tls.Server(theirs, &tls.Config{GetCertificate: a.ForHandshake}).Handshake() }()
		client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true, ServerName: c.Domains[0]})
		_ = client.SetDeadline(time.Now().Add(5 * time.Second))
		if client.Handshake() != nil {
			return nil
		}
		return client.ConnectionState().PeerCertificates[0]
	}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("never %s", what)
		}
	}
}

func TestACMEByHTTP(t *testing.T) {
	http01 := freePort(t)
	auth := startAuthority(t, http01, freePort(t), 90*24*3600)
	dir := t.TempDir()
	c := Config{Domains: []string{"pbx.example.com"}, Directory: auth.directory, RootCA: auth.root, Email: "ops@example.com", HTTPPort: http01, Challenge: "http", Host: "127.0.0.1"}
	a, shake := serve(t, c, dir)
	eventually(t, "signed", func() bool { return shake() != nil })
	first := shake()
	if first.VerifyHostname("pbx.example.com") != nil || !strings.Contains(first.Issuer.CommonName, "Pebble") {
		t.Errorf("signed %v by %v", first.DNSNames, first.Issuer)
	}
	if a.Obtained().IsZero() {
		t.Error("nothing tells that it was obtained")
	}
	if resp, err := http.Get("http://127.0.0.1:" + strconv.Itoa(http01)); err == nil {
		resp.Body.Close()
		t.Error("the port of challenges is open when there is none")
	}
	// Another start finds what the first one kept, though the authority is gone.
	auth.close()
	_, again := serve(t, c, dir)
	eventually(t, "found again", func() bool { return again() != nil })
	if again().SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("the certificate was not kept")
	}
}

// A node that has never asked the authority shows the certificate that another one has told it of.
func TestACMEOfAnotherNode(t *testing.T) {
	http01 := freePort(t)
	auth := startAuthority(t, http01, freePort(t), 90*24*3600)
	var mu sync.Mutex
	files := map[string][]byte{}
	c := Config{Domains: []string{"pbx.example.com"}, Directory: auth.directory, RootCA: auth.root, HTTPPort: http01, Challenge: "http", Host: "127.0.0.1"}
	c.Told = func(name string, value []byte) {
		mu.Lock()
		defer mu.Unlock()
		if files[name] = value; value == nil {
			delete(files, name)
		}
	}
	dir := t.TempDir()
	_, shake := serve(t, c, dir)
	eventually(t, "signed", func() bool { return shake() != nil })
	first := shake()
	auth.close()
	later := c // a node that had the files before anybody could hear of them
	again := map[string][]byte{}
	later.Told = func(name string, value []byte) { again[name] = value }
	a, err := NewACME(later, dir, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, a.Tell(t.Context()))
	a.Close()
	a.Close()
	mu.Lock()
	defer mu.Unlock()
	for name, all := range map[string]map[string][]byte{"as it changed": files, "all at once": again} {
		other, err := NewACME(c, t.TempDir(), slog.New(slog.DiscardHandler))
		must(t, err)
		defer other.Close()
		for file, value := range all {
			must(t, other.Remember(t.Context(), file, value))
		}
		must(t, other.Remember(t.Context(), "never/there", nil))
		if other.Remember(t.Context(), "../elsewhere", []byte("x")) == nil {
			t.Error("a file outside of the folder is taken")
		}
		_, shake := serve(t, c, other.files.Path)
		eventually(t, "shown by the other node "+name, func() bool { return shake() != nil })
		if shake().SerialNumber.Cmp(first.SerialNumber) != 0 {
			t.Errorf("%s: another certificate", name)
		}
	}
}

// A certificate that is about to end is exchanged without a restart.
func TestACMERenews(t *testing.T) {
	http01 := freePort(t)
	auth := startAuthority(t, http01, freePort(t), 6)
	c := Config{Domains: []string{"pbx.example.com"}, Directory: auth.directory, RootCA: auth.root, HTTPPort: http01, Challenge: "http", Host: "127.0.0.1"}
	c.lookEvery = 200 * time.Millisecond
	_, shake := serve(t, c, t.TempDir())
	eventually(t, "signed", func() bool { return shake() != nil })
	first := shake()
	eventually(t, "renewed", func() bool {
		now := shake()
		return now != nil && now.SerialNumber.Cmp(first.SerialNumber) != 0
	})
}

// The authority may come to the port of TLS instead; a listener of ours answers there.
func TestACMEByTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, p, _ := net.SplitHostPort(l.Addr().String())
	port, _ := strconv.Atoi(p)
	auth := startAuthority(t, freePort(t), port, 3600)
	c := Config{Domains: []string{"pbx.example.com"}, Directory: auth.directory, RootCA: auth.root, TLSPort: port, Challenge: "tls", Host: "127.0.0.1"}
	a, shake := serve(t, c, t.TempDir())
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = tls.Server(nc, &tls.Config{GetCertificate: a.ForHandshake, NextProtos: []string{"acme-tls/1"}}).Handshake()
			_ = nc.Close()
		}
	}()
	eventually(t, "signed", func() bool { return shake() != nil })
}

func TestBeforeTheAuthoritySigned(t *testing.T) {
	_, shake := serve(t, Config{Domains: []string{"pbx.example.com"}, Directory: "https://127.0.0.1:1/dir", HTTPPort: freePort(t), TLSPort: freePort(t)}, t.TempDir())
	if shake() != nil {
		t.Error("something was signed")
	}
}

// What certmagic has begun ends before Close returns, and nothing is kept or told after it.
func TestCloseWaits(t *testing.T) {
	var heard []string
	dir, ctx := t.TempDir(), t.Context()
	a, err := NewACME(Config{Domains: []string{"pbx.example.com"}, Told: func(name string, _ []byte) { heard = append(heard, name) }}, dir, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, a.files.Lock(ctx, "order"))
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.Close()
	}()
	eventually(t, "closed", func() bool {
		a.files.work.mu.Lock()
		defer a.files.work.mu.Unlock()
		return a.files.work.closed
	})
	must(t, a.files.Store(ctx, "rw_test_1", []byte("whether the disk takes it")))
	must(t, a.files.Store(ctx, "signed", []byte("while Close waits")))
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	must(t, a.files.Unlock(ctx, "order"))
	<-closed
	if a.files.Store(ctx, "late", nil) == nil || a.files.Lock(ctx, "order") == nil {
		t.Error("something was kept after Close")
	}
	must(t, a.files.Delete(ctx, "rw_test_1"))
	must(t, a.files.Delete(ctx, "signed"))
	if _, err := os.Stat(filepath.Join(dir, "late")); err == nil || !slices.Equal(heard, []string{"signed"}) {
		t.Errorf("told of %q; %v", heard, err)
	}
}

// testLog shows what is logged where a test fails; what certmagic says later than the test's end is dropped.
type testLog struct {
	mu sync.Mutex
	t  *testing.T // nil: it is over
}

func newTestLog(t *testing.T) *testLog {
	l := &testLog{t: t}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t = nil
	})
	return l
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}
