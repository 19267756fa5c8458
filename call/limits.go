package call

import (
	"sort"
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/sip/transaction"
)

// startCall begins a call for an admitted INVITE; the error is its answer.
func (s *Switchboard) startCall(tx *transaction.Server, m *sip.Message, who caller) *sip.StatusError {
	settings := s.settings.Load()
	now := time.Now()
	id := sip.NewCallID()[:16]
	c := &Call{
		board: s, settings: settings, id: id, log: s.log.With("call", id), inbox: inbox{ready: make(chan struct{}, 1)},
		pending: map[*outgoing]struct{}{}, held: map[string]bool{}, started: now, endsAt: now.Add(s.cfg.MaxDuration),
	}
	// The tag is our own and not tx.Tag(): with the Call-ID it is what lets a message into the call, so it must be
	// beyond guessing, which the table's 64 bits for its own answers need not be.
	c.a = c.own(&Leg{
		name: "a", party: who.party(), role: roleUAS, flow: tx.Flow(), invite: tx, trunk: who.trunk,
		tag: sip.NewTag(), callID: m.CallID(),
	})
	c.legs, c.neighbour = []*Leg{c.a}, who.neighbour
	c.a.contact = "<" + c.a.flow.Contact("") + ">"
	if who.trunk != nil {
		c.facts, c.callerName = carrierFacts(settings.Plan, m, who.trunk, now)
	} else {
		c.facts = factsOf(m, who.extension, now)
		c.a.instance = s.instanceOf(who.extension, tx.Flow(), now)
	}
	c.record.begin(c)
	c.publish()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || (s.draining.Load() || len(s.calls) >= s.cfg.MaxCalls) && !s.urgent(c) {
		s.stats.Refused.Add(1)
		return &sip.StatusError{Code: 503, Header: sip.RetryAfter(10), Cause: sip.CauseTemporary}
	}
	if user := who.extension; user != "" {
		if limit := maxCalls(settings.Plan, user); limit > 0 && s.busy[user] >= limit && !s.urgent(c) && !s.takesOver(m, user) {
			s.stats.Refused.Add(1)
			return &sip.StatusError{Code: 403, Reason: "Too many calls at once", Cause: sip.CauseNoCircuit}
		}
		s.busy[user]++
		c.held[user] = true
	}
	c.a.channel = who.channel
	s.enter(c)
	s.stats.Started.Add(1)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.run()
	}()
	return nil
}

// urgent tells whether a call that a limit would refuse is one that nothing may stand in the way of. The plan is a pure
// function: the call asks it again.
func (s *Switchboard) urgent(c *Call) bool { return s.route(c.settings.Plan, c.facts).Emergency }

// enter makes a call known. The caller holds the lock.
func (s *Switchboard) enter(c *Call) {
	s.calls[c.id] = c
	s.legs.add(c.a)
	c.origin = c.a.flow.ID()
	if f := c.a.flow; f.Proto().Reliable() {
		if s.callers[f.ID()] == nil {
			s.callers[f.ID()] = map[*Call]struct{}{}
		}
		s.callers[f.ID()][c] = struct{}{}
	}
}

// forget is the last that happens to a call.
func (s *Switchboard) forget(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, c.id)
	for id, a := range s.invites {
		if a.call == c {
			delete(s.invites, id)
		}
	}
	s.releaseAll(c)
	id := c.origin
	delete(s.callers[id], c)
	if len(s.callers[id]) == 0 {
		delete(s.callers, id)
	}
}

// hold counts the call against an extension's limit, if one more may be; once for each call.
func (s *Switchboard) hold(c *Call, extension string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.held[extension] {
		return true
	}
	if limit := maxCalls(c.settings.Plan, extension); limit > 0 && s.busy[extension] >= limit {
		return false
	}
	s.busy[extension]++
	c.held[extension] = true
	return true
}

// letGo takes the call off an extension's count.
func (s *Switchboard) letGo(c *Call, extension string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(c, extension)
}

// letGoAll takes a call that is ending off everybody's count: a phone that does not answer its BYE would keep the
// others waiting.
func (s *Switchboard) letGoAll(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseAll(c)
}

func (s *Switchboard) releaseAll(c *Call) {
	for extension := range c.held {
		s.release(c, extension)
	}
}

func (s *Switchboard) release(c *Call, extension string) {
	if !c.held[extension] {
		return
	}
	delete(c.held, extension)
	if s.busy[extension]--; s.busy[extension] <= 0 {
		delete(s.busy, extension)
	}
}

// maxCalls is the class's limit of calls at once; 0: none.
func maxCalls(plan *dialplan.Plan, extension string) int {
	x, _ := plan.Extension(extension)
	class, _ := plan.Class(x.Class)
	return class.MaxCalls
}

// HangUp ends one call by its id on an operator's word. It is false when there is no such call.
func (s *Switchboard) HangUp(id string) bool {
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	return c != nil && c.post(hangupEvent{sip.CauseNormal, "Ended by the operator", "operator", false}) == waits
}

// Calls are snapshots of the calls in progress, oldest first.
func (s *Switchboard) Calls() []Snapshot {
	s.mu.Lock()
	all := make([]*Call, 0, len(s.calls))
	for _, c := range s.calls {
		all = append(all, c)
	}
	s.mu.Unlock()
	out := make([]Snapshot, 0, len(all))
	for _, c := range all {
		out = append(out, c.Snapshot())
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Started.Before(out[j].Started) })
	return out
}

// Busy tells whether an extension is in a call.
func (s *Switchboard) Busy(extension string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[extension] > 0
}

// Settled tells whether every call has done what it was told: what it has to keep is held then, and what it has to say was sent.
func (s *Switchboard) Settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if !c.inbox.settled() {
			return false
		}
	}
	return true
}

// SettingUp tells whether a call waits for the first word of whom it is for, which as a rule comes soon, and could not be gone on with elsewhere.
func (s *Switchboard) SettingUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.inbox.isYoung() {
			return true
		}
	}
	return false
}

// Live is the number of calls in progress.
func (s *Switchboard) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}
