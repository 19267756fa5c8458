package call

import (
	"math/rand/v2"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
)

// ask sends a re-INVITE or UPDATE to a leg; without an offer it only refreshes.
func (c *Call) ask(l *Leg, why purpose, method string, offer []byte, relay *transaction.Server) {
	w := sip.NewWriter(make([]byte, 0, 768+len(offer)))
	seq := c.beginRequest(l, w, method, maxHops)
	w.Add("Contact", l.contact)
	w.Add("Allow", l.allow())
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
	o := &outgoing{leg: l, purpose: why, method: method, seq: seq, relay: relay, offer: len(offer) > 0}
	if method == sip.INVITE { // a little after Timer B, which ends one without any reply
		o.giveUp = time.Now().Add(65 * c.board.cfg.T1)
	}
	l.asking = o
	c.send(o, raw)
}

// sync offers a leg what the other side has come to without it: by the answer in an ACK, or because a request was
// given up and answered all the same.
func (c *Call) sync(l *Leg) {
	l.wantSync = false
	like := sessionOf(c.other(l))
	if l.alone {
		like = nil
	}
	offer, err := l.media.CreateOffer(like)
	if err != nil {
		c.log.Warn("leg not told of the other's session", "leg", l.name, "err", err)
		c.synced(l)
		return
	}
	c.ask(l, forSync, sip.INVITE, offer, nil)
}

// asker is the leg whose request the answer is for; nil: it waits no more.
func (c *Call) asker(o *outgoing) *Leg {
	if a := c.other(o.leg); a != nil && o.relay != nil && a.asked == o.relay {
		return a
	}
	return nil
}

// askAnswered takes the answer to a re-INVITE or UPDATE of ours.
func (c *Call) askAnswered(o *outgoing, m *sip.Message) {
	l := o.leg
	switch status := m.Status(); {
	case status < 200:
	case l.asking != o: // a 2xx again
		if o.ack != nil {
			_ = l.flow.Send(o.ack)
		}
	case status >= 300:
		l.asking = nil
		minSE, _ := m.Seconds(sip.HeaderMinSE)
		c.askFailed(o, &failure{status: status}, time.Duration(minSE)*time.Second)
	default:
		l.asking, l.retryAt = nil, time.Time{}
		l.dialog.Refresh(m)
		if o.method == sip.INVITE {
			o.ack = l.ack(o.seq)
		}
		l.renewBy(m)
		c.askAgreed(o, m)
	}
}

// askAgreed takes the session description of a 2xx, and answers the leg that asked.
func (c *Call) askAgreed(o *outgoing, m *sip.Message) {
	l := o.leg
	if l.media == nil { // the call ended meanwhile
		return
	}
	if o.offer {
		if err := l.media.SetAnswer([]byte(m.Body())); err != nil {
			c.log.Info("answer of a re-offer not usable", "leg", l.name, "err", err)
			c.askFailed(o, &failure{status: 488}, 0)
			return
		}
	}
	if o.purpose == forSync {
		c.synced(l)
	}
	if o.purpose != forReoffer {
		return
	}
	if a := c.asker(o); a != nil {
		a.asked = nil
		c.answerReoffer(a, o.relay, o.relay.Request())
		return
	}
	l.wantSync = true // it holds or resumes for one who has changed its mind
}

// askFailed puts both sides back to what was agreed and tells the one that asked (RFC 3261 §14.1). When the other
// dialog is gone, the call is.
func (c *Call) askFailed(o *outgoing, f *failure, minSE time.Duration) {
	l := o.leg
	if l.media != nil && o.offer {
		l.media.Rollback()
	}
	if a := c.asker(o); a != nil {
		a.asked = nil
		if a.media != nil {
			a.media.Rollback()
		}
		c.board.refuse(o.relay, o.relay.Request(), &sip.StatusError{Code: passStatus(f.status)})
	}
	switch {
	case f.status == 481, f.timeout, f.status == 408:
		cause := sip.CauseOutOfOrder
		if o.purpose == forRefresh {
			cause = sip.CauseTimerExpired
		}
		c.hangUp(l.name, cause, "Dialog is gone")
	case o.purpose == forReoffer:
	case f.status == 422 && minSE > l.timer.Interval: // the expiry stays where it is until somebody agrees
		l.timer.Due = l.timer.Due.Add(l.timer.Interval - minSE)
		l.timer.Interval = minSE
		l.retryAt = time.Now()
	case f.status == 491:
		l.wantSync = l.wantSync || o.purpose == forSync
		l.retryAt = time.Now().Add(l.glarePause())
	case f.unreachable: // its connection is gone: it may register over a new one
		l.wantSync = l.wantSync || o.purpose == forSync
		l.retryAt = time.Now().Add(5 * time.Second)
	case o.purpose == forRefresh:
		l.retryAt = time.Now().Add(10 * time.Second)
	}
	if o.purpose == forSync {
		c.synced(l)
	}
}

// glarePause is the wait after a 491: who made the Call-ID waits longer (RFC 3261 §14.1).
func (l *Leg) glarePause() time.Duration {
	if l.role == roleUAC {
		return time.Duration(210+rand.IntN(191)) * 10 * time.Millisecond
	}
	return time.Duration(rand.IntN(201)) * 10 * time.Millisecond
}

// giveUpAsking cancels a re-INVITE of ours (RFC 3261 §9.1), so that it ends whatever the peer does, and answers the
// one that it was sent for. An UPDATE ends by itself.
func (c *Call) giveUpAsking(l *Leg) {
	o := l.asking
	if o == nil {
		return
	}
	if a := c.asker(o); a != nil {
		tx := a.asked
		a.asked = nil
		if a.media != nil {
			a.media.Rollback()
		}
		c.board.refuse(tx, tx.Request(), &sip.StatusError{Code: 500, Header: "Retry-After: 5"})
	}
	c.cancelAsking(l)
}

func (c *Call) cancelAsking(l *Leg) {
	if o := l.asking; o != nil && o.method == sip.INVITE && !o.cancelled {
		o.cancelled = true
		if o.client != nil {
			o.client.Cancel("")
		}
	}
}
