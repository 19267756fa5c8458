package call

import (
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// unacked is a 2xx of ours that is sent again until the ACK comes (RFC 3261 §13.3.1.4).
type unacked struct {
	raw      []byte
	flow     transport.Flow
	seq      uint32
	next     time.Time
	every    time.Duration
	giveUp   time.Time
	answer   bool // the 2xx carried our offer, the ACK carries the answer
	initial  bool // it made the dialog: no BYE before the ACK (RFC 3261 §15)
	doubtful bool // of an adopted call: the ACK may have come to the process before
}

// provisional sends a 18x to the caller.
func (c *Call) provisional(status int, body []byte) {
	if c.a.state >= legUp {
		return
	}
	c.a.state = legEarly
	c.a.channel.Rang(time.Now())
	if c.relies() {
		c.sayAgain = time.Now().Add(provisionalEvery)
		c.provideReliably(status, body)
		return
	}
	c.said = c.respondCaller(status, body)
	c.sayAgain = time.Now().Add(provisionalEvery)
}

// respondCaller answers the caller's INVITE with what makes or keeps the dialog. lines are further headers.
func (c *Call) respondCaller(status int, body []byte, lines ...string) []byte {
	raw, err := c.callerResponse(status, body, lines...)
	c.sendCaller(raw, err)
	return raw
}

func (c *Call) callerResponse(status int, body []byte, lines ...string) ([]byte, error) {
	m := c.a.invite.Request()
	w := sip.NewWriter(make([]byte, 0, 1024+len(body)))
	w.Respond(m, status, "", c.a.tag)
	w.Copy(m, sip.HeaderRecordRoute)
	w.Add("Contact", c.a.contact)
	w.Add("Allow", c.a.allow())
	w.Add("Server", c.board.cfg.Product)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		w.Add(name, value)
	}
	if status >= 200 {
		c.a.writeTimer(w)
	}
	w.Finish("application/sdp", body)
	return w.Bytes()
}

func (c *Call) sendCaller(raw []byte, err error) {
	if err == nil {
		err = c.a.invite.Respond(raw)
	}
	if err != nil {
		c.log.Debug("answer to the caller not sent", "err", err)
	}
}

// answerInvite ends the caller's INVITE with a failure.
func (c *Call) answerInvite(fail *sip.StatusError) {
	tx := c.a.invite
	c.endReliable()
	if err := tx.Respond(c.board.failure(tx.Request(), fail, c.a.tag)); err != nil {
		c.log.Debug("refusal not sent", "status", fail.Code, "err", err)
	}
}

// answerFor is the session description of the 2xx to the caller: the answer to its offer, or ours where it made
// none (late).
func (c *Call) answerFor(like Session) (body []byte, late bool, err error) {
	if c.a.state == legUp {
		return nil, false, nil
	}
	if late = c.a.invite.Request().Body() == ""; late {
		body, err = c.a.media.CreateOffer(like)
		return body, late, err
	}
	body, err = c.a.media.CreateAnswer(like)
	c.a.agreed = c.a.agreed || err == nil
	return body, false, err
}

// answerCaller sends the 2xx, once the journal holds the call, and keeps it until the ACK comes.
func (c *Call) answerCaller(body []byte, late bool) {
	now := time.Now()
	c.a.state, c.answered, c.sayAgain = legUp, now, time.Time{}
	c.a.timer.Due = now
	c.board.stats.Answered.Add(1)
	c.a.channel.Answered(now)
	send := func() {
		raw, err := c.callerResponse(200, body)
		seq, _, _ := c.a.invite.Request().CSeq()
		c.a.await(raw, c.a.invite, seq, late)
		c.a.unacked.initial = true
		if c.commit() {
			c.sendCaller(raw, err)
		}
	}
	if !c.holdAnswer(send) {
		c.endReliable()
		send()
	}
}

// await keeps a 2xx for retransmission until its ACK, over connections too: proxies behind them may use UDP.
func (l *Leg) await(raw []byte, tx *transaction.Server, seq uint32, answer bool) {
	cfg, now := l.in().board.cfg, time.Now()
	l.unacked = &unacked{
		raw: raw, flow: transport.Reply(tx.Flow(), tx.Request()), seq: seq, answer: answer,
		next: now.Add(cfg.T1), every: cfg.T1, giveUp: now.Add(64 * cfg.T1),
	}
}

// owesACK tells whether nothing may be sent to the peer before its ACK (RFC 3261 §14.1, §15). It may have come to the process before: then
// the peer's sound says so.
func (l *Leg) owesACK() bool {
	u := l.unacked
	return u != nil && !(u.doubtful && l.media != nil && l.media.Stats().Heard)
}

// retransmit sends a 2xx again, or gives the leg up after 64*T1 (RFC 3261 §13.3.1.4).
func (c *Call) retransmit(l *Leg, now time.Time) {
	u := l.unacked
	if !now.Before(u.giveUp) {
		l.unacked = nil
		if l.farewell != nil {
			c.leave(l)
			return
		}
		if u.doubtful { // its ACK came to another process, perhaps; whether somebody is there is heard
			return
		}
		c.hangUp(l.name, sip.CauseTimerExpired, "No ACK")
		return
	}
	if !u.flow.Alive() && l.flow.Alive() { // it came back over another connection
		u.flow = l.flow
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
	if l.farewell != nil {
		c.leave(l)
		return
	}
	if u.answer && l.media != nil {
		c.lateAnswer(l, m)
	}
}

// lateAnswer takes the answer that an ACK must carry to our offer. Without one the call cannot go on
// (RFC 3261 §13.3.1.4). When a phone holds or resumes with it, the other side is told.
func (c *Call) lateAnswer(l *Leg, m *sip.Message) {
	first, before := !l.agreed, l.media.RemoteDirection()
	err := error(errNoAnswer)
	if isType(m, "application/sdp") {
		err = l.media.SetAnswer([]byte(m.Body()))
	}
	if err != nil {
		c.log.Info("answer in ACK not usable", "leg", l.name, "err", err)
		c.hangUp("switch", sip.CauseIncompatible, "No usable answer in ACK")
		return
	}
	l.agreed = true
	if o := c.other(l); o != nil && o.media != nil {
		if err := l.media.Join(o.media); err != nil {
			c.log.Warn("legs not joined", "err", err)
		}
		if now := l.media.RemoteDirection(); !first && now != before || first && (!now.Sends() || !now.Receives()) {
			o.wantSync = true
		}
	}
	if start := c.localMedia; start != nil {
		c.localMedia = nil
		start()
	}
}
