package call

import (
	"time"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transport"
)

// branchResponse takes a response to the INVITE of a branch.
func (c *Call) branchResponse(l *Leg, m *sip.Message) {
	switch status := m.Status(); {
	case status == 100:
	case status < 200:
		c.branchRings(l, m)
	case status < 300:
		c.branchAnswers(l, m)
	case l.state != legGone:
		c.branchFailed(l, &failure{status: status, reason: m.Reason(), cause: m.Cause()})
	}
}

// branchRings passes a provisional response on to the caller, with early media where there is any.
func (c *Call) branchRings(l *Leg, m *sip.Message) {
	if l.state > legEarly || c.phase != phaseRouting {
		return
	}
	l.state = legEarly
	c.record.attemptRang(l.attempt, time.Now())
	if d, err := l.dialog.Accept(m); err == nil && m.ToTag() != "" {
		l.dialog = d
	}
	status := m.Status()
	if m.Body() == "" || !isType(m, "application/sdp") || l.media.SetAnswer([]byte(m.Body())) != nil {
		c.provisional(max(status, 180), nil)
		return
	}
	c.hearEarly(l, status)
}

// hearEarly lets the caller hear the early media of a branch: of the last one that sent any. What the caller was
// told in the first 18x stays true, so a later branch must do with the codec agreed then.
func (c *Call) hearEarly(l *Leg, status int) {
	if c.a.invite.Request().Body() == "" { // a late offer cannot be made in a provisional without 100rel
		c.provisional(max(status, 180), nil)
		return
	}
	answer, err := c.a.media.CreateAnswer(l.media)
	if err == nil {
		err = c.a.media.Join(l.media)
	}
	if err != nil {
		c.log.Info("no early media", "leg", l.name, "err", err)
		c.provisional(180, nil)
		return
	}
	c.early = l
	c.provisional(status, answer)
}

// provisional sends a 18x to the caller.
func (c *Call) provisional(status int, body []byte) {
	if c.a.state >= legUp {
		return
	}
	c.a.state = legEarly
	c.respondCaller(status, "", body)
}

// respondCaller answers the caller's INVITE with what makes or keeps the dialog.
func (c *Call) respondCaller(status int, reason string, body []byte) []byte {
	m := c.a.invite.Request()
	w := sip.NewWriter(make([]byte, 0, 1024+len(body)))
	w.Respond(m, status, reason, c.a.tag)
	w.Copy(m, sip.HeaderRecordRoute)
	w.Add("Contact", c.a.contact)
	w.Add("Allow", allow)
	w.Add("Server", c.board.cfg.Product)
	if status >= 200 {
		c.a.writeTimer(w)
	}
	w.Finish("application/sdp", body)
	raw, err := w.Bytes()
	if err == nil {
		err = c.a.invite.Respond(raw)
	}
	if err != nil {
		c.log.Info("answer to the caller not sent", "status", status, "err", err)
	}
	return raw
}

// writeTimer writes the session timer agreed with a peer that asked for one.
func (l *Leg) writeTimer(w *sip.Writer) {
	w.Set(sip.HeaderSupported, "timer")
	if l.timer.Interval == 0 {
		return
	}
	if !l.timer.Refresher {
		w.Set(sip.HeaderRequire, "timer")
	}
	w.Set(sip.HeaderSessionExpires, l.timer.Header())
}

// branchAnswers takes a 2xx: the first one is the call, the same again is acknowledged again, any other is
// acknowledged and ended (RFC 3261 §13.2.2.4).
func (c *Call) branchAnswers(l *Leg, m *sip.Message) {
	d, err := l.dialog.Accept(m)
	if l.state == legUp && d.RemoteTag == l.dialog.RemoteTag {
		_ = l.flow.Send(l.lastACK)
		return
	}
	if err != nil {
		d.Target = l.dialog.Target
	}
	if l.state == legUp || l.state == legGone || c.phase != phaseRouting {
		c.endFork(l, d)
		return
	}
	l.dialog = d
	l.state = legUp
	l.allows = m.Header(sip.HeaderAllow)
	l.timer = dialog.AgreedBy(time.Now(), m)
	l.acknowledge(l.initial.seq, nil)
	c.ringing = without(c.ringing, l)
	if err := c.connect(l, m); err != nil {
		c.log.Info("answer of a branch not usable", "leg", l.name, "err", err)
		c.bye(l, sip.CauseIncompatible, "")
		c.branchFailed(l, &failure{status: 488, cause: sip.CauseIncompatible})
		return
	}
	c.record.attemptAnswered(l.attempt, time.Now())
	c.stepEnds = time.Time{}
	c.cancelBranches("SIP;cause=200;text=\"Call completed elsewhere\"")
}

