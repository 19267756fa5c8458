package cluster

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// patience carries raft's messages and keeps its leader from giving a silent member up. Raft lengthens the pause before the next
// entry for a member with each failure, up to ten seconds, and nothing shortens it: a member that is back would lack the log for so
// long, and could neither be elected nor be handed the lead. Here a failed entry waits until a heartbeat has reached the member.
type patience struct {
	*raft.NetworkTransport
	raft atomic.Pointer[raft.Raft]
	beat func(term uint64) // called with each heartbeat of a leader; set before raft begins

	mu      sync.Mutex
	reached map[raft.ServerID]chan struct{} // closed by the next heartbeat that is answered
	heard   map[raft.ServerID]time.Time     // when a member answered last
	agreed  map[raft.ServerID]time.Duration // BootTime at which what a member agreed to last was sent
}

func newPatience(t *raft.NetworkTransport) *patience {
	return &patience{NetworkTransport: t, reached: map[raft.ServerID]chan struct{}{}, heard: map[raft.ServerID]time.Time{}, agreed: map[raft.ServerID]time.Duration{}}
}

// patiently is how often a failed entry looks whether this node still leads.
const patiently = 20 * time.Millisecond

// AppendEntries sends entries, or a heartbeat.
func (p *patience) AppendEntries(id raft.ServerID, to raft.ServerAddress, q *raft.AppendEntriesRequest, a *raft.AppendEntriesResponse) error {
	reached, sent := p.watch(id), BootTime()
	err := p.answered(id, p.NetworkTransport.AppendEntries(id, to, q, a))
	if err == nil && a.Success {
		p.mu.Lock()
		p.agreed[id] = sent
		p.mu.Unlock()
	}
	if heartbeat := q.PrevLogEntry == 0 && len(q.Entries) == 0 && q.LeaderCommitIndex == 0; heartbeat {
		if err == nil {
			p.reach(id)
		}
		return err
	}
	if err == nil {
		return nil
	}
	tick := time.NewTicker(patiently)
	defer tick.Stop()
	for p.leads(q.Term) {
		select {
		case <-reached:
			return err
		case <-tick.C:
		}
	}
	return err
}

// RequestVote asks for a vote.
func (p *patience) RequestVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	return p.answered(id, p.NetworkTransport.RequestVote(id, to, q, a))
}

// answered notes that a member has.
func (p *patience) answered(id raft.ServerID, err error) error {
	if err == nil {
		p.mu.Lock()
		p.heard[id] = time.Now()
		p.mu.Unlock()
	}
	return err
}

// answers tells whether a member has answered within a time. Only to such a one may the lead be handed: raft's second attempt with a
// member that is silent blocks it for as long as that one is.
func (p *patience) answers(id raft.ServerID, within time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.heard[id]) < within
}

// agreedSince is the moment from which on so many members have agreed that this node leads: what they agreed to was sent later. raft's own word
// that it leads may rest on an answer to what was sent before it was asked, and before its process was stopped.
func (p *patience) agreedSince(members int) time.Duration {
	p.mu.Lock()
	all := slices.Sorted(maps.Values(p.agreed))
	p.mu.Unlock()
	if len(all) < members {
		return 0
	}
	return all[len(all)-members]
}

func (p *patience) leads(term uint64) bool {
	r := p.raft.Load()
	return r != nil && r.State() == raft.Leader && r.CurrentTerm() == term
}

func (p *patience) watch(id raft.ServerID) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached[id] == nil {
		p.reached[id] = make(chan struct{})
	}
	return p.reached[id]
}

func (p *patience) reach(id raft.ServerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.reached[id]; c != nil {
		close(c)
		delete(p.reached, id)
	}
}
