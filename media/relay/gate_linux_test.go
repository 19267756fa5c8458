//go:build linux && !portable

package relay

import (
	"sync/atomic"
	"testing"
	"time"

	"tandem/media/rtp"
)

// T3: a node that was stopped and does not serve any more sends not one of the packets that waited for it meanwhile, and serving again does
// not bring them back.
func TestPacketsOfAPauseAreThrownAway(t *testing.T) {
	var serves atomic.Bool
	serves.Store(true)
	r := start(t, Config{Loops: 1})
	r.Gate(serves.Load)
	a, b := bridge(t, r, Settings{}, Settings{})
	a.say(8)
	b.hearRTP()
	before := a.Stats()

	stopped, goOn := make(chan struct{}), make(chan struct{})
	go r.loops[0].do(func() { close(stopped); <-goOn })
	<-stopped
	for range 50 {
		a.say(8)
	}
	if _, ok := b.peer.listen(20 * time.Millisecond); ok {
		t.Fatal("a stopped loop has sent something")
	}
	serves.Store(false)
	close(goOn)
	if got, ok := b.peer.listen(100 * time.Millisecond); ok {
		t.Fatalf("%d bytes from a node that does not serve", len(got))
	}
	serves.Store(true)
	if got, ok := b.peer.listen(50 * time.Millisecond); ok {
		t.Fatalf("%d bytes of what waited", len(got))
	}
	if n := r.Totals().Drops[DropStandby]; n != 50 {
		t.Errorf("%d packets thrown away", n)
	}
	a.say(8)
	b.hearRTP()
	if after := a.Stats(); after.In.Packets != before.In.Packets+1 {
		t.Errorf("%d packets taken since", after.In.Packets-before.In.Packets)
	}
}

// A node that was stopped after it had taken a packet, and before it sent it, does not send it when it goes on.
func TestPacketInHandIsNotSent(t *testing.T) {
	var serves atomic.Bool
	serves.Store(true)
	r := start(t, Config{Loops: 1})
	r.Gate(serves.Load)
	a, b := bridge(t, r, Settings{}, Settings{})
	a.say(8)
	b.hearRTP()
	inHand := func(stopped time.Duration, still bool) {
		l := r.loops[0]
		l.do(func() {
			if !l.serves() {
				t.Error("it does not serve")
			}
			serves.Store(still)
			time.Sleep(stopped)
			b.Port.transmit(rtp.Packet(a.packet(8, make([]byte, 160))), false)
		})
	}
	inHand(2*trusted, false)
	if got, ok := b.peer.listen(50 * time.Millisecond); ok {
		t.Fatalf("%d bytes from a node that does not serve any more", len(got))
	}
	if n := b.Stats().Drops[DropSend]; n != 1 {
		t.Errorf("%d packets not sent", n)
	}
	serves.Store(true)
	inHand(2*trusted, true)
	b.hearRTP()
}

// Who stands by opens the two sockets of each port and no more: the peer gets its own with the first packet that comes here.
func TestAdoptedByAStandby(t *testing.T) {
	var serves atomic.Bool
	first, second := start(t, Config{}), start(t, Config{First: 24000, Last: 24999})
	second.Gate(serves.Load)
	a := newMoving(t, first, nil, 7, 0)
	b := newMoving(t, first, a.Port, 8, 0)
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	a.speak(t)
	b.listens()
	a.adopt(t, second, a.note(t), nil)
	b.adopt(t, second, b.note(t), a.Port)
	connected := func() (yes bool) {
		_ = a.do(func() { yes = a.Port.conn != nil })
		return yes
	}
	if connected() {
		t.Error("a socket for the peer of a call that another node serves")
	}
	serves.Store(true)
	for _, l := range second.loops {
		l.do(func() { l.gate.asked = time.Time{} })
	}
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	a.speak(t)
	b.listens()
	if !connected() {
		t.Error("no socket for the peer after its first packet")
	}
}
