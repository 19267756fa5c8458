package proxy

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// Paths tells an Edge what the Path values mean that it has given to other nodes (RFC 3327): each names a phone that registered
// here, and is the only way in.
type Paths interface {
	// Ours tells whether the user part of a Route is one of our Path values, and none that somebody made up.
	Ours(user string) bool
	// Inside tells whether a source is a node that has our Path values.
	Inside(source netip.Addr) bool
	// Phone is where a Path value leads at this moment; false: its phone has no flow (RFC 5626 §5.3.1).
	Phone(user string) (Target, bool)
	// Toward is the flow to the node that a Request-URI names; false: it names none.
	Toward(uri sip.URI) (transport.Flow, bool)
}

// Edge forwards requests between other nodes and the phones that registered here, calls among them, and keeps nothing of a
// dialog: the Record-Route has the same value as the Path, so that another process finds the phone by it as well. It stands
// in front of the transaction user and gives it everything else.
//
// Nobody but a node gets a request out of a dialog through it, and a request inside one goes to a node only; what a stranger
// sends with a Route of his own making is the user's to refuse. An Edge never looks for a phone at other nodes, so there is no
// loop.
type Edge struct {
	transaction.User
	paths Paths
	table Sender
	count struct{ in, out, lost atomic.Uint64 }

	mu   sync.Mutex
	open map[*transaction.Server]*invitation // INVITEs without a final answer; bounded by the table
}

// NewEdge makes one in front of a user; Use must be called before the first message.
func NewEdge(user transaction.User, paths Paths) *Edge {
	return &Edge{User: user, paths: paths, open: map[*transaction.Server]*invitation{}}
}

// Use gives the edge the table that it sends through.
func (e *Edge) Use(table Sender) { e.table = table }

// Counts are the requests forwarded from nodes to phones and back, and those whose phone had no flow.
func (e *Edge) Counts() (in, out, lost uint64) {
	return e.count.in.Load(), e.count.out.Load(), e.count.lost.Load()
}

// Stateless implements transaction.User.
func (e *Edge) Stateless(f transport.Flow, m *sip.Message) bool {
	if _, ours := e.passes(m); ours {
		return false
	}
	return e.User.Stateless(f, m)
}

// Request implements transaction.User.
func (e *Edge) Request(tx *transaction.Server, m *sip.Message) {
	way, ours := e.passes(m)
	if !ours {
		e.User.Request(tx, m)
		return
	}
	tx.Proxy.Store(true)
	hops, ok := m.MaxForwards()
	switch {
	case ok && hops <= 0:
		respond(tx, m, 483)
		return
	case !ok:
		hops = 71
	}
	target, ok := e.target(m, way)
	if !ok {
		e.count.lost.Add(1)
		respond(tx, m, 430)
		return
	}
	if way.out {
		e.count.out.Add(1)
	} else {
		e.count.in.Add(1)
	}
	through := passing{credentials: true}
	if m.ToTag() == "" {
		through.record = recordRoutes(way.user, tx.Flow(), target.Flow)
	}
	raw := rewrite(m, target, hops-1, through)
	if m.Method() == sip.INVITE {
		e.invite(tx, m, target.Flow, raw)
		return
	}
	f := &forwarding{tx: tx, open: 1}
	if _, err := e.table.Send(target.Flow, raw, f); err != nil {
		f.final(430, nil)
	}
}

// Ack implements transaction.User: the ACK to a 2xx goes through without a transaction (RFC 3261 §16.11).
func (e *Edge) Ack(f transport.Flow, m *sip.Message) {
	way, ours := e.passes(m)
	if !ours {
		e.User.Ack(f, m)
		return
	}
	hops, ok := m.MaxForwards()
	if !ok {
		hops = 71
	}
	if target, found := e.target(m, way); found && hops > 0 {
		_ = target.Flow.Send(rewrite(m, target, hops-1, passing{credentials: true}))
	}
}

// Cancel implements transaction.User.
func (e *Edge) Cancel(tx *transaction.Server, m *sip.Message) {
	e.mu.Lock()
	i := e.open[tx]
	e.mu.Unlock()
	switch {
	case i != nil:
		i.cancel(m.Header(sip.HeaderReason))
	case !tx.Proxy.Load():
		e.User.Cancel(tx, m)
	}
}

// Stray implements transaction.User. A phone answers an INVITE that another process let through, which did so for the node that the Via below ours
// names: that one knows its branch.
func (e *Edge) Stray(f transport.Flow, m *sip.Message) {
	if to, ok := e.before(m); ok {
		_ = to.Send(back(m))
		return
	}
	e.User.Stray(f, m)
}

// before is the flow to the node whose INVITE a 2xx answers; false: it is none that went through an edge.
func (e *Edge) before(m *sip.Message) (transport.Flow, bool) {
	if _, method, err := m.CSeq(); err != nil || method != sip.INVITE || m.Status()/100 != 2 {
		return transport.Flow{}, false
	}
	n := 0
	for text := range m.Elements(sip.HeaderVia) {
		if n++; n < 2 {
			continue
		}
		v, err := sip.ParseVia(text)
		if err != nil {
			break
		}
		return e.paths.Toward(sip.URI{Scheme: "sip", Host: v.Host})
	}
	return transport.Flow{}, false
}

