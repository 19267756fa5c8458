package transport

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// ResolverConfig is what a Resolver needs. The zero value asks the system's name servers.
type ResolverConfig struct {
	// Transports are those that we speak, in the order in which SRV is asked for them without NAPTR; empty: UDP,
	// TCP, TLS.
	Transports []Proto
	Servers    []string      // host:port of name servers; empty: those of ResolvConf
	ResolvConf string        // read again when it changes; default /etc/resolv.conf
	Hosts      string        // read again when it changes; default /etc/hosts
	Timeout    time.Duration // for one question to one server; default 2 s
	// Exchange sends one question; nil: over UDP, and over TCP when the answer is too long.
	Exchange func(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error)
	Rand     func(n int) int  // 0 to n-1, for SRV weights; nil: math/rand
	Now      func() time.Time // nil: time.Now
}

func (c ResolverConfig) withDefaults() ResolverConfig {
	if len(c.Transports) == 0 {
		c.Transports = []Proto{UDP, TCP, TLS}
	}
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	if c.Hosts == "" {
		c.Hosts = "/etc/hosts"
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Exchange == nil {
		c.Exchange = exchangeDNS
	}
	if c.Rand == nil {
		c.Rand = rand.IntN
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func exchangeDNS(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	client := dns.Client{Net: "udp"}
	reply, _, err := client.ExchangeContext(ctx, m, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, m, server)
	}
	return reply, err
}

// watched is a file that is looked at once in five seconds.
type watched struct {
	checked time.Time
	stamp   stamp
}

func (w *watched) changed(path string, now time.Time) bool {
	if !w.checked.IsZero() && now.Sub(w.checked) < 5*time.Second {
		return false
	}
	first := w.checked.IsZero()
	w.checked = now
	var s stamp
	if fi, err := os.Stat(path); err == nil {
		s = stamp{fi.ModTime(), fi.Size()}
	}
	same := s == w.stamp
	w.stamp = s
	return first || !same
}

// resolvConf is resolv.conf(5) as it stands.
type resolvConf struct {
	path string
	mu   sync.Mutex
	file watched
	conf dns.ClientConfig
}

func (f *resolvConf) load(now time.Time) dns.ClientConfig {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file.changed(f.path, now) {
		if c, err := dns.ClientConfigFromFile(f.path); err == nil {
			f.conf = *c
		}
	}
	return f.conf
}

// servers are the name servers; without any the local one, as resolv.conf(5) says.
func (f *resolvConf) servers(now time.Time) []string {
	conf := f.load(now)
	if len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53"}
	}
	out := make([]string, 0, len(conf.Servers))
	for _, s := range conf.Servers {
		out = append(out, net.JoinHostPort(s, conf.Port))
	}
	return out
}

// maxHosts bounds the lines that are read of a hosts file.
const maxHosts = 20000

// hostsFile is hosts(5) as it stands.
type hostsFile struct {
	path  string
	mu    sync.Mutex
	file  watched
	names map[string][]netip.Addr
}

// lookup gives the addresses of a name; nil when it is not there.
func (h *hostsFile) lookup(name string, now time.Time) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file.changed(h.path, now) {
		h.names = readHosts(h.path)
	}
	return h.names[strings.TrimSuffix(name, ".")]
}

func readHosts(path string) map[string][]netip.Addr {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	names := map[string][]netip.Addr{}
	lines := bufio.NewScanner(f)
	for n := 0; n < maxHosts && lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			names[name] = append(names[name], addr.Unmap())
		}
	}
	return names
}
