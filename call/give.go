package call

import (
	"time"

	"tandem/sip"
)

// Two calls become one: one of them gives a leg to the other, for a transfer to somebody whom the transferor speaks with
// already (RFC 5589 §7), or for a phone that takes a call of its own extension over (RFC 3891). The call that wants asks;
// the one that gives does all at a moment when nothing is open on that leg, and what arrives for it from then on follows it.

type (
	// giveEvent asks a call for the leg that is joined with one of its own, which ends.
	giveEvent struct {
		leg    *Leg   // its own
		remote string // the tag of the peer there, as who asks knows it
		to     *Call
	}
	// givenEvent is the answer. leg is nil where nothing can be given; busy: now.
	givenEvent struct {
		leg     *Leg
		pending []*outgoing // its requests that wait for answers
		busy    bool
	}
)

// How long, and how often, a call is asked that has something open.
const (
	askTime  = 5 * time.Second
	askAgain = 200 * time.Millisecond
)

// want begins to ask the call that a leg is in for the other one.
func (c *Call) want(l *Leg, remote string) {
	c.wanted, c.wantedTag, c.wantedUntil = l, remote, time.Now().Add(askTime)
	c.askFor(l)
}

func (c *Call) askFor(l *Leg) {
	c.wantedNext = time.Time{}
	if !l.in().postOnce(giveEvent{l, c.wantedTag, c}) {
		c.given(givenEvent{})
	}
}

// give hands the leg over that is joined with l, and ends l.
func (c *Call) give(e giveEvent) {
	l := e.leg
	o := c.other(l)
	switch {
	case l.in() != c, l.dialog.RemoteTag != e.remote, o == nil, c.phase != phaseUp, l.state != legUp, o.state != legUp, l.farewell != nil:
		e.to.postOnce(givenEvent{})
		return
	case l.negotiating(), o.negotiating(), o.owesACK(), o.wantSync, l.held(), o.held(), c.transfer != nil, len(c.parked) > 0:
		e.to.postOnce(givenEvent{busy: true})
		return
	}
	c.a, c.b = l, nil
	c.record.Legs = append(c.record.Legs, o.entry())
	var pending []*outgoing
	for p := range c.pending {
		if p.leg == o {
			pending = append(pending, p)
		}
	}
	mine, name, party := c.legs, o.name, o.party // once it is given, nothing of it is ours to read
	c.legs = without(c.legs, o)
	if !e.to.inbox.putWith(givenEvent{leg: o, pending: pending}, func() { o.owner.Store(e.to) }) {
		c.legs, c.b = mine, o // the call that wanted it is over
		c.record.Legs = c.record.Legs[:len(c.record.Legs)-1]
		return
	}
	for _, p := range pending {
		delete(c.pending, p)
	}
	c.log.Info("leg handed over", "leg", name, "to", e.to.id)
	c.letGoIfIdle(party)
	c.hangUp(l.name, sip.CauseNormal, "Transferred")
}

// given takes the leg that was asked for, or that there is none.
func (c *Call) given(e givenEvent) {
	if e.leg == nil {
		c.notGiven(e.busy)
		return
	}
	l := e.leg
	l.name = c.nextName()
	if l.media != nil {
		l.media.Rename(c.id, l.name) // notes of its streams are of this call
	}
	c.legs = append(c.legs, l)
	for _, p := range e.pending {
		c.pending[p] = struct{}{}
	}
	c.wanted = nil
	if l.trunk == nil {
		c.board.hold(c, l.party)
	}
	ours := c.a.state == legUp && c.phase != phaseEnding && c.b == nil && c.transfer != nil
	if c.taking && c.phase == phaseRouting {
		c.take(l)
		return
	}
	if !ours || l.media == nil {
		c.endLeg(l, sip.CauseNormal, "")
		return
	}
	now := time.Now()
	i := c.record.attempt(l.party, l.dialog.Target, now)
	c.record.attemptAnswered(i, now)
	l.attempt = i
	if l.trunk != nil {
		c.record.payer = c.transfer.party
	}
	c.joinGiven(l)
	c.resync = []resync{{c.a, true}, {l, false}, {c.a, false}}
	c.transferDone()
	c.resyncNext()
}

func (c *Call) joinGiven(l *Leg) {
	c.b, c.phase = l, phaseUp
	c.a.media.StopPlay()
	if err := c.a.media.Join(l.media); err != nil {
		c.log.Warn("legs not joined", "err", err)
	}
}

// notGiven tries again where there is something open, or gives up.
func (c *Call) notGiven(busy bool) {
	now := time.Now()
	switch {
	case c.wanted == nil || c.phase == phaseEnding:
		return
	case busy && now.Before(c.wantedUntil):
		c.wantedNext = now.Add(askAgain)
		return
	}
	c.wanted = nil
	status := 481
	if busy {
		status = 491
	}
	if c.taking {
		c.refuseCaller("switch", &sip.StatusError{Code: status})
		return
	}
	c.transferFailed(status)
}

// takesOver tells whether an INVITE takes a call of its own extension over: for a moment there are two of them.
func (s *Switchboard) takesOver(m *sip.Message, extension string) bool {
	value, ok := m.Named("Replaces")
	if !ok {
		return false
	}
	r := parseReplaces(oneLine(value))
	if r == nil {
		return false
	}
	_, fail := s.replaced(r, extension)
	return fail == nil
}

// takeOver begins a call that takes the place of another one of the same extension (INVITE with Replaces, RFC 3891 §3).
// false: there is no such header.
func (c *Call) takeOver() bool {
	value, ok := c.a.invite.Request().Named("Replaces")
	if !ok {
		return false
	}
	r := parseReplaces(oneLine(value))
	if r == nil || c.a.trunk != nil {
		c.refuseCaller("switch", sip.Errorf(400, "Malformed Replaces"))
		return true
	}
	l, fail := c.board.replaced(r, c.a.party)
	if x := c.board.searchFor(r, c.a.party, fail); x != nil && !c.neighbour {
		c.record.Transfers = append(c.record.Transfers, Transfer{At: time.Now().UTC(), By: c.a.party, Kind: "replaces", Status: 200})
		c.seek(x, c.a.party)
		c.nextStep()
		return true
	}
	switch {
	case fail != nil:
		c.refuseCaller("switch", fail)
		return true
	case r.earlyOnly:
		c.refuseCaller("switch", &sip.StatusError{Code: 486})
		return true
	}
	c.taking = true
	c.record.Transfers = append(c.record.Transfers, Transfer{At: time.Now().UTC(), By: c.a.party, Kind: "replaces", Status: 200})
	c.want(l, r.remote)
	return true
}

// take answers the phone that takes a call over, and joins it with the side that was left.
func (c *Call) take(l *Leg) {
	c.taking = false
	body, late, err := c.answerFor(l.media)
	if err != nil {
		c.endLeg(l, sip.CauseIncompatible, "")
		c.refuseCaller("switch", mediaStatus(err))
		return
	}
	i := c.record.attempt(l.party, l.dialog.Target, time.Now())
	c.record.attemptAnswered(i, time.Now())
	l.attempt = i
	c.joinGiven(l)
	c.answerCaller(body, late)
	c.resync = []resync{{l, false}}
	c.resyncNext()
}
