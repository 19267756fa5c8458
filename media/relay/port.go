package relay

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"tandem/media/codec"
	"tandem/media/rtp"
	"tandem/media/secure"
)

// ErrClosed says that the port is closed.
var ErrClosed = errors.New("relay: port is closed")

// Rates of what one leg may send us. Four times the packet rate of 20 ms frames leaves room for 10 ms frames, key presses and repeats;
// the bursts are half a second of it, for what a network held back.
const (
	mediaRate, mediaBurst   = 200, 100
	reportRate, reportBurst = 50, 50
	strayRate, strayBurst   = 200, 200
)

// settle bounds how long a new connected socket waits for older packets in the open one, which a flood could keep full.
const settle = 256

// Settings is what was agreed for a leg, seen from us. A Port takes it as a whole.
type Settings struct {
	Remote     netip.AddrPort // where the SDP wants RTP; invalid: nowhere that we may send to
	RemoteRTCP netip.AddrPort // the same for RTCP; ignored with Mux
	Mux        bool           // RTCP on the RTP port (RFC 5761)
	Learn      netip.Addr     // the signalling source, if the leg may be latched to it; else invalid

	UDPTL bool // fax by T.38 instead of RTP: packets pass as they are, between two ports that have both agreed to it

	Receive []Format // what the peer may send us, with our numbers
	Send    []Format // what the peer wants, with its numbers; the first audio format is the one that players use

	MaySend, MayReceive bool // the agreed direction

	Protect, Unprotect *secure.Context // nil: plain RTP. The same pointer goes on as it is. A browser's come from its handshake

	Web *WebSettings // of a browser's leg; nil: another

	SilenceIn, SilenceOut time.Duration // report a direction that is silent this long; 0: never
}

// An Event is what a port tells its owner. Digit has DTMF key presses the peer sent, once each.
type Event struct {
	Kind     EventKind
	Inbound  bool           // Silence: the peer is silent; else nothing reaches the peer
	Digit    byte           // Digit
	Duration time.Duration  // Digit: how long the key was held
	Addr     netip.AddrPort // Latched: where the peer really is
	Play     any            // PlayDone: the mark given to Play
}

// EventKind tells events apart.
type EventKind uint8

// The kinds of events.
const (
	Silence EventKind = iota + 1
	Digit
	PlayDone
	Latched
	Lost // a browser sends neither checks nor media any more; once until it comes back
)

// A Port is one leg's pair of sockets with the streams through them. Its loop alone touches what is below the lock; methods with
// capital letters may be called from any goroutine but not from the events function, which runs in the loop and must not block.
type Port struct {
	relay   *Relay
	events  func(Event)
	local   netip.AddrPort // RTP; RTCP is one above
	outSSRC uint32         // of out, for those outside the loop

	mu     sync.RWMutex // guards the change of loop: read-locked while a command is under way
	loop   *Loop
	index  int // in loop.ports
	closed bool

	rtp, conn, rtcp *socket  // conn: connected to the latched peer; nil before that and where not supported
	settling        int      // how many packets of rtp may still be read before one of conn
	web             *browser // instead of sockets of its own: the leg of a browser; else nil

	set     Settings
	peer    *Port    // whom our packets go to: the other leg, ourselves for echo, nil
	routes  *routing // of what we receive, for peer; never nil
	source  source
	control control
	media   limiter
	reports limiter
	stray   limiter

	in        rtp.Receiver
	inSSRC    bool // in.SSRC is known
	lastIn    time.Time
	lastOut   time.Time
	told      [2]bool // silence reported, in and out
	mute      bool    // nothing more is sent to a peer that has been silent too long
	presses   codec.EventReceiver
	pressed   []codec.Pressed // reused
	remote    rtp.Report      // the peer's last word on what we send
	passedLSR uint32          // of the last SR that the peer got from the other leg
	trip      *rtp.RoundTrip  // nil: no SR was sent yet
	rtt       time.Duration
	rtcpIn    uint64
	rtcpOut   uint64
	nextRTCP  time.Time
	cname     string

	fax  udptl
	out  outbound
	sink Sink // who listens beside the other leg; nil: nobody
	play *playback
	keys *codec.EventSender
	dest endpoint // RTP
	rdst endpoint // RTCP

	beating bool // in the loop's clock, at:
	phase   int
	place   int

	drops *Drops // nil: none yet
	noted noted  // what is kept of the port elsewhere

	reconnect bool // adopted before its address was here: the peer's own socket is still to be opened
}

// newPort makes a port that its peer will know by an SSRC and a CNAME.
func (r *Relay) newPort(local netip.AddrPort, events func(Event), ssrc uint32, cname string) *Port {
	now := r.now()
	return &Port{
		relay: r, events: events, local: local, routes: &nowhere, outSSRC: ssrc, cname: cname, out: newOutbound(ssrc),
		media:   limit(mediaRate, mediaBurst),
		reports: limit(reportRate, reportBurst),
		stray:   limit(strayRate, strayBurst),
		lastIn:  now, lastOut: now,
	}
}

// cname is a name that says nothing about us and differs for each leg (RFC 7022).
func cname() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, 16)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

// Local is the address and port for RTP; RTCP is on the port above.
func (p *Port) Local() netip.AddrPort { return p.local }

// CNAME is what our reports call us on this leg.
func (p *Port) CNAME() string { return p.cname }

// SSRC is the one source that the peer hears from this port, whoever speaks behind it.
func (p *Port) SSRC() uint32 { return p.outSSRC }

