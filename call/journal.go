package call

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Journal keeps the state of calls where another process finds it. Its methods do not block; those of one call keep their order.
type Journal interface {
	// Put keeps a call's state. done runs once, from any goroutine: when it is held, or when the switch has to go on without. Only
	// after ErrDeposed must nothing be answered.
	Put(call string, state []byte, done func(error))
	// Note keeps how far the streams of a call's leg have come, until the call is deleted.
	Note(call, leg string, note []byte)
	// Delete forgets a call and its notes.
	Delete(call string)
}

// ErrDeposed says that another node serves the calls now.
var ErrDeposed = errors.New("call: another node is active")

// holdWithin bounds the wait for a Journal that does not keep its own bound: nobody's answer waits longer.
const holdWithin = 200 * time.Millisecond

// commit has the call's state kept before something is answered that nobody may forget. It waits for the journal, a few hundred
// microseconds as a rule, and is false where nothing may be answered any more.
func (c *Call) commit() bool {
	if !c.keeps() {
		return true
	}
	done := make(chan error, 1)
	c.keep(func(err error) { done <- err })
	limit := time.NewTimer(holdWithin)
	defer limit.Stop()
	select {
	case err := <-done:
		if errors.Is(err, ErrDeposed) {
			c.log.Warn("call is served by another node")
			c.vanished = true
			return false
		}
	case <-limit.C:
		c.board.stats.Unheld.Add(1)
	}
	return true
}

// keeps tells whether the call is one that another process could go on with: somebody has been answered.
func (c *Call) keeps() bool {
	return c.board.journal != nil && !c.answered.IsZero() && c.kept != keptGone && !c.vanished && !c.a.held()
}

// keepEvery is how old the state of a quiet call may be: the rollover counters in it are told from the packets for ten minutes.
const keepEvery = 5 * time.Minute

// What a journal has of a call.
const (
	keptNothing uint8 = iota
	keptStale         // something has changed since
	keptNow
	keptGone // it was deleted
)

// keep writes the call's state.
func (c *Call) keep(done func(error)) {
	raw, err := json.Marshal(c.state())
	if err != nil { // nothing in it can fail
		c.log.Error("state of a call not written", "err", err)
		if done != nil {
			done(err)
		}
		return
	}
	c.keptEnd = !c.record.Ended.IsZero()
	c.kept, c.keepAt = keptNow, time.Now().Add(keepEvery)
	c.board.journal.Put(c.id, raw, done)
}

// changed notes that the journal is behind.
func (c *Call) changed() {
	if c.kept == keptNow {
		c.kept = keptStale
	}
}

// keepUp writes the state when something has changed that nobody waited for.
func (c *Call) keepUp() {
	if c.keeps() && c.kept != keptNow && !c.keptEnd {
		c.keep(nil)
	}
}

// changes tells whether an event may change what another process would need. Media only tells of keys and silence.
func changes(e any) bool {
	switch e := e.(type) {
	case mediaEvent, awayEvent, storedEvent:
		return false
	case responseEvent:
		return e.m.Status() >= 200 && e.out.purpose != forProbe && e.out.purpose != forRelay
	}
	return true
}

// noteEvery is how often the streams of all calls are looked at.
const noteEvery = time.Second

// noteStreams writes down how far the streams have come, until ctx ends, and then a last time.
func (s *Switchboard) noteStreams(ctx context.Context) {
	if s.journal == nil {
		return
	}
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	for {
		for _, n := range s.media.Notes() {
			if raw, err := json.Marshal(n.Port); err == nil {
				s.journal.Note(n.Call, n.Leg, raw)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
