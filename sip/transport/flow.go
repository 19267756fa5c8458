package transport

import (
	"errors"
	"net/netip"
	"tandem/sip"
)

// Errors of Flow.Send and Layer.Connect.
var (
	ErrClosed    = errors.New("transport: connection is closed")
	ErrAway      = errors.New("transport: this node does not serve, or its address is not here yet")
	ErrQueueFull = errors.New("transport: peer does not read: write queue is full")
	ErrTooLarge  = errors.New("transport: message is too large")
	ErrNoRoute   = errors.New("transport: no listener for that transport and address family")
)

// Lost tells whether an error of Send over UDP is that of a datagram lost on its way: who repeats it may get through. A node that takes over
// speaks a moment before the address is here, and one that others were slow to answer may speak again a moment later.
func Lost(err error) bool { return errors.Is(err, ErrAway) || errors.Is(err, ErrQueueFull) }

// Link is what a Flow sends on: a UDP listener or one connection. It is implemented by this package and by
// siptest's network. Implementations are pointers, so that Flows compare.
type Link interface {
	Proto() Proto
	// ID is unique for the life of the process, never 0.
	ID() uint64
	// Listener is the label of the listener that the link belongs to; empty for a connection that we opened.
	Listener() string
	// SentBy is host[:port] for our Via and Contact on this link (what peers on that side can reach), given
	// the local address that the flow uses.
	SentBy(local netip.AddrPort) string
	// Alive is false once a connection is closed; a UDP listener lives as long as the Layer.
	Alive() bool
	// Send queues one message. It never blocks and does not keep raw. ErrClosed, ErrAway, ErrQueueFull or the
	// socket's error; see Lost.
	Send(local, remote netip.AddrPort, raw []byte) error
	// Names are the verified names of the peer's certificate; nil where none was shown.
	Names() []string
}

// Flow is where a message came from and an answer goes: one connection, or one pair of addresses over UDP
// (RFC 5626 §2). It is a small value that compares and costs nothing to keep. The zero Flow is no flow.
type Flow struct {
	link          Link
	local, remote netip.AddrPort
}

// NewFlow joins a link with the addresses of one peer.
func NewFlow(link Link, local, remote netip.AddrPort) Flow { return Flow{link, local, remote} }

// Valid tells a Flow from the zero one.
func (f Flow) Valid() bool { return f.link != nil }

// Proto is the transport spoken.
func (f Flow) Proto() Proto { return f.link.Proto() }

// ID is the link's number; all peers of a UDP listener share it.
func (f Flow) ID() uint64 { return f.link.ID() }

// Listener is the label of the listener.
func (f Flow) Listener() string { return f.link.Listener() }

// Local is our address of the flow, the real one even on a wildcard socket.
func (f Flow) Local() netip.AddrPort { return f.local }

// Remote is the peer's address.
func (f Flow) Remote() netip.AddrPort { return f.remote }

// Names are the verified names of the peer's certificate.
func (f Flow) Names() []string { return f.link.Names() }

// Page tells whether the peer is a web page: the handshake of its WebSocket named an Origin, as every browser's does (RFC 6455 §4.1) and hardly
// a program's.
func (f Flow) Page() bool {
	p, ok := f.link.(interface{ Page() bool })
	return ok && p.Page()
}

// Alive tells whether a message may still get through.
func (f Flow) Alive() bool { return f.link != nil && f.link.Alive() }

// Send queues one message to the peer; it never blocks.
func (f Flow) Send(raw []byte) error {
	if f.link == nil {
		return ErrClosed
	}
	return f.link.Send(f.local, f.remote, raw)
}

// To is the same link towards another peer (UDP: RFC 3261 §18.2.2 may ask for another port).
func (f Flow) To(remote netip.AddrPort) Flow { return Flow{f.link, f.local, remote} }

// SentBy is host[:port] of ours as this peer sees it.
func (f Flow) SentBy() string { return f.link.SentBy(f.local) }

// Via is the value of the Via header of a request sent down this flow, with rport (RFC 3581).
func (f Flow) Via(branch string) string {
	return "SIP/2.0/" + f.Proto().String() + " " + f.SentBy() + ";branch=" + branch + ";rport"
}

// Contact is our Contact URI on this flow for a user part that is escaped already; user may be empty.
func (f Flow) Contact(user string) string {
	s := "sip:"
	if user != "" {
		s += user + "@"
	}
	s += f.SentBy()
	switch f.Proto() {
	case TCP:
		return s + ";transport=tcp"
	case TLS:
		return s + ";transport=tls"
	case WS, WSS:
		return s + ";transport=ws"
	}
	return s
}

// Handler takes what the transports receive.
type Handler interface {
	// Receive is called once for each message, in the order of the wire for each flow, from the goroutine
	// that reads; so it must not block. m.Source is filled in. m is valid during the call: copy the value
	// to keep it (its text never changes).
	Receive(f Flow, m *sip.Message)
	// Closed tells that a connection is gone; no message of that Flow follows.
	Closed(f Flow)
}
