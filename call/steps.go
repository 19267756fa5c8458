package call

import (
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
)

// failure is why a branch, or a whole step, ended without a call.
type failure struct {
	status      int
	reason      string
	cause       sip.Cause
	timeout     bool // not one reply came: the status is our own
	unreachable bool // nothing was sent, or the connection failed
}

// better is the one of two failures that the caller is told: a 6xx speaks for everybody (RFC 3261 §16.7), then a
// busy phone tells more than an absent one, then what a person decided, then the rest in order.
func better(a, b *failure) *failure {
	if a == nil || rank(b) < rank(a) {
		return b
	}
	return a
}

func rank(f *failure) int {
	switch {
	case f == nil:
		return 9
	case f.status >= 600:
		return 0
	case f.status == 486:
		return 1
	case f.unreachable:
		return 7
	case f.timeout:
		return 6
	case f.status == 408:
		return 3
	case f.status >= 500:
		return 5
	case f.status == 480:
		return 4
	}
	return 2
}

// nextStep runs the next step of the plan, or ends the call when there is none.
func (c *Call) nextStep() {
	if c.phase == phaseEnding {
		return
	}
	c.stepEnds, c.members, c.current = time.Time{}, nil, nil
	if len(c.steps) == 0 {
		c.outOfSteps()
		return
	}
	c.current, c.steps = c.steps[0], c.steps[1:]
	c.best = nil
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
	case dialplan.Reject:
		c.refuseCaller(&sip.StatusError{Code: s.Status, Reason: s.Reason, Cause: sip.Cause(s.Cause)})
	case dialplan.Redirect:
		c.redirect(s)
	default:
		c.refuseCaller(&sip.StatusError{Code: 500, Reason: "Step not available"})
	}
}

// toneLevel is the level of the test tone in dBm0: the digital milliwatt's 1004 Hz at the level that lines are
// measured with.
const toneLevel = -10

// outOfSteps ends a call whose steps have all been done.
func (c *Call) outOfSteps() {
	switch {
	case c.a.state == legUp:
		c.hangUp("switch", sip.CauseNormal, "")
	case c.best != nil:
		c.refuseCaller(c.best.status480())
	default:
		c.refuseCaller(&sip.StatusError{Code: 480, Cause: sip.CauseNormal})
	}
}

// status480 is what the caller is told of a failure: nothing of our insides, and no status that would make its
// phone do something to its own registration or credentials.
func (f *failure) status480() *sip.StatusError {
	status, cause := f.status, f.cause
	if cause == 0 {
		cause = sip.CauseOf(status)
	}
	switch {
	case status == 408 && !f.timeout:
		status, cause = 480, sip.CauseNoAnswer
	case status == 401 || status == 407 || status == 430 || status == 408 || status < 400 ||
		status == 503 || status == 481 || status == 482 || status == 483 || status == 420:
		status = 480
	}
	return &sip.StatusError{Code: status, Cause: cause}
}

func (c *Call) dial(s dialplan.Dial) {
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
	if c.ring(extensions) == 0 || len(c.ringing) == 0 {
		c.branchesFailed()
	}
}

func (c *Call) ringGroup(s dialplan.Ring) {
	c.board.turn(s.Group)
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

// branchFailed takes one branch off, and ends the step when it was the last one. A 6xx ends the others too.
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
	c.best = better(c.best, f)
	if f.status >= 600 {
		c.cancelBranches("")
	}
	if len(c.ringing) == 0 {
		c.branchesFailed()
	}
}

// dropBranch releases a branch's media. Its dialog is kept in the table while its INVITE runs out.
func (c *Call) dropBranch(l *Leg) {
	if c.early == l {
		c.early = nil
	}
	l.release()
	if l.party != c.a.party {
		c.letGoIfIdle(l.party)
	}
}

// letGoIfIdle takes the call off an extension's count when none of its legs is left.
func (c *Call) letGoIfIdle(party string) {
	for _, l := range c.record.legs {
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
		best := c.best
		c.nextStep()
		if c.best == nil {
			c.best = best
		}
		return
	}
	if len(c.steps) == 0 {
		c.outOfSteps()
		return
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
	c.branchesFailed()
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
		start()
		return
	}
	body, late, err := c.answerFor(nil)
	if err != nil {
		c.refuseCaller(mediaStatus(err))
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
	body, err := c.a.media.CreateAnswer(nil)
	if err != nil {
		c.refuseCaller(mediaStatus(err))
		return
	}
	c.provisional(183, body)
	if err := c.a.media.Play(clip, false); err != nil {
		c.log.Warn("early media does not start", "err", err)
		c.nextStep()
	}
}

func (c *Call) playDone(l *Leg) {
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
	c.refuseCaller(&sip.StatusError{Code: s.Status, Header: "Contact: <" + contact + ">"})
}

// refuseCaller ends the call with a final failure for the caller.
func (c *Call) refuseCaller(fail *sip.StatusError) {
	if c.phase == phaseEnding {
		return
	}
	if c.a.state == legUp {
		c.hangUp("switch", fail.Cause, fail.Reason)
		return
	}
	if fail.Cause == 0 && fail.Code >= 400 {
		fail.Cause = sip.CauseOf(fail.Code)
	}
	if fail.Err != nil {
		c.log.Info("call refused", "status", fail.Code, "err", fail.Err)
	}
	c.phase = phaseEnding
	c.stepEnds = time.Time{}
	c.record.end("switch", fail.Code, fail.Cause, time.Now())
	c.cancelBranches("")
	tx := c.a.invite
	if err := tx.Respond(c.board.failure(tx.Request(), fail, c.a.tag)); err != nil {
		c.log.Debug("refusal not sent", "err", err)
	}
	c.a.release()
}
