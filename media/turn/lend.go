package turn

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

var (
	errNoPort = errors.New("turn: all ports are lent")
	errNoTCP  = errors.New("turn: only UDP is relayed")
)

// lender gives clients their relayed addresses.
type lender struct{ s *Server }

// Validate implements turn.RelayAddressGenerator.
func (l lender) Validate() error { return nil }

// AllocatePacketConn lends a port, by chance so that nobody can tell which is next. A port that is asked for
// (EVEN-PORT, reservations) is not given: a browser needs none.
func (l lender) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	first, last := int(l.s.config.FirstPort), int(l.s.config.LastPort)
	host := l.s.Addr().Addr()
	bind := host.String()
	if host.IsUnspecified() {
		bind = ""
	}
	start := rand.IntN(last - first + 1)
	for i := range last - first + 1 {
		port := first + (start+i)%(last-first+1)
		conn, err := net.ListenPacket(c.Network, net.JoinHostPort(bind, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		shown := l.shown(host, c.Network)
		return &gate{PacketConn: conn, server: l.s, home: shown}, &net.UDPAddr{IP: shown.AsSlice(), Port: port}, nil
	}
	return nil, nil, errNoPort
}

// shown is the address that the relayed port is called by. Nobody but our own media ever hears of it.
func (l lender) shown(host netip.Addr, network string) netip.Addr {
	switch {
	case !host.IsUnspecified():
		return host
	case network == "udp6":
		return l.s.own.primary(true)
	}
	return l.s.own.primary(false)
}

// AllocateListener implements turn.RelayAddressGenerator.
func (l lender) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

// AllocateConn implements turn.RelayAddressGenerator.
func (l lender) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errNoTCP }

// gate is a relayed port that leads to our media alone.
type gate struct {
	net.PacketConn
	server *Server
	home   netip.Addr // one of our addresses, which stands behind the public one

	mu     sync.Mutex
	called map[netip.Addr]netip.Addr // how the client calls those of our addresses that it knows by another; bounded by them
}

// place is where a packet for one of our addresses goes.
func (g *gate) place(to netip.Addr) netip.Addr {
	at, shared := g.server.config.Media[to]
	switch {
	case shared:
	case to == g.server.config.Public && !g.server.own.has(to):
		at = g.home
	default:
		return to
	}
	if at != to {
		g.mu.Lock()
		if g.called == nil {
			g.called = map[netip.Addr]netip.Addr{}
		}
		g.called[at] = to
		g.mu.Unlock()
	}
	return at
}

// name is how the client calls one of our addresses.
func (g *gate) name(from netip.Addr) netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if called, ok := g.called[from]; ok {
		return called
	}
	return from
}

// WriteTo sends what a client sends, if it is for our media. What is not is swallowed: the client is told nothing.
func (g *gate) WriteTo(p []byte, to net.Addr) (int, error) {
	at := addrPort(to)
	if at.Port() != g.server.config.MediaPort || !g.server.ours(at.Addr()) {
		g.server.byPeer.Add(1)
		return len(p), nil
	}
	at = netip.AddrPortFrom(g.place(at.Addr()), at.Port())
	g.server.in.Add(uint64(len(p)))
	return g.PacketConn.WriteTo(p, net.UDPAddrFromAddrPort(at))
}

// ReadFrom takes what our media sends, and nothing else.
func (g *gate) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := g.PacketConn.ReadFrom(p)
		if err != nil {
			return n, from, err
		}
		at := addrPort(from)
		if at.Port() != g.server.config.MediaPort || !g.server.speaks(at.Addr()) {
			g.server.byPeer.Add(1)
			continue
		}
		at = netip.AddrPortFrom(g.name(at.Addr()), at.Port())
		g.server.out.Add(uint64(n))
		return n, net.UDPAddrFromAddrPort(at), nil
	}
}

// ownAge is how old the list of our own addresses may be.
const ownAge = 10 * time.Second

// own knows the addresses of this machine.
type own struct {
	mu    sync.Mutex
	read  time.Time
	addrs []netip.Addr
}

func (o *own) list() []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.addrs == nil || now.Sub(o.read) > ownAge {
		o.read, o.addrs = now, nil
		all, _ := net.InterfaceAddrs() // none: nothing is ours
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				o.addrs = append(o.addrs, p.Addr().Unmap())
			}
		}
	}
	return o.addrs
}

// has tells whether an address is this machine's; of 127.0.0.0/8 all are.
func (o *own) has(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	for _, a := range o.list() {
		if a == addr {
			return true
		}
	}
	return false
}

// primary is the first address of the machine that others may reach, of a family; a loopback address where there is none.
func (o *own) primary(six bool) netip.Addr {
	for _, a := range o.list() {
		if a.Is6() == six && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	if six {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
