package call

import (
	"fmt"
	"math/rand/v2"
	"time"

	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transaction"
)

// reoffered takes a re-INVITE or an UPDATE. What only moves the peer's own media is answered at once; what the
// other side must know (hold and resume, fax instead of speech, video between browsers) is asked of it first, and its answer decides.
func (c *Call) reoffered(l *Leg, tx *transaction.Server, m *sip.Message) {
	if fail := c.mayReoffer(l, m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if _, fail := dialog.OfferedBy(time.Now(), m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if m.Method() == sip.INVITE {
		l.unacked = nil // the ACK of the one before was lost: who asks again has had its 2xx
	}
	if allows := m.Header(sip.HeaderAllow); allows != "" {
		l.allows = allows
	}
	if m.Body() == "" {
		c.reofferWithoutSDP(l, tx, m)
		return
	}
	before, fax := l.media.RemoteDirection(), l.media.Fax()
	if err := l.media.SetOffer([]byte(m.Body())); err != nil {
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	o := c.other(l)
	same := l.media.RemoteDirection() == before && l.media.Fax() == fax
	if o == nil || o.state != legUp || same && !(o.web && l.media.VideoNews()) {
		c.answerReoffer(l, tx, m)
		return
	}
	if o.owesACK() { // the other side's INVITE is not confirmed: no re-INVITE yet (RFC 3261 §14.1)
		l.media.Rollback()
		c.board.refuse(tx, m, &sip.StatusError{Code: 491})
		return
	}
	c.passReoffer(l, o, tx, m)
}

// passReoffer asks the other side what one side wants.
func (c *Call) passReoffer(l, o *Leg, tx *transaction.Server, m *sip.Message) {
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

// mayReoffer is the rules of glare and order (RFC 3261 §14.2, RFC 3311 §5.2). In an early dialog our own offer, or the
// caller's, is still open.
func (c *Call) mayReoffer(l *Leg, m *sip.Message) *sip.StatusError {
	o, invite := c.other(l), m.Method() == sip.INVITE
	offers := invite || m.Body() != "" // an INVITE without an offer asks for one
	later := &sip.StatusError{Code: 500, Header: fmt.Sprintf("Retry-After: %d", rand.IntN(11)), Reason: "Previous offer is not answered"}
	glare := &sip.StatusError{Code: 491}
	switch {
	case l.held():
		return later
	case l.state == legEarly && !offers:
		return nil
	case l.state < legUp && l.role == roleUAS:
		return later
	case l.state < legUp:
		return glare
	case l.state != legUp || l.media == nil:
		return &sip.StatusError{Code: 481}
	case l.asked != nil:
		return later
	case l.unacked != nil && l.unacked.answer && offers,
		l.asking != nil && invite && l.asking.method == sip.INVITE,
		l.asking != nil && l.asking.offer && offers,
		o != nil && o.negotiating() && offers:
		return glare
	}
	return wantSDP(m)
}

// reofferWithoutSDP answers an UPDATE that only refreshes, or makes our offer in the 2xx to a re-INVITE: the
// answer comes in the ACK.
func (c *Call) reofferWithoutSDP(l *Leg, tx *transaction.Server, m *sip.Message) {
	if m.Method() == sip.UPDATE {
		l.renewFor(m)
		c.ok(l, tx, m, nil)
		return
	}
	offer, err := l.media.CreateOffer(sessionOf(c.other(l)))
	if err != nil {
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	l.renewFor(m)
	c.ok(l, tx, m, offer)
}

// answerReoffer answers a re-INVITE or UPDATE from what is agreed with the other leg now.
func (c *Call) answerReoffer(l *Leg, tx *transaction.Server, m *sip.Message) {
	answer, err := l.media.CreateAnswer(sessionOf(c.other(l)))
	if err != nil {
		l.media.Rollback()
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	l.renewFor(m)
	c.ok(l, tx, m, answer)
}

// endAsked answers a re-INVITE or UPDATE that still waits: on a leg that ends (RFC 3261 §15.1.2), or one that its own
// peer gave up.
func (c *Call) endAsked(l *Leg) {
	if tx := l.asked; tx != nil {
		l.asked = nil
		if l.media != nil {
			l.media.Rollback()
		}
		c.board.refuse(tx, tx.Request(), &sip.StatusError{Code: 487})
	}
}
