package call

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/record"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

const (
	// grace is what every deadline of a call has left at least after it was adopted: its peers have had nobody to talk to.
	grace = 3 * time.Second
	// seqLeap raises our CSeq over what was sent after the state was written; gaps are legal (RFC 3261 §12.2.2).
	seqLeap = 1000
	// keepSpread is in which time the states of all calls that were adopted are written anew: the next process must leap from a later CSeq, and
	// what the last one deleted too late is there again.
	keepSpread = 10 * time.Second
)

// Attach finds the flow that a state describes; one of a connection that is gone is valid and not alive.
type Attach func(registrar.FlowRecord) transport.Flow

// Revived says what became of the states given to Adopt.
type Revived struct {
	Calls  int     // go on
	Ended  int     // were ending: their record was written, their last BYE sent
	Failed []error // could not be gone on with; each has its record, and its peers are told as far as they can be
}

// Adopt goes on with calls of another process, in the state that it wrote last: dialogs, ports, channels of trunks, deadlines. written
// tells whether the record of a call is in the ledger already. Media flows from the first packet on; the calls' goroutines
// begin at once. Call it before Run and before the first message.
func (s *Switchboard) Adopt(states [][]byte, notes func(call, leg string) []byte, attach Attach, written func(call string) bool) (r Revived) {
	now := time.Now()
	var answered, ringing []*adoption
	for _, raw := range states {
		st, err := stateOf(raw)
		a := &adoption{board: s, st: st, now: now, attach: attach, notes: notes}
		switch {
		case err != nil:
			r.Failed = append(r.Failed, err)
		case written(st.Call):
			s.journal.Delete(st.Call, nil)
		case st.Ringing != nil:
			ringing = append(ringing, a)
		default:
			answered = append(answered, a)
		}
	}
	// Who was answered has ports of his own, and any new one could be one of those until all of them are open.
	all := append(answered, ringing...)
	for _, a := range all {
		a.build()
	}
	for _, a := range all {
		r.goOn(a)
	}
	return r
}

// goOn lets a call live that has been built.
func (r *Revived) goOn(a *adoption) {
	if a.err != nil {
		r.Failed = append(r.Failed, fmt.Errorf("call %s: %w", a.st.Call, a.err))
	}
	if a.c.phase == phaseEnding {
		r.Ended++
	} else {
		r.Calls++
	}
	a.board.resume(a.c)
}

