package transaction

import (
	"tandem/sip"
	"tandem/sip/transport"
)

// work is what a step left to be done once the shard's lock is released.
type work struct {
	shard   *shard
	entry   *entry
	flow    transport.Flow
	text    string  // to be sent on flow; empty: nothing
	speech  *speech // what waits for that
	cancel  *Client // send a CANCEL for it
	event   event
	deliver bool // the event is ours to deliver
}

func (w *work) idle() bool { return w.text == "" && w.cancel == nil && !w.deliver }

// prepare turns the actions of a step into work, under the shard's lock and before settle. m is the message
// that the step took; nil for a timer.
func (t *Table) prepare(s *shard, e *entry, actions []Action, m *sip.Message) work {
	w := work{shard: s, entry: e, flow: e.flow}
	for _, a := range actions {
		switch a {
		case Resend:
			if w.text = e.text; w.text != "" {
				s.count.resent[e.kind]++
			}
		case Hundred:
			e.text = hundred(e.server.Request())
			w.text = e.text
		case Ack:
			e.text = ack(e.client.text, m)
			w.text = e.text
		case Cancel:
			if e.kind == InviteClient {
				w.cancel = e.client
			} else {
				w.raise(event{what: callCancel, server: e.server, m: m})
			}
		case Pass:
			if e.client != nil {
				w.raise(event{what: callResponse, client: e.client, m: m})
			}
		case Fail:
			w.fail(Timeout)
		}
	}
	if w.text != "" && e.server != nil && e.state == Proceeding {
		w.speak()
	}
	return w
}

// speak makes the user's responses wait until ours has been sent. One that is on its way need not be sent twice.
func (w *work) speak() {
	if w.entry.speech != nil {
		w.text = ""
		return
	}
	w.speech = &speech{}
	w.entry.speech = w.speech
}

// finish sends what the user has answered while we were sending.
func (w *work) finish() {
	for {
		w.shard.mu.Lock()
		waiting := w.speech.waiting
		w.speech.waiting = nil
		if len(waiting) == 0 {
			w.entry.speech = nil
		}
		w.shard.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		for _, raw := range waiting {
			if w.flow.Send([]byte(raw)) != nil {
				w.entry.server.unsent(statusOf([]byte(raw)))
			}
		}
	}
}

// raise makes the event ours to deliver, or leaves it to the goroutine that is delivering.
func (w *work) raise(ev event) {
	if ev.client != nil && ev.client.sink == nil {
		return // a CANCEL of ours: nobody asks how it was answered
	}
	w.event = ev
	w.deliver = w.entry.take(ev)
}

func (w *work) fail(why Failure) {
	e, count := w.entry, &w.shard.count
	switch e.kind {
	case InviteClient, NonInviteClient:
		count.failed[e.kind][why]++
		w.raise(event{what: callFailed, client: e.client, why: why})
	case InviteServer:
		count.failed[e.kind][why]++
		w.raise(event{what: callTerminated, server: e.server, why: why})
	case NonInviteServer:
		count.failed[e.kind][why]++ // the user never answered it: nobody to tell
	}
}

// breakOff ends an unfinished client whose request cannot be sent, under the shard's lock.
func (t *Table) breakOff(s *shard, e *entry, out []Action) work {
	was := e.state
	w := work{shard: s, entry: e}
	if len(e.Broken(out)) > 0 {
		w.fail(TransportError)
	}
	t.settle(s, e, was)
	return w
}

// do does the work, with no lock held: what goes on the wire first, then the user.
func (t *Table) do(w work) {
	if w.text != "" {
		// A server's response that cannot be repeated is like one that was lost: the peer asks again.
		if err := w.flow.Send([]byte(w.text)); err != nil && w.entry.kind <= NonInviteClient && w.event.what == 0 && !w.entry.repeats(err) {
			var room [4]Action
			w.shard.mu.Lock()
			broken := t.breakOff(w.shard, w.entry, room[:0])
			w.shard.mu.Unlock()
			t.do(broken)
			return
		}
	}
	if w.speech != nil {
		w.finish()
	}
	if w.cancel != nil {
		w.cancel.sendCancel()
	}
	if w.deliver {
		t.deliver(w.shard, w.entry, w.event)
	}
}
