//go:build linux && !portable

package relay

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The first slots of a loop's table are its own.
const (
	slotWake  = 1 // an eventfd: commands are queued
	slotTimer = 2 // a timerfd: the clock's next deadline
	slotFirst = 3
)

// eventBatch is how many ready sockets one epoll_wait reports. More are reported by the next one; level-triggered, none is forgotten.
const eventBatch = 128

// A poller is the Linux half of a Loop: one epoll set, asked by one goroutine.
//
// The set is never waited for in a system call of its own. While a thread blocks in one, the runtime's monitor wakes every 20 µs to
// give its processor to somebody else; with a packet every 30 µs that cost as much again as the packets. Instead the set is
// itself watched by the runtime's poller, in which an idle thread waits anyway.
type poller struct {
	epoll, wakeFD, timerFD int

	file    *os.File // the epoll set, as the runtime's poller knows it
	set     syscall.RawConn
	ready   int           // events of the last look
	failure syscall.Errno // of the last look
	slots   []*socket     // by the number that epoll gives back
	vacant  []int32
	armed   time.Time // the deadline that the timer stands at
	events  [eventBatch]unix.EpollEvent
	at      int // the event at hand, for going on after a panic
	from    unix.RawSockaddrInet6
	batch   *batch // of the port of all browsers; nil: not on this loop
	fromLen uint32
}

func (l *Loop) open() (err error) {
	l.epoll, l.wakeFD, l.timerFD = -1, -1, -1
	l.slots = make([]*socket, slotFirst)
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("relay: epoll: %w", err)
	}
	if err = unix.SetNonblock(l.epoll, true); err != nil { // what NewFile knows a descriptor for its poller by
		return fmt.Errorf("relay: epoll: %w", err)
	}
	l.file = os.NewFile(uintptr(l.epoll), "epoll")
	if l.set, err = l.file.SyscallConn(); err != nil {
		return fmt.Errorf("relay: epoll: %w", err)
	}
	if l.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("relay: eventfd: %w", err)
	}
	if l.timerFD, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return fmt.Errorf("relay: timerfd: %w", err)
	}
	if err = l.control(unix.EPOLL_CTL_ADD, l.wakeFD, slotWake); err != nil {
		return err
	}
	return l.control(unix.EPOLL_CTL_ADD, l.timerFD, slotTimer)
}

func (l *Loop) control(op, fd int, slot int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: slot}
	if err := unix.EpollCtl(l.epoll, op, fd, &ev); err != nil {
		return fmt.Errorf("relay: epoll: %w", err)
	}
	return nil
}

// watch puts a socket into the set.
func (l *Loop) watch(s *socket) error {
	var slot int32
	if n := len(l.vacant); n > 0 {
		slot, l.vacant = l.vacant[n-1], l.vacant[:n-1]
	} else {
		slot, l.slots = int32(len(l.slots)), append(l.slots, nil)
	}
	if err := l.control(unix.EPOLL_CTL_ADD, s.fd, slot); err != nil {
		l.vacant = append(l.vacant, slot)
		return err
	}
	s.slot, s.paused, l.slots[slot] = slot, false, s
	return nil
}

// unwatch takes it out. An event of it that is still in the batch finds its slot empty: unwatch is only called by commands and by the
// socket's own packets, and slots are reused only by later ones.
func (l *Loop) unwatch(s *socket) {
	if s.slot == 0 {
		return
	}
	if !s.paused {
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
	}
	l.slots[s.slot] = nil
	l.vacant = append(l.vacant, s.slot)
	s.slot, s.paused = 0, false
}

// pause leaves a flooded socket unread until the next chores: the kernel drops what comes meanwhile, which costs us nothing.
func (l *Loop) pause(s *socket) {
	if s.slot != 0 && !s.paused {
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
		s.paused = true
	}
}

// resume reads it again.
func (l *Loop) resume(s *socket) {
	if s.paused {
		s.paused = l.control(unix.EPOLL_CTL_ADD, s.fd, s.slot) != nil
	}
}

// wake ends the wait of the loop. Any goroutine may call it that holds mu, without which the descriptor could be closed already.
func (l *Loop) wake() {
	one := [8]byte{}
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.wakeFD, one[:]) // full means that it is awake already
}

// attend is for loops that have no thread of their own.
func (l *Loop) attend() {}

