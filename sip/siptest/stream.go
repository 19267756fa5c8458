package siptest

import (
	"net/netip"
	"sync/atomic"
	"tandem/sip/transport"
)

// end is one side of a connection, and the transport.Link of its flow.
type end struct {
	port          *Port
	peer          *end
	id            uint64
	local, remote netip.AddrPort
	opened        bool         // by us
	closed        *atomic.Bool // shared by both ends
}

// Connect opens a connection to a port that listens, and returns its flow. TCP, TLS, WS and WSS differ in
// name only.
func (p *Port) Connect(remote string) (transport.Flow, error) {
	to := p.net.port(p.proto, netip.MustParseAddrPort(remote))
	if to == nil || p.proto == transport.UDP || p.isClosed() {
		return transport.Flow{}, transport.ErrClosed
	}
	id := p.net.ids.Add(2)
	local := netip.AddrPortFrom(p.addr.Addr(), uint16(32768+id%28000)) // ephemeral
	closed := new(atomic.Bool)
	near := &end{port: p, id: id - 1, local: local, remote: to.addr, opened: true, closed: closed}
	far := &end{port: to, id: id, local: to.addr, remote: local, closed: closed}
	near.peer, far.peer = far, near
	p.net.mu.Lock()
	p.net.ends[near.id], p.net.ends[far.id] = near, far
	p.net.mu.Unlock()
	return near.flow(), nil
}

// Break closes the connection of a flow: both handlers hear of it after the latency, and what they send
// meanwhile fails. A UDP flow cannot break.
func (n *Network) Break(f transport.Flow) {
	n.mu.Lock()
	e := n.ends[f.ID()]
	n.mu.Unlock()
	if e == nil || e.closed.Swap(true) {
		return
	}
	for _, side := range []*end{e, e.peer} {
		at, sequence := n.fate(true, side.remote, side.local, "")
		side.port.enqueue(delivery{at: at[0], sequence: sequence, flow: side.flow(), closed: true})
	}
}

func (e *end) flow() transport.Flow { return transport.NewFlow(e, e.local, e.remote) }

func (e *end) Proto() transport.Proto { return e.port.proto }
func (e *end) ID() uint64             { return e.id }
func (e *end) Names() []string        { return nil }
func (e *end) Alive() bool            { return !e.closed.Load() }
func (e *end) Listener() string {
	if e.opened {
		return ""
	}
	return "siptest"
}

// SentBy is the address that the port listens on, as of a phone that accepts connections too.
func (e *end) SentBy(netip.AddrPort) string { return e.port.addr.String() }

func (e *end) Send(_, _ netip.AddrPort, raw []byte) error {
	if e.closed.Load() || e.port.isClosed() {
		return transport.ErrClosed
	}
	at, sequence := e.port.net.fate(true, e.local, e.remote, "")
	d := delivery{at: at[0], sequence: sequence, flow: e.peer.flow(), raw: string(raw)}
	if !e.peer.port.enqueue(d) && !e.peer.port.isClosed() {
		return transport.ErrQueueFull
	}
	return nil
}
