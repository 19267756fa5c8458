package call

import (
	"time"

	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transport"
)

// cancelled ends a call that the caller gave up before an answer. When the answer was faster, the CANCEL changes
// nothing (RFC 3261 §9.2).
func (c *Call) cancelled(m *sip.Message) {
	if c.a.state >= legUp || c.phase == phaseEnding {
		return
	}
	c.record.cancelledBy(m.Cause(), time.Now())
	c.phase = phaseEnding
	c.stepEnds = time.Time{}
	c.cancelBranches(oneLine(m.Header(sip.HeaderReason)))
	tx := c.a.invite
	if err := tx.Respond(c.board.failure(tx.Request(), &sip.StatusError{Code: 487}, c.a.tag)); err != nil {
		c.log.Debug("487 not sent", "err", err)
	}
	c.a.release()
}

// hangUp ends the call from the switch's side, or because of the leg named in by: BYE to every leg that is up,
// CANCEL to every branch, a failure to a caller who waits.
func (c *Call) hangUp(by string, cause sip.Cause, text string) {
	if c.phase == phaseEnding {
		return
	}
	if c.a.state < legUp {
		c.refuseCaller(&sip.StatusError{Code: statusFor(cause), Cause: cause, Reason: ""})
		return
	}
	c.phase = phaseEnding
	c.stepEnds = time.Time{}
	c.record.end(by, 0, cause, time.Now())
	c.log.Info("call ended", "by", by, "cause", cause, "why", text)
	c.cancelBranches("")
	for _, l := range c.activeLegs() {
		c.endLeg(l, cause, text)
	}
}

func statusFor(cause sip.Cause) int {
	if cause == sip.CauseNormal || cause == 0 {
		return 480
	}
	return sip.StatusOf(cause)
}

// endLeg sends the BYE of a leg that is up and frees what it holds. A 2xx that was never acknowledged still gets
// its BYE: the dialog exists (RFC 3261 §15).
func (c *Call) endLeg(l *Leg, cause sip.Cause, text string) {
	if l.state != legUp {
		return
	}
	c.endAsked(l)
	c.bye(l, cause, text)
	l.release()
}

// endAsked answers a re-INVITE or UPDATE that still waits on a leg which ends.
func (c *Call) endAsked(l *Leg) {
	if l.asked != nil {
		c.board.refuse(l.asked, l.asked.Request(), &sip.StatusError{Code: 487})
		l.asked = nil
	}
}

// bye sends a BYE; the call waits for its answer or timeout before it is over.
func (c *Call) bye(l *Leg, cause sip.Cause, text string) {
	if !l.flow.Alive() {
		c.refind(l)
	}
	raw := l.bye(cause, text)
	c.send(&outgoing{call: c, leg: l, purpose: forBye, method: sip.BYE}, raw)
}

// peerHungUp takes the BYE of one side and passes it on with its cause.
func (c *Call) peerHungUp(l *Leg, m *sip.Message) {
	cause := m.Cause()
	if cause == 0 {
		cause = sip.CauseNormal
	}
	l.unacked = nil
	c.endAsked(l)
	if l.state == legUp {
		l.release()
	}
	if l.role == roleUAC && l != c.b { // a branch that ends its early dialog; its INVITE ends by itself
		return
	}
	if c.phase != phaseEnding {
		c.phase = phaseEnding
		c.stepEnds = time.Time{}
		c.record.end(l.name, 0, cause, time.Now())
		c.log.Info("call ended", "by", l.name, "cause", cause)
		c.cancelBranches("")
	}
	if o := c.other(l); o != nil {
		c.endLeg(o, cause, "")
	}
}

