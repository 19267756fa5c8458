package call

import (
	"context"
	"iter"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
	"tandem/stir"
)

// phase is how far a call has come.
type phase uint8

const (
	phaseRouting phase = iota // steps of the plan run; the switch itself may have answered
	phaseUp                   // the caller is joined with a leg that answered
	phaseEnding               // nothing new begins; transactions run out
)

// Call is one call: the leg of the caller, the branches that ring, and at last the leg that answered.
type Call struct {
	board    *Switchboard
	settings *Settings
	id       string
	log      *slog.Logger
	inbox    inbox
	snapshot snapshotBox
	origin   uint64          // the connection of its caller, by Flow.ID
	held     map[string]bool // extensions whose limit counts this call; guarded by the board's lock
	lateness sync.Mutex      // guards what late works on, once the call is over

	// What follows belongs to the call's goroutine.
	phase      phase
	a          *Leg   // the caller; after a transfer, the side that stayed
	b          *Leg   // the leg that answered; nil while ringing and in calls that the switch answers itself
	ringing    []*Leg // branches without a final answer
	starting   bool   // branches are being started: a failure of one of them is not the last word
	early      *Leg   // the branch whose early media the caller hears
	pending    map[*outgoing]struct{}
	parked     []parked  // of them, those that wait for a phone without a connection
	parkedNext time.Time // when its bindings are looked at
	hunt       *hunt     // the trunks of the current step; nil: it is not over trunks
	facts      dialplan.Facts
	callerName string // that a carrier gave
	decision   dialplan.Decision
	verdict    stir.Verdict // on the number of a call from a carrier; no Verstat: nobody has looked
	steps      []dialplan.Step
	current    dialplan.Step
	members    []string  // members of an in-order ring group that are still to be rung
	groupEnds  time.Time // when that group gives up
	localMedia func()    // what the switch plays once a late answer has come
	best       *failure  // best failure of the current step's branches
	last       *failure  // what the step before ended with
	stepEnds   time.Time // when the current step gives up; zero: never
	redirects  int       // followed
	reliable   reliable
	said       []byte    // the last provisional response to the caller
	sayAgain   time.Time // when it is due again
	started    time.Time
	answered   time.Time
	endsAt     time.Time // the longest that this call may last
	turn       int       // counts the steps
	talk       talk      // the current step where the switch itself speaks with the caller; nil: none
	talkEnds   time.Time // when the caller has waited long enough
	lastKey    keyPress
	storing    int       // messages that are being completed: the record names them
	leaveAt    time.Time // when a stopping switch waits no more; zero: it does not stop
	record     Record
	gone       []LegEntry  // of an adopted call: legs that ended in another process
	revived    bool        // the call was adopted
	adopted    int         // and in this step of the plan, from 1
	orphanAt   time.Time   // when each side of an adopted call must have been heard
	lastSign   time.Time   // until when another process has known it to go on
	orphan     bool        // none was: they are asked whether they are still there
	vanished   bool        // another node serves the call: nothing is said of it any more
	keptEnd    bool        // the journal knows that the call is over
	kept       uint8       // what the journal has of the call
	keepAt     time.Time   // when it is to be written again, changed or not
	forgetting atomic.Bool // the journal was told that it rings no more, and has not said that it knows
	ringsFor   int         // branches that it has of a call that rings
	legs       []*Leg      // every leg of the call, in the order of their births

	transferState
}

