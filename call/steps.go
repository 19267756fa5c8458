package call

import (
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
)

// nextStep runs the next step of the plan, or ends the call when there is none.
func (c *Call) nextStep() {
	if c.phase == phaseEnding {
		return
	}
	played := speaks(c.current)
	c.endTalk()
	c.turn++
	c.stepEnds, c.members, c.current = time.Time{}, nil, nil
	if c.best != nil {
		c.last, c.best = c.best, nil
	}
	if len(c.steps) == 0 {
		c.outOfSteps(played)
		return
	}
	c.current, c.steps = c.steps[0], c.steps[1:]
	switch s := c.current.(type) {
	case dialplan.Dial:
		c.dial(s)
	case dialplan.Ring:
		c.ringGroup(s)
	case dialplan.Play:
		c.play(s)
	case dialplan.Echo:
		c.local(func() error { return c.a.media.Echo() })
	case dialplan.Tone:
		c.local(func() error { return c.a.media.Play(media.Tone(float64(s.Hz), toneLevel, time.Second), true) })
	case dialplan.Menu:
		c.menu(s)
	case dialplan.Voicemail:
		c.voicemail(s)
	case dialplan.Hook:
		c.hook(s)
	case dialplan.Set:
		c.set(s)
	case dialplan.Reject:
		c.refuseCaller("switch", &sip.StatusError{Code: s.Status, Reason: s.Reason, Cause: sip.Cause(s.Cause)})
	case dialplan.Redirect:
		c.redirect(s)
	default:
		c.refuseCaller("switch", &sip.StatusError{Code: 500, Reason: "Step not available"})
	}
}

// speaks tells whether in a step the switch itself speaks with the caller.
func speaks(s dialplan.Step) bool {
	switch s.(type) {
	case dialplan.Play, dialplan.Menu, dialplan.Voicemail:
		return true
	}
	return false
}

// toneLevel is the level of the test tone in dBm0: the digital milliwatt's 1004 Hz at the level that lines are
// measured with.
const toneLevel = -10

// outOfSteps ends a call whose steps have all been done: as the last of them failed, or, where a notice was the last
// that an answered caller heard, as usual.
func (c *Call) outOfSteps(played bool) {
	switch {
	case c.transfer != nil && c.last == nil:
		c.transferFailed(480)
	case c.a.state == legUp && (played || c.last == nil):
		c.hangUp("switch", sip.CauseNormal, "")
	case c.last != nil:
		c.refuseCaller(c.last.by(), c.last.status480())
	default:
		c.refuseCaller("switch", &sip.StatusError{Code: 480, Cause: sip.CauseNormal})
	}
}

// ringback lets a caller whom the switch has answered already hear that it rings.
func (c *Call) ringback() {
	if c.a.state == legUp && c.a.agreed {
		_ = c.a.media.Play(c.board.sounds().ring, true) // one who cannot hear it may still be heard
	}
}

func (c *Call) dial(s dialplan.Dial) {
	c.ringback()
	if len(s.Targets) > 0 && s.Targets[0].Trunk != "" {
		c.dialTrunks(s)
		return
	}
	var extensions []string
	for _, t := range s.Targets {
		if t.Extension != "" {
			extensions = append(extensions, t.Extension)
		}
	}
	c.ringFor(s.Timeout, extensions)
}

// ringFor rings extensions together. With nobody to ring the step has failed already.
func (c *Call) ringFor(timeout time.Duration, extensions []string) {
	if timeout <= 0 {
		timeout = c.board.cfg.RingTimeout
	}
	c.stepEnds = time.Now().Add(min(timeout, c.board.cfg.RingTimeout))
	c.starting = true
	c.ring(extensions)
	c.starting = false
	if len(c.ringing) == 0 {
		c.branchesFailed()
	}
}

func (c *Call) ringGroup(s dialplan.Ring) {
	c.board.turn(s.Group)
	c.ringback()
	if s.Strategy == dialplan.RingAll {
		c.ringFor(s.Timeout, s.Members)
		return
	}
	c.members = s.Members
	c.groupEnds = time.Now().Add(s.Timeout)
	c.nextMember(s)
}

// nextMember rings the next of an ordered group, for its share of the group's time.
func (c *Call) nextMember(s dialplan.Ring) {
	left := time.Until(c.groupEnds)
	if len(c.members) == 0 || left <= 0 {
		c.members = nil
		c.branchesFailed()
		return
	}
	member := c.members[0]
	c.members = c.members[1:]
	each := s.Each
	if each <= 0 || each > left {
		each = left
	}
	c.ringFor(each, []string{member})
}

// branchFailed takes one branch off, and ends the step when it was the last one. A 6xx ends the others too
// (RFC 3261 §16.7).
func (c *Call) branchFailed(l *Leg, f *failure) {
	if l.state == legGone {
		return
	}
	c.record.attemptFailed(l.attempt, f, time.Now())
	c.ringing = without(c.ringing, l)
	c.dropBranch(l)
	if c.phase != phaseRouting {
		return
	}
	if c.hunt != nil && l.trunk != nil {
		c.hopFailed(l, f)
		return
	}
	if f.unreachable && len(l.spare) > 0 {
		c.startBranch(l.party, l.spare[0], l.spare[1:], nil)
		return
	}
	c.best = better(c.best, f)
	if f.status >= 600 {
		c.cancelBranches("")
	}
	if len(c.ringing) == 0 && !c.starting {
		c.branchesFailed()
	}
}

