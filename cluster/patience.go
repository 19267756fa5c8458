package cluster

import (
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

	mu      sync.Mutex
	reached map[raft.ServerID]chan struct{} // closed by the next heartbeat that is answered
}

// patiently is how often a failed entry looks whether this node still leads.
const patiently = 20 * time.Millisecond

// AppendEntries sends entries, or a heartbeat.
func (p *patience) AppendEntries(id raft.ServerID, to raft.ServerAddress, q *raft.AppendEntriesRequest, a *raft.AppendEntriesResponse) error {
	reached := p.watch(id)
	err := p.NetworkTransport.AppendEntries(id, to, q, a)
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

func (p *patience) leads(term uint64) bool {
	r := p.raft.Load()
	return r != nil && r.State() == raft.Leader && r.CurrentTerm() == term
}

func (p *patience) watch(id raft.ServerID) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached[id] == nil {
		if p.reached == nil {
			p.reached = map[raft.ServerID]chan struct{}{}
		}
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
