package call

import (
	"errors"
	"slices"
	"strings"
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// A call that rings is kept too, without anybody waiting for that: both peers repeat what they say over UDP (RFC 3261 §17.1.1.2, §13.3.1.4), so
// who goes on can finish it. It sends the INVITEs of the branches again, letter by letter: a phone that knows them repeats its last answer.
// What is left out ends with its process: connections, carriers that are called, early media, reliable provisional responses, transfers, and
// the next members of a group that is rung in order.

// RingingState is what a State has of a call that nobody has answered.
type RingingState struct {
	Invite   string        `json:"invite"` // the caller's, without its credentials
	Ends     time.Time     `json:"ends"`   // of the step
	Branches []BranchState `json:"branches"`
}

// BranchState is one phone that rings. Its Dialog is the half that our INVITE began, its Media waits for the answer to our offer.
type BranchState struct {
	Leg      LegState      `json:"leg"`
	Invite   string        `json:"invite"` // ours
	Attempt  int           `json:"attempt"`
	Interval time.Duration `json:"interval,omitempty"`
	Reliable bool          `json:"reliable,omitempty"`
}

const (
	// mostRinging bounds the branches of a call that is kept while it rings.
	mostRinging = 8
	// mostInvite bounds the caller's INVITE, in bytes: a stranger's of 64 KB, a hundred a second, would fill what waits for the store.
	mostInvite = 16 << 10
)

// ringsOn tells whether the call is one that another process could let ring on.
func (c *Call) ringsOn() bool {
	if j := c.board.journal; j == nil || !j.Rings() || c.phase != phaseRouting || !c.answered.IsZero() || c.a.state >= legUp || c.kept == keptGone || c.vanished {
		return false
	}
	if len(c.ringing) == 0 || len(c.ringing) > mostRinging || c.members != nil || c.transfer != nil || c.early != nil || c.a.agreed || c.hunt != nil || c.taking || c.relies() {
		return false
	}
	for _, l := range c.ringing {
		if l.invited == nil || l.media == nil || l.trunk != nil || l.agreed || l.flow.Proto() != transport.UDP {
			return false
		}
	}
	return c.a.invite != nil && len(c.a.invite.Request().Raw()) <= mostInvite && c.a.flow.Proto() == transport.UDP
}

// ringingState is the call as another process would let it ring on.
func (c *Call) ringingState() (State, bool) {
	s := c.state()
	s.A.Media = nil // it has answered nothing: a session as good is made of its offer
	r := &RingingState{Invite: withoutCredentials(c.a.invite.Request().Raw()), Ends: byClock(time.Now(), c.stepEnds)}
	for _, l := range c.ringing {
		b := BranchState{Leg: l.saved(), Invite: string(l.invited), Attempt: l.attempt, Interval: l.interval, Reliable: l.reliable}
		m, ok := l.media.State(true)
		if !ok {
			return s, false
		}
		b.Leg.Media, b.Leg.Dialog = &m, l.half
		r.Branches = append(r.Branches, b)
	}
	s.Ringing = r
	return s, true
}

// withoutCredentials leaves out what a message proves its sender with.
func withoutCredentials(raw string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	var b strings.Builder
	secret := false
	for line := range strings.Lines(head + "\r\n") {
		if line[0] != ' ' && line[0] != '\t' { // else it goes on with the header before
			name, _, _ := strings.Cut(line, ":")
			name = strings.TrimSpace(name)
			secret = sip.EqualFold(name, "Authorization") || sip.EqualFold(name, "Proxy-Authorization")
		}
		if !secret {
			b.WriteString(line)
		}
	}
	return b.String() + "\r\n" + body
}

var errRings = errors.New("call: its state while it rang cannot be read")

// ring makes a call that rings: the caller's leg out of its INVITE, as when it came, and the branches as they were. One that cannot ring on
// has them all the same: they are told.
func (a *adoption) ring(c *Call) (err error) {
	st, r := a.st, a.st.Ringing
	flow := a.attach(st.A.Flow)
	invite, err := a.invite(flow)
	l := c.own(&Leg{
		name: st.A.Leg, party: st.A.Party, role: roleUAS, flow: flow, invite: invite, instance: st.A.Instance, contact: st.A.Contact,
		tag: st.A.Dialog.LocalTag, callID: st.A.Dialog.CallID,
	})
	c.a, c.legs = l, []*Leg{l}
	if t := a.board.trunks.Find(st.A.Trunk); t != nil {
		l.trunk, l.channel = t, t.Readmit(st.A.Direction, c.started, time.Time{})
	}
	if err == nil {
		if fail := l.open(invite.Request()); fail != nil {
			l.closeMedia()
			err = fail
		}
	}
	a.step(c)
	c.stepEnds = a.later(r.Ends)
	for i := range r.Branches {
		err = errors.Join(err, a.branch(c, &r.Branches[i]))
	}
	return err
}

// invite is the caller's INVITE; of one that cannot be read, and so not be answered, what is known of its dialog.
func (a *adoption) invite(flow transport.Flow) (*transaction.Server, error) {
	m := new(sip.Message)
	if m.Parse(a.st.Ringing.Invite) != nil || !m.IsRequest() {
		return transaction.Ended(flow, inviteOf(&a.st.A.Dialog)), errRings
	}
	return a.board.table.Resume(flow, m), nil
}

// branch makes one branch.
func (a *adoption) branch(c *Call, b *BranchState) (err error) {
	st := &b.Leg
	_, offer, _ := strings.Cut(b.Invite, "\r\n\r\n")
	l := c.own(&Leg{
		name: st.Leg, party: st.Party, role: roleUAC, flow: a.attach(st.Flow), nat: st.NAT, web: st.Web, instance: st.Instance, contact: st.Contact,
		half: st.Dialog, dialog: st.Dialog, tag: st.Dialog.LocalTag, callID: st.Dialog.CallID, timer: dialog.SessionTimer{},
		interval: b.Interval, reliable: b.Reliable, attempt: b.Attempt, invited: []byte(b.Invite), offer: []byte(offer), acks: map[string][]byte{},
	})
	l.initial = &outgoing{leg: l, purpose: forInvite, method: sip.INVITE, seq: st.Dialog.LocalSeq}
	c.legs, c.ringing = append(c.legs, l), append(c.ringing, l)
	c.ringsFor = len(c.ringing)
	if st.Media == nil {
		return errRings
	}
	l.media, err = a.open(*st.Media, l)
	return err
}

// step finds the step of the plan that was under way; of a plan that has changed nothing follows it.
func (a *adoption) step(c *Call) {
	d := a.board.route(c.settings.Plan, c.facts)
	if at := a.st.Step; d.Reject.Status == 0 && d.Plan == c.decision.Plan && d.Route == c.decision.Route && at > 0 && at <= len(d.Steps) {
		c.decision, c.current, c.steps = d, d.Steps[at-1], d.Steps[at:]
		return
	}
	c.current = dialplan.Dial{}
}

// goOnRinging asks every branch again, also where the call cannot go on: only so can a phone be told that it shall ring no more.
func (c *Call) goOnRinging() {
	deaf := c.a.media == nil || slices.ContainsFunc(c.ringing, func(l *Leg) bool { return l.media == nil })
	c.starting = true
	for _, l := range c.ringing {
		c.send(l.initial, l.invited)
	}
	c.starting = false
	switch {
	case deaf:
		c.refuseCaller("switch", &sip.StatusError{Code: 480, Cause: sip.CauseTemporary})
	case len(c.ringing) == 0:
		c.branchesFailed()
	}
}
