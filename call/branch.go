package call

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/media"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transport"
	"tandem/trunk"
)

// maxUDP is what a request may measure before a path's MTU is asked for (RFC 3261 §18.1.1).
const maxUDP = 1300

// errPanic is what a look-up that panicked has found.
var errPanic = errors.New("call: look-up failed")

// ring sends one INVITE to each contact of the extensions.
func (c *Call) ring(extensions []string) {
	now := time.Now()
	sought := c.seeking
	c.seeking = nil
	for _, ext := range extensions {
		bindings := c.board.locator.Lookup(ext, now)
		if sought != nil {
			bindings = sought.ways
		}
		switch {
		case len(bindings) == 0:
			c.noBranch(ext, &failure{status: 480, reason: "Not registered", unreachable: true})
		case ext != c.a.party && !c.board.hold(c, ext):
			c.noBranch(ext, &failure{status: 486, reason: "Too many calls at once", ours: true})
		default:
			for i, b := range bindings {
				if len(c.ringing) < c.board.cfg.MaxBranches && !anotherFlow(bindings[:i], b) {
					c.startBranch(ext, b, flowsOf(bindings[i+1:], b), sought)
				}
			}
		}
	}
}

// anotherFlow tells whether a binding is a further flow of a phone that is among the bindings: it is rung over one at a
// time (RFC 5626 §5.3, §6).
func anotherFlow(among []registrar.Binding, b registrar.Binding) bool {
	return len(flowsOf(among, b)) > 0
}

// flowsOf are the other flows of the same phone.
func flowsOf(among []registrar.Binding, b registrar.Binding) (spare []registrar.Binding) {
	for _, o := range among {
		if b.Outbound() && o.Outbound() && o.Instance == b.Instance {
			spare = append(spare, o)
		}
	}
	return spare
}

// noBranch records that an extension could not be rung at all.
func (c *Call) noBranch(ext string, f *failure) {
	i := c.record.attempt(ext, "", time.Now())
	c.record.attemptFailed(i, f, time.Now())
	c.best = better(c.best, f)
}

// startBranch begins a leg to one contact: down the flow that it registered over, or, where there is a Path or
// the request may be too large for UDP, over one that is looked up first. spare are the phone's other flows; sought is the dialog whose
// place it is to take, nil: none.
func (c *Call) startBranch(ext string, b registrar.Binding, spare []registrar.Binding, sought *search) {
	target, routes := b.RequestURI(), b.Route()
	l := c.own(&Leg{
		name: c.nextName(), party: ext, role: roleUAC, flow: b.Flow,
		nat: b.NAT, instance: b.Instance, spare: spare, interval: max(c.board.cfg.SessionInterval, 0), acks: map[string][]byte{},
	})
	if sought != nil {
		l.replaces = sought.replaces
	}
	if len(b.Path) > 0 { // media goes straight to the phone, and comes from where it registered from
		l.place = b.Flow.Remote().Addr().Unmap()
	}
	l.half = dialog.Begin(c.callerAddress(l.flow), "<sip:"+sip.EscapeUser(ext)+"@"+c.domain(l.flow)+">", target, routes)
	l.dialog = l.half
	l.tag, l.callID = l.half.LocalTag, l.half.CallID
	l.attempt = c.record.attempt(ext, b.Contact, time.Now())
	l.web, l.guessed = c.isBrowser(ext, b.Params, b.Flow)
	l.initial = &outgoing{leg: l, purpose: forInvite, method: sip.INVITE}
	c.ringing = append(c.ringing, l)
	c.legs = append(c.legs, l)
	c.board.legs.add(l)
	if len(routes) > 0 || !l.flow.Alive() || l.flow.Proto() == transport.UDP && !l.nat && c.estimate(l) > maxUDP {
		c.reach(l)
		return
	}
	c.invite(l)
}

// reach looks a flow up in the background; reachedEvent brings it.
func (c *Call) reach(l *Leg) {
	next, size := l.half.NextHop(), c.estimate(l)
	c.board.spawn(func(ctx context.Context) {
		uri, err := sip.ParseURI(next)
		var f transport.Flow
		if err == nil {
			f, err = c.board.router.Reach(ctx, uri, size)
		}
		c.postOnce(reachedEvent{l, f, err})
	}, func() { c.postOnce(reachedEvent{l, transport.Flow{}, errPanic}) })
}

