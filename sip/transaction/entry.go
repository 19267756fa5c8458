package transaction

import (
	"tandem/sip"
	"tandem/sip/transport"
	"time"
)

// entry is one transaction in the table: the machine, and what it needs to go on by itself. The handles that
// the user knows (Server, Client) are apart from it, and let go of as soon as no callback can concern them,
// so that a request's text does not linger with its transaction. All fields belong to the shard's lock.
type entry struct {
	Machine
	key  string
	flow transport.Flow // where to send; for a server the response's way (RFC 3261 §18.2.2)
	// text is what is sent again: a client's request and later its ACK, a server's last response.
	text   string
	server *Server
	client *Client
	merge  mergeKey // zero: the request was inside a dialog

	// Timers, see schedule. lifeAt and resendAt are what the lists and the heap were told; 0: not there.
	prev, next       *entry
	lifeAt, resendAt time.Duration
	place            int32 // in the heap
	lifeQueue        queue

	// speech is what the table itself is sending of a server that still waits for its user: what the user answers meanwhile leaves
	// after it, since a 100 or an old 180 behind a 200 ends the call at some phones.
	speech *speech

	busy    bool    // a callback is running, or about to
	waiting []event // callbacks that came meanwhile

	// Unfinished clients of one connection are linked, so that they fail when it closes.
	flowPrev, flowNext *entry
	onFlow             bool
}

// speech is a send of the table's own, with the responses that wait for it: few, since it takes some microseconds.
type speech struct{ waiting []string }

// event is one callback to the user.
type event struct {
	what   callback
	server *Server
	client *Client
	m      *sip.Message
	why    Failure
}

type callback uint8

const (
	callRequest callback = iota + 1
	callCancel
	callTerminated
	callResponse
	callFailed
)

// maxWaiting bounds the responses that wait while another goroutine is in a callback of the same
// transaction. Callbacks do not block, so more means a flood: of provisional responses and of the 2xx to an
// INVITE, which come again until they are acknowledged, what does not fit is dropped as the network would.
// Anything else comes once in a transaction and is kept.
const maxWaiting = 64

// mayRepeat tells whether more events like this one may come.
func (e *entry) mayRepeat(ev event) bool {
	return ev.what == callResponse && (ev.m.Status() < 200 || e.kind == InviteClient && ev.m.Status() < 300)
}

// take makes the caller the one who delivers the event, once the lock is released; false: another goroutine
// is delivering and will go on with this one.
func (e *entry) take(ev event) bool {
	if !e.busy {
		e.busy = true
		return true
	}
	if len(e.waiting) >= maxWaiting && e.mayRepeat(ev) {
		return false
	}
	if ev.what == callResponse || ev.what == callCancel { // valid only until Receive returns
		m := *ev.m
		ev.m = &m
	}
	e.waiting = append(e.waiting, ev)
	return false
}

// deliver makes the callback and those that came up meanwhile. Whoever calls it has taken its turn and holds
// no lock.
func (t *Table) deliver(s *shard, e *entry, ev event) {
	for {
		t.call(ev)
		s.mu.Lock()
		if len(e.waiting) == 0 {
			e.busy, e.waiting = false, nil
			s.mu.Unlock()
			return
		}
		ev = e.waiting[0]
		e.waiting = e.waiting[1:]
		s.mu.Unlock()
	}
}

// call makes one callback; a panic in it ends here.
func (t *Table) call(ev event) {
	defer t.guard(ev)
	switch ev.what {
	case callRequest:
		t.user.Request(ev.server, ev.m)
	case callCancel:
		t.user.Cancel(ev.server, ev.m)
	case callTerminated:
		t.user.Terminated(ev.server, ev.why)
	case callResponse:
		ev.client.sink.Response(ev.client, ev.m)
	case callFailed:
		ev.client.sink.Failed(ev.client, ev.why)
	}
}
