package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// streams are the connections of a Layer; Layer.mu guards them.
type streams struct {
	conns   map[*conn]struct{}
	sources map[netip.Addr]int // connections accepted, by sourceKey
	peers   map[peer]*conn     // connections that Connect may use again
	dials   map[peer]*dialing
	ctx     context.Context // ends dialling
	cancel  context.CancelFunc
}

// peer is who a connection leads to.
type peer struct {
	proto Proto
	addr  netip.AddrPort
	name  string // TLS: a name that the peer has proven, in lower case
}

func (s *streams) init() {
	s.conns, s.sources = map[*conn]struct{}{}, map[netip.Addr]int{}
	s.peers, s.dials = map[peer]*conn{}, map[peer]*dialing{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
}

func (s *streams) all() []*conn {
	s.cancel()
	out := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c)
	}
	return out
}

// streamListener is a listening TCP socket; what is spoken on it stands in its settings.
type streamListener struct {
	socket
	ln   net.Listener
	gone chan struct{} // closed by close
}

func bindStream(l *Layer, p place) (listener, error) {
	ln, err := listenTCP(p.network, p.addr, l.away)
	if err != nil {
		return nil, err
	}
	s := &streamListener{ln: ln, gone: make(chan struct{})}
	s.layer, s.id, s.where = l, l.nextID(), p
	s.bound = netip.AddrPortFrom(p.addr.Addr(), uint16(ln.Addr().(*net.TCPAddr).Port))
	return s, nil
}

func (s *streamListener) serve() { s.layer.wg.Go(s.accept) }

func (s *streamListener) close() {
	close(s.gone)
	s.ln.Close()
}

// accept takes connections and does nothing else: handshakes happen in the connection's own goroutine.
func (s *streamListener) accept() {
	pause := time.Duration(0)
	for {
		nc, err := s.ln.Accept()
		if err == nil {
			pause = 0
			if s.admit(nc) && !s.rest(s.layer.pace.take(time.Now(), s.layer.limits().ConnectionRate)) {
				return
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of file descriptors or memory: the connection stays in the backlog until there is room.
		s.count.errors.Add(1)
		if pause == 0 {
			s.layer.log.Warn("cannot accept connections", "listener", s.settings().Name, "error", err)
		}
		pause = min(time.Second, max(5*time.Millisecond, 2*pause))
		if !s.rest(pause) {
			return
		}
	}
}

// rest waits before the next connection is accepted; false: the listener is closed.
func (s *streamListener) rest(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-s.gone:
		return false
	case <-wait.C:
		return true
	}
}

// admit refuses a connection above the caps with a reset, which costs us nothing to remember; false: it was refused.
func (s *streamListener) admit(nc net.Conn) bool {
	l := s.layer
	c := newConn(l, nc, s, s.settings().Proto)
	c.listener, c.count = s, &s.count
	if !l.enter(c, sourceKey(c.flow.remote.Addr()), c.accepted) {
		s.count.drop(DropRefused)
		reset(nc)
		return false
	}
	return true
}

func reset(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a socket that is gone already needs no reset
	}
	nc.Close()
}

// enter counts a connection in and starts what serves it; false above a cap or when the Layer has stopped.
// The zero source is a connection that we opened.
func (l *Layer) enter(c *conn, source netip.Addr, serve func()) bool {
	p := l.now.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.streams
	if l.stopped || len(s.conns) >= p.connections ||
		source.IsValid() && s.sources[source] >= p.limits.ConnectionsPerSource {
		return false
	}
	s.conns[c] = struct{}{}
	if c.source = source; source.IsValid() {
		s.sources[source]++
	}
	c.count.accepted.Add(1)
	c.count.connections.Add(1)
	l.wg.Go(serve)
	return true
}

// exit takes a connection out of the tables.
func (l *Layer) exit(c *conn) {
	c.count.connections.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.streams
	delete(s.conns, c)
	if c.source.IsValid() {
		if s.sources[c.source]--; s.sources[c.source] == 0 {
			delete(s.sources, c.source)
		}
	}
	for _, p := range c.peers {
		if s.peers[p] == c {
			delete(s.peers, p)
		}
	}
}

// offer lets Connect use c again for these peers. A connection that serves a peer already keeps it.
func (l *Layer) offer(c *conn, peers []peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.peers = peers
	for _, p := range peers {
		if old := l.streams.peers[p]; old == nil || !old.Alive() {
			l.streams.peers[p] = c
		}
	}
}
