package call

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// purpose says what a request of ours is for.
type purpose uint8

const (
	forInvite  purpose = iota // makes a branch
	forReoffer                // re-INVITE or UPDATE on behalf of the other leg
	forRefresh                // re-INVITE or UPDATE of the session timer
	forRelay                  // INFO and the like on behalf of the other leg
	forProbe                  // OPTIONS: does the peer still live?
	forBye
)

// outgoing is one request of ours: the sink of its client transaction. Its fields do not change once it is sent.
type outgoing struct {
	call    *Call
	leg     *Leg
	purpose purpose
	method  string
	seq     uint32
	client  *transaction.Client
	relay   *transaction.Server // the other leg's request that waits for this answer
}

// Response posts a response to the call.
func (o *outgoing) Response(_ *transaction.Client, m *sip.Message) {
	o.call.post(responseEvent{o, keep(m)})
}

// Failed posts the lack of one.
func (o *outgoing) Failed(_ *transaction.Client, why transaction.Failure) {
	o.call.post(failedEvent{o, why})
}

// deaf is the sink of a request whose answer nobody waits for.
type deaf struct{}

func (deaf) Response(*transaction.Client, *sip.Message)      {}
func (deaf) Failed(*transaction.Client, transaction.Failure) {}

// maxUDP is what a request may measure before a path's MTU is asked for (RFC 3261 §18.1.1).
const maxUDP = 1300

// passHeaders go from the caller's INVITE to the branches as they are. Everything else stays on its leg.
var passHeaders = []string{"Subject", "Priority", "Accept-Language", "Organization", "User-to-User"}

// ring sends one INVITE to each contact of the extensions. It reports how many branches began, and the failure
// of an extension that has none.
func (c *Call) ring(extensions []string) (begun int) {
	now := time.Now()
	for _, ext := range extensions {
		bindings := c.board.locator.Lookup(ext, now)
		switch {
		case len(bindings) == 0:
			c.noBranch(ext, &failure{status: 480, reason: "Not registered", unreachable: true})
		case ext != c.a.party && !c.board.hold(c, ext):
			c.noBranch(ext, &failure{status: 486})
		default:
			for _, b := range bindings {
				if len(c.ringing) < c.board.cfg.MaxBranches {
					c.startBranch(ext, b)
					begun++
				}
			}
		}
	}
	return begun
}

// noBranch records that an extension could not be rung at all.
func (c *Call) noBranch(ext string, f *failure) {
	i := c.record.attempt(ext, "", time.Now())
	c.record.attemptFailed(i, f, time.Now())
	c.best = better(c.best, f)
}

// startBranch begins a leg to one contact: down the flow that it registered over, or, where there is a Path or
// the request may be too large for UDP, over one that is looked up first.
func (c *Call) startBranch(ext string, b registrar.Binding) {
	target, routes := b.RequestURI(), b.Route()
	l := &Leg{
		call: c, name: fmt.Sprintf("b%d", len(c.record.Attempts)+1), party: ext, role: roleUAC, flow: b.Flow,
		nat: b.NAT,
	}
	l.dialog = dialog.Begin(c.callerAddress(l.flow), "<sip:"+sip.EscapeUser(ext)+"@"+c.domain(l.flow)+">", target, routes)
	l.tag, l.callID = l.dialog.LocalTag, l.dialog.CallID
	l.attempt = c.record.attempt(ext, b.Contact, time.Now())
	l.initial = &outgoing{call: c, leg: l, purpose: forInvite, method: sip.INVITE, seq: l.dialog.Next()}
	c.ringing = append(c.ringing, l)
	c.record.legs = append(c.record.legs, l)
	c.board.legs.add(l)
	if len(routes) == 0 && l.flow.Alive() {
		c.invite(l)
		return
	}
	c.reach(l)
}

// reach looks a flow up in the background; reachedEvent brings it.
func (c *Call) reach(l *Leg) {
	next, size := l.dialog.NextHop(), c.estimate(l)
	c.board.spawn(func(ctx context.Context) {
		uri, err := sip.ParseURI(next)
		var f transport.Flow
		if err == nil {
			f, err = c.board.router.Reach(ctx, uri, size)
		}
		c.post(reachedEvent{l, f, err})
	})
}

func (c *Call) reached(l *Leg, f transport.Flow, err error) {
	switch {
	case l.state == legGone:
	case err == nil:
		l.flow = f
		c.sendInvite(l)
	case l.flow.Alive() && len(l.dialog.Routes) == 0: // no TCP there: UDP after all (RFC 3261 §18.1.1)
		c.sendInvite(l)
	default:
		c.log.Info("branch unreachable", "leg", l.name, "err", err)
		c.branchFailed(l, &failure{status: 480, unreachable: true})
	}
}

