//go:build linux && !portable

package relay

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// browserBatch is how many datagrams of the port of all browsers one system call takes or gives. It stands for as many legs as other ports are,
// so it pays there and nowhere else.
const browserBatch = 32

// A message is struct mmsghdr of recvmmsg(2).
type message struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

// A batch is what one turn on the port of all browsers has read, and what goes back to it: a packet from one browser to another is rewritten where
// it lies and waits for the others of its turn.
type batch struct {
	bufs [browserBatch][bufferSize]byte
	in   [browserBatch]message
	vec  [browserBatch]unix.Iovec
	from [browserBatch]unix.RawSockaddrInet6

	out    [browserBatch]message
	outVec [browserBatch]unix.Iovec
	via    *socket // that out goes by
	queued int
	open   bool // a turn is under way
}

func newBatch() *batch {
	b := new(batch)
	for i := range b.in {
		b.vec[i] = unix.Iovec{Base: &b.bufs[i][0], Len: receiveSize}
		b.in[i].hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&b.from[i])), Namelen: unix.SizeofSockaddrInet6, Iov: &b.vec[i], Iovlen: 1}
	}
	return b
}

// readAll takes what there is on a port of browsers, up to a batch. What is left comes in the next turn, after the others.
func (l *Loop) readAll(s *socket) {
	b := l.batch
	if b == nil {
		b = newBatch()
		l.batch = b
	}
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&b.in[0])), browserBatch,
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return
	}
	for i := range got { // what the kernel has written, for the next turn
		b.in[i].hdr.Namelen, b.in[i].hdr.Flags = unix.SizeofSockaddrInet6, 0
	}
	l.now = time.Now()
	if !l.serves() {
		l.total.Drops[DropStandby] += uint64(got)
		return
	}
	b.open = true
	for i := range int(got) {
		l.takeOne(s, i)
	}
	b.open = false
	l.flush()
}

// takeOne takes one datagram of the batch. A panic ends this one.
func (l *Loop) takeOne(s *socket, i int) {
	defer func() {
		if r := recover(); r != nil {
			l.survived(r)
		}
	}()
	b := l.batch
	s.web.receive(s, b.bufs[i][:], int(b.in[i].n), addrPort(&b.from[i]))
}

func addrPort(raw *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&raw.Port))
	number := uint16(port[0])<<8 | uint16(port[1])
	if raw.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(raw)).Addr), number)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw.Addr), number)
}

// gather keeps a packet that lies in the batch for the end of the turn; false: there is no turn, or it is not for a port of browsers.
func (l *Loop) gather(s *socket, packet []byte, to *endpoint) bool {
	b := l.batch
	if b == nil || !b.open || s.web == nil || s.stream != nil || s.fd < 0 {
		return false
	}
	if b.via != s || b.queued == browserBatch {
		l.flush()
		b.via = s
	}
	i := b.queued
	b.queued++
	b.outVec[i] = unix.Iovec{Base: unsafe.SliceData(packet), Len: uint64(len(packet))}
	b.out[i].hdr = unix.Msghdr{Name: &to.raw[0], Namelen: uint32(to.len), Iov: &b.outVec[i], Iovlen: 1}
	return true
}

// flush sends what was gathered. A packet that the kernel refuses is passed over, and counted.
func (l *Loop) flush() {
	b := l.batch
	if b.queued > 0 && !l.still() {
		l.total.Drops[DropSend] += uint64(b.queued)
		b.queued = 0
	}
	for at := 0; at < b.queued; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(b.via.fd), uintptr(unsafe.Pointer(&b.out[at])), uintptr(b.queued-at),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != 0 {
			n = 1
			l.total.Drops[DropSend]++
		}
		at += int(n)
	}
	b.queued, b.via = 0, nil
}