// legSilent is the watchdog's word that a peer which should be heard is not. When both sides are silent the call
// is over (the `silence` of the configuration); one side alone may have muted, so it is asked whether it lives.
func (c *Call) legSilent(l *Leg) {
	if l.state != legUp || c.phase != phaseUp {
		return
	}
	l.silent, l.heard = true, l.media.Stats().In.Packets
	o := c.other(l)
	if o != nil && o.stillSilent() {
		c.hangUp("switch", sip.CauseOutOfOrder, "No media from either side")
		return
	}
	if l.probing || l.asking != nil {
		return
	}
	l.probing = true
	w := sip.NewWriter(nil)
	l.request(w, sip.OPTIONS, l.dialog.Next())
	w.Finish("", nil)
	raw, _ := w.Bytes()
	c.send(&outgoing{call: c, leg: l, purpose: forProbe, method: sip.OPTIONS}, raw)
}

// probeAnswered judges the answer of a silent peer: nothing, or a dialog unknown to it, means that it is gone
// (RFC 3261 §12.2.1.2).
func (c *Call) probeAnswered(l *Leg, status int) {
	if status < 200 {
		return
	}
	l.probing = false
	switch status {
	case 408, 481, 503:
		c.hangUp(l.name, sip.CauseOutOfOrder, "Peer is gone")
	}
}

// flowClosed takes the end of a connection. Media goes on and the phone may register again over a new one
// (see refind); ringing over it cannot go on.
func (c *Call) flowClosed(f transport.Flow) {
	for _, l := range c.ringing {
		if l.flow == f {
			c.branchFailed(l, &failure{status: 430, unreachable: true})
		}
	}
	if c.a.flow == f && c.a.state < legUp && c.phase == phaseRouting {
		c.record.cancelledBy(sip.CauseOutOfOrder, time.Now())
		c.phase = phaseEnding
		c.cancelBranches("")
		c.board.refuse(c.a.invite, c.a.invite.Request(), &sip.StatusError{Code: 487})
		c.a.release()
	}
}

// refind gives a leg whose connection is gone the flow over which its phone has registered again: by the same
// extension, and the same contact where there is more than one.
func (c *Call) refind(l *Leg) {
	bindings := c.board.locator.Lookup(l.party, time.Now())
	for _, b := range bindings {
		if b.Flow.Alive() && (len(bindings) == 1 || b.RequestURI() == l.dialog.Target) {
			l.flow = b.Flow
			l.contact = "<" + b.Flow.Contact("") + ">"
			return
		}
	}
}

// refresh keeps the session alive by an UPDATE where the peer takes it, else by a re-INVITE with what is agreed
// already (RFC 4028 §7.4).
func (c *Call) refresh(l *Leg) {
	method, body := sip.UPDATE, []byte(nil)
	if !lists(l.allows, sip.UPDATE) {
		method = sip.INVITE
		var err error
		if body, err = l.media.CreateOffer(c.sessionOf(c.other(l))); err != nil {
			c.log.Warn("session not refreshed", "leg", l.name, "err", err)
			l.timer.Due = time.Now()
			return
		}
	}
	c.ask(l, forRefresh, method, body, nil)
}

func (c *Call) refreshAnswered(o *outgoing, m *sip.Message) {
	l := o.leg
	if m.Status() < 200 {
		return
	}
	l.asking = nil
	if m.Status() < 300 {
		l.dialog.Refresh(m)
		if o.method == sip.INVITE {
			l.acknowledge(o.seq, nil)
			if m.Body() != "" && l.media != nil {
				_ = l.media.SetAnswer([]byte(m.Body()))
			}
		}
		if t := dialog.AgreedBy(time.Now(), m); t.Interval > 0 {
			l.timer = t
		} else {
			l.timer.Due = time.Now()
		}
		return
	}
	if l.media != nil {
		l.media.Rollback()
	}
	switch m.Status() {
	case 408, 481:
		c.hangUp(l.name, sip.CauseTimerExpired, "Session refresh failed")
	default: // 491 and the like: once more after half the interval; the expiry stays where it is
		l.timer.Interval, l.timer.Due = l.timer.Interval/2, time.Now()
	}
}
