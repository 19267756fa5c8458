package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// udpBuffer is asked for each direction of a UDP socket: 8000 messages of 500 octets may wait while a
// reader is kept off the processor.
const udpBuffer = 4 << 20

// udpListener is a bound UDP address: n sockets that share it, each with a reader of its own. The kernel
// keeps one pair of addresses on one socket, so a flow's order is kept (SO_REUSEPORT, socket(7)).
type udpListener struct {
	socket
	v6     bool // the sockets are AF_INET6
	conns  []*net.UDPConn
	raw    []syscall.RawConn
	closed atomic.Bool
}

func bindUDP(l *Layer, p place) (listener, error) {
	u := &udpListener{}
	u.layer, u.id, u.where = l, l.nextID(), p
	for i := range l.readers {
		at := p.addr
		if i > 0 {
			at = u.bound
		}
		c, err := openUDP(p.network, at, i == 0, l.away)
		if err != nil {
			u.close()
			return nil, err
		}
		raw, err := c.SyscallConn()
		if err != nil {
			c.Close()
			u.close()
			return nil, err
		}
		u.conns, u.raw = append(u.conns, c), append(u.raw, raw)
		if i == 0 {
			u.v6 = isIPv6(raw)
			u.bound = netip.AddrPortFrom(p.addr.Addr(), uint16(c.LocalAddr().(*net.UDPAddr).Port))
		}
	}
	return u, nil
}

func (u *udpListener) serve() {
	for _, c := range u.conns {
		u.layer.wg.Go(func() { u.read(c) })
	}
}

func (u *udpListener) close() {
	u.closed.Store(true)
	for _, c := range u.conns {
		c.Close()
	}
}

// read is the path of a datagram: socket, keepalives, inbox. It allocates the message's text and nothing else.
func (u *udpListener) read(c *net.UDPConn) {
	in := inbox{layer: u.layer, count: &u.count}
	buf := make([]byte, 65536)
	var control []byte
	if u.wildcard() {
		control = make([]byte, 128)
	}
	failures := 0
	for {
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			u.count.errors.Add(1)
			failures++
			time.Sleep(min(100*time.Millisecond, time.Duration(failures)*time.Millisecond)) // an error that stays must not spin
			continue
		}
		failures = 0
		local := u.bound
		if oobn > 0 {
			if a := packetAddr(control[:oobn]); a.IsValid() {
				local = netip.AddrPortFrom(a, u.bound.Port())
			}
		}
		u.datagram(&in, NewFlow(u, local, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())), buf[:n])
	}
}

func (u *udpListener) datagram(in *inbox, f Flow, p []byte) {
	switch {
	case isSTUN(p):
		u.count.keepalives.Add(1)
		if !in.admitted(f.remote.Addr()) {
			in.count.drop(DropBudget)
			return
		}
		var room [64]byte
		if answer, ok := appendSTUNAnswer(room[:0], p, f.remote); ok {
			_ = f.Send(answer) // a lost keepalive is repeated by the phone
		}
	case isKeepalive(p):
		// Not answered: over UDP the source may be forged. It has kept the NAT open already.
		u.count.keepalives.Add(1)
	default:
		in.datagram(f, p)
	}
}

// isKeepalive tells what phones send to keep a NAT open: CRLFs, NULs, or nothing at all.
func isKeepalive(p []byte) bool {
	if len(p) > 16 {
		return false
	}
	for _, c := range p {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

// Proto implements Link.
func (u *udpListener) Proto() Proto { return UDP }

// ID implements Link.
func (u *udpListener) ID() uint64 { return u.id }

// Listener implements Link.
func (u *udpListener) Listener() string { return u.settings().Name }

// SentBy implements Link.
func (u *udpListener) SentBy(local netip.AddrPort) string { return u.sentBy(local) }

// Alive implements Link.
func (u *udpListener) Alive() bool { return !u.closed.Load() }

// Names implements Link.
func (u *udpListener) Names() []string { return nil }

// Send implements Link. A full socket buffer is ErrQueueFull: the datagram is lost, as datagrams are.
func (u *udpListener) Send(local, remote netip.AddrPort, raw []byte) error {
	switch {
	case u.closed.Load():
		return ErrClosed
	case !u.layer.serves():
		return ErrAway
	}
	if len(raw) > maxDatagram {
		return ErrTooLarge
	}
	d := u.layer.senders.Get().(*datagram)
	defer u.layer.senders.Put(d)
	source, own := u.source(local), u.bound.Addr()
	if source.IsValid() {
		own = source
	}
	send := func() error { return d.send(u.raw[int(remote.Port())%len(u.raw)], u.v6, source, remote, raw) }
	err := send()
	if err != nil && u.layer.away { // ENETUNREACH, which may mean the way to the peer too
		if !u.layer.isHere(own) {
			u.count.errors.Add(1)
			return ErrAway
		}
		err = send() // it may have come just now
	}
	if err != nil {
		u.count.errors.Add(1)
		return sendError(err)
	}
	u.count.sent(len(raw))
	return nil
}

// source is the address that a packet has to leave from; invalid where the socket itself says it.
func (u *udpListener) source(local netip.AddrPort) netip.Addr {
	if !u.wildcard() || local.Addr().IsUnspecified() {
		return netip.Addr{}
	}
	return local.Addr()
}
