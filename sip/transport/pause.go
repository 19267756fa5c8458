package transport

import "time"

// The waits between two looks at the budget. Even of Limits.Connections that all wait, the longest makes a small
// part of one core's work.
const shortestPause, longestPause = 20 * time.Millisecond, time.Second

// pause is how long a connection was held up by the budget, from its first message on.
type pause struct{ total time.Duration }

// hear takes one whole message. Over a stream nobody sends again what was dropped, so what is over the strangers'
// budget waits: nothing more is read meanwhile, and TCP slows its sender down. Whoever has waited for longer than
// a message may take is closed, which is false; so is a connection that ended meanwhile.
func (c *conn) hear(in *inbox, raw []byte) bool {
	source := c.flow.remote.Addr()
	if in.admitted(source) {
		in.take(c.flow, raw)
		return true
	}
	wait := shortestPause
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for c.held.total < c.pulse.whole {
		select {
		case <-timer.C:
		case <-c.layer.streams.ctx.Done():
			return false
		}
		c.held.total += wait
		if c.gone.Load() {
			return false
		}
		if in.admitted(source) {
			in.take(c.flow, raw)
			c.pulse.heard(time.Now()) // it could not be, while we did not listen
			return true
		}
		wait = min(2*wait, longestPause)
		timer.Reset(wait)
	}
	in.count.received(len(raw))
	c.count.drop(DropBudget)
	c.leave()
	return false
}
