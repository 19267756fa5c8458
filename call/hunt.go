package call

import (
	"context"
	"slices"
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transport"
	"tandem/trunk"
)

// hunt is a dial over trunks: one trunk after the other, and in each its targets in turn (RFC 3263 §4.3). It ends with
// an answer, with a failure that no other trunk would mend, or when none is left.
type hunt struct {
	step      dialplan.Dial
	left      []dialplan.Target // trunks still to be tried
	down      []dialplan.Target // trunks passed over because they are down: tried when nothing else is left
	desperate bool              // they are being tried
	trunk     *trunk.Trunk
	target    dialplan.Target // that the trunk is of
	channel   *trunk.Channel
	hops      []transport.Hop // of the trunk, still to be tried
	routes    []string        // that the carrier gave us with the registration
	replyBy   time.Time       // when the target at hand counts as dead; zero: it has replied
	heard     bool            // early media has passed, or an answer: no other trunk is tried
}

// huntEvent brings the targets of a trunk.
type huntEvent struct {
	hunt   *hunt
	trunk  *trunk.Trunk
	hops   []transport.Hop
	routes []string
	err    error
}

// dialTrunks begins a hunt.
func (c *Call) dialTrunks(s dialplan.Dial) {
	if len(s.Diverted) > 0 && len(c.diversions(s))+c.divertedBefore() > mostDiversions {
		c.refuseCaller("switch", &sip.StatusError{Code: 482})
		return
	}
	if s.Payer != "" && c.record.payer != s.Payer { // a chain of trunks is one call
		c.record.Alarms = append(c.record.Alarms, c.forwardedBy(s.Payer, s.Targets[0].Number)...)
		c.record.payer = s.Payer
	}
	c.hunt = &hunt{step: s, left: s.Targets}
	c.nextTrunk()
}

// trunkFound begins with the targets of a trunk.
func (c *Call) trunkFound(e huntEvent) {
	h := c.hunt
	if h == nil || h != e.hunt || h.trunk != e.trunk || len(c.ringing) > 0 {
		return
	}
	if e.err != nil {
		c.log.Info("trunk cannot be found", "trunk", e.trunk.Name(), "err", e.err)
		f := &failure{status: 503, reason: "no address", unreachable: true}
		now := time.Now()
		c.record.attemptFailed(c.record.attemptTrunk(h.target, "", now), f, now)
		c.trunkFailed(f)
		return
	}
	h.hops, h.routes = e.hops, e.routes
	c.nextHop()
}

// nextHop begins a branch to the next target of the trunk.
func (c *Call) nextHop() {
	h := c.hunt
	hop := h.hops[0]
	h.hops = h.hops[1:]
	cfg, home, now := h.trunk.Config(), c.home(), time.Now()
	l := c.own(&Leg{
		name: c.nextName(), party: trunkParty(h.trunk), trunk: h.trunk, hop: hop, role: roleUAC,
		interval: max(c.board.cfg.SessionInterval, 0), acks: map[string][]byte{},
	})
	uri := cfg.RequestURI(h.target.Number, home)
	if cfg.Portable && c.a.trunk != nil { // a phone's word on where a number leads is not taken
		uri = trunk.WithPorted(uri, c.a.trunk.Config().Ported(c.invitation().RequestURI(), h.target.Number, home))
	}
	l.half = dialog.Begin(cfg.From(c.outwardCaller(), home), "<"+uri+">", uri, h.routes)
	l.dialog = l.half
	l.tag, l.callID = l.half.LocalTag, l.half.CallID
	l.attempt = c.record.attemptTrunk(h.target, hop.String(), now)
	l.initial = &outgoing{leg: l, purpose: forInvite, method: sip.INVITE}
	c.ringing = append(c.ringing, l)
	c.legs = append(c.legs, l)
	c.board.legs.add(l)
	c.awaitReply()
	t, size := h.trunk, c.estimate(l)
	c.board.spawn(func(ctx context.Context) {
		f, err := t.Connect(ctx, hop, size)
		c.postOnce(reachedEvent{l, f, err})
	}, func() { c.postOnce(reachedEvent{l, transport.Flow{}, errPanic}) })
}

