package call

import (
	"sync/atomic"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
)

// purpose says what a request of ours is for.
type purpose uint8

const (
	forInvite  purpose = iota // makes a branch
	forReoffer                // re-INVITE or UPDATE on behalf of the other leg
	forRefresh                // re-INVITE or UPDATE of the session timer
	forSync                   // re-INVITE that tells a leg what the other side has come to by itself
	forRelay                  // INFO and the like on behalf of the other leg
	forPrack                  // PRACK: what comes back changes nothing
	forKey                    // INFO that tells of a key: what comes back changes nothing
	forNotify                 // NOTIFY of how a transfer goes
	forProbe                  // OPTIONS: does the peer still live?
	forBye
)

// outgoing is one request of ours: the sink of its client transaction.
type outgoing struct {
	leg     *Leg
	purpose purpose
	method  string
	seq     uint32
	offer   bool                // a session description is in it
	relay   *transaction.Server // the other leg's request that waits for this answer
	told    *subscription       // what a NOTIFY is of
	answers int                 // challenges that this request answers
	final   atomic.Bool         // the first final response has been posted

	// What follows belongs to the call's goroutine.
	client    *transaction.Client
	raw       []byte // of a request that may wait for its phone (see park), and the Via and Contact written in it
	via       string
	contact   string
	parked    bool      // it has waited
	awayUntil time.Time // it waits no longer for a phone of another shard; zero: it does not
	giveUp    time.Time // when a re-INVITE is cancelled
	cancelled bool      // it has been
	ack       []byte    // to the 2xx of a re-INVITE
}

// Response posts a response to the call. What comes when the call is over, a fork's 2xx after all others have hung
// up, still gets its ACK and BYE.
func (o *outgoing) Response(_ *transaction.Client, m *sip.Message) {
	e := responseEvent{o, keep(m)}
	if m.Status() >= 200 && !o.final.Swap(true) {
		if !o.leg.in().postOnce(e) {
			o.leg.in().late(o, e.m)
		}
		return
	}
	if o.leg.in().post(e) == gone {
		o.leg.in().late(o, e.m)
	}
}

// Failed posts the lack of one.
func (o *outgoing) Failed(_ *transaction.Client, why transaction.Failure) {
	o.leg.in().postOnce(failedEvent{o, why})
}

// deaf is the sink of a request whose answer nobody waits for.
type deaf struct{}

func (deaf) Response(*transaction.Client, *sip.Message)      {}
func (deaf) Failed(*transaction.Client, transaction.Failure) {}

// send starts the client transaction of a request; a flow that fails at once is a failure at once.
func (c *Call) send(o *outgoing, raw []byte) {
	c.pending[o] = struct{}{}
	if o.raw == nil && o.mayPark() {
		o.raw, o.via, o.contact = raw, viaOf(o.leg), o.leg.contact
		if !o.leg.flow.Alive() && c.park(o) {
			return
		}
	}
	client, err := c.board.table.Send(o.leg.flow, raw, o)
	if err != nil {
		c.log.Debug("request not sent", "leg", o.leg.name, "method", o.method, "err", err)
		c.failed(o, transaction.TransportError)
		return
	}
	o.client = client
}

// beginRequest starts a request of ours inside a dialog: over the flow that its phone is at now.
func (c *Call) beginRequest(l *Leg, w *sip.Writer, method string, hops int) (seq uint32) {
	if !l.flow.Alive() {
		c.refind(l)
	}
	seq = l.dialog.Next()
	l.request(w, method, seq, hops)
	return seq
}

// refind gives a leg whose connection is gone the flow over which its phone has registered again: the same
// instance (RFC 5626), the same contact, or the only phone that the extension has.
func (c *Call) refind(l *Leg) {
	if l.trunk != nil {
		c.refindCarrier(l)
		return
	}
	bindings := c.board.locator.Lookup(l.party, time.Now())
	for _, b := range bindings {
		same := b.Instance != "" && b.Instance == l.instance || b.RequestURI() == l.dialog.Target || len(bindings) == 1
		if same && b.Flow.Alive() && len(b.Path) == 0 { // a Path is not on the dialog's route
			l.move(b.Flow)
			return
		}
	}
}

// response takes an answer to a request of ours.
func (c *Call) response(o *outgoing, m *sip.Message) {
	if m.Status() == 430 && c.parkAway(o) {
		return
	}
	if m.Status() >= 200 {
		delete(c.pending, o)
	}
	if c.challenged(o, m) {
		return
	}
	switch o.purpose {
	case forInvite:
		c.branchResponse(o, m)
	case forReoffer, forRefresh, forSync:
		c.askAnswered(o, m)
	case forRelay:
		c.relayAnswered(o, m)
	case forNotify:
		c.notified(o, m.Status())
	case forProbe:
		c.probeAnswered(o.leg, m.Status())
	case forBye:
		if m.Status() >= 200 {
			o.leg.byeAnswered()
		}
	}
}

// failed takes the end of a request of ours that had no answer: the status is what RFC 3261 §8.1.3.1 puts in its
// place.
func (c *Call) failed(o *outgoing, why transaction.Failure) {
	if why == transaction.TransportError && c.park(o) { // its connection closed under it
		return
	}
	delete(c.pending, o)
	f := &failure{status: 408, timeout: true}
	if why == transaction.TransportError {
		f = &failure{status: 503, unreachable: true}
	}
	switch o.purpose {
	case forInvite:
		c.branchFailed(o.leg, f)
	case forReoffer, forRefresh, forSync:
		if o.leg.asking == o {
			o.leg.asking = nil
			c.askFailed(o, f, 0)
		}
	case forRelay:
		c.board.refuse(o.relay, o.relay.Request(), &sip.StatusError{Code: 500})
	case forNotify:
		c.notified(o, f.status)
	case forProbe:
		c.probeAnswered(o.leg, f.status)
	case forBye:
		o.leg.byeAnswered()
	}
}
