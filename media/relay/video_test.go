//go:build linux && !portable

package relay

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"tandem/media/rtp"
	"tandem/media/secure"
)

// A viewer is a browser's leg with video that has its keys.
type viewer struct {
	*Port
	sends *secure.Context // the browser's own
	from  place
}

func newViewer(t *testing.T, r *Relay, port uint16) *viewer {
	t.Helper()
	p, _ := webLeg(t, r)
	v := &viewer{Port: p}
	set := Settings{Receive: []Format{pcma}, Send: []Format{pcma}, MaySend: true, MayReceive: true}
	set.Web = &WebSettings{Own: p.web.own, Association: 1, Video: &VideoSettings{Types: []uint8{96, 97}, MaySend: true, MayReceive: true}}
	if err := p.Configure(set); err != nil {
		t.Fatal(err)
	}
	remote := key(t)
	do(t, p, func() {
		checkedFrom(p, port, true)
		if err := p.web.use(p, 1, Keys{key(t), remote}); err != nil {
			t.Error(err)
		}
		p.aim()
	})
	v.from = place{p.web.web.fronts[netip.MustParseAddr("127.0.0.1")], netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}
	var err error
	if v.sends, err = secure.NewContext(remote); err != nil {
		t.Fatal(err)
	}
	return v
}

// packet is one of video as the browser sends it.
func (v *viewer) packet(t *testing.T, ssrc uint32, seq uint16, size int) []byte {
	t.Helper()
	b := make([]byte, 12+size, 12+size+secure.MaxOverhead)
	b[0], b[1] = 0x80, 96
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	out, err := v.sends.ProtectRTP(rtp.Packet(b))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func viewers(t *testing.T) (a, b *viewer) {
	t.Helper()
	r := webRelay(t)
	a, b = newViewer(t, r, 40010), newViewer(t, r, 40011)
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// A packet of video allocates nothing, like one of sound.
func TestVideoPathAllocations(t *testing.T) {
	a, b := viewers(t)
	sealed := make([][]byte, 600)
	for i := range sealed {
		sealed[i] = a.packet(t, 7, uint16(i), 1000)
	}
	do(t, a.Port, func() {
		l, i := a.loop, 0
		got := testing.AllocsPerRun(500, func() {
			a.web.video.rate.next = -1 << 61
			n := copy(l.buf[:], sealed[i])
			i++
			a.receiveWeb(l.buf[:n], a.from)
		})
		if got != 0 || b.web.video.out.Packets != 501 {
			t.Errorf("%v allocations; %d packets go out, drops %v", got, b.web.video.out.Packets, a.drops)
		}
	})
}

// No number of a source goes out twice under one key: not of a sender that began anew, not of another's, not from before the beginning; and the
// sources are bounded, and so is the rate.
func TestVideoSources(t *testing.T) {
	a, b := viewers(t)
	take := func(p []byte) (passed bool) {
		do(t, a.Port, func() {
			before := b.web.video.out.Packets
			copy(a.loop.buf[:], p)
			a.receiveWeb(a.loop.buf[:len(p)], a.from)
			passed = b.web.video.out.Packets > before
		})
		return passed
	}
	for _, x := range []struct {
		what string
		ssrc uint32
		seq  uint16
		want bool
	}{
		{"the first", 7, 65000, true}, {"the next", 7, 65001, true}, {"one lost and sent later", 7, 65005, true}, {"late", 7, 65003, true},
		{"from before the beginning", 7, 64990, false}, {"over the end", 7, 10, true}, {"our own sound's", b.SSRC(), 1, false},
	} {
		if got := take(a.packet(t, x.ssrc, x.seq, 100)); got != x.want {
			t.Errorf("%s: passed %v", x.what, got)
		}
	}
	do(t, a.Port, func() { // a page that was loaded anew, with the same SSRC
		remote := key(t)
		if err := a.web.use(a.Port, 2, Keys{key(t), remote}); err != nil {
			t.Error(err)
		}
		a.sends, _ = secure.NewContext(remote)
	})
	if take(a.packet(t, 7, 11, 100)) {
		t.Error("an SSRC goes out under one key for two senders")
	}
	n := 1
	for i := range 2 * maxVideoSources {
		if take(a.packet(t, 1000+uint32(i), 1, 100)) {
			n++
		}
	}
	if n != maxVideoSources {
		t.Errorf("%d sources", n)
	}
	for i := range 500 {
		take(a.packet(t, 1000, uint16(2+i), 1300))
	}
	if got := a.Stats().Drops[DropRate]; got == 0 || got > 400 {
		t.Errorf("%d packets above the cap", got)
	}
}
