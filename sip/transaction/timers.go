package transaction

import (
	"container/heap"
	"time"
)

// list is a queue of entries that all wait equally long, linked through the entries themselves: joining,
// leaving and expiring cost the same however many wait, and what has ended is not held.
type list struct{ first, last *entry }

func (l *list) push(e *entry) {
	e.prev, e.next = l.last, nil
	if l.last != nil {
		l.last.next = e
	} else {
		l.first = e
	}
	l.last = e
}

func (l *list) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = nil, nil
}

// resends is a heap of the entries that wait for timer A, E or G, whose intervals differ.
type resends []*entry

func (r resends) Len() int           { return len(r) }
func (r resends) Less(i, j int) bool { return r[i].resendAt < r[j].resendAt }
func (r resends) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = int32(i), int32(j)
}
func (r *resends) Push(x any) {
	e := x.(*entry)
	e.place = int32(len(*r))
	*r = append(*r, e)
}
func (r *resends) Pop() any {
	old := *r
	n := len(old) - 1
	e := old[n]
	old[n] = nil
	*r = old[:n]
	return e
}

// schedule puts the entry where its machine's timers want it, and wakes the shard's runner when that is
// earlier than it means to wake. The caller holds the shard's lock.
func (s *shard) schedule(e *entry) {
	if e.lifeAt != e.life || e.lifeQueue != e.queue {
		if e.lifeAt != 0 {
			s.lists[e.lifeQueue].remove(e)
		}
		if e.lifeAt, e.lifeQueue = e.life, e.queue; e.lifeAt != 0 {
			s.lists[e.lifeQueue].push(e)
		}
	}
	if was := e.resendAt; was != e.resend {
		e.resendAt = e.resend
		switch {
		case was == 0:
			heap.Push(&s.resends, e)
		case e.resendAt == 0:
			e.resendAt = was
			heap.Remove(&s.resends, int(e.place))
			e.resendAt = 0
		default:
			heap.Fix(&s.resends, int(e.place))
		}
	}
	if d := e.Deadline(); d != 0 && d < s.sleeping {
		s.sleeping = d
		select {
		case s.wake <- struct{}{}: // capacity 1: one waiting signal is enough, more are dropped
		default:
		}
	}
}

// due returns an entry whose deadline has come, nil when there is none.
func (s *shard) due(now time.Duration) *entry {
	if len(s.resends) > 0 && s.resends[0].resendAt <= now {
		return s.resends[0]
	}
	for q := range s.lists {
		if e := s.lists[q].first; e != nil && e.lifeAt <= now {
			return e
		}
	}
	return nil
}

// reapPause is the least time between two rounds of forgetting transactions whose end nobody sees, so that a
// busy shard does it in batches instead of waking for each one.
const reapPause = 10 * time.Millisecond

// nextDeadline is when the runner must wake; 0: nothing waits.
func (s *shard) nextDeadline() time.Duration {
	var next time.Duration
	earliest := func(d time.Duration) {
		if next == 0 || d < next {
			next = d
		}
	}
	if len(s.resends) > 0 {
		earliest(s.resends[0].resendAt)
	}
	for q := range s.lists {
		if e := s.lists[q].first; e != nil {
			d := e.lifeAt
			if queue(q).quiet() {
				d = max(d, s.reaped+reapPause)
			}
			earliest(d)
		}
	}
	return next
}
