package call

import (
	"time"

	"tandem/sip"
)

// untilNext is the time to the earliest deadline of the call.
func (c *Call) untilNext(now time.Time) time.Duration {
	next := c.endsAt
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	sooner(c.stepEnds)
	sooner(c.talkEnds)
	sooner(c.replyBy())
	sooner(c.leaveAt)
	sooner(c.parkedNext)
	sooner(c.orphanAt)
	sooner(c.keepAt)
	sooner(c.wantedNext)
	sooner(c.repeatAt())
	sooner(c.reliableAt())
	for l := range c.activeLegs() {
		if l.unacked != nil {
			sooner(l.unacked.next)
		}
		if l.state != legUp || l.farewell != nil {
			continue
		}
		sooner(l.timer.Expiry())
		sooner(l.impatientAt())
		sooner(c.refreshAt(l))
		sooner(c.syncAt(l))
		sooner(l.probeAt)
	}
	return max(next.Sub(now), 0)
}

// tick does what is due.
func (c *Call) tick(now time.Time) {
	if due(c.endsAt, now) {
		c.endsAt = now.Add(c.board.cfg.MaxDuration) // in case that it is ending already
		c.hangUp("switch", sip.CauseTimerExpired, "Longest duration reached")
	}
	if due(c.stepEnds, now) {
		c.stepEnds = time.Time{}
		c.stepTimedOut()
	}
	if due(c.talkEnds, now) && c.talk != nil {
		c.talkEnds = time.Time{}
		c.talk.timedOut()
	}
	if due(c.orphanAt, now) {
		c.lookForOrphan()
	}
	if due(c.keepAt, now) {
		c.keepAt = time.Time{}
		c.changed()
	}
	if due(c.replyBy(), now) {
		c.replyMissed()
	}
	if due(c.repeatAt(), now) {
		if c.relies() {
			c.provideReliably(180, nil)
		} else {
			_ = c.a.invite.Respond(c.said)
		}
		c.sayAgain = now.Add(provisionalEvery)
	}
	if due(c.reliableAt(), now) {
		c.repeatReliable(now)
	}
	if due(c.parkedNext, now) {
		c.unpark(now)
	}
	if due(c.wantedNext, now) && c.wanted != nil {
		c.askFor(c.wanted)
	}
	for l := range c.activeLegs() {
		c.tickLeg(l, now)
	}
}

func (c *Call) tickLeg(l *Leg, now time.Time) {
	if l.unacked != nil && due(l.unacked.next, now) {
		c.retransmit(l, now)
	}
	if l.state != legUp || l.farewell != nil {
		return
	}
	if due(l.timer.Expiry(), now) {
		c.hangUp(l.name, sip.CauseTimerExpired, "Session timer expired")
		return
	}
	if due(l.impatientAt(), now) {
		c.giveUpAsking(l)
	}
	if due(c.refreshAt(l), now) {
		c.refresh(l)
	}
	if due(c.syncAt(l), now) {
		c.sync(l)
	}
	if due(l.probeAt, now) {
		c.probeAgain(l)
	}
}

// due tells whether an instant has come; the zero instant never does.
func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// provisionalEvery keeps proxies on the caller's side from giving up (RFC 3261 §13.3.1.1).
const provisionalEvery = time.Minute

// repeatAt is when the caller is to be told once more that it rings; zero: never.
func (c *Call) repeatAt() time.Time {
	if c.a.state != legEarly || c.phase == phaseEnding {
		return time.Time{}
	}
	return c.sayAgain
}

// impatientAt is when a re-INVITE of ours that has no final answer is given up; zero: there is none.
func (l *Leg) impatientAt() time.Time {
	if l.asking == nil || l.asking.cancelled {
		return time.Time{}
	}
	return l.asking.giveUp
}

// refreshAt is when we must refresh the session of a leg; zero: not now.
func (c *Call) refreshAt(l *Leg) time.Time {
	at := l.timer.Refresh()
	if at.IsZero() || !c.free(l) {
		return time.Time{}
	}
	if l.retryAt.After(at) {
		return l.retryAt
	}
	return at
}

// syncAt is when a leg is to be offered what the other side has now; zero: it knows.
func (c *Call) syncAt(l *Leg) time.Time {
	if !l.wantSync || !c.free(l) {
		return time.Time{}
	}
	if l.retryAt.IsZero() {
		return c.started
	}
	return l.retryAt
}

// free tells whether an offer may be made to a leg: none is open there, nor on the other side, whose state it would
// be made after.
func (c *Call) free(l *Leg) bool {
	o := c.other(l)
	return l.state == legUp && !l.held() && l.farewell == nil && l.asking == nil && l.asked == nil && !l.owesACK() &&
		(o == nil || !o.negotiating())
}

// negotiating tells whether an offer is open on the leg, of either side.
func (l *Leg) negotiating() bool {
	return l.asked != nil || l.asking != nil && l.asking.offer || l.unacked != nil && l.unacked.answer
}
