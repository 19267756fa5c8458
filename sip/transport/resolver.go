package transport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"tandem/sip"
)

// Errors of Resolve.
var (
	ErrNoHost      = errors.New("transport: the name does not exist or offers no SIP service that we speak")
	ErrUnspeakable = errors.New("transport: the URI asks for a transport that we do not speak")
)

// maxHops bounds the failover list of one request: a domain that lists more is not served better by them.
const maxHops = 20

// Resolver finds the hops of a URI (RFC 3263 §4). It keeps what it has learned for as long as the TTL says,
// and for a day longer while no name server answers. Look-ups of the same name wait for one query. All its
// methods may block for as long as ctx allows: call them from a goroutine of your own, never from
// Handler.Receive. A Resolver has no goroutines of its own and may be used by many.
type Resolver struct {
	cfg   ResolverConfig
	hosts hostsFile
	conf  resolvConf

	mu      sync.Mutex
	cache   map[question]*answer
	pending map[question]*lookup
}

// NewResolver makes a Resolver.
func NewResolver(cfg ResolverConfig) *Resolver {
	cfg = cfg.withDefaults()
	return &Resolver{cfg: cfg, hosts: hostsFile{path: cfg.Hosts}, conf: resolvConf{path: cfg.ResolvConf},
		cache: map[question]*answer{}, pending: map[question]*lookup{}}
}

// Resolve gives the hops to try in turn for a sip or sips URI. sips leads to TLS only. A maddr parameter is
// not followed: whoever wrote the URI would choose where we send.
func (r *Resolver) Resolve(ctx context.Context, u sip.URI) ([]Hop, error) {
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return nil, fmt.Errorf("%w: %s", ErrUnspeakable, u.Scheme)
	}
	secure := u.Scheme == "sips"
	var p Proto
	if name, ok := u.Params.Get("transport"); ok {
		if p = protoOf(name, secure); p == 0 {
			return nil, fmt.Errorf("%w: %s with transport=%s", ErrUnspeakable, u.Scheme, name)
		}
	}
	return r.ResolveHost(ctx, Target{Host: u.Host, Port: u.Port, Proto: p, Secure: secure})
}

// protoOf reads a transport parameter; 0 for what cannot be.
func protoOf(name string, secure bool) Proto {
	for p := UDP; p <= WSS; p++ {
		if !strings.EqualFold(name, p.String()) {
			continue
		}
		switch {
		case !secure:
			return p
		case p == TCP:
			return TLS
		case p == WS:
			return WSS
		case p == UDP:
			return 0
		}
		return p
	}
	return 0
}

// Target is what is to be found.
type Target struct {
	Host   string // name or address; IPv6 without brackets
	Port   uint16 // 0: none given
	Proto  Proto  // 0: none given
	Secure bool   // sips: TLS only
}

// ResolveHost gives the hops to try in turn for a target: a URI's or a configured peer's.
func (r *Resolver) ResolveHost(ctx context.Context, t Target) ([]Hop, error) {
	if t.Secure && t.Proto != 0 && !t.Proto.Secure() {
		return nil, fmt.Errorf("%w: sips over %s", ErrUnspeakable, t.Proto)
	}
	if t.Proto != 0 && !r.speaks(t.Proto) {
		return nil, fmt.Errorf("%w: %s", ErrUnspeakable, t.Proto)
	}
	t.Host = strings.ToLower(strings.TrimSuffix(t.Host, "."))
	if addr, err := netip.ParseAddr(t.Host); err == nil {
		return r.direct(t, []netip.Addr{addr.Unmap()})
	}
	if _, ok := dns.IsDomainName(t.Host); !ok || t.Host == "" {
		return nil, fmt.Errorf("%w: %q is no name", ErrNoHost, t.Host)
	}
	// A name in the hosts file has no SRV there; it was put in to say where the host is.
	if known := r.hosts.lookup(t.Host, r.cfg.Now()); known != nil {
		return r.direct(t, known)
	}
	var hops []Hop
	var err error
	switch {
	case t.Port != 0:
	case t.Proto != 0:
		hops, err = r.bySRV(ctx, t, t.Proto, srvName(t.Proto, t.Host))
	default:
		if hops, err = r.byNAPTR(ctx, t); len(hops) == 0 && !errors.Is(err, errNoService) {
			hops, err = r.byAnySRV(ctx, t)
		}
	}
	if len(hops) > 0 {
		return hops[:min(len(hops), maxHops)], nil
	}
	if errors.Is(err, errNoService) {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoHost, t.Host, err)
	}
	addrs, err := r.addresses(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	return r.direct(t, addrs)
}

// direct makes hops of addresses, with the default transport and port where none is given (RFC 3263 §4.1, §4.2).
func (r *Resolver) direct(t Target, addrs []netip.Addr) ([]Hop, error) {
	p := t.Proto
	if p == 0 {
		if p = r.usual(t.Secure); p == 0 {
			return nil, fmt.Errorf("%w: sips", ErrUnspeakable)
		}
	}
	port := t.Port
	if port == 0 {
		port = defaultPort(p)
	}
	hops := make([]Hop, 0, len(addrs))
	for _, a := range addrs[:min(len(addrs), maxHops)] {
		hops = append(hops, Hop{Proto: p, Addr: netip.AddrPortFrom(a, port), ServerName: t.Host})
	}
	return hops, nil
}

// usual is the transport where nothing asks for one: UDP as RFC 3263 §4.1 has it, or the first that we speak.
func (r *Resolver) usual(secure bool) Proto {
	if secure {
		if r.speaks(TLS) {
			return TLS
		}
		return 0
	}
	if r.speaks(UDP) {
		return UDP
	}
	return r.cfg.Transports[0]
}

func (r *Resolver) speaks(p Proto) bool {
	for _, q := range r.cfg.Transports {
		if p == q {
			return true
		}
	}
	return false
}

func defaultPort(p Proto) uint16 {
	switch p {
	case TLS:
		return 5061
	case WS:
		return 80
	case WSS:
		return 443
	}
	return 5060
}

// addresses are those of a host, IPv4 first: a hop of a family without a listener is ErrNoRoute at Connect,
// and costs nothing.
func (r *Resolver) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if known := r.hosts.lookup(host, r.cfg.Now()); known != nil {
		return known, nil
	}
	var lists [2][]dns.RR
	var errs [2]error
	var both sync.WaitGroup
	for i, kind := range [2]uint16{dns.TypeA, dns.TypeAAAA} {
		both.Go(func() { lists[i], errs[i] = r.search(ctx, host, kind) })
	}
	both.Wait()
	var out []netip.Addr
	for _, rr := range append(lists[0], lists[1]...) {
		if a, ok := recordAddr(rr); ok {
			out = append(out, a)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s has no address", ErrNoHost, host)
}

func recordAddr(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(rr.A.To4())
		return a, ok
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(rr.AAAA.To16())
		return a.Unmap(), ok
	}
	return netip.Addr{}, false
}