func (c *Call) reached(l *Leg, f transport.Flow, err error) {
	switch {
	case l.state == legGone:
	case err == nil && f.Valid():
		l.flow = f
		c.invite(l)
	case l.flow.Alive() && len(l.half.Routes) == 0: // no TCP there: UDP after all (RFC 3261 §18.1.1)
		c.invite(l)
	default:
		c.log.Debug("branch unreachable", "leg", l.name, "err", err)
		f := &failure{status: 480, unreachable: true}
		if l.trunk != nil { // not an absent person: a connection that failed (RFC 3261 §8.1.3.1)
			f.status = 503
		}
		c.branchFailed(l, f)
	}
}

// estimate is about how long the branch's INVITE will be, in bytes, without its offer's exact text.
func (c *Call) estimate(l *Leg) int {
	w := sip.NewWriter(make([]byte, 0, 512))
	c.addOwn(l, w)
	own, _ := w.Bytes()
	n := 850 + len(l.half.Target) + len(l.half.Local) + len(own)
	if l.trunk != nil && l.trunk.Config().STIR.Sign && c.settings.Signer != nil {
		n += c.settings.Signer.Size()
		for _, v := range c.verdict.Values {
			n += len(v)
		}
	}
	for _, r := range l.half.Routes {
		n += len(r) + 10
	}
	return n + len(c.invitation().Body())
}

// invite makes the branch's offer and sends the INVITE.
func (c *Call) invite(l *Leg) {
	if fail := l.allocate(l.nat); fail != nil {
		c.branchFailed(l, &failure{status: fail.Code, reason: fail.Reason, ours: true})
		return
	}
	offer, err := l.media.CreateOffer(c.offerLike())
	if err != nil {
		c.branchFailed(l, &failure{status: 488, reason: err.Error()})
		return
	}
	l.offer, l.contact = offer, "<"+l.flow.Contact("")+">"
	c.sendInvite(l)
}

// otherMedia tries a contact again that refused what it was offered because it is no browser after all, or is one.
func (c *Call) otherMedia(l *Leg) bool {
	if !l.guessed || l.trunk != nil || l.state != legTrying || c.phase != phaseRouting {
		return false
	}
	l.web, l.guessed = !l.web, false
	l.closeMedia()
	l.stats = media.Stats{}
	l.dialog = l.half
	l.initial = &outgoing{leg: l, purpose: forInvite, method: sip.INVITE}
	c.invite(l)
	return true
}

// inviteLonger sends the INVITE once more, with the session interval that the peer asks for (RFC 4028 §7.3).
func (c *Call) inviteLonger(l *Leg, interval time.Duration) {
	l.interval = interval
	c.again(l)
}

// inviteAgain sends the INVITE once more, with an offer of SRTP alone: a phone that takes no RTP/AVP has refused the one with
// both (RFC 8643 §3.1 lets it).
func (c *Call) inviteAgain(l *Leg) {
	offer, err := l.media.CreateOffer(c.offerLike())
	if err != nil {
		c.branchFailed(l, &failure{status: 488, reason: err.Error()})
		return
	}
	l.offer = offer
	c.again(l)
}

func (c *Call) again(l *Leg) {
	l.dialog = l.half
	l.initial = &outgoing{leg: l, purpose: forInvite, method: sip.INVITE}
	c.sendInvite(l)
}

func (c *Call) sendInvite(l *Leg) {
	l.initial.seq = l.half.Next()
	l.dialog.LocalSeq = l.half.LocalSeq
	w := sip.NewWriter(make([]byte, 0, 1024+len(l.offer)))
	l.half.Write(w, sip.INVITE, l.initial.seq, l.flow.Via(sip.NewBranch()), c.hopsLeft())
	w.Add("Contact", l.contact)
	w.Add("Allow", l.allow())
	l.writeSupported(w)
	if l.interval > 0 {
		w.SetInt(sip.HeaderSessionExpires, int(l.interval.Seconds()))
		w.SetInt(sip.HeaderMinSE, int(max(dialog.MinSE, l.minSE()).Seconds()))
	}
	if l.replaces != "" {
		w.Add("Replaces", l.replaces)
		w.Add("Require", "replaces")
	}
	c.addHeaders(l, w)
	w.Finish("application/sdp", l.offer)
	raw, err := w.Bytes()
	if err != nil {
		c.branchFailed(l, &failure{status: 500, reason: err.Error()})
		return
	}
	if l.trunk == nil && c.board.journal != nil {
		l.invited = raw
	}
	c.send(l.initial, raw)
}