func stateOf(raw []byte) (*State, error) {
	st := &State{}
	err := record.Unmarshal(raw, st)
	if err == nil && st.Version > stateVersion {
		err = fmt.Errorf("its state is of version %d, and this switch reads %d", st.Version, stateVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", st.Call, err)
	}
	return st, nil
}

// adoption makes one call out of its state.
type adoption struct {
	board  *Switchboard
	st     *State
	now    time.Time
	attach Attach
	notes  func(call, leg string) []byte
	ready  map[string]*ready // sessions that stand by; nil: none
	c      *Call
	err    error // what it lacks
}

// build makes the call. One that has no media any more is made all the same, to be ended as a call that has been.
func (a *adoption) build() {
	s, st := a.board, a.st
	c := &Call{
		board: s, settings: s.settings.Load(), id: st.Call, log: s.log.With("call", st.Call), inbox: inbox{ready: make(chan struct{}, 1)},
		pending: map[*outgoing]struct{}{}, held: map[string]bool{}, started: a.local(st.Started), answered: a.local(st.Up),
		endsAt: a.later(st.EndsAt), facts: st.Facts, callerName: st.CallerName, record: st.Record, gone: st.Gone, revived: true, adopted: st.Step, kept: keptNow,
		keepAt: a.now.Add(rand.N(keepSpread)),
	}
	a.c = c
	if c.lastSign = a.now; !st.Written.IsZero() { // it stands as another process left it, however long ago
		c.lastSign = a.local(st.Written)
	}
	c.record.payer, c.shown = st.Payer, st.Shown
	c.decision = dialplan.Decision{
		Route: st.Route, Number: st.Number, Plan: st.Plan, CallerID: st.CallerID, Emergency: st.Emergency,
	}
	for _, extension := range st.Held {
		c.held[extension] = true
	}
	if st.Ringing != nil {
		a.err = a.ring(c)
		return
	}
	var err error
	ending := !st.Record.Ended.IsZero()
	caller, callee := roleUAS, roleUAC
	if st.A.Moved {
		caller = roleUAC
	}
	if st.B != nil && st.B.Moved {
		callee = roleUAS
	}
	c.a, err = a.leg(&st.A, caller, !ending)
	if st.B != nil {
		var other error
		c.b, other = a.leg(st.B, callee, !ending)
		c.phase, err = phaseUp, errors.Join(err, other)
	}
	if st.Parting != nil {
		c.parting, _ = a.leg(st.Parting, st.Parting.role(), false) // without media nothing of it can fail
	}
	if c.a.media != nil && c.b != nil && c.b.media != nil && err == nil {
		err = c.a.media.Join(c.b.media)
	}
	if ending {
		c.phase, c.keptEnd = phaseEnding, true
	}
	a.err = err
}

// leg makes one leg with its media.
func (a *adoption) leg(st *LegState, r role, hears bool) (*Leg, error) {
	c := a.c
	l := c.own(&Leg{
		name: st.Leg, party: st.Party, role: r, state: legUp, dialog: st.Dialog, flow: a.attach(st.Flow), nat: st.NAT, web: st.Web,
		instance: st.Instance, contact: st.Contact, agreed: st.Agreed, allows: st.Allows, timer: a.timer(st.Timer), wantSync: st.WantSync,
		hop: st.Hop, stats: st.Stats, acks: map[string][]byte{}, tag: st.Dialog.LocalTag, callID: st.Dialog.CallID,
		initial: &outgoing{purpose: forInvite, method: sip.INVITE},
	})
	l.initial.leg = l
	l.dialog.LocalSeq += seqLeap
	c.legs = append(c.legs, l)
	if r == roleUAS {
		l.invite = transaction.Ended(l.flow, inviteOf(&l.dialog))
	} else {
		l.initial.seq = st.Seq
		l.acks[l.dialog.RemoteTag] = l.ackText(st.Seq)
	}
	if st.Gone {
		l.state = legGone
		return l, nil
	}
	if t := a.board.trunks.Find(st.Trunk); t != nil {
		l.trunk, l.channel = t, t.Readmit(st.Direction, c.started, c.answered)
	}
	if u := st.Unacked; u != nil {
		l.unacked = &unacked{
			raw: []byte(u.Raw), flow: a.attach(u.Flow), seq: u.Seq, answer: u.Answer, initial: u.Initial,
			next: a.now, every: a.board.cfg.T1, giveUp: a.later(u.GiveUp), doubtful: !u.Answer,
		}
	}
	if st.Media == nil || !hears {
		return l, nil
	}
	return l, a.media(l, st.Media)
}

// role is that of a leg that is neither a nor b any more.
func (st *LegState) role() role {
	if st.Seq > 0 {
		return roleUAC
	}
	return roleUAS
}

// media opens the leg's ports, and brings them to what was noted of them last.
func (a *adoption) media(l *Leg, st *media.State) error {
	if raw := a.notes(a.st.Call, l.name); raw != nil {
		var note media.StreamState
		if err := record.Unmarshal(raw, &note); err == nil && note.At.After(st.Port.At) && note.Local == st.Port.Local {
			st.Port = note
		}
	}
	if at := a.local(st.Port.At); at.After(a.c.lastSign) && !at.After(a.now) {
		a.c.lastSign = at
	}
	var err error
	l.media, err = a.open(*st, l)
	return err
}

// open opens the ports of a leg. Where this node has followed the call they are open already.
func (a *adoption) open(st media.State, l *Leg) (Session, error) {
	if r := a.ready[l.name]; r != nil {
		delete(a.ready, l.name)
		r.leg.Store(l)
		return r.session, r.session.Follow(st.Port)
	}
	return a.board.media.Adopt(st, a.st.Call, l.name, func(ev media.Event) { l.in().hear(l, ev) })
}

// local is an instant of another process by this one's clock, so that a step of the wall clock does not move it.
func (a *adoption) local(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return a.now.Add(t.Sub(a.now))
}

// later is a deadline, with the grace that everybody has.
func (a *adoption) later(t time.Time) time.Time {
	t = a.local(t)
	if least := a.now.Add(grace); !t.IsZero() && t.Before(least) {
		return least
	}
	return t
}

// timer is a session timer that does not end the session before the peer could be heard, nor we refresh it.
func (a *adoption) timer(t dialog.SessionTimer) dialog.SessionTimer {
	if t.Interval == 0 {
		return t
	}
	t.Due = a.local(t.Due)
	if short := a.now.Add(grace).Sub(t.Expiry()); short > 0 {
		t.Due = t.Due.Add(short)
	}
	return t
}

// inviteOf is what the caller once asked, as far as anybody looks at it after the answer.
func inviteOf(d *dialog.Dialog) *sip.Message {
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Request(sip.INVITE, "sip:answered.invalid")
	w.Set(sip.HeaderMaxForwards, "70")
	w.Set(sip.HeaderFrom, d.Remote+";tag="+d.RemoteTag)
	w.Set(sip.HeaderTo, d.Local)
	w.Set(sip.HeaderCallID, d.CallID)
	w.Set(sip.HeaderCSeq, "1 INVITE")
	w.Finish("", nil)
	raw, _ := w.Bytes()
	m := new(sip.Message)
	_ = m.Parse(string(raw)) // what we write we can read
	return m
}

// Depose ends all calls without a word to their peers and without a record: another node serves them now.
func (s *Switchboard) Depose() {
	s.leaving.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		c.postOnce(deposedEvent{})
	}
}

