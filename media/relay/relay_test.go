package relay

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"tandem/media/rtp"
)

var loopback = netip.MustParseAddr("127.0.0.1")

var (
	pcma  = Format{PayloadType: 8, Name: "PCMA", Rate: 8000}
	pcmu  = Format{PayloadType: 0, Name: "PCMU", Rate: 8000}
	event = Format{PayloadType: 101, Name: "telephone-event", Rate: 8000}
)

// start runs a relay for the test; the ports are far from what the system gives the peers.
func start(t testing.TB, c Config) *Relay {
	t.Helper()
	if c.First == 0 {
		c.First, c.Last = 21000, 23999
	}
	r, err := New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	})
	return r
}

// A peer is the far end of a leg: a socket, and a stream that it numbers itself.
type peer struct {
	t    testing.TB
	udp  *net.UDPConn
	to   netip.AddrPort
	ssrc uint32
	seq  uint16
	ts   uint32
}

func newPeer(t testing.TB, at string, ssrc uint32) *peer {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t: t, udp: c, ssrc: ssrc, seq: 1000, ts: 50000}
}

func (p *peer) addr() netip.AddrPort {
	a := p.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// packet makes the next packet of the peer's stream.
func (p *peer) packet(pt uint8, payload []byte) rtp.Packet {
	b := rtp.AppendHeader(make([]byte, 0, 1600), rtp.Header{PayloadType: pt, Seq: p.seq, Timestamp: p.ts, SSRC: p.ssrc})
	p.seq++
	p.ts += 160
	return append(b, payload...)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.udp.WriteToUDPAddrPort(b, p.to); err != nil {
		p.t.Fatal(err)
	}
}

// say sends one packet of 20 ms.
func (p *peer) say(pt uint8) { p.write(p.packet(pt, make([]byte, 160))) }

// hear waits for the next datagram.
func (p *peer) hear() []byte {
	p.t.Helper()
	b, ok := p.listen(2 * time.Second)
	if !ok {
		p.t.Fatal("nothing heard")
	}
	return b
}

func (p *peer) hearRTP() rtp.Packet {
	p.t.Helper()
	pkt, err := rtp.Parse(p.hear())
	if err != nil {
		p.t.Fatal(err)
	}
	return pkt
}

func (p *peer) listen(d time.Duration) ([]byte, bool) {
	b := make([]byte, 2048, 2100)
	if err := p.udp.SetReadDeadline(time.Now().Add(d)); err != nil {
		p.t.Fatal(err)
	}
	n, _, err := p.udp.ReadFromUDPAddrPort(b)
	return b[:n], err == nil
}

// silent asserts that nothing is waiting to be heard. Call it when the relay is known to be done with what could have come.
func (p *peer) silent() {
	p.t.Helper()
	if b, ok := p.listen(time.Millisecond); ok {
		p.t.Fatalf("heard %d bytes, wanted nothing", len(b))
	}
}

// A leg is an open port with the peer that was agreed for it.
type leg struct {
	*Port
	*peer
	events chan Event
}

func openLeg(t testing.TB, r *Relay, near *Port, at string, ssrc uint32, s Settings) *leg {
	t.Helper()
	g := &leg{peer: newPeer(t, at, ssrc), events: make(chan Event, 64)}
	var err error
	g.Port, err = r.Open(loopback, near, func(e Event) {
		select {
		case g.events <- e:
		default:
			t.Error("more events than anybody waits for")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		overlooked(t, g.Port)
		g.Close()
	})
	g.to = g.Local()
	if !s.Remote.IsValid() {
		s.Remote = g.addr()
	}
	s.MaySend, s.MayReceive = true, true
	if s.Receive == nil {
		s.Receive = []Format{pcma, event}
	}
	if s.Send == nil {
		s.Send = s.Receive
	}
	if err := g.Configure(s); err != nil {
		t.Fatal(err)
	}
	return g
}

// settled waits until the leg has seen n datagrams since the test began, taken or dropped.
func settled(t testing.TB, r *Relay, n uint64) Totals {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if got := r.Totals(); got.PacketsIn >= n {
			return got
		}
	}
	t.Fatalf("relay saw %d datagrams, want %d", r.Totals().PacketsIn, n)
	return Totals{}
}

func (g *leg) wait(kind EventKind) Event {
	g.t.Helper()
	timeout := time.After(3 * time.Second)
	for {
		select {
		case e := <-g.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			g.t.Fatalf("no event %d", kind)
		}
	}
}

func TestRelayBothWays(t *testing.T) {
	r := start(t, Config{})
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{})
	b := openLeg(t, r, a.Port, "127.0.0.1:0", 2, Settings{})
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	var last uint16
	for i := range 10 {
		a.say(8)
		got := b.hearRTP()
		if got.SSRC() != b.SSRC() || got.PayloadType() != 8 || len(got.Payload()) != 160 {
			t.Fatalf("packet %d: ssrc %d pt %d payload %d", i, got.SSRC(), got.PayloadType(), len(got.Payload()))
		}
		if i > 0 && got.Seq() != last+1 {
			t.Fatalf("sequence %d after %d", got.Seq(), last)
		}
		last = got.Seq()
		b.say(8)
		if got := a.hearRTP(); got.SSRC() != a.SSRC() {
			t.Fatalf("ssrc %d, want %d", got.SSRC(), a.SSRC())
		}
	}
	if e := a.wait(Latched); e.Addr != a.addr() {
		t.Errorf("latched to %v, want %v", e.Addr, a.addr())
	}
	s := a.Stats()
	if s.In.Packets != 10 || s.Out.Packets != 10 || !s.Latched || s.Drops.Sum() != 0 || s.In.Lost != 0 || s.In.MOS.LQ < 4 {
		t.Errorf("stats %+v", s)
	}
}

// portAbove is the leg's RTCP port.
func portAbove(g *leg) netip.AddrPort {
	return netip.AddrPortFrom(g.Local().Addr(), g.Local().Port()+1)
}

// loopback6 is ::1, which a machine without IPv6 does not have.
func loopback6(t *testing.T) netip.Addr {
	t.Helper()
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip("no IPv6 on this machine:", err)
	}
	c.Close()
	return netip.IPv6Loopback()
}
