//go:build linux && !portable

package relay

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// expedited is the DSCP EF code point in the place of the old TOS byte (RFC 3246, RFC 4594): what networks know voice by.
const expedited = 0xb8

// receiveBuffer holds a second of the worst that the rate cap lets through; a flood beyond it is dropped by the kernel.
const receiveBuffer = 128 << 10

// A socket is one non-blocking UDP socket in a loop's epoll set. Only the loop reads and writes it.
type socket struct {
	fd        int
	kind      kind
	connected bool // send needs no address
	paused    bool // not in the epoll set for now, see pause
	port      *Port
	web       *web           // of the port of all browsers; then port is nil
	local     netip.AddrPort // of that port
	stream    *stream        // of a TCP connection of a browser
	slot      int32          // in the loop's table; 0: in none
}

// An endpoint is a destination with its address in the kernel's form, made once and used for every packet.
type endpoint struct {
	addr netip.AddrPort
	raw  [unix.SizeofSockaddrInet6]byte
	len  uintptr
}

// makeEndpoint prepares addr for a socket of the family of local; zero if the families differ.
func makeEndpoint(local netip.Addr, addr netip.AddrPort) endpoint {
	e := endpoint{addr: addr}
	switch {
	case !addr.IsValid() || addr.Addr().Is4() != local.Is4():
		return endpoint{}
	case addr.Addr().Is4():
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&e.raw[0]))
		sa.Family, sa.Addr, e.len = unix.AF_INET, addr.Addr().As4(), unix.SizeofSockaddrInet4
	default:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&e.raw[0]))
		sa.Family, sa.Addr, e.len = unix.AF_INET6, addr.Addr().As16(), unix.SizeofSockaddrInet6
	}
	binary.BigEndian.PutUint16(e.raw[2:], addr.Port())
	return e
}

// bind opens a socket that no other program shares. That for RTP is to have a second one of ours beside it, see connect: SO_REUSEPORT is set only
// after the bind, so that bind still fails when somebody (a second switch with the same range, say) is there.
// away: the address need not be one of this machine yet.
func bind(addr netip.AddrPort, k kind, away bool) (*socket, error) {
	fd, err := openSocket(addr.Addr(), k)
	if err != nil {
		return nil, err
	}
	if away {
		freeBind(fd, addr.Addr())
	}
	if err = unix.Bind(fd, sockaddr(addr)); err == nil && k == openRTP {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, kind: k}, nil
}

// connect opens a second socket on local that takes only what comes from peer, and leaves the first one for everybody else. The kernel
// prefers the connected one. What was queued in it from others between bind and connect is judged by its source like every packet.
func connect(local, peer netip.AddrPort) (*socket, error) {
	fd, err := openSocket(local.Addr(), connectedRTP)
	if err != nil {
		return nil, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err == nil {
		if err = unix.Bind(fd, sockaddr(local)); err == nil {
			err = unix.Connect(fd, sockaddr(peer))
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, kind: connectedRTP, connected: true}, nil
}

// reconnect turns a connected socket to another peer.
func (s *socket) reconnect(peer netip.AddrPort) error { return unix.Connect(s.fd, sockaddr(peer)) }

func openSocket(local netip.Addr, k kind) (int, error) {
	family := unix.AF_INET6
	if local.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// Marks and buffers are wishes: a kernel that refuses them still carries the call.
	if family == unix.AF_INET {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, expedited)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, expedited)
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if k == openRTP || k == connectedRTP { // reports are few, and browsers many: see widen
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// freeBind lets a node that stands by bind the ports of an address that it has not taken yet.
func freeBind(fd int, local netip.Addr) {
	if local.Is4() {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if zone, err := strconv.ParseUint(addr.Addr().Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(zone)
	}
	return sa
}

// inUse says whether a bind failed because somebody else has the port.
func inUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EACCES) }

// widen gives the port of all browsers room for a burst of them all.
func (s *socket) widen() { _ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) }

func (s *socket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// receive reads one datagram into the loop's buffer. n is the length on the wire, which may exceed the buffer.
// RawSyscall is safe here because the socket never blocks, and spares the scheduler's bookkeeping.
func (s *socket) receive(l *Loop) (n int, from netip.AddrPort, ok bool) {
	l.fromLen = unix.SizeofSockaddrInet6
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&l.buf[0])), receiveSize,
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(&l.from)), uintptr(unsafe.Pointer(&l.fromLen)))
	if errno != 0 {
		return 0, from, false // nothing there, or an ICMP error that reading it has cleared
	}
	return int(r), addrPort(&l.from), true
}

// send sends b to the endpoint, or to the connected peer. A pending ICMP error of an earlier packet takes the place of one send: the
// packet is tried once more, or any forger of ICMP could thin out a call.
func (s *socket) send(b []byte, to *endpoint) bool {
	if s.stream != nil {
		return s.stream.write(s.fd, b)
	}
	addr, size := uintptr(unsafe.Pointer(&to.raw[0])), to.len
	if s.connected {
		addr, size = 0, 0
	}
	for range 2 {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, addr, size)
		if errno == 0 {
			return true
		}
		if errno != unix.ECONNREFUSED {
			return false
		}
	}
	return false
}