// dropBranch releases a branch: its media, and its dialog for all but the answers to its INVITE.
func (c *Call) dropBranch(l *Leg) {
	if c.early == l {
		c.early = nil
		if c.a.media != nil {
			_ = c.a.media.Part()
		}
	}
	l.release()
	if l.party != c.a.party {
		c.letGoIfIdle(l.party)
	}
}

// letGoIfIdle takes the call off an extension's count when none of its legs is left.
func (c *Call) letGoIfIdle(party string) {
	for _, l := range c.legs {
		if l.party == party && l.state != legGone {
			return
		}
	}
	c.board.letGo(c, party)
}

// branchesFailed is the end of ringing without an answer: the next member, what the plan says for that failure,
// or the next step.
func (c *Call) branchesFailed() {
	c.stepEnds = time.Time{}
	if s, ok := c.current.(dialplan.Ring); ok && len(c.members) > 0 && (c.best == nil || c.best.status < 600) {
		c.nextMember(s)
		return
	}
	if c.best == nil {
		c.best = &failure{status: 480, unreachable: true}
	}
	if h := dialplan.HandlerFor(handlers(c.current), c.best.status, c.best.timeout); h != nil {
		c.steps = h.Steps
	}
	c.nextStep()
}

func handlers(s dialplan.Step) []dialplan.Handler {
	switch s := s.(type) {
	case dialplan.Dial:
		return s.On
	case dialplan.Ring:
		return s.On
	}
	return nil
}

// stepTimedOut is the end of a step's ringing time.
func (c *Call) stepTimedOut() {
	now := time.Now()
	f := &failure{status: 408, cause: sip.CauseNoAnswer}
	for _, l := range c.ringing {
		c.record.attemptFailed(l.attempt, f, now)
	}
	c.best = better(c.best, f)
	c.cancelBranches("")
	if !c.huntTimedOut() {
		c.branchesFailed()
	}
}

// cancelBranches gives up every branch that still rings. reason is the value of a Reason header, or empty.
func (c *Call) cancelBranches(reason string) {
	ringing := c.ringing
	c.ringing = nil
	now := time.Now()
	for _, l := range ringing {
		c.record.attemptFailed(l.attempt, &failure{status: 487}, now)
		if l.initial.client != nil {
			l.initial.client.Cancel(reason)
		}
		c.dropBranch(l)
	}
}

// local answers the caller by the switch itself and begins to play.
func (c *Call) local(begin func() error) {
	start := func() {
		if err := begin(); err != nil {
			c.log.Warn("media of the switch does not start", "err", err)
			c.hangUp("switch", sip.CauseTemporary, "")
		}
	}
	if c.a.state == legUp {
		c.transferDone()
		start()
		return
	}
	body, late, err := c.answerFor(nil)
	if err != nil {
		c.refuseCaller("switch", mediaStatus(err))
		return
	}
	c.answerCaller(body, late)
	if late {
		c.localMedia = start
		return
	}
	start()
}

// play plays a file, before the answer or after it.
func (c *Call) play(s dialplan.Play) {
	clip, ok := c.settings.Clips[s.File]
	if !ok {
		c.log.Error("sound file is not loaded", "file", s.File)
		c.nextStep()
		return
	}
	if s.Answer || c.a.state == legUp {
		c.local(func() error { return c.a.media.Play(clip, false) })
		return
	}
	if c.a.invite.Request().Body() == "" { // without an offer there is nobody to hear early media
		c.nextStep()
		return
	}
	body, _, err := c.answerFor(nil)
	if err != nil {
		c.refuseCaller("switch", mediaStatus(err))
		return
	}
	c.provisional(183, body)
	if err := c.a.media.Play(clip, false); err != nil {
		c.log.Warn("early media does not start", "err", err)
		c.nextStep()
	}
}

func (c *Call) playDone(l *Leg) {
	if l == c.a && c.talk != nil && c.phase == phaseRouting {
		c.talk.played()
		return
	}
	if _, ok := c.current.(dialplan.Play); ok && l == c.a {
		c.nextStep()
	}
}

// redirect sends the caller's phone elsewhere (RFC 3261 §21.3). A number of ours becomes a URI of ours.
func (c *Call) redirect(s dialplan.Redirect) {
	contact := s.Contact
	if _, err := sip.ParseURI(contact); err != nil {
		contact = "sip:" + sip.EscapeUser(contact) + "@" + c.domain(c.a.flow)
	}
	c.refuseCaller("switch", &sip.StatusError{Code: s.Status, Header: "Contact: <" + contact + ">"})
}

// refuseCaller ends the call with a final failure for the caller; one that was answered already gets a BYE.
func (c *Call) refuseCaller(by string, fail *sip.StatusError) {
	if c.phase == phaseEnding || c.transferFailed(fail.Code) {
		return
	}
	if c.a.state == legUp {
		c.hangUp(by, fail.Cause, fail.Reason)
		return
	}
	if fail.Cause == 0 && fail.Code >= 400 {
		fail.Cause = sip.CauseOf(fail.Code)
	}
	if fail.Err != nil {
		c.log.Info("call refused", "status", fail.Code, "err", fail.Err)
	}
	c.finish(by, fail.Code, fail.Cause, "")
	c.answerInvite(fail)
	c.a.release()
}
