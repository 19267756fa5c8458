package call

import (
	"strings"
	"time"

	"tandem/media/codec"
	"tandem/sip"
	"tandem/sip/transaction"
)

// receive takes a request inside a dialog.
func (c *Call) receive(l *Leg, tx *transaction.Server, m *sip.Message) {
	if l.role == roleUAS && l.dialog.LocalTag == "" || m.FromTag() != l.dialog.RemoteTag || l.state == legGone {
		c.board.refuse(tx, m, &sip.StatusError{Code: 481})
		return
	}
	if fail := l.dialog.Receive(m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	l.flow = tx.Flow() // the peer speaks from here now: a new connection, or a NAT that forgot
	switch m.Method() {
	case sip.BYE:
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
	default:
		c.board.refuse(tx, m, &sip.StatusError{Code: 405, Header: "Allow: " + allow})
	}
}

// ok answers a request inside a dialog with 200; with a Contact where it refreshes the target.
func (c *Call) ok(l *Leg, tx *transaction.Server, m *sip.Message, body []byte) []byte {
	w := sip.NewWriter(make([]byte, 0, 768+len(body)))
	w.Respond(m, 200, "", "")
	if method := m.Method(); method == sip.INVITE || method == sip.UPDATE {
		w.Copy(m, sip.HeaderRecordRoute)
		w.Add("Contact", l.contact)
		l.writeTimer(w)
	}
	w.Add("Allow", allow)
	w.Add("Server", c.board.cfg.Product)
	w.Finish("application/sdp", body)
	raw, err := w.Bytes()
	if err == nil {
		err = tx.Respond(raw)
	}
	if err != nil {
		c.log.Debug("answer not sent", "method", m.Method(), "err", err)
	}
	return raw
}

// dtmfLength is how long a digit sounds when INFO does not say (RFC 4733 has no default; 160 ms is the usual one
// of phones and well above the 40 ms that receivers need).
const dtmfLength = 160 * time.Millisecond

// info turns DTMF in INFO into telephone-events for the other leg; anything else is passed on as it is.
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
	if o := c.other(l); o != nil && o.media != nil {
		if err := o.media.SendDTMF(string(rune(digit)), length); err != nil {
			c.log.Info("digit not sent", "leg", o.name, "err", err)
			c.board.refuse(tx, m, &sip.StatusError{Code: 488})
			return
		}
	}
	c.ok(l, tx, m, nil)
}

// relay passes a request with its body to the other leg and the answer back.
func (c *Call) relay(l *Leg, tx *transaction.Server, m *sip.Message) {
	o := c.other(l)
	if o == nil || o.state != legUp {
		c.ok(l, tx, m, nil) // the switch is the other side, and has no use for it
		return
	}
	w := sip.NewWriter(make([]byte, 0, 768+len(m.Body())))
	seq := o.dialog.Next()
	o.request(w, m.Method(), seq)
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
	c.send(&outgoing{call: c, leg: o, purpose: forRelay, method: m.Method(), seq: seq, relay: tx}, raw)
}

func (c *Call) relayAnswered(o *outgoing, m *sip.Message) {
	req := o.relay.Request()
	switch status := m.Status(); {
	case status < 200:
	case status < 300:
		if l := c.other(o.leg); l != nil {
			c.ok(l, o.relay, req, nil)
		}
	default:
		c.board.refuse(o.relay, req, &sip.StatusError{Code: status})
	}
}

// oneLine puts a folded value on one line.
func oneLine(s string) string {
	if strings.IndexByte(s, '\n') < 0 {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// lists tells whether a token stands in the text of a list header.
func lists(value, token string) bool {
	for e := range sip.List(value) {
		if sip.EqualFold(e, token) {
			return true
		}
	}
	return false
}
