package relay

import (
	"bytes"
	"testing"
	"time"

	"tandem/media/codec"
	"tandem/media/rtp"
)

// bridge joins two legs with the given settings.
func bridge(t testing.TB, r *Relay, a, b Settings) (*leg, *leg) {
	t.Helper()
	one := openLeg(t, r, nil, "127.0.0.1:0", 0xaaaa, a)
	two := openLeg(t, r, one.Port, "127.0.0.1:0", 0xbbbb, b)
	if err := Join(one.Port, two.Port); err != nil {
		t.Fatal(err)
	}
	return one, two
}

func TestPayloadTypesAreMapped(t *testing.T) {
	r := start(t, Config{})
	opus := Format{PayloadType: 111, Name: "opus", Rate: 48000, Channels: 2}
	there := opus
	there.PayloadType, there.Name = 96, "OPUS"
	a, b := bridge(t, r, Settings{Receive: []Format{opus}}, Settings{Receive: []Format{there}})
	a.say(111)
	if got := b.hearRTP().PayloadType(); got != 96 {
		t.Errorf("payload type %d, want 96", got)
	}
	b.say(96)
	if got := a.hearRTP().PayloadType(); got != 111 {
		t.Errorf("payload type %d, want 111", got)
	}
}

func TestLawsAreTranslated(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{Receive: []Format{pcma, event}}, Settings{Receive: []Format{pcmu, event}})
	samples := make([]int16, 160)
	tone := codec.NewTone(-10, 1004)
	tone.Read(samples)
	a.write(a.packet(8, codec.ALaw.Encode(nil, samples)))
	got := b.hearRTP()
	if got.PayloadType() != 0 {
		t.Fatalf("payload type %d", got.PayloadType())
	}
	want := codec.ALaw.Encode(nil, samples)
	codec.ALaw.Translate(want)
	if !bytes.Equal(got.Payload(), want) {
		t.Error("not the other law's bytes")
	}
	b.write(b.packet(0, codec.MuLaw.Encode(nil, samples)))
	back := codec.ALaw.Decode(nil, a.hearRTP().Payload())
	if hz, _ := codec.Frequency(back); hz < 990 || hz > 1018 {
		t.Errorf("%v Hz came back", hz)
	}
}

// What is not a valid packet of the agreed stream is dropped, counted, and harms nothing that follows.
func TestInvalidIsDropped(t *testing.T) {
	short := func(p rtp.Packet) []byte { return p[:11] }
	for name, c := range map[string]struct {
		bad  func(*leg) []byte
		want Drop
	}{
		"payload type not agreed": {func(g *leg) []byte { return g.packet(3, make([]byte, 33)) }, DropPayloadType},
		"1,501 bytes":             {func(g *leg) []byte { return g.packet(8, make([]byte, 1501-rtp.HeaderLen)) }, DropOversize},
		"9,000 bytes":             {func(g *leg) []byte { return g.packet(8, make([]byte, 9000)) }, DropOversize},
		"truncated":               {func(g *leg) []byte { return short(g.packet(8, nil)) }, DropMalformed},
		"CSRC list too long":      {func(g *leg) []byte { p := g.packet(8, nil); p[0] |= 15; return p }, DropMalformed},
		"extension too long":      {func(g *leg) []byte { p := g.packet(8, []byte{0, 0, 1, 0}); p[0] |= 0x10; return p }, DropMalformed},
		"padding too long":        {func(g *leg) []byte { p := g.packet(8, []byte{200}); p[0] |= 0x20; return p }, DropMalformed},
		"version 1":               {func(g *leg) []byte { p := g.packet(8, nil); p[0] = 0x40; return p }, DropNotMedia},
		"STUN":                    {func(*leg) []byte { return append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...) }, DropNotMedia},
		"DTLS":                    {func(*leg) []byte { return append([]byte{22, 254, 253}, make([]byte, 50)...) }, DropNotMedia},
		"empty":                   {func(*leg) []byte { return nil }, DropNotMedia},
		"RTCP without mux":        {func(g *leg) []byte { return rtp.AppendCompound(nil, g.ssrc, nil, nil, "x") }, DropNotMedia},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{})
			a, b := bridge(t, r, Settings{}, Settings{})
			a.say(8)
			b.hearRTP()
			a.write(c.bad(a))
			a.seq = 1001 // the bad one was none of the stream
			a.say(8)
			if got := b.hearRTP(); len(got.Payload()) != 160 {
				t.Errorf("%d bytes of payload", len(got.Payload()))
			}
			b.silent()
			s := a.Stats()
			if s.Drops[c.want] != 1 || s.Drops.Sum() != 1 {
				t.Errorf("drops %v, want one %v", s.Drops, c.want)
			}
		})
	}
}

