package transport

import "time"

// tempo are the intervals of keeping connections alive.
type tempo struct {
	ping      time.Duration // on a TCP or TLS connection that we opened, of silence (RFC 5626 §4.4.1)
	webPing   time.Duration // on a WebSocket connection, of silence
	pong      time.Duration // from a ping to its answer
	wholeness int           // a later message may take so many times Limits.FirstMessage
}

var usualTempo = tempo{ping: 25 * time.Second, webPing: 30 * time.Second, pong: 10 * time.Second, wholeness: 3}

// beat is what a pulse asks for when its time has come.
type beat uint8

const (
	beatNone beat = iota // not yet: wait on
	beatPing             // send a ping
	beatDead             // the peer does not answer pings: close
	beatSlow             // no whole message in time, or nothing at all for too long: close
)

// pulse decides how long the reader of one connection waits, and what then. It is a value without a clock.
type pulse struct {
	idle, whole, ping, pong time.Duration // ping 0: we send none
	must                    bool          // the peer has to answer pings

	firstBy time.Time // the first whole message must be here; zero once it was, or where none is asked for
	wholeBy time.Time // the message in progress must be whole; zero between messages
	heardAt time.Time
	pingAt  time.Time
	pongBy  time.Time // a ping is out; zero: none
}

// heard notes that bytes came.
func (p *pulse) heard(now time.Time) {
	p.heardAt, p.pongBy = now, time.Time{}
	p.pingAt = now.Add(p.ping)
}

// ponged notes a pong. RFC 5626 asks for one only from those that know it, so a missing pong counts against a
// peer once it has sent one; a peer that is really gone is noticed by the kernel, as the ping is not acknowledged.
func (p *pulse) ponged() { p.must = true }

// message notes a whole message.
func (p *pulse) message() { p.firstBy, p.wholeBy = time.Time{}, time.Time{} }

// rest notes whether a message is in progress after everything whole was taken.
func (p *pulse) rest(now time.Time, partial bool) {
	switch {
	case !partial:
		p.wholeBy = time.Time{}
	case p.wholeBy.IsZero():
		p.wholeBy = now.Add(p.whole)
	}
}

// deadline is when expire wants to be called.
func (p *pulse) deadline() time.Time {
	d := p.heardAt.Add(p.idle)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(d) {
			d = t
		}
	}
	earlier(p.firstBy)
	earlier(p.wholeBy)
	earlier(p.pongBy)
	if p.ping > 0 && p.pongBy.IsZero() {
		earlier(p.pingAt)
	}
	return d
}

// expire says what to do now.
func (p *pulse) expire(now time.Time) beat {
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case past(p.firstBy), past(p.wholeBy), past(p.heardAt.Add(p.idle)):
		return beatSlow
	case past(p.pongBy) && p.must:
		return beatDead
	case past(p.pongBy):
		p.pongBy, p.pingAt = time.Time{}, now.Add(p.ping-p.pong)
	case p.ping > 0 && p.pongBy.IsZero() && past(p.pingAt):
		p.pongBy = now.Add(p.pong)
		return beatPing
	}
	return beatNone
}
