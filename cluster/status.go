package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is what an operator sees of a node.
type Status struct {
	Node     string     `json:"node"`
	Role     string     `json:"role"` // "single", or see Peer.Role
	Since    time.Time  `json:"since,omitzero"`
	Epoch    uint64     `json:"epoch,omitempty"` // while it is active
	Held     bool       `json:"held"`            // it may serve at this moment
	Active   string     `json:"active,omitempty"`
	Degraded bool       `json:"degraded"` // records are not held by a second node
	Waits    int        `json:"waits"`    // records on their way to the store, or in memory until it is back
	Put      uint64     `json:"put"`      // records written since the start
	Late     uint64     `json:"late"`     // of them, not taken in time at first
	Lost     uint64     `json:"lost"`     // of them, dropped because too much waited
	Leads    []string   `json:"leads"`    // buckets whose streams this node leads
	Address  []string   `json:"address,omitempty"`
	Here     bool       `json:"here"`            // the addresses are on this machine
	Store    string     `json:"store,omitempty"` // server of an outside store that this node is connected to; "none" while it is to none
	Copy     string     `json:"copy,omitempty"`  // of two without a witness: "whole", "whole until TIME", "copying" or "none" beside the serving node's
	Members  []Peer     `json:"members,omitempty"`
	Agrees   *Agreement `json:"agrees,omitempty"` // whether the standby holds what this node holds; of a node that serves and has heard one
	Problems []string   `json:"problems"`         // what is wrong, in sentences

	Certificate time.Time   `json:"certificate,omitzero"`       // of this node: when it ends
	Coincide    bool        `json:"leader_coincides,omitempty"` // the serving node, this one, leads streams of the store
	Events      []Happening `json:"events,omitempty"`           // the last ones, the newest last
	Alarms      uint64      `json:"alarms"`                     // since the start
}

// NotHeard is the role of a member that has not been heard lately.
const NotHeard = "not heard"

// Status looks at this node and at what it has heard of the others.
func (e *Engine) Status() Status {
	s := Status{Node: e.cfg.Node, Role: "single", Epoch: e.lease.Epoch(), Held: e.lease.Held(), Leads: e.leads(), Problems: []string{}}
	e.writer.status(&s)
	s.Events, s.Alarms = e.happened.get()
	for _, a := range e.cfg.Addresses {
		s.Address = append(s.Address, a.String())
	}
	if e.lease.Epoch() != 0 {
		s.Active = e.cfg.Node
	}
	if s.Degraded {
		s.Problems = append(s.Problems, fmt.Sprintf("%d records wait in memory because the store does not take them: a second fault would lose them", s.Waits))
	}
	if e.cfg.Store.outside() {
		if s.Store = e.conn.ConnectedUrlRedacted(); s.Store == "" {
			s.Store = "none"
			s.Problems = append(s.Problems, fmt.Sprintf("no server of the store answers (%s): records wait in memory", strings.Join(e.cfg.Store.Servers, ", ")))
		}
	}
	if s.Lost > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("%d records were dropped because too much waited", s.Lost))
	}
	if e.health != nil {
		for _, why := range e.health.get().Reasons {
			s.Problems = append(s.Problems, "health: "+why)
		}
	}
	if e.fault.Load() {
		s.Problems = append(s.Problems, "the store of this node could not write to its disk and has stopped; it is started again when there is room")
	}
	if len(e.cfg.Members) == 0 {
		return s
	}
	e.memberStatus(&s, time.Now())
	return s
}

func (e *Engine) memberStatus(s *Status, now time.Time) {
	s.Role, s.Since, s.Active = e.standing()
	if e.playing() != nil {
		s.Here = e.address.isHere()
	}
	switch {
	case s.Role == "no majority":
		s.Problems = append(s.Problems, "this node reaches no majority of the members, so nobody is promoted: bring one of the others back")
	case s.Active == "":
		s.Problems = append(s.Problems, "nobody is active")
	}
	if e.twin != nil {
		e.twin.peerStatus(s)
	}
	e.certificateStatus(s, now)
	if what := e.lateHeartbeats(BootTime()); what != "" {
		s.Problems = append(s.Problems, what)
	}
	s.Problems = append(s.Problems, e.clockStatus(BootTime())...)
	if s.Coincide = e.coincide.Load(); s.Coincide {
		s.Problems = append(s.Problems, "the active node leads streams of the store: if it died now, writes would wait for seconds")
	}
	if other := e.otherPlan(now); other != "" {
		s.Problems = append(s.Problems, other)
	}
	if x := e.agrees.get(now); x.Node != "" && s.Epoch != 0 {
		if s.Agrees = &x; len(x.Differs) > 0 {
			s.Problems = append(s.Problems, x.problem())
		}
	}
	e.peers.mu.Lock()
	defer e.peers.mu.Unlock()
	for _, m := range e.cfg.Members {
		p, ok := e.peers.all[m.Name]
		if m.Name == e.cfg.Node {
			p, ok = e.asPeer(), true
			p.Heard = now
		}
		if !ok || now.Sub(p.Heard) > heardWithin {
			p.Node, p.Role = m.Name, NotHeard
			s.Problems = append(s.Problems, notHeard(m.Name, s.Active))
		}
		if p.Role != NotHeard && p.Election != 0 && p.Election != e.cfg.Timers {
			s.Problems = append(s.Problems, fmt.Sprintf("node %s has election = %v and this one %v: they do not vote with each other; give all members the same, and restart them one by one", m.Name, p.Election, e.cfg.Timers))
		}
		if left := p.Certificate.Sub(now); p.Role != NotHeard && !p.Certificate.IsZero() && left < certificateLife/6 {
			s.Problems = append(s.Problems, fmt.Sprintf("the certificate of node %s ends in %d days: `tandem cluster renew` there says why it has no next one", m.Name, int(left/(24*time.Hour))))
		}
		p.Clock = e.clocks.of(m.Name, BootTime())
		s.Members = append(s.Members, p)
	}
}