// run is the life of a call. It returns when every leg has ended and every request of ours has its answer.
func (c *Call) run() {
	defer c.shed()
	defer c.board.forget(c)
	defer c.close()
	defer c.rescue("call panicked")
	if c.revived {
		c.goOn()
	} else {
		c.begin()
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var batch []any
	for !c.over(time.Now()) {
		c.keepUp()
		c.publish()
		timer.Reset(c.untilNext(time.Now()))
		c.inbox.rest(c.settingUp())
		select {
		case <-c.inbox.ready:
			batch = c.inbox.take(batch)
			for _, e := range batch {
				if c.vanished { // what comes now is for the process that goes on
					break
				}
				c.noteChange(e)
				c.handle(e)
			}
			clear(batch)
		case <-timer.C:
		}
		if !c.vanished {
			c.tick(time.Now())
		}
	}
}

// rescue, deferred, ends a panic of this call here.
func (c *Call) rescue(what string) {
	if p := recover(); p != nil {
		c.board.stats.Panics.Add(1)
		c.log.Error(what, "panic", p, "stack", string(debug.Stack()))
	}
}

// guarded does one thing that must not keep the next from being done.
func (c *Call) guarded(do func()) {
	defer c.rescue("panic at the end of a call")
	do()
}

// settingUp tells whether the call waits for the first word of whom it is for, and nobody else could go on with it.
func (c *Call) settingUp() bool {
	return c.phase == phaseRouting && c.answered.IsZero() && c.said == nil && c.kept != keptNow && len(c.ringing) > 0
}

// over tells whether nothing is left to wait for.
func (c *Call) over(now time.Time) bool {
	if c.vanished {
		return true
	}
	if c.phase != phaseEnding {
		return false
	}
	if !c.leaveAt.IsZero() && !now.Before(c.leaveAt) {
		return true
	}
	return len(c.pending) == 0 && c.a.farewell == nil && c.storing == 0
}

// close releases all that the call holds, however it ended.
func (c *Call) close() {
	events := c.inbox.close()
	c.lateness.Lock()
	defer c.lateness.Unlock()
	for _, e := range events { // what came too late to be handled
		if c.follow(e) {
			continue
		}
		switch e := e.(type) {
		case requestEvent:
			c.guarded(func() { c.board.unknown(e.tx, e.m) })
		case responseEvent:
			c.guarded(func() { c.endLate(e.out, e.m) })
		case giveEvent:
			e.to.postOnce(givenEvent{})
		case awayEvent:
			if e.lost != nil {
				c.board.spawn(func(context.Context) { e.lost() }, func() {})
			}
		}
	}
	c.guarded(c.endTalk)
	if !c.vanished {
		c.guarded(c.abandon)
	}
	c.guarded(func() { c.endHunt(sip.CauseTemporary) })
	for _, l := range c.legs {
		c.guarded(l.release)
		c.guarded(l.byeAnswered)
		c.guarded(func() { c.board.dropLeg(l) })
	}
	if !c.vanished {
		c.guarded(c.finishRecord)
	}
}

// shed lets go of what a late answer does not need: the transactions of a call linger for half a minute, and keep it.
func (c *Call) shed() {
	c.lateness.Lock()
	defer c.lateness.Unlock()
	for _, l := range c.legs {
		l.invite, l.media, l.stats = nil, nil, media.Stats{}
	}
	c.facts, c.decision, c.record = dialplan.Facts{}, dialplan.Decision{}, Record{}
	c.steps, c.current, c.localMedia, c.said, c.hunt = nil, nil, nil, nil, nil
	c.reliable = reliable{}
	c.legs, c.ringing, c.early, c.pending, c.parked, c.a, c.b = nil, nil, nil, nil, nil, nil, nil
}

// abandon takes leave of all that a call still holds which was stopped, or whose own goroutine failed: best effort,
// one message a leg, no waiting.
func (c *Call) abandon() {
	if c.a.state < legUp {
		c.guarded(func() { c.answerInvite(&sip.StatusError{Code: 500}) })
	}
	for _, l := range c.legs {
		c.guarded(func() {
			c.endAsked(l)
			switch {
			case l.state == legUp:
				cause := sip.CauseTemporary
				if l.farewell != nil {
					cause = l.farewell.cause
				}
				_, _ = c.board.table.Send(l.flow, l.bye(cause, ""), deaf{})
			case l.role == roleUAC && l.state != legGone && l.initial.client != nil:
				l.initial.client.Cancel("")
			}
		})
	}
}

func (c *Call) handle(e any) {
	if c.follow(e) {
		return
	}
	switch e := e.(type) {
	case requestEvent:
		c.receive(e.leg, e.tx, e.m)
	case ackEvent:
		c.receiveAck(e.leg, e.m)
	case cancelEvent:
		c.cancelled(e.leg, e.tx, e.m)
	case responseEvent:
		c.response(e.out, e.m)
	case strayEvent:
		// While the INVITE is pending its answers have its branch: one without is somebody else's word.
		if _, pending := c.pending[e.leg.initial]; !pending {
			c.branchResponse(e.leg.initial, e.m)
		}
	case failedEvent:
		c.failed(e.out, e.why)
	case huntEvent:
		c.trunkFound(e)
	case reachedEvent:
		c.reached(e.leg, e.flow, e.err)
	case mediaEvent:
		c.mediaHeard(e.leg, e.ev)
	case awayEvent:
		c.back(e)
	case storedEvent:
		c.stored(e)
	case giveEvent:
		c.give(e)
	case givenEvent:
		c.given(e)
	case hangupEvent:
		c.operatorHungUp(e)
	case closedEvent:
		c.callerGone()
	case insteadEvent:
		c.callerGaveUp(sip.CauseNormal, "")
	case leaveEvent:
		c.leaveIt()
	case doubtEvent: // noted with every change
	case deposedEvent:
		c.vanished = true
	}
}

// begin answers the INVITE for a first time: media, who calls, then the plan.
func (c *Call) begin() {
	if err := c.a.open(c.a.invite.Request()); err != nil {
		c.refuseCaller("switch", err)
		return
	}
	if c.takeOver() {
		return
	}
	if !c.verifyCaller() {
		c.route()
	}
}

// route asks the plan, and begins with its steps.
func (c *Call) route() {
	c.decision = c.board.begun(c.settings.Plan, c.facts)
	c.record.decide(c.decision)
	c.alarm(c.decision.Alarms)
	c.log.Info("call started", "from", c.a.party, "to", printable(c.facts.To), "route", c.decision.Route, "peer", c.a.flow.Remote())
	if r := c.decision.Reject; r.Status != 0 {
		c.refuseCaller("switch", &sip.StatusError{Code: r.Status, Reason: r.Reason, Cause: sip.Cause(r.Cause)})
		return
	}
	c.steps = c.decision.Steps
	c.nextStep()
}

// finish begins the end: who ended the call and why is noted, limits are free again, and what rings is given up.
// It is false when the call was ending already.
func (c *Call) finish(by string, status int, cause sip.Cause, reason string) bool {
	if c.phase == phaseEnding {
		return false
	}
	c.phase = phaseEnding
	c.transferCut()
	c.wanted, c.wantedNext, c.resync = nil, time.Time{}, nil
	c.stepEnds, c.localMedia = time.Time{}, nil
	c.endTalk()
	c.record.end(by, status, cause, time.Now())
	if c.keeps() && !c.keptEnd { // while its legs are still to be told
		c.keep(nil)
	}
	c.board.letGoAll(c)
	c.endHunt(c.record.Cause)
	c.cancelBranches(reason)
	return true
}

// activeLegs are the caller, the answered leg, and one that is transferring another: those with timers of their own.
func (c *Call) activeLegs() iter.Seq[*Leg] {
	legs := [...]*Leg{c.a, c.b, c.transferor()}
	return func(yield func(*Leg) bool) {
		for _, l := range legs {
			if l != nil && !yield(l) {
				return
			}
		}
	}
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
