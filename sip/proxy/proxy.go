// Package proxy forwards requests that are no calls, such as MESSAGE, as a stateful proxy (RFC 3261 §16): to every
// target at once, with the best of their answers for the one who asked. Calls go through package call.
//
// Each request is one Forwarding, kept alive by its transactions alone; there is no goroutine and no timer here. The
// request leaves byte for byte as it came, but for Request-URI, Via, Route, Max-Forwards and the credentials that were
// meant for us.
package proxy

import (
	"fmt"
	"strings"
	"sync"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// Sender sends requests in client transactions: a transaction.Table.
type Sender interface {
	Send(f transport.Flow, raw []byte, sink transaction.Sink) (*transaction.Client, error)
}

// Target is one place that a request is forwarded to.
type Target struct {
	URI    string         // the new Request-URI
	Routes []string       // values of Route headers to be put on top; a Path
	Flow   transport.Flow // where it is sent
}

// maxTargets bounds the branches of one request.
const maxTargets = 16

// Forward sends the request of tx, which must not be INVITE, ACK or CANCEL, to all targets and answers tx with the
// best response (RFC 3261 §16.7). The caller has authenticated it and chosen the targets; with none it is 480.
func Forward(table Sender, tx *transaction.Server, m *sip.Message, targets []Target) {
	tx.Proxy.Store(true)
	hops, ok := m.MaxForwards()
	switch {
	case ok && hops <= 0:
		respond(tx, m, 483)
		return
	case !ok:
		hops = 71
	}
	if len(targets) > maxTargets {
		targets = targets[:maxTargets]
	}
	f := &forwarding{tx: tx, open: len(targets)}
	if len(targets) == 0 {
		respond(tx, m, 480)
		return
	}
	for _, t := range targets {
		raw := rewrite(m, t, hops-1, passing{})
		if _, err := table.Send(t.Flow, raw, f); err != nil {
			f.Failed(nil, transaction.TransportError)
		}
	}
}

// passing is how a request goes through us: as one that ends here for its sender, or as one that is on its way.
type passing struct {
	record      []string // values of Record-Route headers to be put on top
	credentials bool     // they are for who comes after us
}

// rewrite makes the copy for one target (RFC 3261 §16.6).
func rewrite(m *sip.Message, t Target, hops int, p passing) []byte {
	edits := []sip.Edit{{Kind: sip.EditStart, Text: m.Method() + " " + t.URI + " SIP/2.0"}}
	top := m.Index(sip.HeaderVia)
	hopsLine := fmt.Sprintf("Max-Forwards: %d", hops)
	if !m.Has(sip.HeaderMaxForwards) {
		hopsLine = "\r\n" + hopsLine
	}
	for i := range m.Len() {
		switch id := m.ID(i); {
		case i == top:
			text := "Via: " + t.Flow.Via(sip.NewBranch())
			for _, r := range t.Routes {
				text += "\r\nRoute: " + r
			}
			for _, r := range p.record {
				text += "\r\nRecord-Route: " + r
			}
			if !m.Has(sip.HeaderMaxForwards) {
				text += hopsLine
			}
			edits = append(edits,
				sip.Edit{Kind: sip.EditInsert, Line: i, Text: text},
				sip.Edit{Kind: sip.EditReplace, Line: i, Text: stamped(m)})
		case id == sip.HeaderMaxForwards:
			edits = append(edits, sip.Edit{Kind: sip.EditReplace, Line: i, Text: hopsLine})
		case id == sip.HeaderRoute, !p.credentials && (id == sip.HeaderAuthorization || id == sip.HeaderProxyAuthorization):
			// Route led to us and no further, which the caller has checked; credentials were for us.
			edits = append(edits, sip.Edit{Kind: sip.EditRemove, Line: i})
		}
	}
	return m.Splice(make([]byte, 0, len(m.Raw())+256), edits...)
}

// stamped is the request's top Via line with received and rport filled in (RFC 3261 §18.2.1).
func stamped(m *sip.Message) string {
	w := sip.NewWriter(nil)
	w.StampedVias(m)
	raw, _ := w.Bytes()
	line, _, _ := strings.Cut(string(raw), "\r\n")
	return line
}

// forwarding collects the answers of all branches.
type forwarding struct {
	tx *transaction.Server

	mu   sync.Mutex // guards what follows
	open int        // branches without a final answer
	done bool       // the one who asked has been answered
	best int        // best final answer so far; 0: none
	raw  []byte     // its response, ready to be sent; nil: best is our own word
}

// Response takes an answer of a branch. A 2xx goes back at once, a 6xx speaks for everybody, others wait for all
// (RFC 3261 §16.7 steps 4 to 6).
func (f *forwarding) Response(_ *transaction.Client, m *sip.Message) {
	if m.Status() < 200 {
		return // nobody waits for provisional answers to what is no INVITE (RFC 4320 §4.1)
	}
	f.final(m.Status(), back(m))
}

// Failed takes the lack of an answer. After a timeout the one who asked has given up too and is told nothing (no 408:
// RFC 4320 §4.2); a connection that broke is an absence that it still waits to hear of.
func (f *forwarding) Failed(*transaction.Client, transaction.Failure) { f.final(480, nil) }

func (f *forwarding) final(status int, raw []byte) {
	f.mu.Lock()
	f.open--
	if rank(status) < rank(f.best) || f.best == status && f.raw == nil {
		f.best, f.raw = status, raw
	}
	answer := !f.done && (f.open == 0 || f.best < 300 || f.best >= 600)
	f.done = f.done || answer
	best, chosen := f.best, f.raw
	f.mu.Unlock()
	switch {
	case !answer:
	case chosen != nil:
		_ = f.tx.Respond(chosen)
	default:
		respond(f.tx, f.tx.Request(), best)
	}
}

// rank orders final answers, the best first: 2xx, then 6xx, then the lowest class; within 4xx what tells more than that
// somebody was not there.
func rank(status int) int {
	switch {
	case status == 0:
		return 9
	case status < 300:
		return 0
	case status >= 600:
		return 1
	case status < 400:
		return 2
	case status == 401 || status == 407: // credentials for somebody behind us: not ours to pass on
		return 8
	case status == 480 || status == 408 || status == 430:
		return 6
	case status < 500:
		return 3
	case status == 503: // says that the branch, not that we, are overloaded (§16.7 step 6)
		return 7
	}
	return 5
}

// back is a response without our Via (RFC 3261 §16.7 step 3). A peer may have put all Vias on one line. 503 becomes 500.
func back(m *sip.Message) []byte {
	var edits []sip.Edit
	if m.Status() == 503 {
		edits = append(edits, sip.Edit{Kind: sip.EditStart, Text: "SIP/2.0 500 Server Internal Error"})
	}
	i := m.Index(sip.HeaderVia)
	rest, first := "", true
	for v := range sip.List(m.Value(i)) {
		if !first {
			rest += ", " + v
		}
		first = false
	}
	edit := sip.Edit{Kind: sip.EditRemove, Line: i}
	if rest != "" {
		edit = sip.Edit{Kind: sip.EditReplace, Line: i, Text: "Via: " + rest[2:]}
	}
	return m.Splice(nil, append(edits, edit)...)
}

func respond(tx *transaction.Server, m *sip.Message, status int) {
	_ = tx.Respond(sip.AppendResponse(nil, m, status, "", tx.Tag()))
}
