package transport

import (
	"net/netip"
	"time"
)

// The waits between two looks at the budget. Even of Limits.Connections that all wait, the longest makes a small
// part of one core's work.
const shortestPause, longestPause = 20 * time.Millisecond, time.Second

// pause is how long a connection was held up.
type pause struct{ total time.Duration }

// hear takes one whole message. Over a stream nobody sends again what was dropped. What comes while this node may not
// serve for a moment waits, and so does what is over the strangers' budget: nothing more is read meanwhile, and TCP slows
// its sender down. Whoever has waited for longer than a message may take is closed, which is false; so is a connection
// that ended meanwhile.
func (c *conn) hear(in *inbox, raw []byte) bool {
	source := c.flow.remote.Addr()
	away := pause{}
	why, held := c.withheld(in, source, raw, &away)
	if held == nil {
		in.take(c.flow, raw)
		return true
	}
	wait := shortestPause
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for held.total < c.pulse.whole {
		select {
		case <-timer.C:
		case <-c.layer.streams.ctx.Done():
			return false
		}
		held.total += wait
		if c.gone.Load() {
			return false
		}
		if why, held = c.withheld(in, source, raw, &away); held == nil {
			in.take(c.flow, raw)
			c.pulse.heard(time.Now()) // it could not be, while we did not listen
			return true
		}
		wait = min(2*wait, longestPause)
		timer.Reset(wait)
	}
	in.count.received(len(raw))
	c.count.drop(why)
	c.leave()
	return false
}

// withheld tells why a message may not be taken now, and what counts the time; nil: it may. The budget counts over all
// that the connection sends.
func (c *conn) withheld(in *inbox, source netip.Addr, raw []byte, away *pause) (Reason, *pause) {
	switch {
	case !c.layer.admits(), !c.layer.begins() && isBeginning(raw):
		return DropAway, away
	case !in.admitted(source):
		return DropBudget, &c.held
	}
	return 0, nil
}

// permitted waits until this node may write: what is queued while it may not serve for a moment leaves afterwards, since
// nobody asks again over a stream. A connection that ends meanwhile forgets what is queued.
func (c *conn) permitted() {
	if c.layer.serves() {
		return
	}
	wait := shortestPause
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !c.layer.serves() {
		if c.gone.Load() || c.layer.streams.ctx.Err() != nil {
			c.mu.Lock()
			c.queue = nil
			c.mu.Unlock()
			return
		}
		select {
		case <-timer.C:
		case <-c.layer.streams.ctx.Done():
		}
		wait = min(2*wait, longestPause)
		timer.Reset(wait)
	}
}
