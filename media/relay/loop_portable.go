//go:build !linux || portable

package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A poller is the portable half of a Loop: a goroutine reads each socket, and owner is what makes the loop one. It costs about twice
// what epoll does.
type poller struct {
	owner   sync.Mutex
	readers sync.WaitGroup
	kick    chan struct{} // the clock's next deadline may have changed; one is enough
}

// A socket is one UDP socket. Its reader runs from the first watch to close.
type socket struct {
	udp     *net.UDPConn
	kind    kind
	port    *Port
	web     *web           // of the port of all browsers; then port is nil
	local   netip.AddrPort // of that port
	stream  *stream        // none here
	reading bool
	watched bool
	paused  bool
}

// An endpoint is a destination.
type endpoint struct{ addr netip.AddrPort }

func makeEndpoint(local netip.Addr, addr netip.AddrPort) endpoint {
	if !addr.IsValid() || addr.Addr().Is4() != local.Is4() {
		return endpoint{}
	}
	return endpoint{addr}
}

func bind(addr netip.AddrPort, k kind, _ bool) (*socket, error) {
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	return &socket{udp: c, kind: k}, nil
}

// connect is not offered here: the source of each packet is checked anyway.
func connect(_, _ netip.AddrPort) (*socket, error) { return nil, errors.ErrUnsupported }

func (s *socket) reconnect(netip.AddrPort) error { return errors.ErrUnsupported }

func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES)
}

// widen gives the port of all browsers room for a burst of them all.
func (s *socket) widen() { _ = s.udp.SetReadBuffer(4 << 20) }

func (s *socket) close() { s.udp.Close() }

func (s *socket) send(b []byte, to *endpoint) bool {
	_, err := s.udp.WriteToUDPAddrPort(b, to.addr)
	return err == nil
}

func (l *Loop) open() error {
	l.kick = make(chan struct{}, 1)
	l.begin() // from the start and for good: whoever posts a command runs it himself, under owner
	return nil
}

func (l *Loop) watch(s *socket) error {
	s.watched, s.paused = true, false
	if !s.reading {
		s.reading = true
		l.readers.Go(s.read)
	}
	return nil
}

func (l *Loop) unwatch(s *socket) { s.watched = false }
func (l *Loop) pause(s *socket)   { s.paused = true }
func (l *Loop) resume(s *socket)  { s.paused = false }

// read hands the socket's datagrams to the loop that its port is on, until the socket is closed.
func (s *socket) read() {
	var buf [receiveSize]byte
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.deliver(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

func (s *socket) deliver(b []byte, from netip.AddrPort) {
	var l *Loop
	if s.web != nil {
		l = s.web.loop
	} else {
		s.port.mu.RLock()
		defer s.port.mu.RUnlock()
		l = s.port.loop
	}
	l.owner.Lock()
	defer l.owner.Unlock()
	defer func() {
		if r := recover(); r != nil {
			l.survived(r)
		}
	}()
	if s.watched && !s.paused {
		l.arrive(s, copy(l.buf[:], b), from)
	}
}

// A stream is a TCP connection of a browser, which loops without epoll do not offer.
type stream struct{ owner *Port }

func listenTCP(netip.AddrPort, bool) (*socket, error) { return nil, errors.ErrUnsupported }
func (w *web) hangUp(*socket)                         {}
func (w *web) sweep()                                 {}

// gather is for loops that read in batches.
func (l *Loop) gather(*socket, []byte, *endpoint) bool { return false }

// wake is for loops that have a thread of their own.
func (l *Loop) wake() {}

// attend runs what was posted, in the goroutine that posted it.
func (l *Loop) attend() {
	l.owner.Lock()
	defer l.owner.Unlock()
	l.commands()
}

func (l *Loop) rearm() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// run keeps the clock until ctx is done.
func (l *Loop) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.kick:
		case <-timer.C:
		}
		if at := l.beatNow(); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
	}
}

// beatNow ticks if it is time and says when to come next.
func (l *Loop) beatNow() time.Time {
	l.owner.Lock()
	defer l.owner.Unlock()
	at := l.clock.next(len(l.ports))
	if !at.IsZero() && !time.Now().Before(at) {
		l.tick()
		at = l.clock.next(len(l.ports))
	}
	return at
}

// shut waits for the readers, whose sockets are closed by now.
// discard does nothing: a pair moves its address by netlink, and so is of Linux.
func (l *Loop) discard() {}

func (l *Loop) shut() { l.readers.Wait() }
