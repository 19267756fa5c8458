package call

import (
	"context"
	"errors"
	"time"

	"tandem/record"
	"tandem/sip"
)

// Journal keeps the state of calls where another process finds it. Its methods do not block; those of one call keep their order.
type Journal interface {
	// Put keeps a call's state. done runs once, from any goroutine: when it is held, or when the switch has to go on without. Only
	// after ErrDeposed must nothing be answered.
	Put(call string, state []byte, done func(error))
	// Note keeps how far the streams of a call's leg have come, until the call is deleted.
	Note(call, leg string, note []byte)
	// Delete forgets a call and its notes. done, nil where nobody cares, is told as by Put.
	Delete(call string, done func(error))
	// Rings tells whether everybody who may go on knows what a call is that rings: see RingingState.
	Rings() bool
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
	c.put(c.state(), done)
	c.keepAt = time.Now().Add(keepEvery)
}

// put writes a state.
func (c *Call) put(s State, done func(error)) {
	raw, err := record.Marshal(s)
	if err != nil { // nothing in it can fail
		c.log.Error("state of a call not written", "err", err)
		if done != nil {
			done(err)
		}
		return
	}
	c.keptEnd = !c.record.Ended.IsZero()
	c.kept = keptNow
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
	switch {
	case c.kept == keptNow && c.ringsFor == len(c.ringing), c.kept == keptGone:
	case c.keeps():
		if c.kept != keptNow && !c.keptEnd {
			c.keep(nil)
		}
	case c.ringsOn():
		if s, ok := c.ringingState(); ok {
			c.ringsFor = len(c.ringing)
			c.put(s, nil)
		}
	case c.kept != keptNothing && c.answered.IsZero(): // it rings no more, or not in a way that somebody could go on with
		c.kept, c.ringsFor = keptNothing, 0
		c.forgetting.Store(true)
		c.board.journal.Delete(c.id, func(err error) { c.forgetting.Store(err != nil) })
	}
}

// isKept tells whether another process may have the call's state: then it is that one which writes the record, should this node be deposed.
func (c *Call) isKept() bool { return c.kept != keptNothing || c.forgetting.Load() }

// Doubt says that the journal may not have the state of a call, or, without one, of any: it is written again.
func (s *Switchboard) Doubt(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[call]; c != nil {
		c.postOnce(doubtEvent{})
		return
	}
	if call != "" {
		s.journal.Delete(call, nil) // it is over
		return
	}
	for _, c := range s.calls {
		c.postOnce(doubtEvent{})
	}
}

// soonAfter is how long the journal may be behind in an ACK: who goes on meanwhile sends the 2xx again, and is told again. Calls that are
// over by then never cost that write.
const soonAfter = 2 * time.Second

// changedSoon has the state written a little later, with what else will have changed by then.
func (c *Call) changedSoon() {
	if at := time.Now().Add(soonAfter); c.kept == keptNow && at.Before(c.keepAt) {
		c.keepAt = at
	}
}

// noteChange looks whether an event may change what another process would need. Media only tells of keys and silence. A request that
// changes nothing but its side's CSeq waits for the next writing.
func (c *Call) noteChange(e any) {
	switch e := e.(type) {
	case mediaEvent, awayEvent, storedEvent:
	case doubtEvent:
		c.keptEnd = false
		c.changed()
	case responseEvent:
		if e.m.Status() >= 200 && e.out.purpose != forProbe && e.out.purpose != forRelay {
			c.changed()
		}
	case ackEvent:
		if e.m.Body() == "" {
			c.changedSoon()
		} else { // the answer to an offer of ours
			c.changed()
		}
	case requestEvent:
		switch e.m.Method() {
		case sip.OPTIONS, sip.INFO, "NOTIFY", "MESSAGE":
		default:
			c.changed()
		}
	default:
		c.changed()
	}
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
			if raw, err := record.Marshal(n.Port); err == nil {
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