// connect joins the caller with the branch that answered.
func (c *Call) connect(l *Leg, m *sip.Message) error {
	if m.Body() != "" {
		if err := l.media.SetAnswer([]byte(m.Body())); err != nil {
			return err
		}
	}
	body, late, err := c.answerFor(l.media)
	if err != nil {
		return err
	}
	if err := c.a.media.Join(l.media); err != nil && !late {
		return err
	}
	c.b = l
	if c.a.state == legUp { // the switch itself had answered before
		return nil
	}
	c.answerCaller(body, late)
	return nil
}

// answerFor is the session description of the 2xx to the caller: the answer to its offer, or ours where it made
// none (late).
func (c *Call) answerFor(like Session) (body []byte, late bool, err error) {
	if c.a.state == legUp {
		return nil, false, nil
	}
	if late = c.a.invite.Request().Body() == ""; late {
		body, err = c.a.media.CreateOffer(like)
	} else {
		body, err = c.a.media.CreateAnswer(like)
	}
	return body, late, err
}

// answerCaller sends the 2xx and keeps it until the ACK comes.
func (c *Call) answerCaller(body []byte, late bool) {
	now := time.Now()
	c.phase, c.a.state, c.answered = phaseUp, legUp, now
	if c.a.timer.Interval > 0 {
		c.a.timer.Due = now
	}
	c.board.stats.Answered.Add(1)
	raw := c.respondCaller(200, "", body)
	seq, _, _ := c.a.invite.Request().CSeq()
	c.a.await(raw, transport.Reply(c.a.invite.Flow(), c.a.invite.Request()), seq, late)
	c.log.Info("call answered", "from", c.facts.From, "to", c.facts.To, "leg", c.legName())
}

func (c *Call) legName() string {
	if c.b == nil {
		return "switch"
	}
	return c.b.name
}

// await keeps a 2xx for retransmission until its ACK.
func (l *Leg) await(raw []byte, f transport.Flow, seq uint32, answer bool) {
	cfg, now := l.call.board.cfg, time.Now()
	l.unacked = &unacked{
		raw: raw, flow: f, seq: seq, answer: answer,
		next: now.Add(cfg.T1), every: cfg.T1, giveUp: now.Add(64 * cfg.T1),
	}
}

// retransmit sends a 2xx again, or gives the leg up after 64*T1 (RFC 3261 §13.3.1.4).
func (c *Call) retransmit(l *Leg, now time.Time) {
	u := l.unacked
	if !now.Before(u.giveUp) {
		l.unacked = nil
		c.hangUp(l.name, sip.CauseTimerExpired, "No ACK")
		return
	}
	_ = u.flow.Send(u.raw)
	u.every = min(2*u.every, c.board.cfg.T2)
	u.next = now.Add(u.every)
	if u.next.After(u.giveUp) {
		u.next = u.giveUp
	}
}

// receiveAck ends the retransmission of a 2xx and takes a late answer.
func (c *Call) receiveAck(l *Leg, m *sip.Message) {
	seq, _, err := m.CSeq()
	u := l.unacked
	if err != nil || u == nil || seq != u.seq || m.FromTag() != l.dialog.RemoteTag {
		return
	}
	l.unacked = nil
	if !u.answer || l.media == nil {
		return
	}
	if err := l.media.SetAnswer([]byte(m.Body())); err != nil {
		c.log.Info("answer in ACK not usable", "leg", l.name, "err", err)
		c.hangUp("switch", sip.CauseIncompatible, "")
		return
	}
	if o := c.other(l); o != nil && o.media != nil {
		if err := l.media.Join(o.media); err != nil {
			c.log.Warn("legs not joined", "err", err)
		}
	}
	if c.localMedia != nil {
		c.localMedia()
	}
}

// acknowledge sends the ACK to a 2xx and keeps it for the 2xx's retransmissions.
func (l *Leg) acknowledge(seq uint32, answer []byte) {
	w := sip.NewWriter(make([]byte, 0, 512))
	l.request(w, sip.ACK, seq)
	w.Finish("application/sdp", answer)
	l.lastACK, _ = w.Bytes()
	_ = l.flow.Send(l.lastACK)
}

// endFork acknowledges and ends a dialog that nobody wants: a second answer, or one that crossed our CANCEL.
func (c *Call) endFork(l *Leg, d dialog.Dialog) {
	fork := &Leg{call: c, name: l.name + "f", flow: l.flow, dialog: d}
	fork.acknowledge(l.initial.seq, nil)
	c.bye(fork, sip.CauseNormal, "")
}

func without(legs []*Leg, l *Leg) []*Leg {
	out := legs[:0:0]
	for _, x := range legs {
		if x != l {
			out = append(out, x)
		}
	}
	return out
}

// mediaHeard takes what the media room reports of a leg.
func (c *Call) mediaHeard(l *Leg, ev media.Event) {
	switch ev.Kind {
	case media.Silence:
		if ev.Inbound {
			c.legSilent(l)
		}
	case media.PlayDone:
		c.playDone(l)
	}
}