func TestDuplicatesAndJumpsAreDropped(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	first := a.packet(8, make([]byte, 160))
	a.write(first)
	a.write(first)
	b.hearRTP()
	a.seq += 20000
	a.say(8)
	settled(t, r, 3)
	b.silent()
	if s := a.Stats(); s.Drops[DropDuplicate] != 1 || s.Drops[DropJump] != 1 {
		t.Errorf("drops %v", s.Drops)
	}
	a.say(8) // the second in a row: the sender did restart
	got := b.hearRTP()
	if got.SSRC() != b.SSRC() || !got.Marker() {
		t.Error("restart not taken over")
	}
}

func TestRateCap(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	const sent = 220 // what a socket's buffer surely holds
	for range sent {
		a.say(8)
	}
	settled(t, r, sent)
	s := a.Stats()
	if s.In.Packets < mediaBurst || s.In.Packets > sent-20 || s.Drops[DropRate] != sent-s.In.Packets {
		t.Errorf("%d taken, drops %v", s.In.Packets, s.Drops)
	}
	_ = b
}

// An attacker sprays every port with good RTP, before and after the peer is latched, from its own address, and RTCP too:
// nothing of it is heard by anybody and nothing is sent to it.
func TestSpray(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	evil := newPeer(t, "127.0.0.2:0", 666)
	sent := uint64(0)
	spray := func() {
		for _, g := range []*leg{a, b} {
			for range 10 {
				evil.to = g.Local()
				evil.say(8)
				evil.to = portAbove(g)
				evil.write(rtp.AppendCompound(nil, evil.ssrc, nil, nil, "evil"))
				sent += 2
			}
		}
	}
	spray()
	settled(t, r, sent)
	for range 5 {
		a.say(8)
		b.say(8)
		sent += 2
		spray()
		for _, g := range []*leg{a, b} {
			if got := g.hearRTP(); got.SSRC() != g.SSRC() || got.Payload()[0] != 0 {
				t.Fatal("something else was heard")
			}
		}
	}
	settled(t, r, sent)
	a.silent()
	b.silent()
	evil.silent()
	for _, g := range []*leg{a, b} {
		if s := g.Stats(); s.In.Packets != 5 || s.Drops[DropSource] != 120 || s.Remote != g.addr() || s.SSRCChanges != 0 {
			t.Errorf("stats %+v", s)
		}
	}
}

// A flood beside a call costs that call nothing: strangers have their own cap, and then the kernel's buffer.
func TestFloodBesideCall(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	a.say(8)
	b.hearRTP()
	evil := newPeer(t, "127.0.0.2:0", 666)
	evil.to = a.Local()
	for range 20 {
		for range 100 {
			evil.say(8)
		}
		a.say(8)
		b.hearRTP()
	}
	if s := a.Stats(); s.In.Packets != 21 || s.Drops[DropSource] == 0 || s.Drops.Sum() != s.Drops[DropSource] {
		t.Errorf("stats %+v", s)
	}
	evil.silent()
}

