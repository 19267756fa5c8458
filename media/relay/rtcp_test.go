package relay

import (
	"testing"
	"time"

	"tandem/media/rtp"
	"tandem/media/secure"
)

// rtcpOf gives a leg a socket for RTCP beside its own and names it in the settings.
func rtcpOf(t *testing.T, s *Settings) *peer {
	p := newPeer(t, "127.0.0.1:0", 0)
	s.RemoteRTCP = p.addr()
	return p
}

func hearReport(p *peer) rtp.Compound {
	p.t.Helper()
	c, err := rtp.ParseCompound(p.hear())
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func TestReportsPass(t *testing.T) {
	r := start(t, Config{})
	var sa, sb Settings
	ca, cb := rtcpOf(t, &sa), rtcpOf(t, &sb)
	a, b := bridge(t, r, sa, sb)
	ca.to, cb.to = portAbove(a), portAbove(b)
	var heardTS, heardSeq uint32
	for range 5 {
		a.say(8)
		p := b.hearRTP()
		heardTS, heardSeq = p.Timestamp(), uint32(p.Seq())
		b.say(8)
		a.hearRTP()
	}
	// a's SR reaches b under the relay's source, its clock moved with the stream's.
	sr := rtp.SenderInfo{NTP: rtp.NTP(time.Now()), Timestamp: a.ts - 160, Packets: 77, Octets: 77 * 160}
	ca.write(rtp.AppendCompound(nil, a.ssrc, &sr, nil, "a@phone.example"))
	c := hearReport(cb)
	for ctl := range c.All() {
		if name := ctl.CNAME(); name != nil && string(name) == "a@phone.example" {
			t.Error("the peer's name was passed on")
		}
		if info, ok := ctl.Sender(); ok {
			if c.SSRC() != b.SSRC() || info.NTP != sr.NTP || info.Timestamp != heardTS || info.Packets != 5 || info.Octets != 800 {
				t.Errorf("SR %+v of %x", info, c.SSRC())
			}
		}
	}
	// b's report on that stream reaches a as one on a's, and says how far the way was.
	rep := rtp.Report{SSRC: b.SSRC(), FractionLost: 12, Lost: 3, HighestSeq: heardSeq - 1, Jitter: 80, LSR: sr.LSR(), DLSR: 0}
	cb.write(rtp.AppendCompound(nil, b.ssrc, nil, []rtp.Report{rep}, "b"))
	c = hearReport(ca)
	found := false
	for ctl := range c.All() {
		for i := range ctl.Reports() {
			found = true
			got := ctl.Report(i)
			if got.SSRC != a.ssrc || got.Lost != 3 || got.FractionLost != 12 || got.LSR != sr.LSR() || uint16(got.HighestSeq) != a.seq-2 {
				t.Errorf("report %+v, a sent up to %d", got, a.seq-1)
			}
		}
	}
	if !found || c.SSRC() != a.SSRC() {
		t.Error("no report for a")
	}
	if s := b.Stats(); s.Out.Lost != 3 || s.Out.Jitter != 10*time.Millisecond || s.ReportsIn != 1 || s.ReportsOut != 1 {
		t.Errorf("stats of b: %+v", s)
	}
	if s := b.Stats(); s.RTT < 0 || s.RTT > time.Second {
		t.Errorf("round trip %v", s.RTT)
	}
}

// Every one of these is counted and goes nowhere; a BYE ends nothing.
func TestReportsRefused(t *testing.T) {
	r := start(t, Config{})
	var sa, sb Settings
	ca, cb := rtcpOf(t, &sa), rtcpOf(t, &sb)
	a, b := bridge(t, r, sa, sb)
	ca.to = portAbove(a)
	a.say(8)
	b.hearRTP()
	info := &rtp.SenderInfo{NTP: 1 << 32, Timestamp: 1}
	good := func(ssrc uint32) []byte { return rtp.AppendCompound(nil, ssrc, info, nil, "a") }
	evil := newPeer(t, "127.0.0.2:0", 0)
	evil.to = ca.to
	evil.write(good(a.ssrc))
	for _, bad := range [][]byte{
		{0x80, 200, 0, 0},             // AST-2017-008: four bytes with no SSRC
		good(a.ssrc)[:27],             // cut short
		append(good(a.ssrc), 0),       // too long
		good(0xdeadbeef),              // not the stream that we hear
		{0x80, 203, 0, 1, 0, 0, 0, 1}, // a lone BYE
	} {
		ca.write(bad)
	}
	settled(t, r, 7)
	cb.silent()
	s := a.Stats()
	if s.ReportsIn != 0 || s.Drops[DropSource] != 1 || s.Drops[DropMalformed] != 4 || s.Drops[DropReport] != 1 {
		t.Errorf("drops %v", s.Drops)
	}
	// A BYE behind a good SR: the SR passes, the BYE does not, and media goes on.
	ca.write(rtp.AppendBye(good(a.ssrc), a.ssrc))
	for ctl := range hearReport(cb).All() {
		if ctl.Type() == rtp.TypeBYE {
			t.Error("BYE was passed on")
		}
	}
	a.say(8)
	b.hearRTP()
	evil.silent()
}

func TestReportRateCap(t *testing.T) {
	r := start(t, Config{})
	var sa, sb Settings
	ca, cb := rtcpOf(t, &sa), rtcpOf(t, &sb)
	a, b := bridge(t, r, sa, sb)
	ca.to = portAbove(a)
	a.say(8)
	b.hearRTP()
	for range 150 {
		ca.write(rtp.AppendCompound(nil, a.ssrc, &rtp.SenderInfo{NTP: 1}, nil, "a"))
	}
	settled(t, r, 151)
	if s := a.Stats(); s.ReportsIn < reportBurst || s.ReportsIn > reportBurst+10 || s.Drops[DropRate] != 150-s.ReportsIn {
		t.Errorf("%d reports taken, drops %v", s.ReportsIn, s.Drops)
	}
	_ = cb
}

func TestReportsMuxedAndEncrypted(t *testing.T) {
	r := start(t, Config{})
	sa, key := srtpLeg(t, secure.AESGCM128)
	sa.Mux = true
	var sb Settings
	cb := rtcpOf(t, &sb)
	a, b := bridge(t, r, sa, sb)
	cb.to = portAbove(b)
	a.write(key.seal(a.packet(8, make([]byte, 160))))
	b.hearRTP()
	b.say(8)
	key.unseal(a.hear())
	out, err := key.protect.ProtectRTCP(rtp.AppendCompound(make([]byte, 0, 200), a.ssrc, &rtp.SenderInfo{NTP: 1 << 40}, nil, "a"))
	if err != nil {
		t.Fatal(err)
	}
	a.write(out)
	if c := hearReport(cb); c.SSRC() != b.SSRC() {
		t.Errorf("source %x", c.SSRC())
	}
	cb.write(rtp.AppendCompound(nil, b.ssrc, &rtp.SenderInfo{NTP: 1 << 41}, nil, "b"))
	raw := a.hear()
	if _, err := rtp.ParseCompound(raw); err == nil && rtp.Demux(raw) != rtp.KindRTCP {
		t.Error("sent in the clear")
	}
	c, err := key.open.UnprotectRTCP(raw)
	if err != nil || c.SSRC() != a.SSRC() {
		t.Errorf("%v, source %x", err, c.SSRC())
	}
	// Plain RTCP into an SRTP leg is a forgery.
	a.write(rtp.AppendCompound(nil, a.ssrc, nil, nil, "a"))
	for end := time.Now().Add(2 * time.Second); a.Stats().Drops[DropMalformed]+a.Stats().Drops[DropAuth] == 0; {
		if time.Now().After(end) {
			t.Fatalf("stats %+v", a.Stats())
		}
	}
}

// A peer that only hears a player gets reports too, in the end: SRs of our own.
func TestReportsOfOurOwn(t *testing.T) {
	r := start(t, Config{})
	var sa Settings
	ca := rtcpOf(t, &sa)
	a := openLeg(t, r, nil, "127.0.0.1:0", 9, sa)
	a.say(8)
	a.wait(Latched)
	if err := a.Play(NewSound(make([]int16, 800)), true, nil); err != nil {
		t.Fatal(err)
	}
	p := a.hearRTP()
	if err := a.do(func() { a.Port.nextRTCP = time.Now().Add(-time.Second) }); err != nil {
		t.Fatal(err)
	}
	c := hearReport(ca)
	if c.SSRC() != p.SSRC() {
		t.Errorf("source %x, want %x", c.SSRC(), p.SSRC())
	}
	for ctl := range c.All() {
		if ctl.Type() != rtp.TypeSR {
			continue
		}
		if info, _ := ctl.Sender(); info.Packets == 0 || ctl.Reports() != 1 || ctl.Report(0).SSRC != 9 {
			t.Errorf("SR %+v with %d reports", info, ctl.Reports())
		}
	}
}
