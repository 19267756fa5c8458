package call

import (
	"errors"
	"time"

	"tandem/sip"
	"tandem/sip/dialog"
)

// errNoAnswer means that a 2xx answers our offer nowhere.
var errNoAnswer = errors.New("call: no session description in the answer")

// branchResponse takes a response to the INVITE of a branch.
func (c *Call) branchResponse(o *outgoing, m *sip.Message) {
	l := o.leg
	c.trunkReplied(l, m)
	if status := m.Status(); status > 100 && status < 200 && l.state <= legEarly && c.phase == phaseRouting && !c.acknowledge(o, m) {
		return
	}
	switch status := m.Status(); {
	case status == 100, status == 199: // 199 ends a fork's early dialog (RFC 6228); the others of the branch ring on
	case status < 200:
		c.branchRings(l, m)
	case status < 300:
		c.branchAnswers(o, m)
	case o != l.initial, l.state == legGone:
	case status == 430: // Flow Failed (RFC 5626 §11.5)
		c.branchFailed(l, &failure{status: 480, reason: m.Reason(), unreachable: true})
	case status == 422 && c.longer(l, m):
	case status == 488 && l.state == legTrying && l.media != nil && l.media.Insist():
		c.inviteAgain(l)
	case (status == 488 || status == 606) && c.otherMedia(l):
	case status < 400 && c.redirected(l, m):
	default:
		c.branchFailed(l, &failure{status: status, reason: m.Reason(), cause: m.Cause()})
	}
}

// longer tries again after a 422 with an interval that is longer than before.
func (c *Call) longer(l *Leg, m *sip.Message) bool {
	seconds, ok := m.Seconds(sip.HeaderMinSE)
	interval := time.Duration(seconds) * time.Second
	if !ok || l.interval == 0 || interval <= l.interval || interval > c.board.cfg.MaxDuration {
		return false
	}
	c.inviteLonger(l, interval)
	return true
}

// branchRings passes a provisional response on to the caller, with early media where there is any.
func (c *Call) branchRings(l *Leg, m *sip.Message) {
	if l.state > legEarly || c.phase != phaseRouting {
		return
	}
	l.state = legEarly
	c.record.attemptRang(l.attempt, time.Now())
	if d, err := l.dialog.Accept(m); err == nil && m.ToTag() != "" {
		l.dialog = d
	}
	status := max(m.Status(), 180)
	c.transferRings()
	switch {
	case m.Body() != "" && isType(m, "application/sdp") && l.media.SetAnswer([]byte(m.Body())) == nil:
		l.agreed = true
		c.hearEarly(l, status)
	case c.early == nil || c.early == l: // a plain 180 would have the caller's phone ring over what is heard
		c.provisional(status, nil)
	}
}

// hearEarly lets the caller hear the early media of a branch: of the last one that sent any. What the caller was
// told in the first 18x stays true, so a later branch must do with the codec agreed then.
func (c *Call) hearEarly(l *Leg, status int) {
	if c.a.state == legUp {
		c.joinUp(l)
		return
	}
	if c.a.invite.Request().Body() == "" { // a late offer cannot be made in a provisional without 100rel
		c.provisional(status, nil)
		return
	}
	answer, err := c.a.media.CreateAnswer(l.media)
	if err == nil {
		c.a.agreed = true
		err = c.a.media.Join(l.media)
	}
	if err != nil {
		c.log.Debug("no early media", "leg", l.name, "err", err)
		c.provisional(180, nil)
		return
	}
	c.early = l
	c.provisional(status, answer)
}

// joinUp lets a caller whom the switch has answered hear the early media of a branch.
func (c *Call) joinUp(l *Leg) {
	if !c.a.agreed {
		return
	}
	if err := c.a.media.Join(l.media); err != nil {
		c.log.Debug("no early media", "leg", l.name, "err", err)
		return
	}
	c.a.media.StopPlay()
	c.early = l
}

