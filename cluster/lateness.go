package cluster

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// How late heartbeats come says whether the election time suits the machines. A virtual machine that is not run for a moment, or a
// network that holds packets back, looks like a dead leader when it lasts as long as an election time.
//
// The time is measured, and told; it is not changed while members run. Raft lets followers wait longer (ReloadConfig), but not its leader
// lease: a leader that was slow would step down as before. And a lease that is as long as the others wait must not grow before each of
// them waits longer, and one of them may start again with what stands in its file at any moment.

// latenessKept is for how many seconds the worst is kept.
const latenessKept = 60

// An alarm is due when heartbeats have been late by more than half of the election time in so many seconds of the last minute.
const lateSeconds = 3

// lateness keeps the worst of each second.
type lateness struct {
	mu      sync.Mutex
	worst   [latenessKept]time.Duration
	second  int64 // of worst[second%latenessKept], by BootTime
	term    uint64
	beat    time.Duration // BootTime of the last heartbeat in term
	alarmed bool          // of the goroutine that reports
}

// move makes room for a second, and forgets those that are too old. The lock must be held.
func (l *lateness) move(now time.Duration) {
	s := int64(now / time.Second)
	for n := max(l.second+1, s-latenessKept+1); n <= s; n++ {
		l.worst[n%latenessKept] = 0
	}
	l.second = max(l.second, s)
}

func (l *lateness) note(now, late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move(now)
	at := &l.worst[l.second%latenessKept]
	*at = max(*at, late)
}

// heard is called with each heartbeat of a leader, who sends one every tenth to fifth of the election time.
func (l *lateness) heard(term uint64, now, timers time.Duration) {
	l.mu.Lock()
	last := l.beat
	if term != l.term {
		last = 0 // between two leaders there is an election, not a late heartbeat
	}
	l.term, l.beat = term, now
	l.mu.Unlock()
	if late := now - last - timers/5; last != 0 && late > 0 {
		l.note(now, late)
	}
}

// last is the worst of the last minute, and in how many of its seconds it was more than a limit.
func (l *lateness) last(now, limit time.Duration) (worst time.Duration, often int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move(now)
	for _, late := range l.worst {
		worst = max(worst, late)
		if late > limit {
			often++
		}
	}
	return worst, often
}

// longestElection is what the configuration takes.
const longestElection = 5 * time.Second

// betterElection is an election time of which a lateness is at most half.
func betterElection(timers, late time.Duration) time.Duration {
	for late > timers/2 && timers < longestElection {
		timers *= 2
	}
	return min(timers, longestElection)
}

// lateHeartbeats is what an operator should know of them; empty: nothing. A pair without a vote has none.
func (e *Engine) lateHeartbeats(now time.Duration) string {
	timers := e.cfg.Timers
	worst, often := e.late.last(now, timers/2)
	if often < lateSeconds {
		return ""
	}
	return fmt.Sprintf("heartbeats come up to %v late at this node, and an election begins after %v: set `election = %q` on all members, or give the machines more time",
		worst.Round(time.Millisecond), timers, betterElection(timers, worst))
}

// watchLateness tells when heartbeats come late, and when they have not for a minute.
func (e *Engine) watchLateness(now time.Duration) {
	switch what := e.lateHeartbeats(now); {
	case what != "" && !e.late.alarmed:
		e.late.alarmed = true
		e.tell(Event{Name: "heartbeats late", Alarm: true, Detail: what})
	case what == "" && e.late.alarmed:
		if worst, _ := e.late.last(now, 0); worst <= e.cfg.Timers/2 {
			e.late.alarmed = false
			e.tell(Event{Name: "heartbeats in time", Detail: "for a minute"})
		}
	}
}

// SetHeartbeatHandler puts a clock before raft's own handler of heartbeats.
func (p *patience) SetHeartbeatHandler(handle func(raft.RPC)) {
	p.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		if q, ok := rpc.Command.(*raft.AppendEntriesRequest); ok && p.beat != nil {
			p.beat(q.Term)
		}
		handle(rpc)
	})
}
