package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tandem/sip"
)

// zone is a name server in memory. Lines are those of a zone file.
type zone struct {
	mu      sync.Mutex
	records map[question][]dns.RR
	exists  map[string]bool
	asked   []string
	away    bool
	gate    chan struct{} // an answer waits for it; nil: none waits
}

func newZone(t testing.TB, lines ...string) *zone {
	z := &zone{records: map[question][]dns.RR{}, exists: map[string]bool{}}
	for _, line := range lines {
		z.add(t, line)
	}
	return z
}

func (z *zone) add(t testing.TB, line string) {
	t.Helper()
	rr, err := dns.NewRR(line)
	if err != nil {
		t.Fatal(err)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	q := question{strings.ToLower(rr.Header().Name), rr.Header().Rrtype}
	z.records[q] = append(z.records[q], rr)
	z.exists[q.name] = true
}

func (z *zone) exchange(ctx context.Context, m *dns.Msg, _ string) (*dns.Msg, error) {
	if z.gate != nil {
		select {
		case <-z.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	q := question{m.Question[0].Name, m.Question[0].Qtype}
	z.asked = append(z.asked, dns.TypeToString[q.kind]+" "+q.name)
	if z.away {
		return nil, errors.New("no answer")
	}
	reply := new(dns.Msg).SetReply(m)
	name := q.name
	for range 5 {
		if c := z.records[question{name, dns.TypeCNAME}]; len(c) > 0 {
			reply.Answer = append(reply.Answer, c[0])
			name = c[0].(*dns.CNAME).Target
		}
	}
	reply.Answer = append(reply.Answer, z.records[question{name, q.kind}]...)
	if len(reply.Answer) == 0 {
		if !z.exists[name] {
			reply.Rcode = dns.RcodeNameError
		}
		reply.Ns = z.records[question{"example.", dns.TypeSOA}]
	}
	return reply, nil
}

func (z *zone) questions() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

func (z *zone) set(away bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.away = away
}

func (z *zone) resolver(change func(*ResolverConfig)) *Resolver {
	cfg := ResolverConfig{Servers: []string{"192.0.2.53:53"}, Hosts: "/nowhere", Exchange: z.exchange, Rand: func(int) int { return 0 }}
	if change != nil {
		change(&cfg)
	}
	return NewResolver(cfg)
}

func hopText(hops []Hop) string {
	var out []string
	for _, h := range hops {
		out = append(out, h.String())
	}
	return strings.Join(out, ", ")
}

func mustURI(t testing.TB, s string) sip.URI {
	t.Helper()
	u, err := sip.ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var carrier = []string{
	`naptr.example. 300 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.naptr.example.`,
	`naptr.example. 300 IN NAPTR 10 20 "s" "SIP+D2T" "" _sip._tcp.naptr.example.`,
	`naptr.example. 300 IN NAPTR 10 10 "S" "sips+d2t" "" _sips._tcp.naptr.example.`,
	`naptr.example. 300 IN NAPTR 5 10 "s" "SIP+D2S" "" _sip._sctp.naptr.example.`,
	`naptr.example. 300 IN NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:x@evil.example!" .`,
	`_sip._udp.naptr.example. 300 IN SRV 10 0 5060 a.naptr.example.`,
	`_sip._tcp.naptr.example. 300 IN SRV 10 0 5062 a.naptr.example.`,
	`_sips._tcp.naptr.example. 300 IN SRV 20 0 5061 b.naptr.example.`,
	`_sips._tcp.naptr.example. 300 IN SRV 10 0 5063 a.naptr.example.`,
	`a.naptr.example. 300 IN A 192.0.2.1`,
	`b.naptr.example. 300 IN A 192.0.2.2`,
	`b.naptr.example. 300 IN AAAA 2001:db8::2`,
	`srv.example. 300 IN A 192.0.2.9`,
	`_sip._tcp.srv.example. 300 IN SRV 10 0 5070 a.naptr.example.`,
	`_sips._tcp.srv.example. 300 IN SRV 10 0 5071 a.naptr.example.`,
	`plain.example. 300 IN A 192.0.2.10`,
	`plain.example. 300 IN A 192.0.2.11`,
	`plain.example. 300 IN AAAA 2001:db8::10`,
	`alias.example. 300 IN CNAME plain.example.`,
	`none.example. 300 IN A 192.0.2.12`,
	`_sip._udp.none.example. 300 IN SRV 0 0 0 .`,
	`lost.example. 300 IN A 192.0.2.13`,
	`_sip._udp.lost.example. 300 IN SRV 1 0 5060 nowhere.example.`,
	`half.example. 300 IN A 192.0.2.13`,
	`_sip._udp.half.example. 300 IN SRV 1 0 5060 nowhere.example.`,
	`_sip._udp.half.example. 300 IN SRV 2 0 5060 a.naptr.example.`,
}

func TestResolve(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:1@192.0.2.7":                           "UDP 192.0.2.7:5060",
		"sip:1@192.0.2.7:5080":                      "UDP 192.0.2.7:5080",
		"sip:1@192.0.2.7;transport=TCP":             "TCP 192.0.2.7:5060",
		"sip:1@192.0.2.7;transport=tls":             "TLS 192.0.2.7:5061",
		"sip:1@[2001:db8::7]":                       "UDP [2001:db8::7]:5060",
		"sip:1@192.0.2.7;maddr=198.51.100.1":        "UDP 192.0.2.7:5060",
		"sips:1@192.0.2.7":                          "TLS 192.0.2.7:5061",
		"sips:1@192.0.2.7:5080;transport=tcp":       "TLS 192.0.2.7:5080",
		"sip:naptr.example":                         "TLS 192.0.2.1:5063, TLS 192.0.2.2:5061, TLS [2001:db8::2]:5061, TCP 192.0.2.1:5062",
		"sip:NAPTR.Example.":                        "TLS 192.0.2.1:5063, TLS 192.0.2.2:5061, TLS [2001:db8::2]:5061, TCP 192.0.2.1:5062",
		"sips:naptr.example":                        "TLS 192.0.2.1:5063, TLS 192.0.2.2:5061, TLS [2001:db8::2]:5061",
		"sip:naptr.example;transport=udp":           "UDP 192.0.2.1:5060",
		"sip:a.naptr.example:5090":                  "UDP 192.0.2.1:5090",
		"sip:a.naptr.example:5090;transport=tcp":    "TCP 192.0.2.1:5090",
		"sip:srv.example":                           "TCP 192.0.2.1:5070",
		"sip:srv.example;transport=udp":             "UDP 192.0.2.9:5060",
		"sips:srv.example":                          "TLS 192.0.2.1:5071",
		"sip:plain.example":                         "UDP 192.0.2.10:5060, UDP 192.0.2.11:5060, UDP [2001:db8::10]:5060",
		"sips:plain.example":                        "TLS 192.0.2.10:5061, TLS 192.0.2.11:5061, TLS [2001:db8::10]:5061",
		"sip:alias.example;transport=tcp":           "TCP 192.0.2.10:5060, TCP 192.0.2.11:5060, TCP [2001:db8::10]:5060",
		"sip:half.example":                          "UDP 192.0.2.1:5060",
		"sip:none.example":                          "no host",
		"sip:lost.example":                          "no host",
		"sip:nowhere.example":                       "no host",
		"sip:nowhere.example:5060":                  "no host",
		"sips:plain.example;transport=udp":          "unspeakable",
		"sip:plain.example;transport=sctp":          "unspeakable",
		"sip:plain.example;transport=ws":            "unspeakable",
		"tel:+15551234":                             "unspeakable",
		"sip:" + strings.Repeat("a.", 125) + "long": "no host",
	} {
		t.Run(uri, func(t *testing.T) {
			r := newZone(t, carrier...).resolver(nil)
			u := mustURI(t, uri)
			hops, err := r.Resolve(context.Background(), u)
			got := hopText(hops)
			switch {
			case errors.Is(err, ErrNoHost):
				got = "no host"
			case errors.Is(err, ErrUnspeakable):
				got = "unspeakable"
			case err != nil:
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, want)
			}
			for _, h := range hops {
				if want := strings.ToLower(strings.TrimSuffix(u.Host, ".")); h.ServerName != want {
					t.Errorf("the peer has to prove %q, want %q", h.ServerName, want)
				}
			}
		})
	}
}

func TestResolveSpeaksOnlyOurTransports(t *testing.T) {
	r := newZone(t, carrier...).resolver(func(c *ResolverConfig) { c.Transports = []Proto{TCP} })
	for host, want := range map[string]string{"naptr.example": "TCP 192.0.2.1:5062", "srv.example": "TCP 192.0.2.1:5070", "192.0.2.1": "TCP 192.0.2.1:5060"} {
		hops, err := r.ResolveHost(context.Background(), Target{Host: host})
		if got := hopText(hops); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", host, got, err, want)
		}
	}
	if _, err := r.ResolveHost(context.Background(), Target{Host: "192.0.2.1", Secure: true}); !errors.Is(err, ErrUnspeakable) {
		t.Errorf("sips without TLS: %v", err)
	}
}

func TestSRVWeights(t *testing.T) {
	z := newZone(t)
	for i, w := range []int{0, 10, 60, 30} {
		z.add(t, fmt.Sprintf("_sip._udp.w.example. 300 IN SRV 1 %d 5060 h%d.example.", w, i))
		z.add(t, fmt.Sprintf("h%d.example. 300 IN A 192.0.2.%d", i, i))
	}
	z.add(t, "_sip._udp.w.example. 300 IN SRV 2 0 5060 last.example.")
	z.add(t, "last.example. 300 IN A 192.0.2.99")
	first := [4]int{}
	draw := 0
	r := z.resolver(func(c *ResolverConfig) {
		c.Rand = func(n int) int {
			if n == 101 { // the first draw of each order
				return draw % n
			}
			return 0
		}
	})
	for draw = range 101 {
		hops, err := r.ResolveHost(context.Background(), Target{Host: "w.example", Proto: UDP})
		if err != nil || len(hops) != 5 || hops[4].Addr.Addr() != netip.MustParseAddr("192.0.2.99") {
			t.Fatalf("%s %v", hopText(hops), err)
		}
		first[hops[0].Addr.Addr().As4()[3]]++
	}
	if first != [4]int{1, 10, 60, 30} {
		t.Errorf("each of 101 draws once: %v", first)
	}
}

func TestResolverCache(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	z := newZone(t, "plain.example. 60 IN A 192.0.2.1", "zero.example. 0 IN A 192.0.2.2", "example. 3600 IN SOA ns. me. 1 1 1 1 20")
	r := z.resolver(func(c *ResolverConfig) { c.Now = func() time.Time { return now } })
	ask := func(host string, wantQuestions int, wantOK bool) {
		t.Helper()
		before := z.questions()
		_, err := r.ResolveHost(context.Background(), Target{Host: host, Port: 5060})
		if got := z.questions() - before; got != wantQuestions || (err == nil) != wantOK {
			t.Errorf("%s: %d questions, want %d; %v", host, got, wantQuestions, err)
		}
	}
	ask("plain.example", 2, true) // A and AAAA
	ask("PLAIN.example.", 0, true)
	now = now.Add(21 * time.Second)
	ask("plain.example", 1, true) // that there is no AAAA was good for 20 s
	now = now.Add(40 * time.Second)
	ask("plain.example", 2, true)
	ask("zero.example", 2, true)
	ask("zero.example", 0, true)
	now = now.Add(time.Second)
	ask("zero.example", 1, true)
	ask("nowhere.example", 2, false)
	ask("nowhere.example", 0, false)
	now = now.Add(21 * time.Second)
	ask("nowhere.example", 2, false)
}

func TestResolverServesStaleWhileServersAreAway(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	z := newZone(t, "plain.example. 60 IN A 192.0.2.1", "plain.example. 60 IN AAAA 2001:db8::1")
	r := z.resolver(func(c *ResolverConfig) { c.Now = func() time.Time { return now } })
	ask := func(wantOK bool) {
		t.Helper()
		hops, err := r.ResolveHost(context.Background(), Target{Host: "plain.example", Port: 5060})
		if (err == nil) != wantOK || wantOK && len(hops) != 2 {
			t.Errorf("%s %v", hopText(hops), err)
		}
	}
	ask(true)
	z.set(true)
	now = now.Add(time.Hour)
	ask(true)
	before := z.questions()
	ask(true)
	if z.questions() != before {
		t.Error("servers that are away are asked each time")
	}
	now = now.Add(22 * time.Hour)
	ask(true)
	now = now.Add(2 * time.Hour)
	ask(false)
	z.set(false)
	ask(true)
}

func TestResolverJoinsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "plain.example. 60 IN A 192.0.2.1")
		z.gate = make(chan struct{})
		r := z.resolver(func(c *ResolverConfig) { c.Timeout = time.Hour })
		first, cancel := context.WithCancel(context.Background())
		results := make(chan error, 50)
		look := func(ctx context.Context) {
			_, err := r.ResolveHost(ctx, Target{Host: "plain.example", Port: 5060})
			results <- err
		}
		go look(first)
		synctest.Wait()
		for range 49 {
			go look(context.Background())
		}
		synctest.Wait()
		cancel() // the one that asks gives up; somebody else asks
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		synctest.Wait()
		close(z.gate)
		for range 49 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if n := z.questions(); n != 2 {
			t.Errorf("%d questions, want A and AAAA once: %v", n, z.asked)
		}
	})
}

