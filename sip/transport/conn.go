package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip"
)

const (
	// readBuffer is what an idle connection holds to read into; it grows only while a larger message comes in.
	readBuffer = 4096
	// farewell is how long a connection that is to be closed may take to hear our last words.
	farewell = time.Second
	// maxDiscard is what is read and thrown away meanwhile, so that the peer is not reset before it has read them.
	maxDiscard = 256 << 10
)

// conn is one connection of any stream transport. One goroutine reads it from its first byte to Closed;
// another one exists while there is something to write.
type conn struct {
	layer    *Layer
	proto    Proto
	id       uint64
	flow     Flow
	listener *streamListener // that accepted it; nil: we opened it
	home     *socket         // whose address our Via and Contact name
	count    *counters
	source   netip.Addr // counted in streams.sources; Layer.mu
	peers    []peer     // entries in streams.peers; Layer.mu

	raw   net.Conn     // the socket
	nc    net.Conn     // the socket, or TLS over it; settled before the flow is shown to anybody
	names []string     // that the peer has proven; the same
	web   *webSocket   // WS and WSS
	page  bool         // the handshake named the web page that it came from; settled like names
	frame sip.Framer   // TCP and TLS
	pulse pulse        // of the reader
	held  pause        // of the reader
	kind  atomic.Int32 // WebSocket opcode that the peer used last

	gone atomic.Bool // closed or about to be

	mu      sync.Mutex
	queue   []byte // waiting for the writer; Limits.WriteQueue bounds it together with flight
	flight  int    // bytes that the writer is writing
	writing bool   // the writer's goroutine exists
	ready   bool   // the handshake is over
	leaving bool   // nothing more is taken; close when the queue is empty
	closed  bool
}

