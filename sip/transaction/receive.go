package transaction

import (
	"tandem/sip"
	"tandem/sip/transport"
)

// Receive takes one message from the transports.
func (t *Table) Receive(f transport.Flow, m *sip.Message) {
	defer t.guard(event{})
	if m.IsRequest() {
		t.receiveRequest(f, m)
	} else {
		t.receiveResponse(f, m)
	}
}

func (t *Table) receiveRequest(f transport.Flow, m *sip.Message) {
	via, err := m.TopVia()
	if err != nil { // no transaction without it; the user may know an answer
		t.loose.malformed.Add(1)
		if m.Method() != sip.ACK {
			t.stateless(f, m, nil)
		}
		return
	}
	var room [192]byte
	key := serverKey(room[:0], m, via)
	switch m.Method() {
	case sip.ACK:
		t.receiveACK(f, m, key)
		return
	case sip.CANCEL:
		t.receiveCancel(responseFlow(f, m, via), m, key)
		return
	}
	if t.repeated(t.shard(key), key, m) {
		return
	}
	// In an order that costs a flood least: known by its merge, answered without a trace, no room, admitted.
	var merge mergeKey
	back, inDialog := responseFlow(f, m, via), m.ToTag() != ""
	if !inDialog {
		merge = t.mergeKeyOf(m)
		if t.merged.other(merge, key) {
			t.refuseMerged(back, m, key)
			return
		}
	}
	if t.stateless(f, m, key) {
		return
	}
	if t.full(inDialog) {
		t.refuseFull(back, m, key)
		return
	}
	t.admit(f, back, m, key, merge)
}

// stateless asks the user whether the request needs no transaction. One that made it panic is answered 500.
func (t *Table) stateless(f transport.Flow, m *sip.Message, key []byte) (answered bool) {
	done := false
	defer func() {
		if done {
			return
		}
		t.guardStateless(recover(), f, m, key)
		answered = true
	}()
	answered = t.user.Stateless(f, m)
	done = true
	return answered
}

// repeated tells whether the request has a transaction already, and lets that deal with it.
func (t *Table) repeated(s *shard, key []byte, m *sip.Message) bool {
	s.mu.Lock()
	e := s.servers[string(key)]
	if e == nil {
		s.mu.Unlock()
		return false
	}
	w := t.again(s, e, m)
	s.mu.Unlock()
	t.do(w)
	return true
}

// again steps a server with its request come again, under the shard's lock.
func (t *Table) again(s *shard, e *entry, m *sip.Message) work {
	var room [4]Action
	s.count.absorbed[e.kind]++
	was := e.state
	w := t.prepare(s, e, e.Receive(t.now(), Input{Method: m.Method()}, room[:0]), m)
	t.settle(s, e, was)
	return w
}

// admit makes a server transaction and hands it to the user.
func (t *Table) admit(f, back transport.Flow, m *sip.Message, key []byte, merge mergeKey) {
	kind := NonInviteServer
	if m.Method() == sip.INVITE {
		kind = InviteServer
	}
	tx := &Server{table: t, flow: f, req: *m}
	e := &entry{key: string(key), flow: back, server: tx, merge: merge}
	tx.entry, tx.shard = e, t.shard(key)
	if merge != (mergeKey{}) && !t.merged.claim(merge, e.key) {
		t.refuseMerged(back, m, key)
		return
	}
	s := tx.shard
	s.mu.Lock()
	if other := s.servers[e.key]; other != nil { // another reader was faster with the same request
		w := t.again(s, other, m)
		s.mu.Unlock()
		t.do(w)
		return
	}
	e.Machine = Start(kind, f.Proto().Reliable(), &t.timers, t.now())
	t.live.Add(1)
	s.insert(e)
	e.busy = true
	s.mu.Unlock()
	t.deliver(s, e, event{what: callRequest, server: tx, m: &tx.req})
}

// receiveACK takes an ACK: for a refused INVITE it ends the retransmissions, else it is the user's.
func (t *Table) receiveACK(f transport.Flow, m *sip.Message, key []byte) {
	s := t.shard(key)
	var room [4]Action
	s.mu.Lock()
	e := s.servers[string(key)]
	ours := e != nil && (!oldStyle(e.key) || e.acknowledges(m))
	if ours {
		was := e.state
		out := e.Receive(t.now(), Input{Method: sip.ACK}, room[:0])
		ours = len(out) == 0 || out[0] != Pass
		t.settle(s, e, was)
	}
	s.mu.Unlock()
	if !ours {
		t.user.Ack(f, m)
	}
}

// acknowledges tells whether the ACK of an RFC 2543 peer has the To tag of our response (RFC 3261 §17.2.3).
func (e *entry) acknowledges(m *sip.Message) bool {
	var response sip.Message
	return e.text == "" || response.Parse(e.text) != nil || response.ToTag() == m.ToTag()
}

// receiveCancel answers a CANCEL hop by hop (RFC 3261 §9.2) without a transaction: the INVITE's absorbs
// repeated ones, and the same answer is made again.
func (t *Table) receiveCancel(back transport.Flow, m *sip.Message, key []byte) {
	s := t.shard(key)
	var room [4]Action
	s.mu.Lock()
	e := s.servers[string(key)]
	if e == nil {
		s.mu.Unlock()
		t.answer(back, sip.AppendResponse(nil, m, 481, "", t.tag(key)))
		return
	}
	tag := t.cancelTag(e, key)
	was := e.state
	w := t.prepare(s, e, e.Receive(t.now(), Input{Method: sip.CANCEL}, room[:0]), m)
	t.settle(s, e, was)
	s.mu.Unlock()
	t.answer(back, sip.AppendResponse(nil, m, 200, "", tag))
	t.do(w)
}

// cancelTag is the To tag of the 200 to a CANCEL: that of the response to the INVITE, or the one that it is
// going to have (RFC 3261 §9.2). A proxy's INVITE has those of its branches, so the 200 has one of its own.
func (t *Table) cancelTag(e *entry, key []byte) string {
	var response sip.Message
	if proxied := e.server != nil && e.server.Proxy.Load(); !proxied && e.text != "" &&
		response.Parse(e.text) == nil && response.ToTag() != "" {
		return response.ToTag()
	}
	return t.tag(key)
}

func (t *Table) receiveResponse(f transport.Flow, m *sip.Message) {
	via, err := m.TopVia()
	method := m.CSeqMethod()
	if err != nil || method == "" {
		t.loose.malformed.Add(1)
		return
	}
	var room [192]byte
	key := clientKey(room[:0], via, method)
	s := t.shard(key)
	var steps [4]Action
	s.mu.Lock()
	e := s.clients[string(key)]
	if e == nil {
		s.mu.Unlock()
		t.loose.stray.Add(1)
		t.user.Stray(f, m)
		return
	}
	was := e.state
	out := e.Receive(t.now(), Input{Status: m.Status()}, steps[:0])
	if was == Completed {
		s.count.absorbed[e.kind]++
	}
	w := t.prepare(s, e, out, m)
	t.settle(s, e, was)
	s.mu.Unlock()
	t.do(w)
}