func TestResolverCacheIsBounded(t *testing.T) {
	z := newZone(t)
	r := z.resolver(nil)
	for i := range maxAnswers {
		r.ResolveHost(context.Background(), Target{Host: fmt.Sprintf("h%d.example", i), Port: 5060})
	}
	if len(r.cache) > maxAnswers {
		t.Errorf("%d answers", len(r.cache))
	}
}

func TestResolverTriesEachServerAndRefusesWrongAnswers(t *testing.T) {
	z := newZone(t, "plain.example. 60 IN A 192.0.2.1")
	var mu sync.Mutex
	var asked []string
	r := z.resolver(func(c *ResolverConfig) {
		c.Servers = []string{"dead", "refusing", "confused", "good"}
		c.Exchange = func(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
			mu.Lock()
			asked = append(asked, server)
			mu.Unlock()
			reply, _ := z.exchange(ctx, m, server)
			switch server {
			case "dead":
				return nil, errors.New("timeout")
			case "refusing":
				reply.Rcode = dns.RcodeServerFailure
			case "confused":
				reply.Question[0].Name = "other.example."
			}
			return reply, nil
		}
	})
	hops, err := r.ResolveHost(context.Background(), Target{Host: "plain.example", Port: 5060})
	if err != nil || hopText(hops) != "UDP 192.0.2.1:5060" {
		t.Errorf("%s %v", hopText(hops), err)
	}
	for _, s := range []string{"dead", "refusing", "confused", "good"} {
		if !slices.Contains(asked, s) {
			t.Errorf("%s was not asked: %v", s, asked)
		}
	}
}

func TestResolverHostsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	now := time.Now()
	writeHosts := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeHosts("# ours\n127.0.0.1 localhost loop\n192.0.2.50\tCarrier.example carrier # by hand\n2001:db8::50 carrier.example\n")
	z := newZone(t, carrier...)
	r := z.resolver(func(c *ResolverConfig) { c.Hosts = path; c.Now = func() time.Time { return now } })
	for host, want := range map[string]string{
		"localhost":        "UDP 127.0.0.1:5060",
		"CARRIER.example.": "UDP 192.0.2.50:5060, UDP [2001:db8::50]:5060",
	} {
		hops, err := r.ResolveHost(context.Background(), Target{Host: host})
		if got := hopText(hops); err != nil || got != want {
			t.Errorf("%s: %s %v", host, got, err)
		}
	}
	if z.questions() != 0 {
		t.Errorf("asked %v", z.asked)
	}
	writeHosts("192.0.2.51 carrier.example another.example\n")
	now = now.Add(6 * time.Second)
	hops, err := r.ResolveHost(context.Background(), Target{Host: "carrier.example"})
	if got := hopText(hops); err != nil || got != "UDP 192.0.2.51:5060" {
		t.Errorf("after a change: %s %v", got, err)
	}
}

// A real name server on loopback: over UDP, and over TCP for an answer that is too long.
func TestExchangeDNS(t *testing.T) {
	var pc net.PacketConn
	var ln net.Listener
	for range 20 { // until a port is free for both
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if pc, err = net.ListenPacket("udp", ln.Addr().String()); err == nil {
			break
		}
		ln.Close()
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		if m.Question[0].Qtype == dns.TypeA {
			for i := range 200 {
				rr, _ := dns.NewRR(fmt.Sprintf("many.example. 60 IN A 192.0.2.%d", i+1))
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			reply.Truncate(1232)
		}
		w.WriteMsg(reply)
	})
	var servers sync.WaitGroup
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: ln, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		servers.Go(func() { s.ActivateAndServe() })
		await(t, started, "name server")
		t.Cleanup(func() { s.Shutdown() })
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	os.WriteFile(conf, []byte("search example\n"), 0o600)
	r := NewResolver(ResolverConfig{Servers: []string{pc.LocalAddr().String()}, ResolvConf: conf, Hosts: "/nowhere"})
	hops, err := r.ResolveHost(context.Background(), Target{Host: "many.example", Port: 5060})
	if err != nil || len(hops) != maxHops {
		t.Errorf("%d hops, %v", len(hops), err)
	}
	if got := len(r.cache[question{"many.example.", dns.TypeA}].records); got != 200 {
		t.Errorf("%d records", got)
	}
}

func TestResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	os.WriteFile(path, []byte("search one.example two.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"), 0o600)
	z := newZone(t, "pbx.two.example. 60 IN A 192.0.2.1")
	var mu sync.Mutex
	servers := map[string]bool{}
	r := z.resolver(func(c *ResolverConfig) {
		c.Servers, c.ResolvConf = nil, path
		c.Exchange = func(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
			mu.Lock()
			servers[server] = true
			mu.Unlock()
			if server == "192.0.2.53:53" {
				return nil, errors.New("down")
			}
			return z.exchange(ctx, m, server)
		}
	})
	hops, err := r.ResolveHost(context.Background(), Target{Host: "pbx", Port: 5060})
	if err != nil || hopText(hops) != "UDP 192.0.2.1:5060" || !servers["[2001:db8::53]:53"] {
		t.Errorf("%s %v, servers %v", hopText(hops), err, servers)
	}
}