// do runs f in the port's loop, between two packets. f must not call do of any port. It does not run on a closed port.
func (p *Port) do(f func()) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	err := ErrClosed
	p.loop.do(func() {
		if !p.closed {
			err = nil
			f()
			p.soon()
			p.loop.rearm()
		}
	})
	return err
}

func (p *Port) sockets() []*socket {
	if p.web != nil {
		return nil
	}
	all := []*socket{p.rtp, p.rtcp}
	if p.conn != nil {
		all = append(all, p.conn)
	}
	return all
}

// outlet is the socket for RTP, and for RTCP where it is muxed; nil: a browser that was not checked yet.
func (p *Port) outlet() *socket {
	switch {
	case p.web != nil:
		return p.web.socket()
	case p.conn != nil:
		return p.conn
	}
	return p.rtp
}

// Configure takes what was agreed anew. It opens the learning window again.
func (p *Port) Configure(s Settings) error { return p.do(func() { p.configure(s) }) }

func (p *Port) configure(s Settings) {
	p.accept(s)
	p.in.Rate, p.presses.Rate = 8000, 8000
	if f, ok := find(s.Receive, Format.Audio); ok {
		p.in.Rate = f.Rate
	}
	if f, ok := find(s.Receive, Format.Event); ok {
		p.presses.Rate = f.Rate
	}
	if f, ok := find(s.Send, Format.Audio); ok {
		p.out.setRate(f.Rate)
	}
	p.expect()
	p.aim()
	p.direct()
	if p.peer != nil {
		p.peer.direct()
	}
}

// accept takes the settings and what they say of the peer's place: of a browser, who it is.
func (p *Port) accept(s Settings) {
	if p.web != nil {
		s.Protect, s.Unprotect, s.Mux = p.set.Protect, p.set.Unprotect, true
		p.set = s
		p.web.configure(p, s.Web)
		return
	}
	had := p.source.latched
	p.set = s
	p.source.open(s.Remote, s.Learn, p.loop.now)
	p.control.open(s.RemoteRTCP)
	if had.IsValid() && !p.source.latched.IsValid() {
		p.control.latched = netip.AddrPort{}
		p.disconnect()
	}
}

// Learn opens the learning window once more, for a leg whose answer was repeated (183, then 200).
func (p *Port) Learn() error {
	return p.do(p.learn)
}

func (p *Port) learn() { p.source.until = p.loop.now.Add(learning) }

// direct computes the routes of what this port receives.
func (p *Port) direct() {
	var send []Format
	if p.peer != nil {
		send = p.peer.set.Send
		p.peer.out.feeder = nil // numbers and clocks may have changed: take over anew
	}
	p.routes = p.loop.routesOf(p.set.Receive, send)
}

// aim points dest and rdst at the peer: where it was heard from, or else where its SDP says.
func (p *Port) aim() {
	if p.web != nil {
		p.dest = p.web.endpoint()
		p.rdst = p.dest
		return
	}
	to := p.set.Remote
	if p.source.latched.IsValid() {
		to = p.source.latched
	}
	p.dest = makeEndpoint(p.local.Addr(), to)
	switch {
	case p.set.Mux:
		p.rdst = p.dest
	case p.control.latched.IsValid():
		p.rdst = makeEndpoint(p.local.Addr(), p.control.latched)
	case p.source.latched.IsValid() && p.source.rank != rankExact:
		p.rdst = makeEndpoint(p.local.Addr(), netip.AddrPortFrom(to.Addr(), to.Port()+1))
	default:
		p.rdst = makeEndpoint(p.local.Addr(), p.set.RemoteRTCP)
	}
}

// latch follows the peer to where it was heard from.
func (p *Port) latch() {
	p.control.until = p.loop.now.Add(learningRTCP)
	p.soon()
	p.aim()
	p.connect()
	p.emit(Event{Kind: Latched, Addr: p.source.latched})
}

// connect gives the latched peer a socket of its own, which costs the kernel less for each packet. Without it all goes on as before.
func (p *Port) connect() {
	peer := p.source.latched
	if p.conn != nil {
		if p.conn.reconnect(peer) == nil {
			return
		}
		p.disconnect()
	}
	s, err := connect(p.local, peer)
	if err != nil {
		return
	}
	s.port = p
	if err := p.loop.watch(s); err != nil {
		s.close()
		return
	}
	p.conn, p.settling = s, settle
}

func (p *Port) disconnect() {
	if p.conn != nil {
		p.loop.unwatch(p.conn)
		p.conn.close()
		p.conn = nil
	}
}

func (p *Port) emit(e Event) {
	if p.events != nil && !p.closed {
		p.events(e)
	}
}

func (p *Port) drop(d Drop) {
	if p.drops == nil {
		p.drops = new(Drops)
	}
	p.drops[d]++
	p.loop.total.Drops[d]++
}

// Close parts the port, closes its sockets and sends its numbers into quarantine. No event comes after it. Again it does nothing.
func (p *Port) Close() { p.Finish() }

// Finish is Close, and gives the counters as they are at the end; those of a port that is closed already are zero.
func (p *Port) Finish() (last Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return last
	}
	p.loop.do(func() {
		last = p.stats()
		p.part()
		p.sink = nil
		p.loop.dismiss(p)
		p.closed = true
		for _, s := range p.sockets() {
			s.close()
		}
		if p.web != nil {
			p.web.web.forget(p)
		}
		p.loop.rearm()
	})
	if p.web == nil {
		p.relay.pool.rest(p.local.Addr(), p.local.Port())
	}
	return last
}