// branchAnswers takes a 2xx: the first one is the call, the same again is acknowledged again, any other is
// acknowledged and ended (RFC 3261 §13.2.2.4).
func (c *Call) branchAnswers(o *outgoing, m *sip.Message) {
	l := o.leg
	if ack, again := l.acks[m.ToTag()]; again {
		_ = l.flow.Send(ack)
		return
	}
	if l.state >= legUp || c.phase != phaseRouting {
		c.endFork(o, m)
		return
	}
	d, err := l.dialog.Accept(m)
	if err != nil { // no Contact: the one that it registered must do
		d.Target = l.half.Target
	}
	l.dialog, l.state, l.invited = d, legUp, nil
	l.allows = m.Header(sip.HeaderAllow)
	l.timer = dialog.AgreedBy(time.Now(), m)
	l.acks[m.ToTag()] = l.ackText(o.seq)
	c.ringing = without(c.ringing, l)
	if err := c.connect(l, m); err != nil {
		c.log.Info("answer of a branch not usable", "leg", l.name, "err", err)
		c.bye(l, sip.CauseIncompatible, "")
		c.branchFailed(l, &failure{status: 488, cause: sip.CauseIncompatible, reason: "answer not usable"})
		return
	}
	c.record.attemptAnswered(l.attempt, time.Now())
	c.trunkAnswered(l)
	c.stepEnds, c.members, c.localMedia = time.Time{}, nil, nil
	c.cancelBranches("SIP;cause=200;text=\"Call completed elsewhere\"")
	c.log.Debug("call answered", "leg", l.name)
	c.transferAnswered(l)
}

// connect joins the caller with the branch that answered, which has its ACK when that is kept: one that has it before does not say again, to who
// goes on with a call that rings, that it has answered.
func (c *Call) connect(l *Leg, m *sip.Message) error {
	defer func() {
		if !c.vanished {
			_ = l.flow.Send(l.acks[m.ToTag()])
		}
	}()
	heard := l.media.RemoteDirection()
	switch {
	case m.Body() != "":
		if !isType(m, "application/sdp") {
			return errNoAnswer
		}
		if err := l.media.SetAnswer([]byte(m.Body())); err != nil {
			return err
		}
	case !l.agreed:
		return errNoAnswer
	}
	told := c.a.agreed
	body, late, err := c.answerFor(l.media)
	if err != nil {
		return err
	}
	if err := c.a.media.Join(l.media); err != nil {
		return err
	}
	c.b, c.phase, c.early, l.agreed = l, phaseUp, nil, true
	// What the caller was told of early media stands; if the peer holds or resumes with its answer, or the switch
	// itself spoke before, it must be told anew.
	c.a.wantSync = told && (l.media.RemoteDirection() != heard || c.a.media.Video() != l.media.Video())
	if c.a.state == legUp {
		c.a.media.StopPlay()
		return nil
	}
	c.answerCaller(body, late)
	return nil
}

// endFork acknowledges and ends a dialog that nobody wants: a second answer, or one that crossed our CANCEL.
func (c *Call) endFork(o *outgoing, m *sip.Message) {
	if fork := o.leg.fork(m); fork != nil {
		o.leg.acks[m.ToTag()] = fork.ack(o.seq)
		c.bye(fork, sip.CauseNormal, "")
	}
}

// maxForks bounds the answers of one branch that are ended; what answers more often is no phone.
const maxForks = 64

// fork is the dialog that a further 2xx of a branch makes; nil: too many.
func (l *Leg) fork(m *sip.Message) *Leg {
	if len(l.acks) >= maxForks {
		return nil
	}
	d, err := l.half.Accept(m)
	if err != nil {
		d.Target = l.half.Target
	}
	return l.in().own(&Leg{name: l.name + "f", party: l.party, role: roleUAC, flow: l.flow, dialog: d})
}

// late takes a 2xx that comes when the call is over: it runs on a reading goroutine. Its dialog is ended, and so is
// the peer's own wait.
func (c *Call) late(o *outgoing, m *sip.Message) {
	c.lateness.Lock()
	defer c.lateness.Unlock()
	c.endLate(o, m)
}

func (c *Call) endLate(o *outgoing, m *sip.Message) {
	if o.method != sip.INVITE || m.Status()/100 != 2 {
		return
	}
	l := o.leg
	if o.purpose != forInvite {
		l.ack(o.seq)
		return
	}
	if ack, again := l.acks[m.ToTag()]; again {
		_ = l.flow.Send(ack)
		return
	}
	if fork := l.fork(m); fork != nil {
		l.acks[m.ToTag()] = fork.ack(o.seq)
		_, _ = c.board.table.Send(fork.flow, fork.bye(sip.CauseNormal, ""), deaf{})
	}
}

func without(legs []*Leg, l *Leg) []*Leg {
	out := legs[:0:0]
	for _, x := range legs {
		if x != l {
			out = append(out, x)
		}
	}
	return out
}
