package relay

import (
	"sync/atomic"
	"testing"
	"time"
)

// overlooked asserts that the loop will look at a port in time: not later than one that went to it now would say.
func overlooked(t testing.TB, p *Port) {
	t.Helper()
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.loop.do(func() {
		if p.closed {
			return
		}
		has := p.loop.looks[p.index]
		if at := max(p.nextLook(), since(p.loop.now)); has.after > at {
			t.Errorf("port %d is looked after in %v, and needs it in %v", p.local.Port(), has.after-since(p.loop.now), at-since(p.loop.now))
		}
		if at := max(p.nextNote(), since(p.loop.now)); has.note > at {
			t.Errorf("port %d is noted in %v, and must be in %v", p.local.Port(), has.note-since(p.loop.now), at-since(p.loop.now))
		}
	})
}

// settleLooks lets the loop of a port look at all it has, as it does by its clock and each second.
func settleLooks(p *Port) {
	p.loop.do(func() {
		p.loop.clock.chore = p.loop.now.Add(time.Hour) // and not by its clock from now on
		p.loop.chores()
		p.loop.chores() // the first gives the first report its time
		p.loop.notes(0, len(p.loop.ports), func(*Port, State) {})
	})
}

// looksOf is when the port is to be looked at, as the loop has it.
func looksOf(p *Port) (at look) {
	p.loop.do(func() { at = p.loop.looks[p.index] })
	return at
}

// A port in which nothing moves is left alone, and whatever brings it something to do has it looked at in time.
func TestLooks(t *testing.T) {
	type legs struct{ a, b *leg }
	quiet := Settings{SilenceIn: time.Hour, SilenceOut: time.Hour}
	told := func(g *leg, since *time.Time) { // silence, of the peer or of ours
		g.Port.loop.do(func() {
			*since = g.Port.loop.now.Add(-time.Hour)
			g.Port.lookAfter()
		})
	}
	for name, c := range map[string]struct {
		before func(x legs)                  // what was, before all was looked at
		event  func(t *testing.T, x legs)    // what happens
		then   func(before, after look) bool // what it must do to a's looks
		of     func(x legs) *Port            // nil: a
	}{
		"key press": {
			event: func(t *testing.T, x legs) {
				x.a.write(x.a.packet(101, []byte{5, 10, 0, 160}))
				x.b.hear()
			},
			then: func(_, after look) bool { return after.after <= since(time.Now().Add(time.Second)) },
		},
		"speech after silence": {
			before: func(x legs) { told(x.a, &x.a.Port.lastIn) },
			event: func(t *testing.T, x legs) {
				x.a.say(8)
				x.b.hear()
			},
			then: func(_, after look) bool { return after.after == 0 },
		},
		"silence of ours ends": {
			before: func(x legs) { told(x.b, &x.b.Port.lastOut) },
			event: func(t *testing.T, x legs) {
				x.a.say(8)
				x.b.hear()
			},
			of:   func(x legs) *Port { return x.b.Port },
			then: func(_, after look) bool { return after.after == 0 },
		},
		"another stream": {
			event: func(t *testing.T, x legs) {
				x.a.peer.ssrc += 1000
				x.a.say(8)
				x.b.hear()
			},
			then: func(_, after look) bool { return after.note == 0 },
		},
		"another stream is heard": {
			event: func(t *testing.T, x legs) {
				x.a.peer.ssrc += 1000
				x.a.say(8)
				x.b.hear()
			},
			of:   func(x legs) *Port { return x.b.Port },
			then: func(_, after look) bool { return after.note == 0 },
		},
		"a player": {
			event: func(t *testing.T, x legs) {
				if err := x.a.Play(NewSound(make([]int16, 160)), false, nil); err != nil {
					t.Fatal(err)
				}
				x.a.hear()
			},
			then: func(_, after look) bool { return after.note == 0 },
		},
		"a report that comes early": {
			before: func(x legs) {
				x.a.Port.loop.do(func() { x.b.Port.nextRTCP = x.b.Port.loop.now.Add(time.Hour) })
			},
			event: func(t *testing.T, x legs) {
				x.a.Port.loop.do(func() { x.b.Port.sendReport(nil, nil) })
			},
			of:   func(x legs) *Port { return x.b.Port },
			then: func(_, after look) bool { return after.after < since(time.Now().Add(time.Minute)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{Loops: 1})
			a, b := bridge(t, r, quiet, quiet)
			x := legs{a, b}
			a.say(8)
			b.hear()
			b.say(8)
			a.hear()
			a.Port.State()
			b.Port.State()
			settleLooks(a.Port)
			if c.before != nil {
				c.before(x)
				settleLooks(a.Port)
			}
			p := a.Port
			if c.of != nil {
				p = c.of(x)
			}
			before := looksOf(p)
			if now := since(time.Now()); before.after <= now || before.note <= now {
				t.Fatalf("a port in which nothing moves is looked at: %v %v", before.after-now, before.note-now)
			}
			c.event(t, x)
			if after := looksOf(p); !c.then(before, after) {
				t.Errorf("looks were in %v, are in %v", before, after)
			}
			overlooked(t, a.Port)
			overlooked(t, b.Port)
		})
	}
}

// A flooded socket is read again with the next chores.
func TestLooksAfterPause(t *testing.T) {
	r := start(t, Config{Loops: 1})
	a, _ := bridge(t, r, Settings{}, Settings{})
	settleLooks(a.Port)
	stranger := newPeer(t, "127.0.0.9:0", 9)
	stranger.to = portAbove(a)
	a.Port.loop.do(func() {
		a.Port.stray.next = since(a.Port.loop.now) + time.Hour
		a.Port.strayed(openRTCP)
		if !a.Port.rtcp.paused {
			t.Error("not paused")
		}
	})
	overlooked(t, a.Port)
	a.Port.loop.do(func() {
		a.Port.loop.chores()
		if a.Port.rtcp.paused {
			t.Error("still paused after the chores")
		}
	})
}

// A quiet stream is noted less often than one that flows; under a key its reports count too.
func TestNotesOfQuietStreams(t *testing.T) {
	r := start(t, Config{Loops: 1})
	a, b := bridge(t, r, Settings{}, Settings{})
	a.say(8)
	b.hear()
	b.say(8)
	a.hear()
	a.Port.State()
	b.Port.State()
	stale := func(age time.Duration) (yes bool) {
		a.Port.loop.do(func() { yes = a.Port.stale(a.Port.noted.at.Add(age)) })
		return yes
	}
	if stale(noteEvery) || !stale(quietEvery) {
		t.Error("quiet: not noted each", quietEvery)
	}
	a.Port.loop.do(func() { a.Port.rtcpOut++ })
	if stale(noteEvery) {
		t.Error("a report of plain RTP is taken for a stream that flows")
	}
	a.say(8)
	b.hear()
	if stale(noteEvery-time.Second) || !stale(noteEvery) {
		t.Error("flowing: not noted each", noteEvery)
	}
}

// Who does not serve notes nothing.
func TestNotesOfAStandby(t *testing.T) {
	r := start(t, Config{Loops: 1})
	a, b := bridge(t, r, Settings{}, Settings{})
	a.Port.State()
	a.say(8)
	b.hear()
	var serves atomic.Bool
	r.Gate(serves.Load)
	n := 0
	take := func(*Port, State) { n++ }
	if r.Notes(take); n != 0 {
		t.Errorf("%d notes of a node that stands by", n)
	}
	serves.Store(true)
	r.loops[0].do(func() { r.loops[0].gate.asked = time.Time{} })
	if r.Notes(take); n != 1 {
		t.Errorf("%d notes of a port that has changed", n)
	}
}
