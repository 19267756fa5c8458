//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many datagrams one system call takes or gives, so that the load costs its core less than the servers
// theirs.
const batch = 32

// largest is the longest message taken.
const largest = 4096

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

// socket is a UDP socket that sends and receives in batches. Messages wait in out until flush.
type socket struct {
	fd   int
	addr netip.AddrPort

	in    [batch]mmsghdr
	inVec [batch]unix.Iovec
	inBuf [batch][largest]byte

	out    [batch]mmsghdr
	outVec [batch]unix.Iovec
	outBuf [batch][largest]byte
	queued int
}

// listen binds a socket whose peer is the server: all it sends goes there, and nothing else is received.
func listen(local netip.Addr, server netip.AddrPort) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd}
	// The kernel may grant less; the windows of the load fit into the default too.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind %s: %w", local, err), unix.Close(fd))
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}); err != nil {
		return nil, errors.Join(fmt.Errorf("connect %s: %w", server, err), unix.Close(fd))
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	in4 := name.(*unix.SockaddrInet4)
	s.addr = netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))
	for i := range batch {
		s.inVec[i].Base = &s.inBuf[i][0]
		s.inVec[i].SetLen(largest)
		s.in[i].hdr.Iov = &s.inVec[i]
		s.in[i].hdr.SetIovlen(1)
		s.outVec[i].Base = &s.outBuf[i][0]
		s.out[i].hdr.Iov = &s.outVec[i]
		s.out[i].hdr.SetIovlen(1)
	}
	return s, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// room is an empty buffer for the next message; queue takes it when it is filled.
func (s *socket) room() []byte {
	if s.queued == batch {
		s.flush()
	}
	return s.outBuf[s.queued][:0]
}

// queue takes a message that was written into room, or elsewhere.
func (s *socket) queue(m []byte) {
	if len(m) > largest {
		panic("message longer than its buffer")
	}
	copy(s.outBuf[s.queued][:], m)
	s.outVec[s.queued].SetLen(len(m))
	s.queued++
}

// flush sends what is queued. A refused datagram (the server is gone) is lost, as on a wire.
func (s *socket) flush() {
	for at := 0; at < s.queued; {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.out[at])), uintptr(s.queued-at), 0, 0, 0)
		switch {
		case e == unix.EAGAIN:
		case e != 0:
			at++
		default:
			at += int(n)
		}
	}
	s.queued = 0
}

// receive gives the messages that wait to take, and tells how many there were. They are valid during take.
func (s *socket) receive(take func(m []byte)) int {
	n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0
	}
	for i := range int(n) {
		take(s.inBuf[i][:s.in[i].n])
	}
	return int(n)
}

// wait blocks until one of the sockets can be read, at most for d.
func wait(d time.Duration, sockets ...*socket) {
	fds := make([]unix.PollFd, len(sockets))
	for i, s := range sockets {
		fds[i] = unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN}
	}
	_, _ = unix.Poll(fds, int(d.Milliseconds()))
}