func notHeard(name, active string) string {
	switch active {
	case "", name:
		return fmt.Sprintf("node %s is not heard", name)
	}
	return fmt.Sprintf("node %s is not heard: one more fault and nobody serves", name)
}

// certificateStatus tells whether the others let this machine in, and for how long.
func (e *Engine) certificateStatus(s *Status, now time.Time) {
	id := e.cfg.Identity
	s.Certificate = id.leaf().NotAfter
	if err := id.admits(id.leaf()); err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("%v: another one has its name; to have it back, stop that one, invite this one again and join", err))
	} else if by := e.door.refusedBy(now); by != "" {
		s.Problems = append(s.Problems, fmt.Sprintf("the member at %s refuses the certificate of this machine: another one has its name, or the cluster blocks differ; its log says which", by))
	}
}

func (w *writer) status(s *Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Degraded, s.Waits = w.degraded, len(w.backlog)+len(w.flying)
	s.Put, s.Late, s.Lost = w.stats.put.Load(), w.stats.late.Load(), w.stats.lost.Load()
}

// Failover gives the role to the other switch: a planned change, with a gap of some ten milliseconds. Only the active node
// does it. An error says why nothing changed.
func (e *Engine) Failover(ctx context.Context) error { return e.handOver(ctx, false) }

// handOver is Failover. A node that hands over before it dies does so also while it owes records: it would take them with it.
func (e *Engine) handOver(ctx context.Context, owing bool) error {
	r := e.playing()
	if r == nil {
		return errors.New("a single node has nobody to hand over to")
	}
	i := slices.IndexFunc(e.cfg.Members, func(m Member) bool { return !m.Witness && m.Name != e.cfg.Node })
	f := failoverRequest{to: e.cfg.Members[i].Name, owing: owing, answer: make(chan error, 1)}
	if err := e.mayHandOver(f.to); err != nil {
		return err
	}
	if err := e.isBehind(f.to); err != nil && !owing {
		return err
	}
	select {
	case r.requests() <- f:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-f.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mayHandOver wants a standby that has been heard.
func (e *Engine) mayHandOver(to string) error {
	if e.lease.Epoch() == 0 {
		return nil // the role says who is active
	}
	e.peers.mu.Lock()
	defer e.peers.mu.Unlock()
	p, ok := e.peers.all[to]
	if !ok || time.Since(p.Heard) > heardWithin || p.Role != "standby" {
		return fmt.Errorf("node %s is no standby at this moment, so it cannot take over", to)
	}
	return nil
}

// isBehind is an error where the standby, when it was last heard, had not read everything, or did not hold what this node did.
func (e *Engine) isBehind(to string) error {
	if e.lease.Epoch() != 0 && !e.peers.ready(to, time.Now()) {
		return fmt.Errorf("node %s has not read everything yet, so it does not take over: try again in some seconds", to)
	}
	if b := e.agrees.behind(time.Now()); len(b) > 0 {
		return fmt.Errorf("node %s does not hold the same records of %s at this moment, so it does not take over: try again in some seconds", to, strings.Join(b, ", "))
	}
	return nil
}

// Rehearsal is what a planned change would do.
type Rehearsal struct {
	From     string   `json:"from"`
	To       string   `json:"to,omitempty"`
	Possible bool     `json:"possible"`
	Why      []string `json:"why"` // not, or not whole; sentences
	Target   *Peer    `json:"target,omitempty"`
}

// Rehearse tells whether the standby could take over now, and how it stands.
func (e *Engine) Rehearse() Rehearsal {
	s := e.Status()
	r := Rehearsal{From: e.cfg.Node, Why: []string{}}
	switch {
	case len(e.cfg.Members) == 0:
		r.Why = append(r.Why, "a single node has nobody to hand over to")
		return r
	case s.Epoch == 0:
		r.Why = append(r.Why, fmt.Sprintf("this node is not the active one (%s is): ask there", orNobody(s.Active)))
		return r
	}
	for _, m := range e.cfg.Members {
		if m.Witness || m.Name == e.cfg.Node {
			continue
		}
		r.To = m.Name
		if err := cmp.Or(e.mayHandOver(m.Name), e.isBehind(m.Name)); err != nil {
			r.Why = append(r.Why, err.Error())
		}
	}
	for i, p := range s.Members {
		if p.Node == r.To {
			r.Target = &s.Members[i]
		}
	}
	if n := e.writer.owes(); n > 0 {
		r.Why = append(r.Why, fmt.Sprintf("%d records that were answered for are not held by another node yet", n))
	}
	r.Possible = len(r.Why) == 0
	return r
}

// Flush waits until everything that was put is held, at most for limit.
func (e *Engine) Flush(limit time.Duration) { e.writer.drain(limit) }
