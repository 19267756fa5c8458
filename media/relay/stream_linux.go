//go:build linux && !portable

package relay

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tandem/media/rtp"
)

// Limits of connections to the TCP port of browsers (RFC 6544). Strangers may hold a few for a moment; a connection that has brought a verified
// check is its leg's, and ends with it.
const (
	maxStrangers    = 256              // connections that have brought no verified check, all together
	maxFromOne      = 16               // of them from one address
	strangerTime    = 10 * time.Second // and how long each may stay so,
	strangerBytes   = 8 << 10          // and what it may send
	streamQueue     = 64 << 10         // bytes that wait for a slow browser: some seconds of voice; what comes on top is dropped
	acceptsInOne    = 16               // in one turn
	listenerBacklog = 128
)

// A stream is one TCP connection of a browser: datagrams with their length in front (RFC 4571).
type stream struct {
	remote netip.AddrPort
	owner  *Port // whose verified check came by it; nil: a stranger's
	since  time.Time
	bytes  int // read so far

	in   [2 + rtp.MaxPacket]byte
	have int
	out  []byte // the frame at hand, and what the kernel did not take of those before
	left int    // bytes of out that wait
}

// listenTCP opens the TCP port for browsers on an address.
func listenTCP(addr netip.AddrPort, away bool) (*socket, error) {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if family == unix.AF_INET6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if away {
		freeBind(fd, addr.Addr())
	}
	if err = unix.Bind(fd, sockaddr(addr)); err == nil {
		err = unix.Listen(fd, listenerBacklog)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, kind: browserListen, local: addr}, nil
}

// accept takes new connections.
func (l *Loop) accept(s *socket) {
	w := s.web
	for range acceptsInOne {
		fd, from, err := unix.Accept4(s.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		l.now = time.Now()
		remote := peerOf(from)
		if !w.admits(remote.Addr()) {
			unix.Close(fd)
			l.total.Drops[DropRate]++
			continue
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &socket{fd: fd, kind: browserTCP, web: w, local: s.local, stream: &stream{remote: remote, since: l.now}}
		if l.watch(c) != nil {
			c.close()
			continue
		}
		w.streams[c] = struct{}{}
		l.extra = len(w.streams)
	}
}

func peerOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// admits says whether one more stranger may come from an address.
func (w *web) admits(from netip.Addr) bool {
	all, one := 0, 0
	for s := range w.streams {
		if s.stream.owner == nil {
			all++
			if s.stream.remote.Addr() == from {
				one++
			}
		}
	}
	return all < maxStrangers && one < maxFromOne
}

// readStream takes what a connection has brought: whole frames are datagrams.
func (l *Loop) readStream(s *socket) {
	t := s.stream
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&t.in[t.have])), uintptr(len(t.in)-t.have),
		unix.MSG_DONTWAIT, 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0 || n == 0:
		s.web.hangUp(s)
		return
	}
	l.now = time.Now()
	t.have += int(n)
	t.bytes += int(n)
	for t.have >= 2 {
		size := int(binary.BigEndian.Uint16(t.in[:]))
		if size == 0 || size > rtp.MaxPacket || t.owner == nil && t.bytes > strangerBytes {
			l.total.Drops[DropOversize]++
			s.web.hangUp(s)
			return
		}
		if t.have < 2+size {
			return
		}
		copy(l.buf[:], t.in[2:2+size])
		t.have = copy(t.in[:], t.in[2+size:t.have])
		if !l.serves() {
			l.total.Drops[DropStandby]++
			continue
		}
		s.web.receive(s, l.buf[:], size, t.remote)
		if s.fd < 0 { // the datagram has ended the connection
			return
		}
	}
}

// write sends a datagram with its length in front. A browser that does not read loses what does not fit in its queue, whole datagrams at a time.
func (t *stream) write(fd int, b []byte) bool {
	if t.left > 0 {
		t.push(fd)
	}
	if t.left+2+len(b) > streamQueue {
		return false
	}
	t.out = binary.BigEndian.AppendUint16(t.out[:t.left], uint16(len(b)))
	t.out = append(t.out, b...)
	t.left = len(t.out)
	t.push(fd)
	return true
}

// push gives the kernel what it takes.
func (t *stream) push(fd int) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(t.out))), uintptr(t.left),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno == 0 && n > 0 {
		t.left = copy(t.out, t.out[n:t.left])
	}
}

// hangUp closes a connection; the leg that it was of is not reached by it any more.
func (w *web) hangUp(s *socket) {
	if t := s.stream; t.owner != nil {
		at := place{s, t.remote}
		if w.places[at] == t.owner {
			delete(w.places, at)
		}
		t.owner.web.leave(at)
		t.owner.aim()
		t.owner = nil
	}
	w.loop.unwatch(s)
	s.close()
	delete(w.streams, s)
	w.loop.extra = len(w.streams)
}

// sweep hangs up on strangers whose time is over, and gives slow browsers what waits for them.
func (w *web) sweep() {
	for s := range w.streams {
		switch t := s.stream; {
		case t.owner == nil && w.loop.now.Sub(t.since) > strangerTime:
			w.loop.total.Drops[DropRate]++
			w.hangUp(s)
		case t.left > 0:
			t.push(s.fd)
		}
	}
}
