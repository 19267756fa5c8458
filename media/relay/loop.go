package relay

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the loop's buffer: a datagram is read to receiveSize, which is past every valid one, and grows by what SRTP appends.
const (
	receiveSize = 2048
	bufferSize  = receiveSize + 256
)

// kind says which of a port's sockets a datagram came by.
type kind uint8

const (
	openRTP       kind = iota // the RTP port for everybody
	connectedRTP              // the RTP port for the latched peer
	openRTCP                  // the RTCP port
	browserUDP                // the port of all browsers
	browserListen             // their TCP port
	browserTCP                // a connection to it
)

// A Loop owns the Ports that were given to it: reads their sockets, keeps their clock, runs the commands on them.
type Loop struct {
	poller
	log *slog.Logger

	buf     [bufferSize]byte // the packet at hand
	scratch [bufferSize]byte // what we compose ourselves, RTCP and players' packets
	now     time.Time        // read once for each packet and tick

	ports []*Port // each knows its index
	looks []look  // of each, at the same index
	clock clock
	total counters
	gate  gate // what comes in while it is shut is read and dropped, nothing leaves

	sweep func() // of the browsers' connections, with the chores; nil: they are not on this loop
	extra int    // how many there are

	routed [routedTables]routed // what was agreed lately; the phones of a place agree on the same
	oldest int                  // the next to be replaced

	load atomic.Int64 // ports on this loop, for the choice of a loop

	mu      sync.Mutex
	running bool
	queue   []*command // posted while running. As many as there are callers waiting in do, one each, so unbounded is bounded
}

// A command is a function for the loop to run between two packets, and the end of the wait for it.
type command struct {
	run  func()
	done chan any // gets nil, or what run panicked with
}

// do runs f with nothing else touching the loop's ports, and returns after it. f must not call do.
// Before the loop runs and after it ended, f runs in the caller's goroutine.
func (l *Loop) do(f func()) {
	l.mu.Lock()
	if !l.running {
		defer l.mu.Unlock()
		l.now = time.Now()
		f()
		return
	}
	c := &command{run: f, done: make(chan any, 1)}
	l.queue = append(l.queue, c)
	l.wake()
	l.mu.Unlock()
	l.attend()
	if p := <-c.done; p != nil {
		panic(p)
	}
}

// begin lets do hand its commands to the loop from now on.
func (l *Loop) begin() {
	l.mu.Lock()
	l.running = true
	l.mu.Unlock()
}

// commands runs what was posted.
func (l *Loop) commands() {
	l.mu.Lock()
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, c := range queue {
		l.obey(c)
	}
}

// obey runs one command; a panic in it goes back to who asked.
func (l *Loop) obey(c *command) {
	defer func() { c.done <- recover() }()
	l.now = time.Now()
	c.run()
}

// arrive takes one datagram that was read into the loop's buffer.
func (l *Loop) arrive(s *socket, n int, from netip.AddrPort) {
	l.now = time.Now()
	if !l.serves() {
		l.total.Drops[DropStandby]++
		return
	}
	if s.web != nil {
		s.web.receive(s, l.buf[:], n, from)
		return
	}
	s.port.receive(s.kind, n, from)
}

// survived logs a panic in one packet or tick, which ends that packet or tick only.
func (l *Loop) survived(p any) {
	l.total.Panics++
	l.log.Error("media loop recovered", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// adopt gives the loop a port. Called in do.
func (l *Loop) adopt(p *Port) error {
	p.loop, p.index = l, len(l.ports)
	l.ports, l.looks = append(l.ports, p), append(l.looks, look{})
	l.load.Add(1)
	for _, s := range p.sockets() {
		if err := l.watch(s); err != nil {
			l.dismiss(p)
			return err
		}
	}
	l.clock.enter(p, l.now)
	l.rearm()
	return nil
}

// dismiss takes the port from the loop, its sockets stay open. Called in do.
func (l *Loop) dismiss(p *Port) {
	for _, s := range p.sockets() {
		l.unwatch(s)
	}
	l.clock.leave(p)
	last := l.ports[len(l.ports)-1]
	l.ports[p.index], last.index = last, p.index
	l.ports[len(l.ports)-1] = nil
	l.looks[p.index] = l.looks[len(l.looks)-1]
	l.ports, l.looks = l.ports[:len(l.ports)-1], l.looks[:len(l.looks)-1]
	l.load.Add(-1)
}
