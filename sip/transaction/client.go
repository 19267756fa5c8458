package transaction

import (
	"tandem/sip"
	"tandem/sip/transport"
)

// Sink takes what becomes of a request that we sent. Its methods are called one at a time for each Client, in
// the order of the wire, with no lock held, from a reading or a timer goroutine; they must not block. They
// may be called before Send has returned.
type Sink interface {
	// Response brings a response: provisional ones, 100 included, and one final one; for an INVITE every
	// 2xx of a fork for 64*T1 after the first, each of which the user acknowledges on the flow by itself.
	// The ACK of other final responses is sent already. m is valid during the call.
	Response(c *Client, m *sip.Message)
	// Failed tells that no final response comes. Nothing follows it.
	Failed(c *Client, why Failure)
}

// Client is a request that we sent. It stays valid as long as anybody holds it. Its methods are safe for use
// by many goroutines.
type Client struct {
	table *Table
	shard *shard
	entry *entry
	flow  transport.Flow
	sink  Sink

	// Guarded by the shard's lock.
	text   string // the request
	reason string // Reason of the CANCEL
}

// Send sends a request and waits for its responses. raw is the whole request, with a top Via of ours made
// with Flow.Via and a new branch; it is not kept. sink may be nil when nobody cares. An error means that
// there is no transaction and that the sink will hear nothing: ErrRequest, ErrBranch, ErrFull, or the flow's.
func (t *Table) Send(f transport.Flow, raw []byte, sink Sink) (*Client, error) {
	if !f.Valid() {
		return nil, transport.ErrClosed
	}
	c := &Client{table: t, flow: f, sink: sink, text: string(raw)}
	var m sip.Message
	if m.Parse(c.text) != nil || !m.IsRequest() || m.Method() == sip.ACK {
		return nil, ErrRequest
	}
	via, err := m.TopVia()
	if err != nil || !fromRFC3261(via.Branch()) {
		return nil, ErrRequest
	}
	if m.Method() != sip.CANCEL && t.full(true) {
		t.loose.refused.Add(1)
		return nil, ErrFull
	}
	if err := t.launch(c, &m, via, raw); err != nil {
		return nil, err
	}
	return c, nil
}

// launch enters the client in the table and only then sends: the response may come at once.
func (t *Table) launch(c *Client, m *sip.Message, via sip.Via, raw []byte) error {
	kind := NonInviteClient
	if m.Method() == sip.INVITE {
		kind = InviteClient
	}
	var room [192]byte
	key := clientKey(room[:0], via, m.Method())
	s := t.shard(key)
	e := &entry{key: string(key), flow: c.flow, client: c, text: c.text}
	c.entry, c.shard = e, s
	reliable := c.flow.Proto().Reliable()
	if reliable {
		e.text = "" // nothing is sent twice
	}
	s.mu.Lock()
	if s.clients[e.key] != nil {
		s.mu.Unlock()
		return ErrBranch
	}
	e.Machine = Start(kind, reliable, &t.timers, t.now())
	t.live.Add(1)
	s.insert(e)
	s.mu.Unlock()
	err := c.flow.Send(raw)
	if err != nil && !e.repeats(err) && t.abandon(c) {
		return err
	}
	return nil
}

// repeats tells whether the transaction goes on after a request was not sent: over UDP it is sent again, as one that was lost.
func (e *entry) repeats(err error) bool { return !e.reliable && transport.Lost(err) }

// abandon ends a client whose request could not be sent; false: it has ended by itself meanwhile and the sink
// has heard of it.
func (t *Table) abandon(c *Client) bool {
	s, e := c.shard, c.entry
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.state > Proceeding {
		return false
	}
	was := e.state
	e.end(nil)
	s.count.failed[e.kind][TransportError]++
	t.settle(s, e, was)
	return true
}

// Request is the request, read anew at each call. An INVITE that was accepted may have lost its body: it
// lingers for 64*T1, and nobody needs to send it again.
func (c *Client) Request() *sip.Message {
	c.shard.mu.Lock()
	text := c.text
	c.shard.mu.Unlock()
	m := new(sip.Message)
	_ = m.Parse(text) // Send has parsed it
	return m
}

// Flow is what the request was sent on, where its CANCEL and the ACK for a 2xx without a route go too.
func (c *Client) Flow() transport.Flow { return c.flow }

// State is where the transaction stands.
func (c *Client) State() State {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.entry.state
}

// Cancel gives an INVITE up (RFC 3261 §9.1): the CANCEL leaves at once, or as soon as a provisional response
// has come, with reason as the value of its Reason header where it is not empty. The final response still
// comes to the sink: 487 as a rule, 2xx if they crossed. If none does for 64*T1, the sink hears Timeout.
// Other requests, and what has its final response, are left alone.
func (c *Client) Cancel(reason string) {
	var room [4]Action
	s := c.shard
	s.mu.Lock()
	if c.entry.cancel == cancelNone {
		c.reason = reason
	}
	out := c.entry.Cancel(c.table.now(), room[:0])
	s.schedule(c.entry)
	s.mu.Unlock()
	if len(out) > 0 {
		c.sendCancel()
	}
}

// sendCancel sends the CANCEL in a transaction of its own, whose outcome changes nothing.
func (c *Client) sendCancel() {
	c.shard.mu.Lock()
	text, reason := c.text, c.reason
	c.shard.mu.Unlock()
	raw, err := cancel(text, reason)
	if err != nil {
		raw, err = cancel(text, "") // a Reason with a line end in it is left out
	}
	if err == nil {
		_, err = c.table.Send(c.flow, raw, nil)
	}
	if err != nil {
		c.table.log.Debug("CANCEL not sent", "error", err)
	}
}
