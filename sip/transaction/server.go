package transaction

import (
	"strings"
	"sync/atomic"
	"tandem/sip"
	"tandem/sip/transport"
)

// Server is a request that came to us and waits for its response. It stays valid as long as anybody holds it.
// Its methods are safe for use by many goroutines.
type Server struct {
	// Proxy marks a request that is forwarded rather than answered by us; the user sets it in User.Request.
	// The 200 to its CANCEL then has a To tag of its own, since those of the INVITE belong to the branches.
	Proxy atomic.Bool

	table *Table
	shard *shard
	entry *entry
	flow  transport.Flow
	req   sip.Message
}

// Request is the request, kept by the handle.
func (s *Server) Request() *sip.Message { return &s.req }

// Flow is where the request came from. Over UDP the response may go to another port; Respond knows.
func (s *Server) Flow() transport.Flow { return s.flow }

// Method is the method of the request.
func (s *Server) Method() string { return s.req.Method() }

// Key identifies the transaction among the live ones of the table. It is not a text for people.
func (s *Server) Key() string { return s.entry.key }

// Tag is a To tag for the responses of this transaction. The table's own answers, the 200 to a CANCEL among
// them, have it; the user may use another.
func (s *Server) Tag() string { return s.table.tag([]byte(s.entry.key)) }

// State is where the transaction stands.
func (s *Server) State() State {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	return s.entry.state
}

// Respond sends a whole response, 100 to 699, whose status is read from the text; raw is not kept.
// After a final response nothing more is sent, but repeated 2xx and those of other forks to an INVITE
// (RFC 6026 §7.1): ErrFinal, ErrTerminated. An error of the flow is returned; over UDP the transaction goes on
// as if the response had been lost on the way, over a connection a refusal that cannot be sent ends it. A response that waits for
// one of the table's own to leave is sent after it, by another goroutine, and its error is not returned.
func (s *Server) Respond(raw []byte) error {
	status := statusOf(raw)
	if status == 0 {
		return ErrResponse
	}
	if s.table == nil { // see Ended
		return ErrTerminated
	}
	var room [4]Action
	e, sh := s.entry, s.shard
	sh.mu.Lock()
	was := e.state
	out, err := e.Respond(s.table.now(), status, room[:0])
	if err != nil {
		sh.mu.Unlock()
		return err
	}
	if e.keeps(status) {
		e.text = string(raw)
	}
	s.table.settle(sh, e, was)
	if e.speech != nil {
		e.speech.waiting = append(e.speech.waiting, string(raw))
		sh.mu.Unlock()
		return nil
	}
	sh.mu.Unlock()
	_ = out // Send, and End where nothing has to be awaited: settle saw to it
	if err := e.flow.Send(raw); err != nil {
		s.unsent(status)
		return err
	}
	return nil
}

// keeps tells whether a response may have to be sent again: not a 2xx to an INVITE, nor one over a connection
// that will not be asked for twice.
func (e *entry) keeps(status int) bool {
	if e.kind == InviteServer {
		return status < 200 || status >= 300
	}
	return e.state != Terminated
}

// unsent ends an INVITE whose refusal did not get into its connection: no ACK can come.
func (s *Server) unsent(status int) {
	e, sh := s.entry, s.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e.state == Completed && e.reliable && status >= 300 {
		was := e.state
		e.end(nil)
		s.table.settle(sh, e, was)
	}
}

// statusOf reads the status code of a response; 0: it is none.
func statusOf(raw []byte) int {
	const begin = "SIP/2.0 "
	if len(raw) < len(begin)+3 || !strings.EqualFold(string(raw[:len(begin)]), begin) {
		return 0
	}
	n, ok := sip.Digits(string(raw[len(begin) : len(begin)+3]))
	if !ok || n < 100 || n > 699 {
		return 0
	}
	return int(n)
}