// writeSupported says what our INVITE can do, and what it demands (RFC 3262 §4).
func (l *Leg) writeSupported(w *sip.Writer) {
	policy := trunk.ReliableSupported
	if l.trunk != nil {
		policy = l.trunk.Config().PRACK
	}
	if l.reliable = policy != trunk.ReliableOff; !l.reliable {
		w.Add("Supported", "timer")
		return
	}
	w.Add("Supported", "timer, "+rel100)
	if policy == trunk.ReliableRequired {
		w.Add("Require", rel100)
	}
}

// addHeaders writes what an INVITE has beside what the protocol needs: what passes from the caller, and what the trunk says.
func (c *Call) addHeaders(l *Leg, w *sip.Writer) {
	c.addOwn(l, w)
	if l.trunk != nil {
		c.sign(l, w)
	}
}

// addOwn writes all of that but the signature.
func (c *Call) addOwn(l *Leg, w *sip.Writer) {
	if l.trunk == nil {
		w.Add("User-Agent", c.board.cfg.Product)
		if c.transfer != nil {
			w.Add("Referred-By", "<sip:"+sip.EscapeUser(c.transfer.party)+"@"+c.domain(l.flow)+">")
		}
		c.tellVerdict(l, w)
		passHeaders(w, c.invitation(), passNames)
		return
	}
	cfg := l.trunk.Config()
	if cfg.Headers.Keeps("User-Agent") {
		w.Add("User-Agent", c.board.cfg.Product)
	}
	cfg.WriteIdentity(w, c.outwardCaller(), c.home())
	if c.hunt != nil {
		cfg.WriteDiversions(w, c.diversions(c.hunt.step), c.hunt.target.Number, c.home())
	}
	passHeaders(w, c.invitation(), cfg.Headers.Passes(carrierPassNames))
	cfg.Headers.Write(w)
}

// minSE is the least interval that was asked of us; 0: none (RFC 4028 §7.3: it is kept in what follows).
func (l *Leg) minSE() time.Duration {
	if l.interval > l.in().board.cfg.SessionInterval {
		return l.interval
	}
	return 0
}

// offerLike is the session whose offer a branch's own is made after: the caller's, if it made one.
func (c *Call) offerLike() Session {
	if c.invitation().Body() == "" && !c.a.agreed {
		return nil
	}
	return sessionOf(c.a)
}

// noInvite stands for that of a caller who did not call: the side that stays after its caller transferred it.
var noInvite sip.Message

// invitation is the caller's INVITE.
func (c *Call) invitation() *sip.Message {
	if c.a.invite == nil {
		return &noInvite
	}
	return c.a.invite.Request()
}

// hopsLeft is the caller's Max-Forwards less one; all where it had none.
func (c *Call) hopsLeft() int { return hopsAfter(c.invitation()) }

func hopsAfter(m *sip.Message) int {
	if n, ok := m.MaxForwards(); ok && n > 0 {
		return n - 1
	}
	return maxHops
}

// callerAddress is the From of our legs: the caller's number at our domain, with the name of the plan.
func (c *Call) callerAddress(f transport.Flow) string {
	id := c.decision.CallerID
	if c.shown != nil {
		id = *c.shown
	}
	number, name := id.Number, id.Name
	switch {
	case number == "" && c.a.trunk != nil:
		number = "anonymous"
	case number == "":
		number = c.a.party
	}
	if name == "" {
		name = c.callerName
	}
	address := fmt.Sprintf("<sip:%s@%s>", sip.EscapeUser(number), c.domain(f))
	if name != "" {
		return sip.Quote(name) + " " + address
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