// Nobody is answered before he is latched, and the SDP's address alone gets what it was promised.
func TestBeforeLatch(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	b.say(8) // a has not spoken yet: goes to its SDP address
	a.hearRTP()
	quiet := openLeg(t, r, nil, "127.0.0.1:0", 5, Settings{Remote: ap("127.0.0.3:9"), Learn: loopback})
	if err := Join(b.Port, quiet.Port); err != nil {
		t.Fatal(err)
	}
	quiet.say(8)
	quiet.say(8)
	before := quiet.Stats()
	if before.Latched {
		t.Fatal("latched before proof")
	}
	b.say(8)
	settled(t, r, 4)
	quiet.silent()
	quiet.say(8) // the third in sequence
	if e := quiet.wait(Latched); e.Addr != quiet.addr() {
		t.Errorf("latched to %v", e.Addr)
	}
	b.hearRTP()
	b.say(8)
	quiet.hearRTP()
	if s := quiet.Stats(); s.Drops[DropLearning] != 2 || s.In.Packets != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestHeldDirections(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	a.say(8)
	b.hearRTP()
	// b holds: it will not listen and does not speak to be passed on.
	s := Settings{Remote: b.addr(), Receive: []Format{pcma}, Send: []Format{pcma}}
	if err := b.Configure(s); err != nil {
		t.Fatal(err)
	}
	a.say(8)
	b.say(8)
	settled(t, r, 3)
	a.silent()
	b.silent()
	if n := a.Stats().Drops[DropNowhere]; n != 1 {
		t.Errorf("%d to a held peer, want 1", n)
	}
	if n := b.Stats().Drops[DropHeld]; n != 1 {
		t.Errorf("%d from a held peer, want 1", n)
	}
	s.MaySend, s.MayReceive = true, true
	if err := b.Configure(s); err != nil {
		t.Fatal(err)
	}
	a.say(8)
	b.hearRTP()
}

// The legs' first home is chance; joined they live in one loop, and close from there.
func TestJoinAcrossLoops(t *testing.T) {
	r := start(t, Config{Loops: 2})
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{})
	b := openLeg(t, r, nil, "127.0.0.1:0", 2, Settings{})
	c := openLeg(t, r, nil, "127.0.0.1:0", 3, Settings{})
	if err := b.follow(&Port{loop: r.loops[1]}); err != nil {
		t.Fatal(err)
	}
	b.say(8) // latched, with two sockets to move
	b.wait(Latched)
	if err := b.Play(NewSound(make([]int16, 8000)), true, nil); err != nil {
		t.Fatal(err)
	}
	b.hearRTP()
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	b.hearRTP() // still beating
	if err := b.StopPlay(); err != nil {
		t.Fatal(err)
	}
	b.say(8)
	a.hearRTP()
	if err := Join(c.Port, a.Port); err != nil { // a moves on, b is alone
		t.Fatal(err)
	}
	a.say(8)
	c.hearRTP()
	c.say(8)
	a.hearRTP()
	b.say(8)
	for end := time.Now().Add(2 * time.Second); b.Stats().Drops[DropAlone] == 0; {
		if time.Now().After(end) {
			t.Fatalf("b: %+v", b.Stats())
		}
	}
	if a.loop != c.loop {
		t.Error("joined and in two loops")
	}
	if err := Join(a.Port, a.Port); err != nil {
		t.Fatal(err)
	}
	a.say(8)
	a.hearRTP()
}

// After Close nothing is sent, nothing is reported, and the methods say so.
func TestAfterClose(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	a.say(8)
	b.hearRTP()
	a.wait(Latched)
	b.Close()
	b.say(8)
	a.say(8)
	for end := time.Now().Add(2 * time.Second); a.Stats().Drops[DropAlone] == 0; {
		if time.Now().After(end) {
			t.Fatalf("a: %+v", a.Stats())
		}
	}
	a.silent()
	b.silent()
	if len(b.events) > 0 {
		t.Error("event after Close")
	}
	if err := b.Echo(); err != ErrClosed {
		t.Errorf("Echo: %v", err)
	}
	if err := Join(a.Port, b.Port); err != ErrClosed {
		t.Errorf("Join: %v", err)
	}
	if got := b.Stats(); got.Out.Packets != 1 {
		t.Errorf("figures after Close: %+v", got)
	}
}

func TestPanicEndsOnePacket(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	_ = a.do(func() { a.Port.events = func(Event) { panic("in a packet") } })
	a.say(8) // latches, which reports, which panics
	settled(t, r, 1)
	a.say(8)
	b.hearRTP()
	if n := r.Totals().Panics; n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
}

func TestIPv6(t *testing.T) {
	r := start(t, Config{})
	six := loopback6(t)
	var legs [2]*leg
	for i := range legs {
		g := &leg{peer: newPeer(t, "[::1]:0", uint32(i+1)), events: make(chan Event, 8)}
		var err error
		if g.Port, err = r.Open(six, nil, func(e Event) { g.events <- e }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		g.to = g.Local()
		s := Settings{Remote: g.addr(), Receive: []Format{pcma}, Send: []Format{pcma}, MaySend: true, MayReceive: true}
		if err := g.Configure(s); err != nil {
			t.Fatal(err)
		}
		legs[i] = g
	}
	if err := Join(legs[0].Port, legs[1].Port); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		legs[0].say(8)
		legs[1].hearRTP()
		legs[1].say(8)
		legs[0].hearRTP()
	}
}
