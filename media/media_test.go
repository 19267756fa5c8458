package media

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/media/rtp"
	"tandem/media/sdp"
	"tandem/media/secure"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// run starts an engine for the test.
func run(t testing.TB, c Config) *Engine {
	t.Helper()
	e, stop := start(t, c)
	t.Cleanup(stop)
	return e
}

// start is run for an engine that ends before the test does.
func start(t testing.TB, c Config) (*Engine, func()) {
	t.Helper()
	if c.FirstPort == 0 {
		c.FirstPort, c.LastPort = 25000, 27999
	}
	e, err := NewEngine(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	}
}

// A phone is the far end of a leg: its own negotiation, socket, keys and stream.
type phone struct {
	t      testing.TB
	s      *Session
	events chan Event

	udp  *net.UDPConn
	caps sdp.Capabilities
	neg  sdp.Negotiation
	got  sdp.Agreed
	seal *secure.Context
	open *secure.Context
	keys *keyring

	ssrc uint32
	seq  uint16
	ts   uint32
}

// call opens a session with a phone at its other end that can do the named codecs.
func call(t testing.TB, e *Engine, o Options, codecs ...string) *phone {
	t.Helper()
	p := &phone{t: t, events: make(chan Event, 64), ssrc: 77, seq: 100, ts: 1000}
	if !o.Local.IsValid() {
		o.Local = loopback
	}
	if !o.SignallingSource.IsValid() {
		o.SignallingSource = loopback
	}
	o.Events = func(ev Event) {
		select {
		case p.events <- ev:
		default:
			t.Error("more events than anybody waits for")
		}
	}
	s, err := e.NewSession(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	p.s = s
	if p.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.udp.Close() })
	list, err := parseCodecs(codecs)
	if err != nil {
		t.Fatal(err)
	}
	p.caps = sdp.Capabilities{Codecs: list, RTP: p.addr(), Mux: true, Usable: usable}
	p.neg = sdp.NewNegotiation(1, loopback)
	return p
}

// encrypted gives the phone keys.
func (p *phone) encrypted(how sdp.Security) *phone {
	k, err := newKeyring()
	if err != nil {
		p.t.Fatal(err)
	}
	p.keys, p.caps.Security, p.caps.Crypto = k, how, k.lines
	return p
}

func (p *phone) addr() netip.AddrPort {
	a := p.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// agree makes what the phone agreed to its own.
func (p *phone) agree(a sdp.Agreed, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	p.got = a
	if a.Secured {
		if p.seal, p.open, err = p.keys.contexts(a.Local, a.Remote); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *phone) parse(body []byte, err error) *sdp.Description {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	d, err := sdp.Parse(body)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// offers lets the phone make the offer.
func (p *phone) offers(want sdp.Direction) {
	p.t.Helper()
	p.caps.Direction = want
	if err := p.s.SetOffer(p.neg.Offer(p.caps)); err != nil {
		p.t.Fatal(err)
	}
}

// isAnswered completes that.
func (p *phone) isAnswered(like *Session) []byte {
	p.t.Helper()
	body, err := p.s.CreateAnswer(like)
	p.agree(p.neg.Accept(p.parse(body, err)))
	return body
}

// isOffered lets the session make the offer and the phone answer it.
func (p *phone) isOffered(like *Session, want sdp.Direction) *sdp.Description {
	p.t.Helper()
	body, err := p.s.CreateOffer(like)
	d := p.parse(body, err)
	p.caps.Direction = want
	answer, a, err := p.neg.Answer(d, p.caps, sdp.Codec{})
	p.agree(a, err)
	if err := p.s.SetAnswer(answer); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// connect is a whole call between two phones: a offers, b is offered after it and answers, a is answered after b.
func connect(a, b *phone) {
	a.t.Helper()
	a.offers(SendRecv)
	b.isOffered(a.s, SendRecv)
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		a.t.Fatal(err)
	}
}

// say sends 20 ms of payload as the phone would.
func (p *phone) say(pt uint8, payload []byte) {
	p.t.Helper()
	b := rtp.AppendHeader(make([]byte, 0, 400), rtp.Header{PayloadType: pt, Seq: p.seq, Timestamp: p.ts, SSRC: p.ssrc})
	b = append(b, payload...)
	p.seq++
	p.ts += 160
	if p.got.Secured {
		var err error
		if b, err = p.seal.ProtectRTP(b); err != nil {
			p.t.Fatal(err)
		}
	}
	if _, err := p.udp.WriteToUDPAddrPort(b, p.got.RTP); err != nil {
		p.t.Fatal(err)
	}
}

// hear waits for the next packet and opens it.
func (p *phone) hear() rtp.Packet {
	p.t.Helper()
	b := make([]byte, 2048, 2100)
	if err := p.udp.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	n, _, err := p.udp.ReadFromUDPAddrPort(b)
	if err != nil {
		p.t.Fatal("nothing heard:", err)
	}
	var pkt rtp.Packet
	if p.got.Secured {
		pkt, err = p.open.UnprotectRTP(b[:n])
	} else {
		pkt, err = rtp.Parse(b[:n])
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return pkt
}

// silent asserts that nothing is waiting.
func (p *phone) silent() {
	p.t.Helper()
	b := make([]byte, 2048)
	if err := p.udp.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		p.t.Fatal(err)
	}
	if n, _, err := p.udp.ReadFromUDPAddrPort(b); err == nil {
		p.t.Fatalf("heard %d bytes, wanted nothing", n)
	}
}

// wait returns the next event of a kind.
func (p *phone) wait(kind EventKind) Event {
	p.t.Helper()
	timeout := time.After(3 * time.Second)
	for {
		select {
		case e := <-p.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			p.t.Fatalf("no event %v", kind)
		}
	}
}

// until polls a figure of the session with a deadline.
func (p *phone) until(what string, ok func(Stats) bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if ok(p.s.Stats()) {
			return
		}
	}
	p.t.Fatalf("%s: never; %+v", what, p.s.Stats())
}

var voice = bytes.Repeat([]byte{0x55}, 160)

// talk checks that each hears the other.
func talk(a, b *phone) {
	a.t.Helper()
	for range 3 {
		a.say(a.got.Codec.PT, voice)
		if p := b.hear(); len(p.Payload()) != 160 || p.PayloadType() != b.got.Receive[0].PT {
			a.t.Fatalf("b hears type %d with %d bytes", p.PayloadType(), len(p.Payload()))
		}
		b.say(b.got.Codec.PT, voice)
		if p := a.hear(); len(p.Payload()) != 160 || p.PayloadType() != a.got.Receive[0].PT {
			a.t.Fatalf("a hears type %d with %d bytes", p.PayloadType(), len(p.Payload()))
		}
	}
}

func lines(body []byte, prefix string) (out []string) {
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}