// invite makes the branch's offer and sends the INVITE.
func (c *Call) invite(l *Leg) {
	if l.flow.Proto() == transport.UDP && !l.nat && c.estimate(l) > maxUDP {
		c.reach(l)
		return
	}
	c.sendInvite(l)
}

// estimate is about how long the branch's INVITE will be, in bytes, without its offer's exact text.
func (c *Call) estimate(l *Leg) int {
	n := 900 + len(l.dialog.Target) + len(l.dialog.Local)
	for _, r := range l.dialog.Routes {
		n += len(r) + 10
	}
	return n + len(c.a.invite.Request().Body())
}

func (c *Call) sendInvite(l *Leg) {
	if fail := l.allocate(l.nat); fail != nil {
		c.branchFailed(l, &failure{status: fail.Code, reason: fail.Reason})
		return
	}
	offer, err := l.media.CreateOffer(c.offerLike())
	if err != nil {
		c.branchFailed(l, &failure{status: 488, reason: err.Error()})
		return
	}
	l.contact = "<" + l.flow.Contact("") + ">"
	w := sip.NewWriter(make([]byte, 0, 1024+len(offer)))
	l.dialog.Write(w, sip.INVITE, l.initial.seq, l.flow.Via(sip.NewBranch()), c.hopsLeft())
	w.Add("Contact", l.contact)
	w.Add("Allow", allow)
	w.Add("Supported", "timer")
	w.Add("User-Agent", c.board.cfg.Product)
	c.passHeaders(w)
	w.Finish("application/sdp", offer)
	raw, err := w.Bytes()
	if err != nil {
		c.branchFailed(l, &failure{status: 500, reason: err.Error()})
		return
	}
	c.send(l.initial, raw)
}

// offerLike is the session whose offer a branch's own is made after: the caller's, if it made one.
func (c *Call) offerLike() Session {
	if c.a.invite.Request().Body() == "" && c.a.state < legUp {
		return nil
	}
	return c.a.media
}

// send starts the client transaction of a request; a flow that fails at once posts the failure.
func (c *Call) send(o *outgoing, raw []byte) {
	c.pending[o] = struct{}{}
	client, err := c.board.table.Send(o.leg.flow, raw, o)
	if err != nil {
		c.failed(o, transaction.TransportError)
		return
	}
	o.client = client
}

// hopsLeft is the caller's Max-Forwards less one; 70 where it had none.
func (c *Call) hopsLeft() int {
	if n, ok := c.a.invite.Request().MaxForwards(); ok && n > 0 {
		return n - 1
	}
	return 70
}

func (c *Call) passHeaders(w *sip.Writer) {
	m := c.a.invite.Request()
	for _, name := range passHeaders {
		if value, ok := m.Named(name); ok {
			w.Add(name, strings.Join(strings.Fields(value), " "))
		}
	}
}

// callerAddress is the From of our legs: the caller's number at our domain, with the name of the plan.
func (c *Call) callerAddress(f transport.Flow) string {
	id := c.decision.CallerID
	number := id.Number
	if number == "" {
		number = c.a.party
	}
	address := "<sip:" + sip.EscapeUser(number) + "@" + c.domain(f) + ">"
	if id.Name != "" {
		return sip.Quote(id.Name) + " " + address
	}
	return address
}

// domain is the host of addresses that we write: the first domain, or our own address on that flow.
func (c *Call) domain(f transport.Flow) string {
	if len(c.settings.Domains) > 0 {
		return c.settings.Domains[0]
	}
	if !f.Valid() {
		f = c.a.flow
	}
	return f.SentBy()
}

// response takes an answer to a request of ours.
func (c *Call) response(o *outgoing, m *sip.Message) {
	if m.Status() >= 200 {
		delete(c.pending, o)
	}
	switch o.purpose {
	case forInvite:
		c.branchResponse(o.leg, m)
	case forReoffer:
		c.reofferAnswered(o, m)
	case forRefresh:
		c.refreshAnswered(o, m)
	case forRelay:
		c.relayAnswered(o, m)
	case forProbe:
		c.probeAnswered(o.leg, m.Status())
	}
}

// failed takes the end of a request of ours that had no answer: the status is what RFC 3261 §8.1.3.1 puts in its
// place.
func (c *Call) failed(o *outgoing, why transaction.Failure) {
	delete(c.pending, o)
	f := &failure{status: 408, timeout: true}
	if why == transaction.TransportError {
		f = &failure{status: 503, unreachable: true}
	}
	switch o.purpose {
	case forInvite:
		c.branchFailed(o.leg, f)
	case forReoffer:
		c.reofferFailed(o, f)
	case forRefresh:
		c.hangUp(o.leg.name, sip.CauseTimerExpired, "Session refresh failed")
	case forRelay:
		c.board.refuse(o.relay, o.relay.Request(), &sip.StatusError{Code: f.status})
	case forProbe:
		c.probeAnswered(o.leg, f.status)
	}
}