// leaveWait bounds how long Leave waits: what a call's state was before it is held already.
const leaveWait = 2 * time.Second

// Leave ends every call of this process. Answered ones are left as they are to the process that comes next, without a word to
// their peers; the others are refused. It returns when all have gone. Mute: another node serves, and nothing that is said leaves, so that no call
// waits for an answer. Without a Journal it does nothing: Run hangs up.
func (s *Switchboard) Leave(mute bool) {
	if s.journal == nil {
		return
	}
	s.Drain(true)
	s.mute.Store(mute)
	s.leaving.Store(true)
	s.mu.Lock()
	for _, c := range s.calls {
		c.postOnce(leaveEvent{})
	}
	s.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(leaveWait); s.Live() > 0 && time.Now().Before(end); {
		<-tick.C
	}
}

// leaveIt writes the state of an answered call a last time and lets go of it.
func (c *Call) leaveIt() {
	if c.ringsOn() && c.kept == keptNow {
		c.vanished = true
		return
	}
	if !c.keeps() {
		c.operatorHungUp(hangupEvent{sip.CauseTemporary, "Switch is stopping", "switch", true})
		return
	}
	if !c.keptEnd {
		c.commit()
	}
	c.vanished = true
}

// resume lets an adopted call live.
func (s *Switchboard) resume(c *Call) {
	s.mu.Lock()
	for extension := range c.held {
		s.busy[extension]++
	}
	s.enter(c)
	if u := c.a.unacked; u != nil && u.initial {
		s.invites[c.a.callID] = &answered{call: c, raw: u.raw, from: c.a.flow.Remote()}
	}
	if c.b != nil && c.b.state != legGone {
		s.legs.add(c.b)
	}
	if c.a.state == legGone {
		s.legs.remove(c.a)
	}
	if c.parting != nil {
		s.legs.add(c.parting)
	}
	for _, l := range c.ringing {
		s.legs.add(l)
	}
	s.mu.Unlock()
	c.publish()
	s.stats.Adopted.Add(1)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.run()
	}()
}

// answered is an INVITE that another process answered just before it ended. Its caller, who may have heard nothing, sends it again.
type answered struct {
	call *Call
	raw  []byte         // the 2xx
	from netip.AddrPort // its caller
}

// answeredBefore answers an INVITE as it was answered before: it is the same to the letter that tells transactions apart (RFC 3261
// §17.2.3), from the same address. A second call would be made of it else.
func (s *Switchboard) answeredBefore(tx *transaction.Server, m *sip.Message) bool {
	if m.Method() != sip.INVITE {
		return false
	}
	s.mu.Lock()
	a := s.invites[m.CallID()]
	s.mu.Unlock()
	if a == nil || a.from != tx.Flow().Remote() {
		return false
	}
	var was sip.Message
	if was.Parse(string(a.raw)) != nil || was.FromTag() != m.FromTag() || was.Header(sip.HeaderCSeq) != m.Header(sip.HeaderCSeq) {
		return false
	}
	before, err := was.TopVia()
	now, err2 := m.TopVia()
	if err != nil || err2 != nil || before.Branch() != now.Branch() {
		return false
	}
	_ = tx.Respond(a.raw)
	return true
}

// goOn is the beginning of an adopted call's goroutine.
func (c *Call) goOn() {
	switch {
	case c.phase == phaseEnding:
		c.goOnEnding()
	case c.phase == phaseRouting && c.answered.IsZero():
		c.goOnRinging()
	case c.a.media == nil || c.b != nil && c.b.media == nil:
		c.hangUp("switch", sip.CauseTemporary, "Media could not be resumed")
	case c.b == nil:
		c.goOnAlone()
	default:
		c.beginAnew()
	}
	if c.parting != nil {
		c.partWith(c.parting)
	}
}

// goOnEnding tells those who were not told yet that the call is over.
func (c *Call) goOnEnding() {
	c.board.letGoAll(c)
	for l := range c.activeLegs() {
		if l.state == legUp {
			l.unacked = nil
			c.endLeg(l, c.record.Cause, "")
		}
	}
}

// goOnAlone has the caller hear the step of the plan again that he was in, or the first one of a plan that has changed.
func (c *Call) goOnAlone() {
	d := c.board.route(c.settings.Plan, c.facts)
	if d.Reject.Status != 0 || len(d.Steps) == 0 {
		c.hangUp("switch", sip.CauseTemporary, "Step could not be resumed")
		return
	}
	at := 0
	if d.Plan == c.decision.Plan && d.Route == c.decision.Route && c.adopted > 0 && c.adopted <= len(d.Steps) {
		at = c.adopted - 1
	}
	c.decision, c.steps = d, d.Steps[at:]
	c.nextStep()
}