func newConn(l *Layer, nc net.Conn, home *streamListener, p Proto) *conn {
	c := &conn{layer: l, raw: nc, nc: nc, proto: p, id: l.nextID(), home: &home.socket}
	c.flow = NewFlow(c, addrPort(nc.LocalAddr()), addrPort(nc.RemoteAddr()))
	c.kind.Store(int32(opText))
	tuneTCP(nc)
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// accepted serves a connection from the accept loop: handshake, then messages, all of it in one goroutine.
func (c *conn) accepted() {
	defer c.end()
	lim := c.layer.limits()
	now := time.Now()
	first := now.Add(lim.FirstMessage)
	c.pulse = pulse{idle: lim.Idle, firstBy: first}
	_ = c.raw.SetDeadline(first) // fails on a closed socket only, which the handshake will notice
	early, err := c.greet()
	if errors.Is(err, errServed) {
		return
	}
	if err != nil {
		c.count.drop(DropHandshake)
		c.layer.log.Debug("handshake failed", "listener", c.listener.settings().Name, "peer", c.flow.remote, "error", err)
		return
	}
	_ = c.raw.SetDeadline(time.Time{})
	if c.proto == WS || c.proto == WSS {
		c.pulse.ping, c.pulse.must = c.layer.tempo.webPing, true
	} else {
		c.layer.offer(c, c.reusable())
	}
	c.read(early)
}

// greet does the handshakes of the transport. early is what came behind them.
func (c *conn) greet() (early []byte, err error) {
	set := c.listener.settings()
	if c.proto.Secure() {
		if set.creds == nil {
			return nil, errors.New("the listener has changed its transport")
		}
		if err := c.acceptTLS(set.creds); err != nil {
			return nil, err
		}
	}
	if c.proto == WS || c.proto == WSS {
		c.web = &webSocket{max: c.layer.limits().Message}
		return c.hello(set.Listen)
	}
	return nil, nil
}

// reusable are the peers that an accepted connection may be used for by Connect: the address that it came
// from, and over TLS only together with a name that its certificate has proven.
func (c *conn) reusable() []peer {
	if c.proto == TCP {
		return []peer{{TCP, c.flow.remote, ""}}
	}
	var out []peer
	for _, n := range c.names {
		out = append(out, peer{TLS, c.flow.remote, n})
	}
	return out
}

// read takes bytes until the connection ends.
func (c *conn) read(early []byte) {
	lim := c.layer.limits()
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	c.frame.Max = lim.Message
	c.pulse.whole = time.Duration(c.layer.tempo.wholeness) * lim.FirstMessage
	c.pulse.pong = c.layer.tempo.pong
	in := inbox{layer: c.layer, count: c.count}
	small := c.layer.buffers.Get().(*[]byte)
	defer c.layer.buffers.Put(small)
	buf := *small
	c.pulse.heard(time.Now())
	have := copy(buf, early)
	for more := have > 0; ; more = true {
		if more {
			used, ok := c.cut(&in, buf[:have])
			if !ok {
				c.discard(buf)
				return
			}
			have = copy(buf, buf[used:have])
			c.pulse.rest(time.Now(), c.partial(buf[:have]))
			buf = c.fit(buf, have, *small)
		}
		n, err := c.wait(buf[have:])
		if n > 0 {
			c.pulse.heard(time.Now())
			have += n
		}
		switch {
		case errors.Is(err, errLeaving):
			c.discard(buf)
			return
		case err != nil:
			c.failed(err)
			return
		}
	}
}

// fit gives the buffer room: twice as much when it is full, the small one again when what is left goes into it.
func (c *conn) fit(buf []byte, have int, small []byte) []byte {
	switch {
	case have == len(buf):
		next := make([]byte, 2*len(buf)) // ends at twice the message limit: what is larger is refused by then
		copy(next, buf)
		return next
	case len(buf) > len(small) && have < len(small)/2:
		copy(small, buf[:have])
		return small
	}
	return buf
}

// wait reads, and keeps the pulse meanwhile.
func (c *conn) wait(p []byte) (int, error) {
	for {
		_ = c.nc.SetReadDeadline(c.pulse.deadline()) // fails on a closed socket only; Read tells
		if c.gone.Load() {
			return 0, errLeaving // leave may have set its own deadline before ours
		}
		n, err := c.nc.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if c.gone.Load() {
			return 0, net.ErrClosed // the farewell is over
		}
		switch c.pulse.expire(time.Now()) {
		case beatPing:
			c.ping()
		case beatSlow:
			c.count.drop(DropSlow)
			return 0, os.ErrDeadlineExceeded
		case beatDead:
			return 0, errNoPong
		}
	}
}

var (
	errNoPong  = errors.New("transport: peer does not answer pings")
	errLeaving = errors.New("transport: connection is being closed")
)

func (c *conn) ping() {
	if c.web != nil {
		_ = c.control(opPing, nil) // the pulse notices a peer that is gone
		return
	}
	c.frame.Pinged = true
	_ = c.push([]byte("\r\n\r\n"), 0)
}

// partial tells whether a message has begun and not ended.
func (c *conn) partial(buf []byte) bool {
	if c.web != nil {
		return len(buf) > 0 || c.web.open()
	}
	return len(buf) > 0 && buf[0] != '\r' // half a keepalive is no message
}

// cut takes everything that is whole from buf; false when the connection is to be closed.
func (c *conn) cut(in *inbox, buf []byte) (used int, ok bool) {
	for !c.gone.Load() {
		var n int
		if c.web != nil {
			n, ok = c.cutWeb(in, buf[used:])
		} else {
			n, ok = c.cutStream(in, buf[used:])
		}
		used += n
		if !ok || n == 0 {
			return used, ok
		}
	}
	return used, false
}

func (c *conn) cutStream(in *inbox, buf []byte) (n int, ok bool) {
	pinged := c.frame.Pinged
	n, kind, fault := c.frame.Next(buf)
	if fault != nil {
		c.count.drop(DropFraming)
		if n > 0 && in.msg.Parse(string(buf[:n])) == nil {
			in.msg.Source = c.flow.remote
			c.layer.refuse(c.flow, &in.msg, fault)
		}
		c.leave()
		return n, false
	}
	switch kind {
	case sip.FramePing:
		c.count.keepalives.Add(1)
		_ = c.push([]byte("\r\n"), 0) // a full queue has closed the connection
	case sip.FramePong:
		if pinged && !c.frame.Pinged {
			c.pulse.ponged()
		}
	case sip.FrameMessage:
		c.pulse.message()
		return n, c.hear(in, buf[:n])
	}
	return n, true
}

// discard reads what the peer had sent before it could know that we close.
func (c *conn) discard(buf []byte) {
	_ = c.nc.SetReadDeadline(time.Now().Add(farewell)) // fails on a closed socket only; Read tells
	for left := maxDiscard; left > 0; {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}

// failed notes why reading ended, where it was not the peer's own will.
func (c *conn) failed(err error) {
	if c.gone.Load() || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	c.count.errors.Add(1)
	c.layer.log.Debug("connection ends", "peer", c.flow.remote, "proto", c.proto, "error", err)
}

// end is the last thing that the reader's goroutine does.
func (c *conn) end() {
	c.gone.Store(true)
	c.mu.Lock()
	c.closed = true
	c.queue = nil
	ready := c.ready
	c.mu.Unlock()
	c.raw.Close()
	c.layer.exit(c)
	if !ready {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.count.drop(DropPanic)
			c.layer.log.Error("panic in closing a flow", "peer", c.flow.remote, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	c.layer.handler.Closed(c.flow)
}

// Proto implements Link.
func (c *conn) Proto() Proto { return c.proto }

// ID implements Link.
func (c *conn) ID() uint64 { return c.id }

// Listener implements Link.
func (c *conn) Listener() string {
	if c.listener == nil {
		return ""
	}
	return c.listener.settings().Name
}

// Page tells whether a web page opened the connection.
func (c *conn) Page() bool { return c.page }

// SentBy implements Link.
func (c *conn) SentBy(local netip.AddrPort) string { return c.home.sentBy(local) }

// Alive implements Link.
func (c *conn) Alive() bool { return !c.gone.Load() }

// Names implements Link.
func (c *conn) Names() []string { return c.names }