// stop wakes the loop to see that its time is over.
func (l *Loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		l.wake()
	}
}

// rearm sets the timer to the clock's next deadline if that has changed.
func (l *Loop) rearm() {
	at := l.clock.next(len(l.ports) + l.extra)
	if at.Equal(l.armed) {
		return
	}
	l.armed = at
	var spec unix.ItimerSpec // zero disarms
	if !at.IsZero() {
		spec.Value = unix.NsecToTimespec(max(1, int64(time.Until(at))))
	}
	_ = unix.TimerfdSettime(l.timerFD, 0, &spec, nil)
}

// run is the loop. It returns when ctx is done, with its ports still open.
func (l *Loop) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, l.stop)()
	l.begin()
	defer l.end()
	look := l.look
	for ctx.Err() == nil {
		if err := l.set.Read(look); err != nil {
			return fmt.Errorf("relay: epoll wait: %w", err)
		}
		if l.failure != 0 {
			return fmt.Errorf("relay: epoll wait: %w", l.failure)
		}
		l.at = 0
		for l.at < l.ready {
			l.handle(l.ready)
		}
	}
	return nil
}

// look takes what is ready. It is false when nothing is, and the loop may sleep: only then, for the runtime's poller tells each
// change once, and a socket that still has packets does not change.
func (l *Loop) look(epoll uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&l.events[0])), eventBatch, 0, 0, 0)
	if l.ready, l.failure = int(n), errno; errno != 0 {
		l.ready = 0
	}
	if errno == unix.EINTR {
		l.failure = 0
	}
	return l.ready > 0 || errno != 0
}

// end runs what is still queued and lets later commands run where they are called.
func (l *Loop) end() {
	l.mu.Lock()
	l.running = false
	queue := l.queue
	l.queue = nil
	for _, c := range queue { // under the lock, so that no later do overtakes them
		l.obey(c)
	}
	l.mu.Unlock()
}

// handle works through the events. A panic ends the event at hand, and the next call goes on behind it.
func (l *Loop) handle(n int) {
	defer func() {
		if r := recover(); r != nil {
			l.survived(r)
		}
	}()
	var woken, timed bool
	for l.at < n {
		slot := l.events[l.at].Fd
		l.at++
		switch slot {
		case slotWake:
			woken = true
		case slotTimer:
			timed = true
		default:
			l.read(l.slots[slot])
		}
	}
	if timed {
		l.drain(l.timerFD)
		l.armed = time.Time{}
		l.tick()
	}
	if woken {
		l.drain(l.wakeFD)
		l.commands()
	}
	if timed || woken {
		l.rearm()
	}
}

// read takes one datagram of a socket that has some. One only: whoever has more comes again in the next round, after the others.
func (l *Loop) read(s *socket) {
	if s == nil {
		return
	}
	if p := s.port; s.kind == connectedRTP && p.settling > 0 {
		// What came before the peer had this socket is in the other one, and older.
		if n, from, ok := p.rtp.receive(l); ok {
			p.settling--
			l.arrive(p.rtp, n, from)
			return
		}
		p.settling = 0
	}
	switch s.kind {
	case browserUDP:
		l.readAll(s)
		return
	case browserTCP:
		l.readStream(s)
		return
	case browserListen:
		l.accept(s)
		return
	}
	if n, from, ok := s.receive(l); ok {
		l.arrive(s, n, from)
	}
}

// discardAtOnce bounds what is thrown away of one socket: many times what its buffer holds.
const discardAtOnce = 4096

// discard empties every socket of datagrams.
func (l *Loop) discard() {
	for _, s := range l.slots {
		if s == nil || s.stream != nil || s.kind == browserListen {
			continue
		}
		for range discardAtOnce {
			if _, _, ok := s.receive(l); !ok {
				break
			}
			l.total.Drops[DropStandby]++
		}
	}
}

func (l *Loop) drain(fd int) {
	var b [8]byte
	_, _ = unix.Read(fd, b[:])
}

// shut closes what the loop opened. Called after run has returned.
func (l *Loop) shut() {
	if l.file != nil {
		_ = l.file.Close() // with it the set
	} else if l.epoll >= 0 {
		unix.Close(l.epoll)
	}
	for _, fd := range []int{l.wakeFD, l.timerFD} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	l.file, l.epoll, l.wakeFD, l.timerFD = nil, -1, -1, -1
}