// awaitReply gives the target at hand its time to say something.
func (c *Call) awaitReply() {
	if h := c.hunt; h != nil && h.step.Failover.FirstReply > 0 {
		h.replyBy = time.Now().Add(h.step.Failover.FirstReply)
	}
}

// trunkReplied notes any response of the target at hand.
func (c *Call) trunkReplied(l *Leg, m *sip.Message) {
	if l.trunk == nil || l.state == legGone {
		return
	}
	now := time.Now()
	if m.Status() == 503 {
		l.trunk.FailedWith(now, l.hop, m)
	} else if !l.replied {
		l.trunk.Worked(now, l.hop)
	}
	l.replied = true
	h := c.hunt
	if h == nil {
		return
	}
	h.replyBy = time.Time{}
	switch status := m.Status(); {
	case status > 100 && status < 200:
		h.channel.Rang(now)
		h.heard = h.heard || m.Body() != ""
	case status/100 == 2:
		h.heard = true
	}
}

// replyMissed is the end of patience with a target that has said nothing. Its INVITE is cancelled as soon as it speaks.
func (c *Call) replyMissed() {
	h := c.hunt
	h.replyBy = time.Time{}
	for _, l := range slices.Clone(c.ringing) {
		if l.initial.client != nil {
			l.initial.client.Cancel("")
		}
		c.branchFailed(l, &failure{status: 408, timeout: true})
	}
}

// replyBy is when the target at hand must have replied; zero: no matter.
func (c *Call) replyBy() time.Time {
	if c.hunt == nil {
		return time.Time{}
	}
	return c.hunt.replyBy
}

// hopFailed goes on to the next target of the trunk where this one is dead, and else ends the trunk.
func (c *Call) hopFailed(l *Leg, f *failure) {
	h := c.hunt
	h.replyBy = time.Time{}
	if f.timeout || f.unreachable {
		l.trunk.Failed(time.Now(), l.hop, 0, l.whyFailed(f))
	}
	if (f.timeout || f.unreachable || f.status == 503) && !h.heard && len(h.hops) > 0 {
		c.nextHop()
		return
	}
	c.trunkFailed(f)
}

func (l *Leg) whyFailed(f *failure) string {
	switch {
	case !f.timeout:
		return "no connection"
	case l.replied:
		return "no final reply"
	}
	return "no reply"
}

// trunkFailed gives the trunk's channel back, and goes on to the next one where the plan says so: never after early
// media or an answer.
func (c *Call) trunkFailed(f *failure) {
	h := c.hunt
	cause := f.cause
	if cause == 0 {
		cause = sip.CauseOf(f.status)
	}
	h.channel.Release(time.Now(), cause)
	h.channel = nil
	c.best = f
	if !h.heard && h.step.Failover.MovesOn(f.status, f.timeout, f.unreachable) {
		c.nextTrunk()
		return
	}
	c.endHunt(cause)
	c.branchesFailed()
}

// huntTimedOut is the end of ringing over a trunk. Whoever does not answer does not on another trunk either, so that is
// tried only where the plan asks for it. It is false where the step is over.
func (c *Call) huntTimedOut() bool {
	h := c.hunt
	if h == nil {
		return false
	}
	h.channel.Release(time.Now(), sip.CauseNoAnswer)
	h.channel = nil
	if !h.heard && slices.Contains(h.step.Failover.On, string(dialplan.NoAnswer)) {
		c.nextTrunk()
		return true
	}
	c.endHunt(sip.CauseNoAnswer)
	return false
}

// endHunt gives back what the hunt holds.
func (c *Call) endHunt(cause sip.Cause) {
	if h := c.hunt; h != nil {
		c.hunt = nil
		h.channel.Release(time.Now(), cause)
	}
}

// trunkAnswered hands the channel to the leg that answered.
func (c *Call) trunkAnswered(l *Leg) {
	if h := c.hunt; h != nil && l.trunk != nil {
		l.channel, h.channel, c.hunt = h.channel, nil, nil
		l.channel.Answered(time.Now())
	}
}

// trunkParty is a trunk as the party of a leg.
func trunkParty(t *trunk.Trunk) string { return "trunk." + t.Name() }

// home is what digits mean here.
func (c *Call) home() trunk.Home {
	n := c.settings.Plan.Numbering()
	return &n
}
