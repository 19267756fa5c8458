package call

import (
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/sip/transaction"
)

// transfer is what a REFER has begun (RFC 5589): one side of the call, the transferor, wants the other to speak with somebody
// else. The side that stays is Call.a while it lasts; the transferor keeps its leg until it is known how it ends, and is
// joined again when it fails.
type transfer struct {
	by        *Leg   // the transferor; nil: it has hung up
	party     string // its extension: whose rules hold
	refer     refer
	told      *subscription
	entry     int  // in the record
	preparing bool // the side that stays is taken off hold before the target is called
}

// transferState is what a Call knows of its transfers.
type transferState struct {
	transfer    *transfer          // that is under way; nil: none
	parting     *Leg               // a transferor that is told of its success, and then leaves
	referrals   int                // REFERs that were accepted
	recalled    bool               // a transferor has been rung again
	shown       *dialplan.CallerID // after a transfer: who the side that stays is
	resync      []resync           // re-INVITEs that are due after one another
	taking      bool               // the caller takes another call over
	neighbour   bool               // it is another shard that does, which has asked everybody
	seeking     *search            // the next extension that is rung is asked for at the neighbours
	wanted      *Leg               // another call is asked for the leg that is joined with it
	wantedTag   string             // the tag of its peer
	wantedNext  time.Time          // when it is asked again
	wantedUntil time.Time
}

// mostTransfers bounds those of one call: two phones that transfer to each other would go on for ever.
const mostTransfers = 20

// transferor is the leg that is transferring the other, or has done so and is about to leave; nil: none.
func (c *Call) transferor() *Leg {
	if c.transfer == nil {
		return c.parting
	}
	return c.transfer.by
}

// referred takes a REFER.
func (c *Call) referred(l *Leg, tx *transaction.Server, m *sip.Message) {
	r, fail := c.mayRefer(l, m)
	var replaced *Leg
	if fail == nil && r.replaces != nil {
		if replaced, fail = c.board.replaced(r.replaces, l.party); fail == nil && replaced.in() == c {
			fail = sip.Errorf(403, "That is this call")
		}
	}
	var elsewhere *search
	if r.replaces != nil {
		if elsewhere = c.board.searchFor(r.replaces, l.party, fail); elsewhere != nil {
			fail = nil
		}
	}
	var asked *Call
	if fail == nil && replaced != nil {
		asked = r.instead(replaced)
	}
	if asked != nil {
		replaced = nil
	}
	var decision dialplan.Decision
	facts := dialplan.Facts{From: l.party, To: r.number, Domain: r.host, Now: time.Now()}
	if fail == nil && replaced == nil && elsewhere == nil {
		decision = c.board.begun(c.settings.Plan, facts)
		if d := decision.Reject; d.Status != 0 {
			fail = &sip.StatusError{Code: d.Status, Reason: d.Reason}
		}
	}
	if fail != nil {
		c.log.Info("transfer refused", "by", l.party, "to", printable(r.number), "status", fail.Code)
		c.board.refuse(tx, m, fail)
		return
	}
	c.acceptRefer(l, tx, m, r, replaced == nil)
	if asked != nil {
		asked.postOnce(insteadEvent{})
	}
	if replaced != nil {
		c.want(replaced, r.replaces.remote)
		return
	}
	if c.hunt = nil; elsewhere != nil {
		c.seek(elsewhere, l.party)
	} else {
		c.facts, c.decision, c.steps = facts, decision, decision.Steps
		c.alarm(decision.Alarms)
	}
	c.resync = []resync{{c.a, true}}
	c.resyncNext()
}

// mayRefer tells whether a leg may transfer the other: an extension in a call that is up, with nothing open.
func (c *Call) mayRefer(l *Leg, m *sip.Message) (refer, *sip.StatusError) {
	o := c.other(l)
	switch {
	case l.trunk != nil:
		return refer{}, sip.Errorf(403, "No transfers from carriers")
	case c.transfer != nil:
		return refer{}, &sip.StatusError{Code: 491}
	case c.phase != phaseUp || l.state != legUp || o == nil || o.state != legUp || o.media == nil || l.media == nil:
		return refer{}, sip.Errorf(403, "Nobody to transfer")
	case len(c.record.Transfers) >= mostTransfers:
		return refer{}, sip.Errorf(403, "Transferred too often")
	}
	return c.readRefer(l, m)
}

// acceptRefer answers 202 and puts the side that stays in the caller's place; calls: somebody is to be called for it.
func (c *Call) acceptRefer(l *Leg, tx *transaction.Server, m *sip.Message, r refer, calls bool) {
	seq, _, _ := m.CSeq()
	t := &transfer{by: l, party: l.party, refer: r, told: &subscription{leg: l, silent: r.silent}, preparing: calls}
	if c.referrals++; c.referrals > 1 {
		t.told.id = seq
	}
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Respond(m, 202, "", "")
	w.Add("Contact", l.contact)
	if r.silent {
		w.Add("Refer-Sub", "false")
	}
	w.Add("Server", c.board.cfg.Product)
	w.Finish("", nil)
	raw, err := w.Bytes()
	kind := "blind"
	if r.replaces != nil {
		kind = "attended"
	}
	c.record.Transfers = append(c.record.Transfers, Transfer{At: time.Now().UTC(), By: l.party, To: printable(r.number), Kind: kind})
	t.entry = len(c.record.Transfers) - 1
	c.log.Info("transfer", "by", l.party, "to", printable(r.number), "kind", kind)
	stays := c.other(l)
	c.showCaller(stays)
	c.endAsked(stays)
	c.endAsked(l)
	_ = l.media.Part()
	c.a, c.b, c.transfer, c.phase = stays, nil, t, phaseRouting
	c.last, c.best, c.early, c.current = nil, nil, nil, nil
	if !c.commit() { // who goes on knows of it, and gives the call back to who wanted it
		return
	}
	if err == nil {
		err = tx.Respond(raw)
	}
	if err != nil {
		c.log.Debug("answer not sent", "method", m.Method(), "err", err)
	}
	c.tell(t.told, 100, false)
}

