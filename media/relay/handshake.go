package relay

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"tandem/media/secure"
)

const (
	// setupTime bounds one handshake, beside maxShaking that bounds all at once: beyond it a ClientHello is dropped, and comes again.
	setupTime  = 20 * time.Second
	maxShaking = 256
	// shakeQueue is in datagrams: a browser's largest flight has about six, and what is lost comes again.
	shakeQueue = 16
	// flightKept is how long our last flight is kept for a browser that has not got it: its own is repeated for some seconds.
	flightKept = 8 * time.Second
	// maxFlight bounds that flight, in datagrams.
	maxFlight = 8
)

// Record types and versions of DTLS that are told apart before the library sees a datagram (RFC 6347 §4.1).
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
)

// plain says whether a datagram begins with a record of epoch 0, which anybody could have written.
func plain(b []byte) bool { return len(b) >= 13 && b[3] == 0 && b[4] == 0 }

// clientHello tells the first message of a handshake.
func clientHello(b []byte) bool {
	return plain(b) && b[0] == recordHandshake && len(b) > 13 && b[13] == 1
}

// receiveDTLS takes a DTLS datagram from a place that was checked.
func (b *browser) receiveDTLS(p *Port, datagram []byte) {
	now := b.web.loop.now
	switch {
	case datagram[0] == recordAlert && plain(datagram):
		p.drop(DropHandshake) // unauthenticated: a forged one must not end what it cannot begin
	case b.shake != nil:
		b.shake.deliver(datagram)
	case b.current() && b.flight != nil && now.Before(b.flight.until) && datagram[0] != recordAlert && !clientHello(datagram):
		b.repeat(p)
	case !b.ready || b.current() || b.set.Role != secure.Passive || !clientHello(datagram):
		p.drop(DropHandshake)
	case !b.begin(p):
		p.drop(DropRate)
	default:
		b.shake.deliver(datagram)
	}
}

// current says whether the keys in use are those of the association that was agreed on.
func (b *browser) current() bool { return b.association != 0 && b.association == b.set.Association }

// initiate begins the handshake where that is ours to do.
func (b *browser) initiate(p *Port) {
	if b.ready && b.set.Role == secure.Active && !b.current() && b.shake == nil && b.nominated && b.at >= 0 {
		b.begin(p)
	}
}

// begin starts a handshake in a goroutine of its own, which ends with it.
func (b *browser) begin(p *Port) bool {
	w := b.web
	if w.shaking.Load() >= maxShaking || !b.tries.allow(w.loop.now) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTime)
	h := &handshake{port: p, cancel: cancel, in: make(chan []byte, shakeQueue), closed: make(chan struct{}), due: make(chan struct{})}
	b.shake = h
	c := secure.DTLSConfig{Role: b.set.Role, Certificate: w.cert, Fingerprints: b.set.Fingerprints}
	association := b.set.Association
	w.shaking.Add(1)
	w.handshakes.Go(func() {
		defer w.shaking.Add(-1)
		defer cancel()
		local, remote, err := secure.Handshake(ctx, h, c)
		_ = p.do(func() { p.shaken(h, association, Keys{local, remote}, err) }) // a leg that is closed needs no keys
	})
	return true
}

// abandon ends a handshake without its result.
func (b *browser) abandon() {
	if b.shake != nil {
		b.shake.cancel()
		_ = b.shake.Close()
		b.shake = nil
	}
}

// shaken takes the result of a handshake. A failed one changes nothing: the leg goes on listening for the right browser.
func (p *Port) shaken(h *handshake, association int, k Keys, err error) {
	b := p.web
	if b.shake != h {
		return
	}
	b.shake = nil
	if err != nil {
		p.drop(DropHandshake)
		p.relay.log.Debug("DTLS handshake failed", "port", p.local, "peer", b.endpoint().addr, "err", err)
		return
	}
	if b.use(p, association, k) != nil {
		p.drop(DropHandshake)
		return
	}
	if b.set.Role == secure.Passive {
		b.flight = &flight{h.flight, p.loop.now.Add(flightKept)}
	}
	p.lastIn, p.lastOut = p.loop.now, p.loop.now
	p.aim()
	if b.at >= 0 {
		p.source.latched = b.paths[b.at].at.addr
		p.emit(Event{Kind: Latched, Addr: p.source.latched})
	}
}

// repeat sends our last flight again.
func (b *browser) repeat(p *Port) {
	if !b.tries.allow(b.web.loop.now) {
		return
	}
	for _, d := range b.flight.datagrams {
		b.transmit(p, d)
	}
}

// transmit sends a DTLS datagram to where the browser was checked last.
func (b *browser) transmit(p *Port, datagram []byte) {
	s, to := b.socket(), b.endpoint()
	if s == nil || !p.loop.send(s, datagram, &to) {
		p.drop(DropSend)
		return
	}
	p.loop.total.PacketsOut++
	p.loop.total.BytesOut += uint64(len(datagram))
}

// A handshake is the network of one DTLS handshake: a net.PacketConn whose datagrams come from and go to the leg's loop. Its write side
// keeps the last flight.
type handshake struct {
	port   *Port
	cancel context.CancelFunc
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	due   chan struct{} // closed when the read deadline is over
	timer *time.Timer

	heard  bool     // something came since the last flight began; loop only
	flight [][]byte // loop only, and after the handshake
}

// deliver hands a datagram over, or drops it: what is lost comes again. Called in the loop.
func (h *handshake) deliver(b []byte) {
	select {
	case h.in <- append([]byte(nil), b...):
		h.heard = true
	default:
		h.port.drop(DropRate)
	}
}

// ReadFrom waits for the next datagram.
func (h *handshake) ReadFrom(b []byte) (int, net.Addr, error) {
	h.mu.Lock()
	due := h.due
	h.mu.Unlock()
	select {
	case <-due:
		return 0, nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case d := <-h.in:
		return copy(b, d), h.LocalAddr(), nil
	case <-due:
		return 0, nil, os.ErrDeadlineExceeded
	case <-h.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends a datagram from the leg's loop. Alerts are kept back: until the handshake is through they would be nobody's word, and a
// browser that hears one gives its call up.
func (h *handshake) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case <-h.closed:
		return 0, net.ErrClosed
	default:
	}
	if len(b) == 0 || b[0] == recordAlert {
		return len(b), nil
	}
	err := h.port.do(func() {
		if h.port.web.shake != h {
			return
		}
		if h.heard {
			h.heard, h.flight = false, nil
		}
		if len(h.flight) < maxFlight {
			h.flight = append(h.flight, append([]byte(nil), b...))
		}
		h.port.web.transmit(h.port, b)
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close ends reading and writing.
func (h *handshake) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// LocalAddr names nothing: there is no socket of its own.
func (h *handshake) LocalAddr() net.Addr { return &net.UDPAddr{} }

// SetReadDeadline ends the wait of ReadFrom at t; zero: never.
func (h *handshake) SetReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	select {
	case <-h.due:
		h.due = make(chan struct{})
	default:
	}
	due := h.due
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		close(due)
	default:
		h.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.due == due {
				select {
				case <-due:
				default:
					close(due)
				}
			}
		})
	}
	return nil
}

// SetWriteDeadline is of no use: a write does not wait longer than a few packets take.
func (h *handshake) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (h *handshake) SetDeadline(t time.Time) error { return h.SetReadDeadline(t) }
