package cluster

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Waker tells clients that their TCP connections are gone. Those died with the node that had the address before, and a client that is
// silent finds out at its next keep-alive. It is sent a segment that fits nowhere, which it has to answer with what it expects (RFC
// 9293 §3.10.7.4, RFC 5961 §5); this machine's kernel, which knows no such connection, resets it by that answer, and the client
// connects anew at once. The segment carries nothing and ends nothing by itself: a connection that lives is not harmed by it.
type Waker struct {
	sockets map[netip.Addr]int // raw ones, by our address
}

// Wake sends one segment from our address to a client. An error is why it did not leave; it needs CAP_NET_RAW.
func (w *Waker) Wake(local, remote netip.AddrPort) error {
	from, to := local.Addr().Unmap(), remote.Addr().Unmap()
	fd, err := w.socket(from)
	if err != nil {
		return err
	}
	segment := lostSegment(netip.AddrPortFrom(from, local.Port()), netip.AddrPortFrom(to, remote.Port()))
	return unix.Sendto(fd, segment, 0, rawAddress(to))
}

// Close ends the waker.
func (w *Waker) Close() {
	for _, fd := range w.sockets {
		_ = unix.Close(fd)
	}
	w.sockets = nil
}

// socket is the raw socket of one of our addresses. Nothing is read from it.
func (w *Waker) socket(from netip.Addr) (int, error) {
	if fd, there := w.sockets[from]; there {
		return fd, nil
	}
	family := unix.AF_INET
	if from.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		return 0, hint(err)
	}
	// What arrives for us over TCP is copied to raw sockets: as little as can be is kept of it.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	if err := unix.Bind(fd, rawAddress(from)); err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	if w.sockets == nil {
		w.sockets = map[netip.Addr]int{}
	}
	w.sockets[from] = fd
	return fd, nil
}

func rawAddress(a netip.Addr) unix.Sockaddr {
	if a.Is6() {
		return &unix.SockaddrInet6{Addr: a.As16()}
	}
	return &unix.SockaddrInet4{Addr: a.As4()}
}

// lostSegment is a TCP header alone (RFC 9293 §3.1): ACK, with numbers that are nobody's.
func lostSegment(from, to netip.AddrPort) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	b[12], b[13] = 5<<4, 0x10 // length in words; ACK
	binary.BigEndian.PutUint16(b[16:], tcpChecksum(from.Addr(), to.Addr(), b))
	return b
}

// tcpChecksum is over the pseudo header and the segment (RFC 9293 §3.1, RFC 8200 §8.1).
func tcpChecksum(from, to netip.Addr, segment []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	add(from.AsSlice())
	add(to.AsSlice())
	sum += uint32(unix.IPPROTO_TCP) + uint32(len(segment))
	add(segment)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
