package call

import (
	"sync"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
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
	cancelEvent struct { // of the INVITE that made the call, or of a re-INVITE
		leg *Leg
		tx  *transaction.Server
		m   *sip.Message
	}
	responseEvent struct {
		out *outgoing
		m   *sip.Message
	}
	strayEvent struct { // a 2xx to an INVITE whose transaction has ended
		leg *Leg
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
	hangupEvent struct { // an operator, or the switch is stopping
		cause    sip.Cause
		text     string
		by       string
		stopping bool
	}
	closedEvent  struct{} // the caller's connection is gone
	insteadEvent struct{} // the caller has the target called by somebody else
	leaveEvent   struct{} // the process ends, and another one goes on
	deposedEvent struct{} // another node serves the call
	doubtEvent   struct{} // the journal may not have it
)

// inboxSize bounds what may wait for one call: a call with 32 ringing branches gets about two messages of each
// in one burst. When it is full a request is answered 500 with Retry-After, and what the peer repeats (provisional
// responses, ACKs, 2xx come again) is dropped as the network would. What comes once is kept: it is bounded by the
// requests, look-ups and players of the call itself, each of which ends once.
const inboxSize = 128

// taken says what became of an event.
type taken uint8

const (
	waits taken = iota // it is in the inbox
	full               // it was dropped
	gone               // the call is over
)

// inbox is the bounded queue of one call.
type inbox struct {
	mu     sync.Mutex
	events []any
	idle   bool // the call waits for events
	young  bool // see Call.settingUp
	closed bool
	ready  chan struct{} // capacity 1: a signal that waits already is enough
}

// put queues an event. once: it must not be lost.
func (b *inbox) put(e any, once bool) taken {
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return gone
	case len(b.events) >= inboxSize && !once:
		b.mu.Unlock()
		return full
	}
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return waits
}

// putWith queues an event that must not be lost, and does something at that moment: what is queued after it sees that done.
// It is false, and nothing is done, when the call is over.
func (b *inbox) putWith(e any, do func()) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	do()
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return true
}

// legOf is the leg that an event is about; nil: none.
func legOf(e any) *Leg {
	switch e := e.(type) {
	case requestEvent:
		return e.leg
	case ackEvent:
		return e.leg
	case cancelEvent:
		return e.leg
	case responseEvent:
		return e.out.leg
	case strayEvent:
		return e.leg
	case failedEvent:
		return e.out.leg
	case mediaEvent:
		return e.leg
	}
	return nil
}

// follow sends an event after a leg that another call has now; false: it is this call's.
func (c *Call) follow(e any) bool {
	l := legOf(e)
	if l == nil || l.in() == c {
		return false
	}
	if !l.in().postOnce(e) {
		if r, ok := e.(requestEvent); ok {
			c.board.refuse(r.tx, r.m, &sip.StatusError{Code: 481})
		}
	}
	return true
}

// rest notes that the call waits for events, until it takes some, and whether it is being set up.
func (b *inbox) rest(young bool) {
	b.mu.Lock()
	b.idle, b.young = true, young
	b.mu.Unlock()
}

func (b *inbox) isYoung() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.young
}

// settled tells whether the call has done all that it was told.
func (b *inbox) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.idle && len(b.events) == 0
}

// take swaps all that waits for an empty slice to fill.
func (b *inbox) take(empty []any) []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = false
	events := b.events
	b.events = empty[:0]
	return events
}

// close lets nothing more in, and gives what was not handled.
func (b *inbox) close() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	events := b.events
	b.events = nil
	return events
}

// post gives the call an event that its sender repeats, or can be told of.
func (c *Call) post(e any) taken {
	t := c.inbox.put(e, false)
	if t == full {
		c.board.stats.InboxFull.Add(1)
	}
	return t
}

// postOnce gives the call an event that comes only once. It is false when the call is over.
func (c *Call) postOnce(e any) bool { return c.inbox.put(e, true) == waits }
