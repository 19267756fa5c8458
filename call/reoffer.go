package call

import (
	"time"

	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// reoffered takes a re-INVITE or an UPDATE. What only moves the peer's own media is answered at once; what the
// other side must know (hold, resume, other codecs) is asked of it first, and its answer decides.
func (c *Call) reoffered(l *Leg, tx *transaction.Server, m *sip.Message) {
	if fail := c.mayReoffer(l, m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if fail := l.renewTimer(m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if allows := m.Header(sip.HeaderAllow); allows != "" {
		l.allows = allows
	}
	if m.Body() == "" {
		c.reofferWithoutSDP(l, tx, m)
		return
	}
	before := l.media.RemoteDirection()
	if err := l.media.SetOffer([]byte(m.Body())); err != nil {
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	o := c.other(l)
	if o == nil || o.state != legUp || l.media.RemoteDirection() == before {
		c.answerReoffer(l, tx, m)
		return
	}
	offer, err := o.media.CreateOffer(l.media)
	if err != nil {
		l.media.Rollback()
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	l.asked = tx
	method := sip.INVITE
	if m.Method() == sip.UPDATE && lists(o.allows, sip.UPDATE) {
		method = sip.UPDATE
	}
	c.ask(o, forReoffer, method, offer, tx)
}

// mayReoffer is the rules of glare and order (RFC 3261 §14.2, RFC 3311 §5.2).
func (c *Call) mayReoffer(l *Leg, m *sip.Message) *sip.StatusError {
	o := c.other(l)
	switch {
	case l.state != legUp || l.media == nil:
		return &sip.StatusError{Code: 481}
	case l.asked != nil, l.unacked != nil && m.Body() != "":
		return &sip.StatusError{Code: 500, Header: "Retry-After: 1", Reason: "Previous offer is not answered"}
	case l.asking != nil && (l.asking.method == sip.INVITE || m.Body() != ""),
		o != nil && (o.asked != nil || o.asking != nil) && m.Body() != "":
		return &sip.StatusError{Code: 491}
	}
	return wantSDP(m)
}

func (l *Leg) renewTimer(m *sip.Message) *sip.StatusError {
	t, fail := dialog.OfferedBy(time.Now(), m)
	if fail == nil {
		l.timer = t
	}
	return fail
}

// reofferWithoutSDP answers an UPDATE that only refreshes, or makes our offer in the 2xx to a re-INVITE: the
// answer comes in the ACK.
func (c *Call) reofferWithoutSDP(l *Leg, tx *transaction.Server, m *sip.Message) {
	if m.Method() == sip.UPDATE {
		c.ok(l, tx, m, nil)
		return
	}
	offer, err := l.media.CreateOffer(c.sessionOf(c.other(l)))
	if err != nil {
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	raw := c.ok(l, tx, m, offer)
	seq, _, _ := m.CSeq()
	l.await(raw, transport.Reply(tx.Flow(), m), seq, true)
}

// answerReoffer answers a re-INVITE or UPDATE from what is agreed with the other leg now.
func (c *Call) answerReoffer(l *Leg, tx *transaction.Server, m *sip.Message) {
	answer, err := l.media.CreateAnswer(c.sessionOf(c.other(l)))
	if err != nil {
		l.media.Rollback()
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	raw := c.ok(l, tx, m, answer)
	if m.Method() == sip.INVITE {
		seq, _, _ := m.CSeq()
		l.await(raw, transport.Reply(tx.Flow(), m), seq, false)
	}
}

// sessionOf is a leg's session for the media room; nil without one.
func (c *Call) sessionOf(l *Leg) Session {
	if l == nil || l.media == nil {
		return nil
	}
	return l.media
}

// ask sends a re-INVITE or UPDATE with an offer to a leg.
func (c *Call) ask(l *Leg, why purpose, method string, offer []byte, relay *transaction.Server) {
	seq := l.dialog.Next()
	w := sip.NewWriter(make([]byte, 0, 768+len(offer)))
	l.request(w, method, seq)
	w.Add("Contact", l.contact)
	w.Add("Allow", allow)
	w.Add("Supported", "timer")
	if t := l.timer; t.Interval > 0 {
		side := "uas"
		if t.Refresher {
			side = "uac"
		}
		w.Set(sip.HeaderSessionExpires, t.HeaderAs(side))
	}
	w.Finish("application/sdp", offer)
	raw, _ := w.Bytes()
	l.asking = &outgoing{call: c, leg: l, purpose: why, method: method, seq: seq, relay: relay}
	c.send(l.asking, raw)
}

// reofferAnswered takes the other side's answer to a re-INVITE or UPDATE that we passed on.
func (c *Call) reofferAnswered(o *outgoing, m *sip.Message) {
	l := o.leg
	switch status := m.Status(); {
	case status < 200:
		return
	case status >= 300:
		c.reofferFailed(o, &failure{status: status, reason: m.Reason()})
		return
	case l.asking != o: // the same 2xx again
		_ = l.flow.Send(l.lastACK)
		return
	}
	l.asking = nil
	l.dialog.Refresh(m)
	if o.method == sip.INVITE {
		l.acknowledge(o.seq, nil)
	}
	if t := dialog.AgreedBy(time.Now(), m); t.Interval > 0 {
		l.timer = t
	}
	if l.media == nil { // the call ended meanwhile
		return
	}
	if err := l.media.SetAnswer([]byte(m.Body())); err != nil {
		c.log.Info("answer of a re-offer not usable", "leg", l.name, "err", err)
		c.reofferFailed(o, &failure{status: 488})
		return
	}
	asker := c.other(l)
	if asker == nil || asker.asked != o.relay {
		return
	}
	asker.asked = nil
	c.answerReoffer(asker, o.relay, o.relay.Request())
}

// reofferFailed puts both sides back to what was agreed and tells the one that asked (RFC 3261 §14.1). When the
// other dialog is gone, the call is.
func (c *Call) reofferFailed(o *outgoing, f *failure) {
	l := o.leg
	if l.asking == o {
		l.asking = nil
	}
	if l.media != nil {
		l.media.Rollback()
	}
	if asker := c.other(l); asker != nil && asker.asked == o.relay && asker.asked != nil {
		asker.asked = nil
		if asker.media != nil {
			asker.media.Rollback()
		}
		status := f.status
		if status == 401 || status == 407 || status < 400 {
			status = 488
		}
		c.board.refuse(o.relay, o.relay.Request(), &sip.StatusError{Code: status})
	}
	if f.status == 481 || f.status == 408 {
		c.hangUp(l.name, sip.CauseOutOfOrder, "Dialog is gone")
	}
}
