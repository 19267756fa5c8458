package call

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// inboxSize bounds what may wait for one call: a call with 32 ringing branches gets about two messages of each
// in one burst. When it is full a request is answered 500 with Retry-After, and a response is left to its
// retransmission.
const inboxSize = 128

// phase is how far a call has come.
type phase uint8

const (
	phaseRouting phase = iota // steps of the plan run, nobody has answered
	phaseUp                   // the caller's leg is answered
	phaseEnding               // nothing new begins; transactions run out
)

// Events that reach a call.
type (
	requestEvent struct { // a request inside a dialog
		leg *Leg
		tx  *transaction.Server
		m   *sip.Message
	}
	ackEvent struct {
		leg *Leg
		m   *sip.Message
	}
	cancelEvent struct {
		m *sip.Message
	}
	responseEvent struct {
		out *outgoing
		m   *sip.Message
	}
	failedEvent struct { // a request of ours had no answer
		out *outgoing
		why transaction.Failure
	}
	reachedEvent struct { // a flow was looked up for a branch
		leg  *Leg
		flow transport.Flow
		err  error
	}
	mediaEvent struct {
		leg *Leg
		ev  media.Event
	}
	hangupEvent struct { // from the operator, or the switch stopping
		cause sip.Cause
		text  string
		by    string
	}
	closedEvent struct { // a connection is gone
		flow transport.Flow
	}
)

// Call is one call: the leg of the caller, the branches that ring, and at last the leg that answered.
type Call struct {
	board    *Switchboard
	settings *Settings
	id       string
	log      *slog.Logger

	mu     sync.Mutex // guards closed, and the sends to inbox against it
	closed bool
	inbox  chan any

	// What follows belongs to the call's goroutine.
	phase      phase
	a          *Leg
	b          *Leg   // the leg that answered; nil while ringing and in calls that the switch answers itself
	ringing    []*Leg // branches without a final answer
	early      *Leg   // the branch whose early media the caller hears
	pending    map[*outgoing]struct{}
	facts      dialplan.Facts
	decision   dialplan.Decision
	steps      []dialplan.Step
	current    dialplan.Step
	members    []string  // members of an in-order ring group that are still to be rung
	groupEnds  time.Time // when that group gives up
	localMedia func()    // what the switch plays once a late answer has come
	best       *failure  // best failure of the current step's branches
	stepEnds   time.Time // when the current step gives up; zero: never
	started    time.Time
	answered   time.Time
	endsAt     time.Time // the longest that this call may last
	record     Record
	held       map[string]bool // extensions whose limit counts this call
	snapshot   snapshotBox
}

// post gives an event to the call. It is false when the call has ended or its inbox is full.
func (c *Call) post(e any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	select {
	case c.inbox <- e:
		return true
	default:
		c.board.stats.InboxFull.Add(1)
		return false
	}
}

