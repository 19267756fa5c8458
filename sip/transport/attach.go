package transport

import "net/netip"

// Attach gives the flow that another process had. Over UDP it is that of the listener with the same address, or else with the same
// name. A connection ended with its process: its flow stands for it, so that nobody has to ask whether there is one, and is
// never alive.
func (l *Layer) Attach(p Proto, name string, local, remote netip.AddrPort) Flow {
	if p == UDP {
		if u := l.listenerFor(name, local); u != nil {
			return NewFlow(u, local, remote)
		}
	}
	return NewFlow(&lost{proto: p, name: name, id: l.nextID()}, local, remote)
}

// listenerFor finds the UDP listener that a flow with that local address comes from.
func (l *Layer) listenerFor(name string, local netip.AddrPort) *udpListener {
	l.mu.Lock()
	defer l.mu.Unlock()
	var named *udpListener
	for _, ln := range l.listeners {
		u, ok := ln.(*udpListener)
		if !ok || !u.reaches(local.Addr()) {
			continue
		}
		at := u.bound
		if at.Port() == local.Port() && (at.Addr() == local.Addr() || at.Addr().IsUnspecified()) {
			return u
		}
		if named == nil && u.settings().Name == name {
			named = u
		}
	}
	return named
}

// lost is a connection of a process that is no more.
type lost struct {
	proto Proto
	name  string
	id    uint64
}

// Proto implements Link.
func (c *lost) Proto() Proto { return c.proto }

// ID implements Link.
func (c *lost) ID() uint64 { return c.id }

// Listener implements Link.
func (c *lost) Listener() string { return c.name }

// SentBy implements Link.
func (c *lost) SentBy(local netip.AddrPort) string { return local.String() }

// Alive implements Link.
func (c *lost) Alive() bool { return false }

// Send implements Link.
func (c *lost) Send(netip.AddrPort, netip.AddrPort, []byte) error { return ErrClosed }

// Names implements Link.
func (c *lost) Names() []string { return nil }