// way is how a request goes through an edge.
type way struct {
	user   string   // of the Path value
	out    bool     // from a phone to a node; else from a node to a phone
	routes []string // that remain of its Route
	uri    sip.URI  // its Request-URI
}

// passes tells whether a request is one that goes through, and how.
func (e *Edge) passes(m *sip.Message) (w way, ours bool) {
	if !m.Has(sip.HeaderRoute) {
		return w, false
	}
	for route := range m.Elements(sip.HeaderRoute) {
		if len(w.routes) == 0 {
			if user, ok := e.own(route); ok && (w.user == "" || w.user == user) {
				w.user = user
				continue
			}
		}
		if w.user == "" {
			return w, false
		}
		w.routes = append(w.routes, route)
	}
	var err error
	if w.uri, err = sip.ParseURI(m.RequestURI()); err != nil {
		return w, false
	}
	if e.paths.Inside(m.Source.Addr()) {
		return w, true
	}
	w.out = true
	_, known := e.paths.Toward(w.uri)
	return w, m.ToTag() != "" && known
}

// own reads a Route value of ours.
func (e *Edge) own(route string) (user string, ok bool) {
	a, err := sip.ParseNameAddr(route)
	if err != nil {
		return "", false
	}
	u, err := sip.ParseURI(a.URI)
	return u.User, err == nil && u.User != "" && e.paths.Ours(u.User)
}

// target is where a request goes now.
func (e *Edge) target(m *sip.Message, w way) (Target, bool) {
	if w.out {
		f, ok := e.paths.Toward(w.uri)
		return Target{URI: m.RequestURI(), Routes: w.routes, Flow: f}, ok
	}
	t, ok := e.paths.Phone(w.user)
	if !ok || !t.Flow.Alive() {
		return t, false
	}
	t.URI = m.RequestURI()
	if m.ToTag() != "" {
		t.Routes = w.routes
	}
	return t, true
}

// recordRoutes keep us in the dialog. Where the two sides speak over different listeners each has a value of its own, the one
// for the side that the request goes to on top (RFC 5658 §4).
func recordRoutes(user string, in, out transport.Flow) []string {
	near, far := "<"+out.Contact(user)+";lr>", "<"+in.Contact(user)+";lr>"
	if near == far {
		return []string{near}
	}
	return []string{near, far}
}

// timerC bounds a phone's ringing where the node that called has died: more than three minutes since the last sign (RFC 3261
// §16.6 step 11). Whoever lives cancels long before.
const timerC = 200 * time.Second

// invitation is an INVITE on its way to one phone, or to a node.
type invitation struct {
	edge *Edge
	tx   *transaction.Server

	mu        sync.Mutex
	client    *transaction.Client
	cancelled bool
	done      bool
	patience  *time.Timer
}

func (e *Edge) invite(tx *transaction.Server, m *sip.Message, f transport.Flow, raw []byte) {
	i := &invitation{edge: e, tx: tx}
	e.mu.Lock()
	e.open[tx] = i
	e.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	client, err := e.table.Send(f, raw, i)
	if err != nil {
		i.finish()
		respond(tx, m, 430)
		return
	}
	i.client = client
	i.patience = time.AfterFunc(timerC, func() { i.cancel("") })
}

// finish forgets the invitation; i.mu is held.
func (i *invitation) finish() {
	i.done = true
	if i.patience != nil {
		i.patience.Stop()
	}
	i.edge.mu.Lock()
	delete(i.edge.open, i.tx)
	i.edge.mu.Unlock()
}

// cancel passes a CANCEL on, once.
func (i *invitation) cancel(reason string) {
	i.mu.Lock()
	client, first := i.client, !i.cancelled && !i.done
	i.cancelled = true
	i.mu.Unlock()
	if first && client != nil {
		client.Cancel(reason)
	}
}

// Response implements transaction.Sink: everything but 100 goes back as it is, each 2xx and each of its repetitions too
// (RFC 3261 §16.7).
func (i *invitation) Response(_ *transaction.Client, m *sip.Message) {
	status := m.Status()
	if status == 100 {
		return
	}
	i.mu.Lock()
	switch {
	case status >= 200 && !i.done:
		i.finish()
	case status < 200 && i.patience != nil && !i.done:
		i.patience.Reset(timerC)
	}
	i.mu.Unlock()
	_ = i.tx.Respond(back(m))
}

// Failed implements transaction.Sink. A connection that broke is a flow that failed: the phone's other one may be tried.
func (i *invitation) Failed(_ *transaction.Client, why transaction.Failure) {
	i.mu.Lock()
	first := !i.done
	if first {
		i.finish()
	}
	i.mu.Unlock()
	switch {
	case !first:
	case why == transaction.TransportError:
		respond(i.tx, i.tx.Request(), 430)
	default:
		respond(i.tx, i.tx.Request(), 408)
	}
}