// showCaller keeps who the side that stays is, as the target is told it. The number that the plan gives the transferor is
// what carriers are told.
func (c *Call) showCaller(stays *Leg) {
	if stays == c.a { // it called, or has stayed before
		if c.shown == nil {
			id := c.decision.CallerID
			if id.Number == "" && stays.trunk == nil {
				id.Number = stays.party
			}
			if id.Name == "" {
				id.Name = c.callerName
			}
			c.shown = &id
		}
		return
	}
	id := dialplan.CallerID{Number: c.record.Number}
	if stays.trunk == nil {
		x, _ := c.settings.Plan.Extension(stays.party)
		id = dialplan.CallerID{Number: stays.party, Name: x.Name}
	}
	c.shown = &id
}

// callTarget takes the steps of the plan once the side that stays is ready.
func (c *Call) callTarget() {
	if t := c.transfer; t != nil && t.preparing && c.phase == phaseRouting {
		t.preparing = false
		c.nextStep()
	}
}

// transferRings passes on that the target rings.
func (c *Call) transferRings() {
	if t := c.transfer; t != nil {
		c.tell(t.told, 180, false)
	}
}

// transferAnswered joins the side that stays anew, as an ordinary re-offer, with the leg that has answered.
func (c *Call) transferAnswered(l *Leg) {
	if t := c.transfer; t != nil {
		if l.trunk != nil {
			c.record.payer = t.party
		}
		c.transferDone()
		c.resync = []resync{{c.a, false}}
		c.resyncNext()
	}
}

// transferCut is the end of a call that was being transferred.
func (c *Call) transferCut() {
	if t := c.transfer; t != nil {
		c.record.Transfers[t.entry].Status = 487
		c.tell(t.told, 487, true)
	}
}

// transferDone is the end of a transfer that came to something: the transferor is told, and leaves.
func (c *Call) transferDone() {
	t := c.transfer
	if t == nil {
		return
	}
	c.transfer = nil
	c.record.Transfers[t.entry].Status = 200
	by := t.by
	if by == nil {
		return
	}
	leave := func() { c.partWith(by) }
	if c.parting = by; t.told.silent {
		leave()
		return
	}
	t.told.then = leave
	c.tell(t.told, 200, true)
}

// partWith says goodbye to a transferor.
func (c *Call) partWith(by *Leg) {
	c.parting = nil
	c.endLeg(by, sip.CauseNormal, "Transferred")
	c.letGoIfIdle(by.party)
}

// transferFailed gives the call back to the transferor, or, where it has hung up, rings it: the call is its own to care for.
// false: nobody is left to give it to.
func (c *Call) transferFailed(status int) bool {
	t := c.transfer
	if t == nil || c.phase == phaseEnding {
		return false
	}
	if status < 300 {
		status = 480
	}
	c.stepEnds, c.members, c.steps, c.current = time.Time{}, nil, nil, nil
	c.endTalk()
	c.endHunt(sip.CauseOf(status))
	c.cancelBranches("")
	if c.phase == phaseEnding {
		return true
	}
	c.transfer, c.seeking = nil, nil
	c.record.Transfers[t.entry].Status = status
	c.log.Info("transfer failed", "by", t.party, "status", status)
	c.tell(t.told, status, true)
	c.a.media.StopPlay()
	if t.by == nil {
		return c.recall(t)
	}
	c.b, c.phase = t.by, phaseUp
	if err := c.a.media.Join(t.by.media); err != nil {
		c.log.Warn("legs not joined", "err", err)
	}
	c.resync = []resync{{c.a, false}}
	c.resyncNext()
	return true
}

// recall rings a transferor that has hung up before its transfer failed, once.
func (c *Call) recall(t *transfer) bool {
	if c.recalled {
		return false
	}
	c.recalled = true
	c.last, c.best = nil, nil
	c.steps = []dialplan.Step{dialplan.Dial{Targets: []dialplan.Target{{Extension: t.party}}, Timeout: recallTime}}
	c.nextStep()
	return true
}

// recallTime is how long a transferor is rung again.
const recallTime = 30 * time.Second

// transferorGone is a BYE of the transferor: the others go on without it.
func (c *Call) transferorGone(l *Leg) bool {
	switch {
	case c.transfer != nil && l == c.transfer.by:
		c.transfer.by = nil
		c.transfer.told.silent = true
	case l == c.parting:
		c.parting = nil
	default:
		return false
	}
	l.release()
	c.letGoIfIdle(l.party)
	return true
}

// resync is a re-INVITE that a leg is due after it was joined anew.
type resync struct {
	leg   *Leg
	alone bool // it is offered all that it may have, rather than what the other side has
}

// resyncNext begins the next re-INVITE; after the last one of a transfer that is being prepared, the target is called.
func (c *Call) resyncNext() {
	for len(c.resync) > 0 {
		next := c.resync[0]
		c.resync = c.resync[1:]
		if l := next.leg; l.state == legUp && l.farewell == nil && l.media != nil {
			l.wantSync, l.alone = true, next.alone
			return
		}
	}
	c.callTarget()
}

// synced notes that a leg's re-INVITE of this kind is over.
func (c *Call) synced(l *Leg) {
	if !l.wantSync {
		l.alone = false
		c.resyncNext()
	}
}