// run is the life of a call. It returns when every leg has ended and every request of ours has its answer.
func (c *Call) run() {
	defer c.board.forget(c)
	defer c.close()
	defer func() {
		if p := recover(); p != nil {
			c.board.stats.Panics.Add(1)
			c.log.Error("call panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	c.begin()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !c.over() {
		c.publish()
		timer.Reset(c.untilNext())
		select {
		case e := <-c.inbox:
			c.handle(e)
		case <-timer.C:
		}
		c.tick(time.Now())
	}
}

// over tells whether nothing is left to wait for.
func (c *Call) over() bool {
	return c.phase == phaseEnding && len(c.pending) == 0 && (c.a.unacked == nil || c.a.state == legGone)
}

// close releases all that the call holds, however it ended.
func (c *Call) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for { // what came too late to be handled
		select {
		case e := <-c.inbox:
			if r, ok := e.(requestEvent); ok {
				c.board.refuse(r.tx, r.m, &sip.StatusError{Code: 481})
			}
			continue
		default:
		}
		break
	}
	if c.phase != phaseEnding { // only after a panic
		c.abort()
	}
	for _, l := range c.record.legs {
		l.release()
	}
	c.finishRecord()
}

// abort ends a call whose own goroutine failed: best effort, one message a leg, no waiting.
func (c *Call) abort() {
	defer func() { _ = recover() }()
	if c.a.state < legUp {
		c.board.refuse(c.a.invite, c.a.invite.Request(), &sip.StatusError{Code: 500})
	}
	for _, l := range c.record.legs {
		switch {
		case l.state == legUp:
			_, _ = c.board.table.Send(l.flow, l.bye(sip.CauseTemporary, ""), deaf{})
		case l.role == roleUAC && l.initial != nil && l.initial.client != nil:
			l.initial.client.Cancel("")
		}
	}
}

func (c *Call) handle(e any) {
	switch e := e.(type) {
	case requestEvent:
		c.receive(e.leg, e.tx, e.m)
	case ackEvent:
		c.receiveAck(e.leg, e.m)
	case cancelEvent:
		c.cancelled(e.m)
	case responseEvent:
		c.response(e.out, e.m)
	case failedEvent:
		c.failed(e.out, e.why)
	case reachedEvent:
		c.reached(e.leg, e.flow, e.err)
	case mediaEvent:
		c.mediaHeard(e.leg, e.ev)
	case hangupEvent:
		c.hangUp(e.by, e.cause, e.text)
	case closedEvent:
		c.flowClosed(e.flow)
	}
}

// begin answers the INVITE for a first time: media, then the plan.
func (c *Call) begin() {
	c.record.legs = append(c.record.legs, c.a)
	m := c.a.invite.Request()
	if err := c.a.open(m); err != nil {
		c.refuseCaller(err)
		return
	}
	c.decision = c.board.route(c.settings.Plan, c.facts)
	c.record.decide(c.decision)
	if r := c.decision.Reject; r.Status != 0 {
		c.refuseCaller(&sip.StatusError{Code: r.Status, Reason: r.Reason, Cause: sip.Cause(r.Cause)})
		return
	}
	c.steps = c.decision.Steps
	c.nextStep()
}

// untilNext is the time to the earliest deadline of the call.
func (c *Call) untilNext() time.Duration {
	next := c.endsAt
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	sooner(c.stepEnds)
	for _, l := range c.activeLegs() {
		if l.unacked != nil {
			sooner(l.unacked.next)
		}
		sooner(l.refreshAt())
		if l.state == legUp {
			sooner(l.timer.Expiry())
		}
	}
	return max(time.Until(next), 0)
}

// tick does what is due.
func (c *Call) tick(now time.Time) {
	if c.phase != phaseEnding && !now.Before(c.endsAt) {
		c.hangUp("switch", sip.CauseTimerExpired, "Longest duration reached")
	}
	if !c.stepEnds.IsZero() && !now.Before(c.stepEnds) {
		c.stepEnds = time.Time{}
		c.stepTimedOut()
	}
	for _, l := range c.activeLegs() {
		c.tickLeg(l, now)
	}
	if !now.Before(c.endsAt) { // ending, and still transactions run: they end by their own timers
		c.endsAt = now.Add(c.board.cfg.MaxDuration)
	}
}

func (c *Call) tickLeg(l *Leg, now time.Time) {
	if l.unacked != nil && !now.Before(l.unacked.next) {
		c.retransmit(l, now)
	}
	if at := l.refreshAt(); !at.IsZero() && !now.Before(at) {
		c.refresh(l)
	}
	if expiry := l.timer.Expiry(); l.state == legUp && !expiry.IsZero() && !now.Before(expiry) {
		c.hangUp(l.name, sip.CauseTimerExpired, "Session timer expired")
	}
}

// activeLegs are the caller and the answered leg: those with timers of their own.
func (c *Call) activeLegs() []*Leg {
	if c.b == nil {
		return []*Leg{c.a}
	}
	return []*Leg{c.a, c.b}
}

// other is the leg that l is bridged with; nil where there is none.
func (c *Call) other(l *Leg) *Leg {
	switch l {
	case c.a:
		return c.b
	case c.b:
		return c.a
	}
	return nil
}
