package transport

import (
	"context"
	"fmt"
	"net/netip"
)

// Hop is where a request goes next (RFC 3263 §4).
type Hop struct {
	Proto Proto
	Addr  netip.AddrPort
	// ServerName is the domain that a TLS peer has to prove: the one that was asked for, not what SRV made of
	// it (RFC 5922 §7). Other transports ignore it.
	ServerName string
}

// String is the hop for a log.
func (h Hop) String() string { return h.Proto.String() + " " + h.Addr.String() }

// Connect finds a flow to hop. Over UDP it is the listener that the system would route it from. Over TCP and
// TLS it is a live connection to exactly that address (for TLS one whose peer has proven ServerName), else
// a new one, from an address of a listener of that transport. It may block until ctx ends or Limits.Dial is
// over, so never call it from Receive. Without a fitting listener it is ErrNoRoute: a peer could not reach us.
// WebSocket connections are made by clients only; here they are ErrNoRoute.
func (l *Layer) Connect(ctx context.Context, hop Hop) (Flow, error) {
	hop.Addr = netip.AddrPortFrom(hop.Addr.Addr().Unmap(), hop.Addr.Port())
	if !hop.Addr.IsValid() || hop.Addr.Port() == 0 || hop.Addr.Addr().IsUnspecified() {
		return Flow{}, fmt.Errorf("transport: connect to %s: no such address", hop)
	}
	switch hop.Proto {
	case UDP:
		return l.connectUDP(hop.Addr)
	case TCP, TLS:
		return l.connectStream(ctx, hop)
	}
	return Flow{}, fmt.Errorf("%w: %s connections are opened by clients", ErrNoRoute, hop.Proto)
}

// unknownMTU stands for the path MTU where the system tells none: RFC 3261 §18.1.1 wants 1300 octets then.
const unknownMTU = 1500

// ConnectFor is Connect for a request of size octets. Over UDP, one that comes within 200 octets of the path
// MTU goes by TCP instead, and by UDP after all when no TCP connection comes about (RFC 3261 §18.1.1). The
// Proto of the flow says what to write into Via.
func (l *Layer) ConnectFor(ctx context.Context, hop Hop, size int) (Flow, error) {
	f, err := l.Connect(ctx, hop)
	if err != nil || hop.Proto != UDP || size <= pathMTU(f.local.Addr(), f.remote)-200 {
		return f, err
	}
	hop.Proto = TCP
	// The peer may drop what it does not take instead of refusing it; we do not wait for that as long as for a
	// peer that is known to speak TCP.
	short, cancel := context.WithTimeout(ctx, l.limits().Dial/2)
	defer cancel()
	if tcp, err := l.Connect(short, hop); err == nil {
		return tcp, nil
	}
	return f, nil
}

// connectUDP picks the listener and its address for one peer.
func (l *Layer) connectUDP(remote netip.AddrPort) (Flow, error) {
	sock, local, err := l.home(UDP, remote)
	if err != nil {
		return Flow{}, err
	}
	return NewFlow(sock.(*udpListener), local, remote), nil
}

// home is the listener of that transport that stands where the system would send from, and our address on it.
func (l *Layer) home(p Proto, remote netip.AddrPort) (listener, netip.AddrPort, error) {
	routed := routedAddr(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	var best listener
	rank := 0
	for _, ln := range l.listeners {
		if ln.settings().Proto != p || !ln.reaches(remote.Addr()) {
			continue
		}
		if r := suits(ln.addr().Addr(), routed, remote.Addr()); r > rank {
			best, rank = ln, r
		}
	}
	if best == nil {
		return nil, netip.AddrPort{}, fmt.Errorf("%w: %s to %s: add a listen block for it", ErrNoRoute, p, remote.Addr())
	}
	addr := best.addr().Addr()
	if addr.IsUnspecified() && routed.IsValid() {
		addr = routed
	}
	return best, netip.AddrPortFrom(addr, best.addr().Port()), nil
}

// suits ranks a listener's address for a peer; 0 means that no packet from it would arrive.
func suits(bound, routed, remote netip.Addr) int {
	switch {
	case bound == routed:
		return 4
	case bound.IsUnspecified():
		return 3
	case bound.IsLoopback() != remote.IsLoopback():
		return 0
	case bound.IsLinkLocalUnicast() != remote.IsLinkLocalUnicast():
		return 1
	}
	return 2
}
