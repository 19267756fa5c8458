//go:build linux && !portable

package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"tandem/media/ice"
	"tandem/media/rtp"
	"tandem/media/secure"
)

// webLeg is a leg that was checked from a place and has keys, without a browser.
func webLeg(t *testing.T, r *Relay) (*Port, ice.Credentials) {
	t.Helper()
	own := ice.NewCredentials()
	p, fronts, err := r.OpenWeb([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, own, nil)
	if err != nil || len(fronts) != 1 {
		t.Fatal(fronts, err)
	}
	t.Cleanup(p.Close)
	return p, own
}

func key(t *testing.T) secure.Key {
	t.Helper()
	k, err := secure.NewKey(1, secure.AESGCM128)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// checkedFrom is a verified check of the leg from a port of this machine.
func checkedFrom(p *Port, port uint16, nominates bool) {
	w := p.web.web
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	via := w.fronts[addr.Addr()]
	p.web.checked(p, ice.Check{Nominates: nominates, Priority: 1}, place{via, addr}, makeEndpoint(addr.Addr(), addr), p.web.own)
}

func webRelay(t *testing.T) *Relay {
	t.Helper()
	return start(t, Config{First: 26000, Last: 26999, Loops: 2, Web: WebConfig{Port: 27000, TCP: true}})
}

// Nothing is sent to a browser that has not checked for 30 s (RFC 7675), and again from its next check on.
func TestConsent(t *testing.T) {
	r := webRelay(t)
	p, _ := webLeg(t, r)
	do(t, p, func() {
		checkedFrom(p, 40000, true)
		if p.web.open(p.loop.now) {
			t.Error("open before there are keys")
		}
		if err := p.web.use(p, 1, Keys{key(t), key(t)}); err != nil {
			t.Error(err)
		}
		p.set.MaySend = true
		if !p.reachable() {
			t.Error("not reachable after check and keys")
		}
		p.web.heard = p.loop.now.Add(-consent + time.Second)
		if !p.reachable() {
			t.Error("not reachable within the consent")
		}
		p.web.heard = p.loop.now.Add(-consent)
		if p.reachable() {
			t.Error("reachable without consent")
		}
		checkedFrom(p, 40000, false)
		if !p.reachable() {
			t.Error("not reachable after a new check")
		}
	})
}

// Places are bounded for each leg, a nomination moves the leg, and nobody takes a place that another leg has proved to be its own.
func TestPlaces(t *testing.T) {
	r := webRelay(t)
	p, _ := webLeg(t, r)
	q, _ := webLeg(t, r)
	do(t, p, func() {
		w := r.web
		for port := range uint16(50) {
			checkedFrom(p, 41000+port, false)
		}
		checkedFrom(p, 42000, true)
		if len(p.web.paths) != maxPaths || len(w.places) != maxPaths {
			t.Errorf("%d paths, %d places", len(p.web.paths), len(w.places))
		}
		if got := p.dest.addr.Port(); got != 42000 {
			t.Errorf("sends to %d", got)
		}
		checkedFrom(p, 41049, false)
		if got := p.dest.addr.Port(); got != 42000 {
			t.Errorf("a check without nomination moved it to %d", got)
		}
		at := place{w.fronts[p.local.Addr()], netip.MustParseAddrPort("127.0.0.1:42000")}
		p.web.prove(p, at)
		checkedFrom(q, 42000, true)
		if w.places[at] != p || q.web.at >= 0 {
			t.Error("another leg took a proved place")
		}
		checkedFrom(q, 41049, true)
		if got := w.places[place{at.via, netip.MustParseAddrPort("127.0.0.1:41049")}]; got != q {
			t.Error("a place that nobody has proved is not the last one's")
		}
	})
	p.Close()
	q.Close()
	if ufrags, places := r.Browsers(); ufrags != 0 || places != 0 {
		t.Errorf("%d fragments, %d places remain", ufrags, places)
	}
}

// A stranger's connection that brings nothing is closed after its time.
func TestSlowStrangerByTCP(t *testing.T) {
	r := webRelay(t)
	p, _ := webLeg(t, r)
	c, err := net.Dial("tcp4", p.Local().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("closed at once:", err)
	}
	do(t, p, func() {
		for s := range r.web.streams {
			s.stream.since = s.stream.since.Add(-strangerTime)
		}
	})
	if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("not closed:", err)
	}
}

func do(t *testing.T, p *Port, f func()) {
	t.Helper()
	if err := p.do(f); err != nil {
		t.Fatal(err)
	}
}

// A packet from one browser to another allocates nothing.
func TestBrowserPathAllocations(t *testing.T) {
	r := webRelay(t)
	p, _ := webLeg(t, r)
	q, _ := webLeg(t, r)
	set := Settings{Receive: []Format{pcma}, Send: []Format{pcma}, MaySend: true, MayReceive: true}
	for _, leg := range []*Port{p, q} {
		if err := leg.Configure(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := Join(p, q); err != nil {
		t.Fatal(err)
	}
	peer := key(t)
	theirs, err := secure.NewContext(peer)
	if err != nil {
		t.Fatal(err)
	}
	do(t, p, func() {
		if p.web.use(p, 1, Keys{key(t), peer}) != nil || q.web.use(q, 1, Keys{key(t), key(t)}) != nil {
			t.Error("no keys")
		}
		checkedFrom(p, 40000, true)
		checkedFrom(q, 40001, true)
		via, from := r.web.fronts[p.local.Addr()], netip.MustParseAddrPort("127.0.0.1:40000")
		seq := uint16(0)
		send := func() {
			b := rtp.AppendHeader(p.loop.buf[:0], rtp.Header{PayloadType: 8, Seq: seq, Timestamp: uint32(seq) * 160, SSRC: 5})
			b = b[:172]
			seq++
			sealed, err := theirs.ProtectRTP(b)
			if err != nil {
				t.Error(err)
			}
			p.media = limit(mediaRate, mediaBurst)
			r.web.receive(via, p.loop.buf[:], len(sealed), from)
		}
		send()
		if got := testing.AllocsPerRun(500, send); got != 0 {
			t.Errorf("%v allocations a packet", got)
		}
		if q.out.Packets < 500 {
			t.Errorf("%d packets went on; %v", q.out.Packets, p.drops)
		}
	})
}
