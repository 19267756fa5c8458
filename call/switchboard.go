package call

import (
	"context"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// Rooms are the parts of the switch that a Switchboard works with.
type Rooms struct {
	Media     Media
	Registrar Registrar
	Locator   Locator
	Authority *digest.Authority
	Router    Router
	Ledger    Ledger
	Proxy     Proxy // takes authenticated requests that are not calls; nil: they get 405
}

// Proxy forwards a request that is not a call (RFC 3261 §16).
type Proxy interface {
	Forward(tx *transaction.Server, m *sip.Message)
}

// Switchboard is the transaction user: it admits requests, starts calls and finds the call that a later message
// belongs to. Its methods of transaction.User run on the goroutines that read, so they never block.
type Switchboard struct {
	cfg      Config
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	table    *transaction.Table
	seed     maphash.Seed // of the To-tags of stateless answers

	media     Media
	registrar Registrar
	locator   Locator
	authority *digest.Authority
	router    Router
	ledger    Ledger
	proxy     Proxy

	legs     *legTable
	groups   groupState
	stats    Stats
	draining atomic.Bool
	buffers  sync.Pool       // *[]byte for stateless answers
	ctx      context.Context // ends when calls must end at once
	stop     context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex // guards calls and busy
	calls   map[string]*Call
	busy    map[string]int // calls in progress by extension
	stopped bool
}

// New makes a switchboard; Use and Update must be called before the first message.
func New(cfg Config, rooms Rooms, log *slog.Logger) *Switchboard {
	s := &Switchboard{
		cfg: cfg.withDefaults(), log: log, seed: maphash.MakeSeed(),
		media: rooms.Media, registrar: rooms.Registrar, locator: rooms.Locator, authority: rooms.Authority,
		router: rooms.Router, ledger: rooms.Ledger, proxy: rooms.Proxy,
		legs: newLegTable(), calls: map[string]*Call{}, busy: map[string]int{},
	}
	s.buffers.New = func() any { b := make([]byte, 0, 2048); return &b }
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Use gives the switchboard the transaction table that it is the user of.
func (s *Switchboard) Use(table *transaction.Table) { s.table = table }

// Update puts new settings in force for calls that begin from now on.
func (s *Switchboard) Update(settings *Settings) { s.settings.Store(settings) }

// Settings are those in force.
func (s *Switchboard) Settings() *Settings { return s.settings.Load() }

// Drain refuses new calls with 503 from now on (or takes them again); those in progress go on.
func (s *Switchboard) Drain(on bool) { s.draining.Store(on) }

// Draining tells whether new calls are refused.
func (s *Switchboard) Draining() bool { return s.draining.Load() }

// Run lives as long as the switch. When ctx ends it refuses new calls, hangs up those in progress, and returns
// when the last one has gone.
func (s *Switchboard) Run(ctx context.Context) error {
	<-ctx.Done()
	s.Drain(true)
	s.mu.Lock()
	s.stopped = true
	for _, c := range s.calls {
		c.post(hangupEvent{sip.CauseTemporary, "Switch is stopping", "switch"})
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.stop()
	return nil
}

// Stateless answers what needs no transaction: REGISTER, OPTIONS, challenges, and requests for dialogs that do
// not exist.
func (s *Switchboard) Stateless(f transport.Flow, m *sip.Message) bool {
	if tag := m.ToTag(); tag != "" {
		if s.legs.find(tag, m.CallID()) != nil {
			return false
		}
		s.answer(f, m, &sip.StatusError{Code: 481})
		return true
	}
	switch m.Method() {
	case sip.REGISTER:
		s.register(f, m)
		return true
	case sip.OPTIONS:
		s.options(f, m)
		return true
	}
	if !sip.KnownMethod(m.Method()) {
		s.answer(f, m, &sip.StatusError{Code: 501, Header: "Allow: " + allow})
		return true
	}
	if fail := s.preliminary(f, m); fail != nil {
		s.answer(f, m, fail)
		return true
	}
	return false
}

// register has the registrar answer, from a buffer that is used again.
func (s *Switchboard) register(f transport.Flow, m *sip.Message) {
	buf := s.buffers.Get().(*[]byte)
	if raw := s.registrar.AppendReceive((*buf)[:0], time.Now(), f, m); len(raw) > 0 {
		_ = transport.Reply(f, m).Send(raw)
		*buf = raw
	}
	s.buffers.Put(buf)
}

// Request takes a new transaction: a request inside a dialog, an INVITE that begins a call, or something for
// the proxy.
func (s *Switchboard) Request(tx *transaction.Server, m *sip.Message) {
	if tag := m.ToTag(); tag != "" {
		l := s.legs.find(tag, m.CallID())
		switch {
		case l == nil:
			s.refuse(tx, m, &sip.StatusError{Code: 481})
		case !l.call.post(requestEvent{l, tx, keep(m)}):
			s.refuse(tx, m, &sip.StatusError{Code: 500, Header: "Retry-After: 2"})
		}
		return
	}
	user, fail := s.admit(tx.Flow(), m)
	switch {
	case fail != nil:
		s.refuse(tx, m, fail)
	case m.Method() == sip.INVITE:
		if fail := s.startCall(tx, keep(m), user); fail != nil {
			s.refuse(tx, m, fail)
		}
	case s.proxy != nil && (m.Method() == sip.MESSAGE || m.Method() == sip.INFO || m.Method() == sip.NOTIFY):
		s.proxy.Forward(tx, keep(m))
	default:
		s.refuse(tx, m, &sip.StatusError{Code: 405, Header: "Allow: " + allow})
	}
}

// Ack takes the ACK to one of our 2xx.
func (s *Switchboard) Ack(_ transport.Flow, m *sip.Message) {
	if l := s.legs.find(m.ToTag(), m.CallID()); l != nil {
		l.call.post(ackEvent{l, keep(m)})
	}
}

// Cancel takes a CANCEL for an INVITE; the table has answered it.
func (s *Switchboard) Cancel(tx *transaction.Server, m *sip.Message) {
	if l := s.legs.ofInvite(tx); l != nil {
		l.call.post(cancelEvent{keep(m)})
	}
}

// Stray takes responses that no transaction waits for: a 2xx whose ACK was lost after Timer M, say.
func (s *Switchboard) Stray(_ transport.Flow, m *sip.Message) {
	if m.Status()/100 != 2 || m.CSeqMethod() != sip.INVITE {
		return
	}
	if l := s.legs.find(m.FromTag(), m.CallID()); l != nil && l.role == roleUAC {
		l.call.post(responseEvent{l.initial, keep(m)})
	}
}

// Terminated takes INVITE transactions whose failure response was never acknowledged: no call depends on it.
func (s *Switchboard) Terminated(*transaction.Server, transaction.Failure) {}

// Closed takes the end of a connection.
func (s *Switchboard) Closed(f transport.Flow) {
	s.registrar.Closed(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		c.post(closedEvent{f})
	}
}

// keep copies a message out of the reader's hands.
func keep(m *sip.Message) *sip.Message {
	k := *m
	return &k
}

// startCall begins a call for an admitted INVITE; the error is its answer.
func (s *Switchboard) startCall(tx *transaction.Server, m *sip.Message, user string) *sip.StatusError {
	settings := s.settings.Load()
	now := time.Now()
	id := sip.NewCallID()[:16]
	c := &Call{
		board: s, settings: settings, id: id, log: s.log.With("call", id),
		inbox: make(chan any, inboxSize), pending: map[*outgoing]struct{}{}, held: map[string]bool{},
		started: now, endsAt: now.Add(s.cfg.MaxDuration),
	}
	c.a = &Leg{
		call: c, name: "a", party: user, role: roleUAS, flow: tx.Flow(), invite: tx,
		tag: sip.NewTag(), callID: m.CallID(),
	}
	c.a.contact = "<" + c.a.flow.Contact("") + ">"
	c.facts = factsOf(m, user, now)
	c.record.begin(c, m)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.draining.Load() || len(s.calls) >= s.cfg.MaxCalls {
		s.stats.Refused.Add(1)
		return &sip.StatusError{Code: 503, Header: "Retry-After: 10", Cause: sip.CauseTemporary}
	}
	if limit := maxCalls(settings.Plan, user); limit > 0 && s.busy[user] >= limit {
		s.stats.Refused.Add(1)
		return &sip.StatusError{Code: 403, Reason: "Too many calls at once", Cause: sip.CauseNoCircuit}
	}
	s.busy[user]++
	c.held[user] = true
	s.calls[id] = c
	s.legs.add(c.a)
	s.stats.Started.Add(1)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.run()
	}()
	return nil
}

// hold counts the call against an extension's limit, if one more may be; once for each call.
func (s *Switchboard) hold(c *Call, extension string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.held[extension] {
		return true
	}
	if limit := maxCalls(c.settings.Plan, extension); limit > 0 && s.busy[extension] >= limit {
		return false
	}
	s.busy[extension]++
	c.held[extension] = true
	return true
}

// letGo takes the call off an extension's count.
func (s *Switchboard) letGo(c *Call, extension string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(c, extension)
}

func (s *Switchboard) release(c *Call, extension string) {
	if !c.held[extension] {
		return
	}
	delete(c.held, extension)
	if s.busy[extension]--; s.busy[extension] <= 0 {
		delete(s.busy, extension)
	}
}

// forget is the last that happens to a call.
func (s *Switchboard) forget(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, c.id)
	for extension := range c.held {
		s.release(c, extension)
	}
}

// HangUp ends one call by its id on an operator's word. It is false when there is no such call.
func (s *Switchboard) HangUp(id string) bool {
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	return c != nil && c.post(hangupEvent{sip.CauseNormal, "Ended by the operator", "operator"})
}

// Calls are snapshots of the calls in progress, oldest first.
func (s *Switchboard) Calls() []Snapshot {
	s.mu.Lock()
	all := make([]*Call, 0, len(s.calls))
	for _, c := range s.calls {
		all = append(all, c)
	}
	s.mu.Unlock()
	out := make([]Snapshot, 0, len(all))
	for _, c := range all {
		out = append(out, c.Snapshot())
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Started.Before(out[j].Started) })
	return out
}

// Live is the number of calls in progress.
func (s *Switchboard) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// spawn runs blocking work of a call, such as a look-up, in a goroutine that Run waits for. A panic in it is
// logged and counted.
func (s *Switchboard) spawn(work func(context.Context)) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer func() {
			if p := recover(); p != nil {
				s.stats.Panics.Add(1)
				s.log.Error("look-up panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		ctx, cancel := context.WithTimeout(s.ctx, 8*time.Second)
		defer cancel()
		work(ctx)
	}()
}

// dropLeg takes a leg out of the table of dialogs.
func (s *Switchboard) dropLeg(l *Leg) { s.legs.remove(l) }

// local tells whether a URI's host is one that we answer for: a domain, the public address, or the address of
// ours that the peer talks to.
func (s *Switchboard) local(settings *Settings, f transport.Flow, u sip.URI) bool {
	host := strings.ToLower(u.Host)
	for _, d := range settings.Domains {
		if strings.ToLower(d) == host {
			return true
		}
	}
	if a, ok := u.Addr(); ok {
		return a.Unmap() == f.Local().Addr().Unmap() || a.String() == settings.PublicAddress
	}
	sentBy, _, _ := strings.Cut(f.SentBy(), ":")
	return strings.EqualFold(sentBy, host)
}
