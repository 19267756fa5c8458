package stir

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// web is a web server inside, at an address and port where certificates may be: it counts who connects.
type web struct {
	*httptest.Server
	connections atomic.Int32
	roots       *x509.CertPool
}

func insideWeb(t *testing.T, address string, serve http.HandlerFunc) *web {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w := &web{roots: x509.NewCertPool()}
	w.Server = &httptest.Server{Listener: counting{l, &w.connections}, Config: &http.Server{Handler: serve, ErrorLog: log.New(io.Discard, "", 0)}}
	w.StartTLS()
	t.Cleanup(w.Close)
	w.roots.AddCert(w.Certificate())
	return w
}

type counting struct {
	net.Listener
	n *atomic.Int32
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// names is a resolver that gives every name the same addresses.
func names(t *testing.T, a, aaaa string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 0}
		switch {
		case head.Rrtype == dns.TypeA && a != "":
			r.Answer = append(r.Answer, &dns.A{Hdr: head, A: net.ParseIP(a)})
		case head.Rrtype == dns.TypeAAAA && aaaa != "":
			r.Answer = append(r.Answer, &dns.AAAA{Hdr: head, AAAA: net.ParseIP(aaaa)})
		}
		_ = w.WriteMsg(r)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// No connection is made to an address that is not public, however it is written and whoever gives it (CVE-2022-26499).
func TestNothingInsideIsFetched(t *testing.T) {
	home := insideWeb(t, "127.83.84.85:8443", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("inside")) })
	for _, x := range []struct{ name, url, a, aaaa string }{
		{name: "127.0.0.1", url: "https://127.83.84.85:8443/x"},
		{name: "port 443", url: "https://127.0.0.1/x"},
		{name: "::1", url: "https://[::1]:8443/x"},
		{name: "mapped", url: "https://[::ffff:127.83.84.85]:8443/x"},
		{name: "mapped in hexadecimal", url: "https://[::ffff:7f53:5455]:8443/x"},
		{name: "compatible", url: "https://[::7f53:5455]:8443/x"},
		{name: "NAT64", url: "https://[64:ff9b::7f53:5455]:8443/x"},
		{name: "6to4", url: "https://[2002:7f53:5455::1]:8443/x"},
		{name: "zone", url: "https://[fe80::1%25lo]:8443/x"},
		{name: "private 10", url: "https://10.0.0.1/x"},
		{name: "private 172", url: "https://172.16.5.4/x"},
		{name: "private 192", url: "https://192.168.1.1/x"},
		{name: "carrier grade NAT", url: "https://100.64.0.1/x"},
		{name: "link local, where clouds keep keys", url: "https://169.254.169.254/x"},
		{name: "this host", url: "https://0.0.0.0:8443/x"},
		{name: "unspecified", url: "https://[::]:8443/x"},
		{name: "unique local", url: "https://[fd00::1]/x"},
		{name: "multicast", url: "https://224.0.0.1/x"},
		{name: "broadcast", url: "https://255.255.255.255/x"},
		{name: "decimal", url: "https://2136167509:8443/x"},
		{name: "hexadecimal", url: "https://0x7f535455:8443/x"},
		{name: "hexadecimal parts", url: "https://0x7f.0x53.0x54.0x55:8443/x"},
		{name: "octal", url: "https://0177.0123.0124.0125:8443/x"},
		{name: "short", url: "https://127.1:8443/x"},
		{name: "with a dot", url: "https://127.83.84.85.:8443/x"},
		{name: "one label", url: "https://localhost:8443/x"},
		{name: "a name that leads inside", url: "https://certs.evil.example:8443/x", a: "127.83.84.85"},
		{name: "a name that leads to a private network", url: "https://certs.evil.example/x", a: "10.1.2.3"},
		{name: "a name that leads to ::1", url: "https://certs.evil.example:8443/x", aaaa: "::1"},
		{name: "a name that leads to a mapped address", url: "https://certs.evil.example:8443/x", aaaa: "::ffff:127.83.84.85"},
		{name: "a user in front", url: "https://certs.example@127.83.84.85:8443/x"},
		{name: "http", url: "http://127.83.84.85:8443/x"},
		{name: "file", url: "file:///etc/passwd"},
		{name: "another port", url: "https://certs.example:5060/x", a: "127.83.84.85"},
		{name: "backslash", url: `https://certs.example\@127.83.84.85:8443/x`},
		{name: "no host", url: "https:///x"},
		{name: "opaque", url: "https:127.83.84.85"},
		{name: "escaped", url: "https://127.83.84.85%3a8443/x"},
		{name: "full-width digits", url: "https://127.83.84.8５:8443/x"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := newSigning(t, nil)
			v := NewVerifier(Config{Roots: s.ca.roots, Web: home.roots, Resolver: names(t, x.a, x.aaaa)})
			value := s.forge(t, func(f *forged) { f.header["x5u"] = x.url })
			d := v.Verify(t.Context(), noon, []string{value}, theCall)
			if d.Refusal == nil || d.Refusal.Code != 436 {
				t.Errorf("%+v %v", d, d.Refusal)
			}
			if n := home.connections.Load(); n != 0 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
	if v := NewVerifier(Config{Hosts: []string{"127.83.84.85"}, Web: home.roots, Roots: x509.NewCertPool()}); true { // so that the server above is one that would count
		_, _, err := v.cache.fetch(t.Context(), "https://127.83.84.85:8443/x") // the name in its certificate is another: no matter
		if home.connections.Load() != 1 {
			t.Fatal("the server of the test counts nothing:", err)
		}
	}
}

// An operator's own list may lead inside, and nowhere else.
func TestHostsThatAreNamed(t *testing.T) {
	for _, x := range []struct {
		url   string
		hosts []string
		want  error
	}{
		{"https://certs.example/x", []string{"certs.example"}, nil},
		{"https://CERTS.example:9443/x", []string{"certs.example"}, nil},
		{"https://a.certs.example/x", []string{"*.certs.example"}, nil},
		{"https://certs.example/x", []string{"*.certs.example"}, errHost},
		{"https://evilcerts.example/x", []string{"*.certs.example", "certs.example"}, errHost},
		{"https://certs.example.evil/x", []string{"certs.example"}, errHost},
		{"https://10.0.0.1/x", []string{"certs.example"}, errHost},
	} {
		u, err := parseURL(x.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mayFetch(u, x.hosts); !errors.Is(err, x.want) {
			t.Errorf("%s with %v: %v", x.url, x.hosts, err)
		}
	}
}

// A server that is let in and is not good: redirects, endless answers, other answers.
func TestServersThatAreNotGood(t *testing.T) {
	home := insideWeb(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	for _, x := range []struct {
		name, want string
		serve      http.HandlerFunc
	}{
		{"redirect to inside", "302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, home.URL, http.StatusFound) }},
		{"endless (CVE-2022-26498)", "too long", func(w http.ResponseWriter, _ *http.Request) {
			block := []byte(strings.Repeat("x", 32<<10))
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}},
		{"one byte too long", "too long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, largestChain+1)) }},
		{"not there", "404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }},
		{"long headers", "", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
			}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			bad := insideWeb(t, "127.0.0.1:0", x.serve)
			fetch := https(Config{Hosts: []string{"127.0.0.1"}, Web: bad.roots})
			_, _, err := fetch(t.Context(), bad.URL)
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Error(err)
			}
			if n := home.connections.Load(); n != 0 {
				t.Errorf("%d connections inside", n)
			}
		})
	}
	if _, _, err := https(Config{Hosts: []string{"127.0.0.1"}})(t.Context(), home.URL); err == nil {
		t.Error("a certificate of the web that nobody knows is believed")
	}
}

func TestMaxAge(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "no-store": 0, "max-age=300": 300 * time.Second, "public, Max-Age=60": time.Minute, "max-age=-1": 0, "max-age=99999999999": 0, `max-age="7"`: 7 * time.Second,
	} {
		if got := maxAge(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2a00:1450:4001:81b::200e": true, "1.1.1.1": true, "192.0.0.8": false, "2001:db8::1": false, "2001:0:1::1": false,
		"::": false, "240.0.0.1": false, "::ffff:8.8.8.8": true, "::ffff:10.0.0.1": false, "fec0::1": false, "ff02::1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// slow is a fetch that takes a second, and counts.
type slow struct {
	*signing
	calls atomic.Int32
	fail  atomic.Bool
}

func (s *slow) fetch(ctx context.Context, _ string) ([]byte, time.Duration, error) {
	s.calls.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if s.fail.Load() {
		return nil, 0, errors.New("no answer")
	}
	return s.chain, 10 * time.Minute, nil
}

// A thousand calls at once fetch one certificate once; it is kept as long as it says, and a failure for half a minute.
func TestOneFetchForAll(t *testing.T) {
	made := newSigning(t, nil)
	synctest.Test(t, func(t *testing.T) {
		s := &slow{signing: made}
		v := NewVerifier(Config{Roots: s.ca.roots, Fetch: s.fetch})
		value := s.identity(t, Full, caller, callee)
		clock := noon
		verify := func() Verstat { return v.Verify(t.Context(), clock, []string{value}, theCall).Verstat }
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if got := verify(); got != Passed {
					t.Error(got)
				}
			})
		}
		wg.Wait()
		if n := s.calls.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		s.fail.Store(true)
		kept := func(after time.Duration) (*authority, error) {
			u, _ := parseURL(where)
			return v.cache.get(t.Context(), noon.Add(after), u)
		}
		if a, err := kept(9 * time.Minute); a == nil || s.calls.Load() != 1 {
			t.Error("not kept:", err)
		}
		for after, want := range map[time.Duration]int32{10 * time.Minute: 2} {
			if _, err := kept(after); err == nil || s.calls.Load() != want {
				t.Error("kept too long, or asked again and again:", s.calls.Load())
			}
		}
		if _, err := kept(10*time.Minute + 29*time.Second); err == nil || s.calls.Load() != 2 {
			t.Error("a failure is not remembered")
		}
		s.fail.Store(false)
		if _, err := kept(10*time.Minute + 30*time.Second); err != nil || s.calls.Load() != 3 {
			t.Error("a failure is remembered for ever:", err)
		}
	})
}

// Servers that drip hold a few fetches, for two seconds each; a certificate from elsewhere is fetched meanwhile.
func TestDrippingServers(t *testing.T) {
	made := newSigning(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var under, most, calls atomic.Int32
		v := NewVerifier(Config{Roots: made.ca.roots, Fetch: func(ctx context.Context, address string) ([]byte, time.Duration, error) {
			if address == where {
				return made.chain, 0, nil
			}
			calls.Add(1)
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer under.Add(-1)
			<-ctx.Done()
			return nil, 0, ctx.Err()
		}})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			u, _ := parseURL(fmt.Sprintf("https://certs.evil.example/%d", i))
			wg.Go(func() {
				if _, err := v.cache.get(t.Context(), noon, u); err == nil {
					t.Error("a certificate out of nothing")
				}
			})
		}
		synctest.Wait()
		if d := v.Verify(t.Context(), noon, []string{made.identity(t, Full, caller, callee)}, theCall); d.Verstat != Passed {
			t.Error("a good certificate waits:", d.Refusal)
		}
		wg.Wait()
		if took := time.Since(began); took != patience || most.Load() != mostPerHost || calls.Load() != mostPerHost {
			t.Errorf("%v, %d at once, %d in all", took, most.Load(), calls.Load())
		}
	})
}

