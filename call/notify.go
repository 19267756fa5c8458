package call

import (
	"strconv"

	"tandem/sip"
)

// subscription is the transferor's to the progress of its transfer (RFC 3515 §2.4.4). One NOTIFY is under way at a time, so
// that they arrive in order.
type subscription struct {
	leg    *Leg
	id     uint32 // CSeq of the REFER, from the second one of a dialog on; 0: the first
	busy   bool
	next   string // status line to be sent; what is newer takes its place
	last   bool   // next is the final one
	ended  bool
	then   func() // when the final one is answered
	silent bool   // RFC 4488: there is no subscription
}

// tell sends a status of the transfer, now or after the NOTIFY under way.
func (c *Call) tell(s *subscription, status int, last bool) {
	if s == nil || s.ended {
		return
	}
	s.next, s.last = "SIP/2.0 "+strconv.Itoa(status)+" "+sip.ReasonPhrase(status), last
	s.ended = last
	c.notify(s)
}

// notify sends what waits. A transferor that is gone is told no more, and the rest goes on.
func (c *Call) notify(s *subscription) {
	switch {
	case s.busy:
		return
	case s.next != "" && !s.silent && s.leg.state == legUp && s.leg.farewell == nil:
		c.sendNotify(s)
		return
	}
	s.next = ""
	if then := s.then; s.ended && then != nil {
		s.then = nil
		then()
	}
}

func (c *Call) sendNotify(s *subscription) {
	l := s.leg
	w := sip.NewWriter(make([]byte, 0, 768))
	seq := c.beginRequest(l, w, sip.NOTIFY, maxHops)
	w.Add("Contact", l.contact)
	event, state := "refer", "active;expires=180"
	if s.id != 0 {
		event += ";id=" + strconv.FormatUint(uint64(s.id), 10)
	}
	if s.last {
		state = "terminated;reason=noresource"
	}
	w.Add("Event", event)
	w.Add("Subscription-State", state)
	w.Finish("message/sipfrag;version=2.0", []byte(s.next+"\r\n"))
	s.next, s.busy = "", true
	raw, _ := w.Bytes()
	c.send(&outgoing{leg: l, purpose: forNotify, method: sip.NOTIFY, seq: seq, told: s}, raw)
}

// notified goes on with what is newer. Who does not want to know is told no more (RFC 6665 §4.2.2).
func (c *Call) notified(o *outgoing, status int) {
	s := o.told
	if status < 200 {
		return
	}
	s.busy = false
	if status >= 300 {
		s.silent = true
	}
	c.notify(s)
}
