package call

import (
	"context"
	"time"

	"tandem/sip"
)

// A talk is a step in which the switch itself speaks with the caller: a menu, or voicemail. Its methods run on the call's
// goroutine, and only while it is the current step; end may come at any time, once.
type talk interface {
	pressed(key byte)
	played()   // the clip has been heard to its end
	timedOut() // talkEnds has come
	recorded() // a recording has reached its limit
	end()      // the step or the call is over
}

// converse answers the caller where nobody did, and begins a talk.
func (c *Call) converse(t talk, begin func() error) {
	c.talk = t
	c.local(begin)
}

// endTalk takes leave of the talk; again it does nothing.
func (c *Call) endTalk() {
	t := c.talk
	c.talk, c.talkEnds = nil, time.Time{}
	if t != nil {
		t.end()
	}
}

// say plays a clip to the caller. A leg that cannot hear it ends the call.
func (c *Call) say(play func() error) {
	if err := play(); err != nil {
		c.log.Warn("media of the switch does not start", "err", err)
		c.hangUp("switch", sip.CauseTemporary, "")
	}
}

// awayEvent is the result of blocking work.
type awayEvent struct {
	turn int    // the step that it was begun for
	then func() // takes it
	lost func() // the step is over: frees it; nil: nothing to free
}

// away runs blocking work of the current step elsewhere and then, when the step still runs, then in the call's goroutine.
// Work that panics is followed by then too, so an error stands in its result from the beginning. lost frees the result where nobody wants it any more; it may block too.
func (c *Call) away(work func(context.Context), then, lost func()) {
	turn := c.turn
	failed := func() { c.postOnce(awayEvent{turn, then, lost}) }
	c.board.spawn(func(ctx context.Context) {
		work(ctx)
		if !c.postOnce(awayEvent{turn, then, lost}) && lost != nil {
			lost()
		}
	}, failed)
}

// back takes the result of away.
func (c *Call) back(e awayEvent) {
	switch {
	case e.turn == c.turn && c.phase == phaseRouting:
		e.then()
	case e.lost != nil:
		c.board.spawn(func(context.Context) { e.lost() }, func() {})
	}
}

// twin is how long after a key its like is taken for the same one, told in two ways: some phones send both.
const twin = 400 * time.Millisecond

// keyPressed takes a key of the caller's, told by RFC 4733 or by INFO.
func (c *Call) keyPressed(l *Leg, key byte, byINFO bool) {
	if l != c.a || c.phase != phaseRouting {
		return
	}
	now := time.Now()
	before := c.lastKey
	c.lastKey = keyPress{key, byINFO, now}
	if before.key == key && before.byINFO != byINFO && now.Sub(before.at) < twin {
		return
	}
	if c.talk != nil && c.a.state == legUp {
		c.talk.pressed(key)
	}
}

type keyPress struct {
	key    byte
	byINFO bool
	at     time.Time
}