// A million URLs fill no memory, and drive out no certificate that is good.
func TestTheCacheIsBounded(t *testing.T) {
	s := newSigning(t, nil)
	v := s.verifier()
	good, _ := parseURL(where)
	if _, err := v.cache.get(t.Context(), noon, good); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * mostKept {
		u, _ := parseURL(fmt.Sprintf("https://certs.evil.example/%d", i))
		_, _ = v.cache.get(t.Context(), noon, u)
	}
	before := v.Fetches()
	if _, err := v.cache.get(t.Context(), noon, good); err != nil || v.Fetches() != before {
		t.Error("the good one is fetched again:", err)
	}
	if n := len(v.cache.bad); n != mostKept || len(v.cache.flights)+len(v.cache.hosts) != 0 {
		t.Errorf("%d kept, %d under way", n, len(v.cache.flights))
	}
}

func BenchmarkSign(b *testing.B) {
	s := newSigning(b, nil)
	for b.Loop() {
		_, _ = s.Sign(noon, Full, caller, callee, "1001")
	}
}

func BenchmarkVerify(b *testing.B) {
	s := newSigning(b, nil)
	v, value := s.verifier(), []string{s.identity(b, Full, caller, callee)}
	for b.Loop() {
		if d := v.Verify(b.Context(), noon, value, theCall); d.Verstat != Passed {
			b.Fatal(d.Refusal)
		}
	}
}
