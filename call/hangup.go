package call

import (
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
)

// cancelled takes the CANCEL of an INVITE: the caller gave up before an answer, or one side its re-INVITE. When the
// answer was faster, the CANCEL changes nothing (RFC 3261 §9.2).
func (c *Call) cancelled(l *Leg, tx *transaction.Server, m *sip.Message) {
	switch {
	case tx == l.asked:
		c.endAsked(l)
		if o := c.other(l); o != nil {
			c.cancelAsking(o)
		}
	case tx == c.a.invite:
		c.callerGaveUp(m.Cause(), passReason(m))
	}
}

// callerGaveUp ends a call that was not answered yet.
func (c *Call) callerGaveUp(cause sip.Cause, reason string) {
	if c.a.state >= legUp && !c.a.held() {
		return
	}
	if cause == 0 {
		cause = sip.CauseNormal
	}
	if c.finish("caller", 487, cause, reason) {
		c.answerInvite(&sip.StatusError{Code: 487})
		c.a.release()
		if c.b != nil {
			c.endLeg(c.b, cause, "")
		}
	}
}

// callerGone is the end of the caller's connection. While it rings there is nobody to answer (RFC 5626 §5.3); once
// answered, media goes on and the phone may register again over a new one (see refind).
func (c *Call) callerGone() {
	if !c.a.flow.Alive() {
		c.callerGaveUp(sip.CauseOutOfOrder, "")
	}
}

// operatorHungUp ends the call on somebody's word who is no party to it.
func (c *Call) operatorHungUp(e hangupEvent) {
	if e.stopping {
		c.leaveAt = time.Now()
		if !c.board.mute.Load() {
			c.leaveAt = c.leaveAt.Add(c.board.cfg.StopWait)
		}
	}
	c.hangUp(e.by, e.cause, e.text)
}

// hangUp ends the call from the switch's side, or because of the leg named in by: BYE to every leg that is up,
// CANCEL to every branch, a failure to a caller who waits.
func (c *Call) hangUp(by string, cause sip.Cause, text string) {
	if c.phase == phaseEnding {
		return
	}
	if c.a.state < legUp {
		c.refuseCaller(by, &sip.StatusError{Code: statusFor(cause), Cause: cause})
		return
	}
	if cause == 0 {
		cause = sip.CauseNormal
	}
	c.finish(by, 0, cause, "")
	c.log.Debug("hanging up", "by", by, "cause", cause, "why", text)
	for l := range c.activeLegs() {
		c.endLeg(l, cause, text)
	}
}

func statusFor(cause sip.Cause) int {
	if cause == sip.CauseNormal || cause == 0 {
		return 480
	}
	return sip.StatusOf(cause)
}

// endLeg sends the BYE of a leg that is up and frees what it holds. A caller that has not acknowledged the answer
// must not get it yet (RFC 3261 §15): its BYE waits for the ACK, or for the time when that will not come any more.
func (c *Call) endLeg(l *Leg, cause sip.Cause, text string) {
	if l.state != legUp || l.farewell != nil {
		return
	}
	c.endAsked(l)
	c.cancelAsking(l)
	if l.held() {
		l.release()
		return
	}
	if l.owesACK() && l.unacked.initial {
		l.farewell = &farewell{cause, text}
		l.closeMedia()
		return
	}
	c.bye(l, cause, text)
	l.release()
}

// leave sends the BYE that had to wait.
func (c *Call) leave(l *Leg) {
	c.bye(l, l.farewell.cause, l.farewell.text)
	l.release()
}

// bye sends a BYE; the call waits for its answer or timeout before it is over.
func (c *Call) bye(l *Leg, cause sip.Cause, text string) {
	if !l.flow.Alive() {
		c.refind(l)
	}
	raw := l.bye(cause, text)
	if l.trunk != nil {
		l.byeSent = time.Now()
	}
	c.send(&outgoing{leg: l, purpose: forBye, method: sip.BYE}, raw)
}

// noteBye writes down who ended the call and why before the BYE is answered: its record will say so, whatever dies.
func (c *Call) noteBye(l *Leg, m *sip.Message) {
	if l.state != legUp {
		return
	}
	if l != c.a && l != c.b { // a transferor, without whom the others go on
		l.hungUp = true
		return
	}
	cause := m.Cause()
	if cause == 0 {
		cause = sip.CauseNormal
	}
	l.hungUp = true
	c.record.end(l.name, 0, cause, time.Now())
}

// peerHungUp takes the BYE of one side and passes it on with its cause.
func (c *Call) peerHungUp(l *Leg, m *sip.Message) {
	cause := m.Cause()
	if cause == 0 {
		cause = sip.CauseNormal
	}
	if c.transferorGone(l) {
		return
	}
	switch {
	case l == c.a && (l.state < legUp || l.held()): // it may end an early dialog so (RFC 3261 §15); its INVITE still waits
		c.callerGaveUp(cause, "")
		return
	case l != c.a && l != c.b: // a callee must not, and its INVITE decides
		return
	}
	c.endAsked(l)
	c.cancelAsking(l)
	c.finish(l.name, 0, cause, "")
	l.release()
	if o := c.other(l); o != nil {
		c.endLeg(o, cause, "")
	}
	if by := c.transferor(); by != nil {
		c.endLeg(by, cause, "")
	}
}
