//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	packetLength = 172                    // 12 bytes of RTP header and 20 ms of G.711
	packetGap    = 20 * time.Millisecond  // between two packets of one side
	tick         = 250 * time.Microsecond // how finely the sending is spread
	stride       = 7                      // ends that send one after the other lie apart; prime to their number
	roundMark    = 24                     // offset of the byte that tells the round of a packet
)

// ends are the sockets of both sides of the calls, A at even places and B beside it. Each is connected to the relay port
// that its side was given, so a packet from elsewhere does not count.
type ends struct {
	fds   []int
	ports []int
	seq   []uint16
	poll  int
	due   []time.Duration // of each place in order, since the beginning of the run
	at    int

	number byte // of the round

	seal, unseal func(i int, p []byte) []byte // SRTP of an end; nil: none. Nothing: no packet of the load

	Sent, Got, Strange int
}

func newEnds(calls int) (*ends, error) {
	e := &ends{}
	var err error
	if e.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range 2 * calls {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("socket %d: %w", i, err)
		}
		e.fds = append(e.fds, fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: generator.As4()}); err != nil {
			return nil, err
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			return nil, err
		}
		e.ports = append(e.ports, name.(*unix.SockaddrInet4).Port)
		if err := unix.EpollCtl(e.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return nil, err
		}
	}
	e.seq, e.due = make([]uint16, 2*calls), make([]time.Duration, 2*calls)
	return e, nil
}

func (e *ends) close() {
	for _, fd := range e.fds {
		_ = unix.Close(fd)
	}
	_ = unix.Close(e.poll)
}

// connect fixes where one end sends to.
func (e *ends) connect(i int, relay netip.AddrPort) error {
	if relay.Port() == 0 {
		return fmt.Errorf("no relay port for end %d", i)
	}
	return unix.Connect(e.fds[i], &unix.SockaddrInet4{Addr: relay.Addr().As4(), Port: int(relay.Port())})
}

// run sends 50 packets a second from each end for d and receives what comes. What comes later than a tenth of a second after
// the end is lost.
func (e *ends) run(d time.Duration) {
	e.number++
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	e.at = 0
	for i := range e.due {
		e.due[i] = packetGap * time.Duration(i) / time.Duration(len(e.due))
	}
	begin := time.Now()
	for next := tick; next < d; next += tick {
		if pause := next - time.Since(begin); pause > 0 {
			t := unix.NsecToTimespec(int64(pause))
			_ = unix.Nanosleep(&t, nil)
		}
		e.send(next)
		e.receive()
	}
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); e.receive() {
		t := unix.NsecToTimespec(int64(tick))
		_ = unix.Nanosleep(&t, nil)
	}
}

// send sends what is due.
func (e *ends) send(now time.Duration) {
	var b [packetLength]byte
	for ; e.due[e.at] <= now; e.at = (e.at + 1) % len(e.due) {
		e.due[e.at] += packetGap
		i := e.at * stride % len(e.fds)
		b[0], b[1] = 0x80, 0
		binary.BigEndian.PutUint16(b[2:], e.seq[i])
		binary.BigEndian.PutUint32(b[4:], uint32(e.seq[i])*160)
		binary.BigEndian.PutUint32(b[8:], 0x10000+uint32(i))
		binary.BigEndian.PutUint32(b[12:], uint32(i))
		b[roundMark] = e.number
		e.seq[i]++
		out := b[:]
		if e.seal != nil {
			out = e.seal(i, out)
		}
		if n, err := unix.Write(e.fds[i], out); err == nil && n == len(out) {
			e.Sent++
		}
	}
}

// receive takes what waits at all ends: each packet must be the other side's.
func (e *ends) receive() {
	var events [256]unix.EpollEvent
	var b [2048]byte
	n, _ := unix.EpollWait(e.poll, events[:], 0)
	for _, ev := range events[:max(n, 0)] {
		i := int(ev.Fd)
		n, err := unix.Read(e.fds[i], b[:])
		if e.unseal != nil && err == nil && n > 1 {
			if n = copy(b[:], e.unseal(i, b[:n])); n == 0 {
				continue
			}
		}
		switch {
		case err != nil || n <= roundMark || b[roundMark] != e.number:
		case n != packetLength || int(binary.BigEndian.Uint32(b[12:])) != i^1:
			e.Strange++
		default:
			e.Got++
		}
	}
}
