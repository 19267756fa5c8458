package call

import (
	"time"

	"tandem/media/codec"
	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
)

// receive takes a request inside a dialog.
func (c *Call) receive(l *Leg, tx *transaction.Server, m *sip.Message) {
	if fail := c.belongs(l, tx.Flow(), m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if fail := l.dialog.Receive(m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if l.unacked != nil && l.unacked.doubtful && l.farewell == nil {
		l.unacked = nil // who asks for more has had the 2xx
	}
	l.move(tx.Flow()) // the peer speaks from here now: a new connection, or a NAT that forgot
	if len(c.parked) > 0 {
		c.parkedNext = time.Now()
	}
	switch m.Method() {
	case sip.BYE:
		c.noteBye(l, m)
		c.ok(l, tx, m, nil)
		c.peerHungUp(l, m)
	case sip.INVITE, sip.UPDATE:
		c.reoffered(l, tx, m)
	case sip.INFO:
		c.info(l, tx, m)
	case sip.OPTIONS:
		c.ok(l, tx, m, nil)
	case sip.MESSAGE:
		c.relay(l, tx, m)
	case sip.REFER:
		c.referred(l, tx, m)
	case sip.PRACK:
		c.prack(l, tx, m)
	}
}

// belongs tells whether a request is one of the leg's peer that the dialog admits in its state.
func (c *Call) belongs(l *Leg, f transport.Flow, m *sip.Message) *sip.StatusError {
	switch {
	case l.dialog.LocalTag == "", l.state == legGone, l.role == roleUAC && l.state == legTrying,
		m.FromTag() != l.dialog.RemoteTag, l.farewell != nil && m.Method() != sip.BYE:
		return &sip.StatusError{Code: 481}
	case !sip.KnownMethod(m.Method()):
		return &sip.StatusError{Code: 501, Header: "Allow: " + l.allow()}
	case !lists(l.allow(), m.Method()):
		return &sip.StatusError{Code: 405, Header: "Allow: " + l.allow()}
	}
	if fail := sip.CheckRequire(m, supportedIn(m)...); fail != nil {
		return fail
	}
	return c.mayMove(l, f, m)
}

// mayMove tells whether a leg's peer may speak from this flow: the address that it spoke from before, or one that its
// extension is registered from; from elsewhere it must prove who it is. The tags are secret, but those who can listen
// to UDP know them.
func (c *Call) mayMove(l *Leg, f transport.Flow, m *sip.Message) *sip.StatusError {
	addr := f.Remote().Addr().Unmap()
	if f == l.flow || addr == l.flow.Remote().Addr().Unmap() {
		return nil
	}
	if l.trunk != nil {
		return c.mayMoveCarrier(l, f, m)
	}
	for _, b := range c.board.locator.Lookup(l.party, time.Now()) {
		if b.Flow == f || b.Source.Addr().Unmap() == addr {
			return nil
		}
	}
	user, fail := c.board.prove(c.board.Settings(), f, m)
	if fail == nil && user != l.party {
		fail = sip.Errorf(403, "Not your call")
	}
	return fail
}

// ok answers a request inside a dialog with 200; with a Contact where it refreshes the target. That to an INVITE waits for its ACK, which
// has the answer where the INVITE had no offer.
func (c *Call) ok(l *Leg, tx *transaction.Server, m *sip.Message, body []byte) {
	c.okWith(l, tx, m, "application/sdp", body)
}

func (c *Call) okWith(l *Leg, tx *transaction.Server, m *sip.Message, contentType string, body []byte) {
	w := sip.NewWriter(make([]byte, 0, 768+len(body)))
	w.Respond(m, 200, "", "")
	if method := m.Method(); method == sip.INVITE || method == sip.UPDATE {
		w.Copy(m, sip.HeaderRecordRoute)
		w.Add("Contact", l.contact)
		l.writeTimer(w)
	}
	w.Add("Allow", l.allow())
	w.Add("Server", c.board.cfg.Product)
	w.Finish(contentType, body)
	raw, err := w.Bytes()
	seq, _, _ := m.CSeq()
	invite, offers := m.Method() == sip.INVITE, m.Body() == ""
	if invite && offers {
		l.await(raw, tx, seq, true) // who goes on waits for the answer too
	}
	if err == nil && settles(m.Method()) && !c.commit() {
		return
	}
	if err == nil {
		err = tx.Respond(raw)
	}
	if err != nil {
		c.log.Debug("answer not sent", "method", m.Method(), "err", err)
	}
	if invite && !offers {
		l.await(raw, tx, seq, false)
	}
}

// settles tells whether a 2xx to a method says something that must not be forgotten.
func settles(method string) bool {
	switch method {
	case sip.INVITE, sip.UPDATE, sip.BYE, "REFER":
		return true
	}
	return false
}

// dtmfLength is how long a digit sounds when INFO does not say (RFC 4733 has no default; 160 ms is the usual one
// of phones and well above the 40 ms that receivers need).
const dtmfLength = 160 * time.Millisecond

// info turns DTMF in INFO into telephone-events for the other leg; where that leg has none, and with any other body,
// the INFO is passed on as it is.
func (c *Call) info(l *Leg, tx *transaction.Server, m *sip.Message) {
	if !isType(m, "application/dtmf-relay") && !isType(m, "application/dtmf") {
		c.relay(l, tx, m)
		return
	}
	pressed, err := codec.ParseINFO(m.Header(sip.HeaderContentType), []byte(m.Body()))
	digit, ok := codec.DigitOf(pressed.Code)
	if err != nil || !ok {
		c.board.refuse(tx, m, sip.Errorf(400, "Malformed DTMF body"))
		return
	}
	length := pressed.Duration
	if length <= 0 {
		length = dtmfLength
	}
	o := c.other(l)
	if o == nil {
		c.ok(l, tx, m, nil)
		c.keyPressed(l, digit, true)
		return
	}
	if o.media == nil || o.media.SendDTMF(string(rune(digit)), length) == nil {
		c.ok(l, tx, m, nil)
		return
	}
	switch o.wayOfKeys() {
	case trunk.DTMFInfo, trunk.DTMFAuto: // as it came, to a peer that may take it
		c.relay(l, tx, m)
	case trunk.DTMFInband:
		c.ok(l, tx, m, nil)
		c.soundKey(o, digit)
	default:
		c.ok(l, tx, m, nil)
	}
}

// maxPending bounds our unanswered requests of one call: a phone that floods its dialog must not make us flood the
// other side.
const maxPending = 64

// relay passes a request with its body to the other leg and the answer back.
func (c *Call) relay(l *Leg, tx *transaction.Server, m *sip.Message) {
	o := c.other(l)
	hops, counted := m.MaxForwards()
	switch {
	case o == nil || o.state != legUp:
		c.ok(l, tx, m, nil) // the switch is the other side, and has no use for it
		return
	case counted && hops == 0:
		c.board.refuse(tx, m, &sip.StatusError{Code: 483})
		return
	case len(c.pending) >= maxPending:
		c.board.refuse(tx, m, &sip.StatusError{Code: 500, Header: "Retry-After: 5"})
		return
	}
	w := sip.NewWriter(make([]byte, 0, 768+len(m.Body())))
	seq := c.beginRequest(o, w, m.Method(), hopsAfter(m))
	for _, name := range []string{"Info-Package", "Content-Disposition"} {
		if value, ok := m.Named(name); ok {
			w.Add(name, oneLine(value))
		}
	}
	w.Finish(oneLine(m.Header(sip.HeaderContentType)), []byte(m.Body()))
	raw, err := w.Bytes()
	if err != nil {
		c.board.refuse(tx, m, sip.Errorf(400, "Malformed header"))
		return
	}
	c.send(&outgoing{leg: o, purpose: forRelay, method: m.Method(), seq: seq, relay: tx}, raw)
}

// relayAnswered passes the answer back. That a dialog is unknown over there ends the call (RFC 5057 §5.1); who
// challenges us learns nothing and the asker is not made to answer for us.
func (c *Call) relayAnswered(o *outgoing, m *sip.Message) {
	req := o.relay.Request()
	switch status := m.Status(); {
	case status < 200:
	case status < 300:
		if l := c.other(o.leg); l != nil {
			c.okWith(l, o.relay, req, oneLine(m.Header(sip.HeaderContentType)), []byte(m.Body()))
		}
	default:
		c.board.refuse(o.relay, req, &sip.StatusError{Code: passStatus(status)})
		if status == 481 {
			c.hangUp(o.leg.name, sip.CauseOutOfOrder, "Dialog is gone")
		}
	}
}

// passStatus is a failure inside the other dialog as this side is told it: what would make a phone act on its own
// credentials, routes or server is no business of its own.
func passStatus(status int) int {
	switch {
	case status < 400, status == 401, status == 407:
		return 488
	case status == 408, status == 503:
		return 500
	}
	return status
}
