package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// listener is one bound address: a udpListener or a streamListener.
type listener interface {
	at() place
	addr() netip.AddrPort
	settings() *settings
	// reaches tells whether an address of that family can be served.
	reaches(remote netip.Addr) bool
	counters() *counters
	// apply exchanges the settings; what was accepted under the old ones keeps them.
	apply(*settings)
	// serve starts reading. It is called once, under Layer.mu.
	serve()
	// close stops listening; connections that were accepted live on.
	close()
}

// place is what a reload recognises a listener by. The socket of a place that stays is not touched.
type place struct {
	datagram bool
	network  string // "4", "6" or "" for both families
	addr     netip.AddrPort
	name     string // for port 0, where the address says nothing
}

// settings are what may change while the socket stays.
type settings struct {
	Listen
	creds  *credentials // TLS and WSS
	sentBy string       // host:port for Via and Contact; empty: the local address of the flow
}

// socket is the part that both kinds of listener share.
type socket struct {
	layer *Layer
	id    uint64
	where place
	bound netip.AddrPort // the port is real; the address is unspecified on a wildcard
	set   atomic.Pointer[settings]
	count counters
}

func (s *socket) at() place            { return s.where }
func (s *socket) addr() netip.AddrPort { return s.bound }
func (s *socket) settings() *settings  { return s.set.Load() }
func (s *socket) counters() *counters  { return &s.count }
func (s *socket) wildcard() bool       { return s.bound.Addr().IsUnspecified() }

// apply computes what Via and Contact will say.
func (s *socket) apply(set *settings) {
	port := strconv.Itoa(int(s.bound.Port()))
	switch host, p, err := net.SplitHostPort(set.Advertise); {
	case set.Advertise == "" && !s.wildcard():
		set.sentBy = s.bound.String()
	case set.Advertise == "":
	case err == nil && p != "":
		set.sentBy = set.Advertise
	case err == nil:
		set.sentBy = net.JoinHostPort(host, port)
	default:
		set.sentBy = net.JoinHostPort(trimBrackets(set.Advertise), port)
	}
	s.set.Store(set)
}

func trimBrackets(s string) string {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// sentBy is host:port of ours for a peer that reaches us at local.
func (s *socket) sentBy(local netip.AddrPort) string {
	if set := s.set.Load(); set.sentBy != "" {
		return set.sentBy
	}
	addr := local.Addr().Unmap().WithZone("")
	if !addr.IsValid() {
		addr = s.bound.Addr()
	}
	return netip.AddrPortFrom(addr, s.bound.Port()).String()
}

// reaches tells whether the socket can serve an address of that family.
func (s *socket) reaches(remote netip.Addr) bool {
	switch s.where.network {
	case "4":
		return remote.Is4()
	case "6":
		return remote.Is6()
	}
	return true
}

// resolvePlace reads "host:port". An empty host means both families; 0.0.0.0 and [::] mean one each, so
// that they can stand side by side.
func resolvePlace(cfg Listen) (place, error) {
	host, portText, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return place{}, fmt.Errorf("listen %q: address %q: want host:port, such as 0.0.0.0:5060", cfg.Name, cfg.Address)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return place{}, fmt.Errorf("listen %q: address %q: the port must be a number up to 65535", cfg.Name, cfg.Address)
	}
	p := place{datagram: cfg.Proto == UDP}
	if port == 0 {
		p.name = cfg.Name
	}
	if host == "" {
		p.addr = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port))
		return p, nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil || len(found) == 0 {
			return place{}, fmt.Errorf("listen %q: address %q: the name does not resolve; write the address of an interface: %w",
				cfg.Name, cfg.Address, err)
		}
		addr = found[0]
	}
	addr = addr.Unmap()
	p.addr, p.network = netip.AddrPortFrom(addr, uint16(port)), "6"
	if addr.Is4() {
		p.network = "4"
	}
	return p, nil
}

// bindError says which listener, and what to do about it. overlap is a listener of ours with the same port.
func bindError(cfg Listen, err error, overlap string) error {
	remedy := ""
	_, port, _ := net.SplitHostPort(cfg.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && overlap != "":
		remedy = fmt.Sprintf("it overlaps listen %q; a listener on all addresses takes the port from the others. "+
			"Where one replaces the other, restart", overlap)
	case errors.Is(err, syscall.EADDRINUSE):
		flag := "t"
		if cfg.Proto == UDP {
			flag = "u"
		}
		remedy = fmt.Sprintf("another program uses it (see: ss -lnp%s 'sport = :%s'); stop that or choose another port", flag, port)
	case errors.Is(err, syscall.EACCES):
		remedy = "ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities), or choose a higher port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "no interface of this machine has that address (see: ip addr)"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		remedy = "this machine does not speak that address family; write 0.0.0.0 instead"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		remedy = "raise the limit of open files (ulimit -n, systemd: LimitNOFILE)"
	default:
		remedy = "check the address"
	}
	return fmt.Errorf("listen %q: bind %s %s: %w: %s", cfg.Name, cfg.Proto, cfg.Address, err, remedy)
}
