package transaction

import (
	"context"
	"math"
	"sync"
	"tandem/sip/transport"
	"time"
)

// Values of shard.sleeping: while the runner is not asleep nothing is earlier, so nobody wakes it; when
// nothing waits, everything is.
const (
	awake   time.Duration = 0
	forever time.Duration = math.MaxInt64
)

// shard is a part of the table with its own lock, timers and goroutine.
type shard struct {
	mu      sync.Mutex
	servers map[string]*entry
	clients map[string]*entry
	flows   map[uint64]*entry // first unfinished client of each connection, by Flow.ID

	lists    [queues]list
	resends  resends
	sleeping time.Duration // when the runner will wake by itself
	reaped   time.Duration // when it last forgot a lingering transaction
	wake     chan struct{}

	count counters
}

func newShard() *shard {
	return &shard{
		servers: map[string]*entry{}, clients: map[string]*entry{}, flows: map[uint64]*entry{},
		wake: make(chan struct{}, 1),
	}
}

// insert adds an entry that has just been started.
func (s *shard) insert(e *entry) {
	if e.kind <= NonInviteClient {
		s.clients[e.key] = e
		s.joinFlow(e)
	} else {
		s.servers[e.key] = e
	}
	s.count.created[e.kind]++
	s.count.live[e.kind][e.state]++
	s.schedule(e)
}

// settle does what follows from a step of the entry's machine: counts, timers, and letting go of what is no
// longer needed. was is the state before the step. The caller holds the lock.
func (t *Table) settle(s *shard, e *entry, was State) {
	if e.state != was {
		s.count.live[e.kind][was]--
		s.count.live[e.kind][e.state]++
		t.release(s, e)
	}
	s.schedule(e)
}

// release lets go of what the new state does not need.
func (t *Table) release(s *shard, e *entry) {
	if e.onFlow && e.state >= Accepted {
		s.leaveFlow(e)
	}
	switch e.kind {
	case InviteClient:
		if e.state == Accepted {
			e.text, e.client.text = "", withoutBody(e.client.text)
		} else if e.state == Completed {
			e.client = nil
		}
	case NonInviteClient:
		if e.state == Completed {
			e.text, e.client = "", nil
		}
	case InviteServer:
		switch e.state {
		case Accepted, Confirmed:
			e.text, e.server = "", nil
		}
	case NonInviteServer:
		if e.state == Completed {
			e.server = nil
		}
	}
	if e.state == Terminated {
		t.remove(s, e)
	}
}

// remove forgets an entry whose machine has ended.
func (t *Table) remove(s *shard, e *entry) {
	s.count.live[e.kind][Terminated]--
	t.live.Add(-1)
	if e.kind <= NonInviteClient {
		delete(s.clients, e.key)
	} else {
		delete(s.servers, e.key)
	}
	if e.merge != (mergeKey{}) {
		t.merged.release(e.merge, e.key)
	}
	e.text, e.client, e.server = "", nil, nil
}

// joinFlow links a client over a connection to the others of it.
func (s *shard) joinFlow(e *entry) {
	if !e.reliable {
		return
	}
	id := e.flow.ID()
	if e.flowNext = s.flows[id]; e.flowNext != nil {
		e.flowNext.flowPrev = e
	}
	s.flows[id], e.onFlow = e, true
}

func (s *shard) leaveFlow(e *entry) {
	e.onFlow = false
	if e.flowNext != nil {
		e.flowNext.flowPrev = e.flowPrev
	}
	switch {
	case e.flowPrev != nil:
		e.flowPrev.flowNext = e.flowNext
	case e.flowNext != nil:
		s.flows[e.flow.ID()] = e.flowNext
	default:
		delete(s.flows, e.flow.ID())
	}
	e.flowPrev, e.flowNext = nil, nil
}

// run fires the shard's timers until ctx ends.
func (s *shard) run(ctx context.Context, t *Table) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := s.fire(t)
		var elapsed <-chan time.Time
		if next != 0 {
			timer.Reset(next - t.now())
			elapsed = timer.C
		}
		select {
		case <-ctx.Done():
		case <-elapsed:
		case <-s.wake:
		}
	}
}

// reapBatch bounds how many transactions end under one hold of the lock.
const reapBatch = 128

// fire ticks everything that is due and returns when to come back; 0: only when woken.
func (s *shard) fire(t *Table) time.Duration {
	var room [4]Action
	s.mu.Lock()
	s.sleeping = awake
	for batch := 0; ; batch++ {
		now := t.now()
		e := s.due(now)
		if e == nil {
			break
		}
		if e.lifeQueue.quiet() {
			s.reaped = now
		}
		was := e.state
		w := t.prepare(s, e, e.Tick(now, room[:0]), nil)
		t.settle(s, e, was)
		if w.idle() && batch%reapBatch != reapBatch-1 {
			continue
		}
		s.mu.Unlock()
		t.do(w)
		s.mu.Lock()
	}
	next := s.nextDeadline()
	if s.sleeping = next; next == 0 {
		s.sleeping = forever
	}
	s.mu.Unlock()
	return next
}

// closed collects the unfinished clients of a connection that is gone, and ends them.
func (s *shard) closed(t *Table, f transport.Flow) {
	var room [4]Action
	for {
		s.mu.Lock()
		e := s.flows[f.ID()]
		if e == nil {
			s.mu.Unlock()
			return
		}
		w := t.breakOff(s, e, room[:0])
		s.mu.Unlock()
		t.do(w)
	}
}
