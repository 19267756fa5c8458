package transport

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Layer owns the sockets of the switch. Make it with New, serve with Run.
type Layer struct {
	handler Handler
	log     *slog.Logger
	serves  func() bool // see Config.Serves; never nil
	admits  func() bool // see Config.Admits; never nil
	begins  func() bool // see Config.Begins; never nil
	away    bool        // see Config.Away
	isHere  func(netip.Addr) bool
	seed    maphash.Seed // of the To-tags of stateless answers
	readers int
	tempo   tempo
	ids     atomic.Uint64
	now     atomic.Pointer[policy]
	opened  [WSS + 1]counters // connections that we opened, by transport
	senders sync.Pool         // *datagram
	buffers sync.Pool         // *[]byte of readBuffer octets
	pace    pace              // of connections accepted
	inHand  atomic.Int64      // messages that the Handler has and has not returned from

	wg sync.WaitGroup // everything that the Layer has started

	mu        sync.Mutex // guards what follows, for a few lines at a time
	running   bool
	stopped   bool
	listeners []listener
	streams   streams
}

// policy is what a reload may change while connections live.
type policy struct {
	limits      Limits
	connections int // Limits.Connections, or what the file descriptors allow
	config      Config
	budget      *budget
	outgoing    *outgoing
}

// Bound is a listener that serves.
type Bound struct {
	Name  string
	Proto Proto
	Addr  netip.AddrPort // the real address, where port 0 was asked for
}

// New binds every listener of c. What the listeners receive waits in the sockets until Run. An error names
// the listener and what would mend it; nothing stays bound then.
func New(c Config, h Handler, log *slog.Logger) (*Layer, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Layer{handler: h, log: log, seed: maphash.MakeSeed(), readers: readerCount(c.UDPReaders), tempo: usualTempo, serves: c.Serves, admits: c.Admits, begins: c.Begins, away: c.Away, isHere: isHere}
	if l.serves == nil {
		l.serves = func() bool { return true }
	}
	if l.admits == nil {
		l.admits = l.serves
	}
	if l.begins == nil {
		l.begins = l.admits
	}
	l.ids.Store(rand.Uint64() >> 8) // two Layers of one process do not number alike
	l.senders.New = func() any { return newDatagram() }
	l.buffers.New = func() any { b := make([]byte, readBuffer); return &b }
	l.streams.init()
	change, err := l.Prepare(c)
	if err != nil {
		return nil, err
	}
	change.Commit()
	return l, nil
}

// Run serves until ctx ends. It returns when every goroutine of the Layer has ended and every socket is
// closed; what was queued for peers is written first, for a second at most. A Layer runs once.
func (l *Layer) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.running || l.stopped {
		l.mu.Unlock()
		return errors.New("transport: a Layer runs once")
	}
	l.running = true
	for _, ln := range l.listeners {
		ln.serve()
	}
	l.mu.Unlock()
	<-ctx.Done()
	l.Close()
	return nil
}

// Close stops a Layer whether it runs or not, and waits like Run.
func (l *Layer) Close() {
	l.mu.Lock()
	l.stopped = true
	listeners := l.listeners
	l.listeners = nil
	conns := l.streams.all()
	l.mu.Unlock()
	for _, ln := range listeners {
		ln.close()
	}
	for _, c := range conns {
		c.leave()
	}
	l.wg.Wait()
}

// Listeners are the listeners that serve, in the order of the Config.
func (l *Layer) Listeners() []Bound {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Bound, 0, len(l.listeners))
	for _, ln := range l.listeners {
		s := ln.settings()
		out = append(out, Bound{s.Name, s.Proto, ln.addr()})
	}
	return out
}

// Stats are the counters of every listener in the order of the Config, then those of the connections that
// we opened over TCP and TLS.
func (l *Layer) Stats() []Counts {
	l.mu.Lock()
	listeners := l.listeners
	l.mu.Unlock()
	out := make([]Counts, 0, len(listeners)+2)
	for _, ln := range listeners {
		s := ln.settings()
		out = append(out, ln.counters().counts(s.Name, s.Proto))
	}
	for _, p := range []Proto{TCP, TLS} {
		out = append(out, l.opened[p].counts("", p))
	}
	return out
}

func (l *Layer) limits() *Limits { return &l.now.Load().limits }

func (l *Layer) nextID() uint64 { return l.ids.Add(1) }
