package call

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
	"tandem/voicemail"
)

// Rooms are the parts of the switch that a Switchboard works with.
type Rooms struct {
	Media     Media
	Registrar Registrar
	Locator   Locator
	Authority *digest.Authority
	Router    Router
	Ledger    Ledger
	Trunks    *trunk.Set       // the carriers; nil: none
	Voicemail *voicemail.Store // nil: nobody can leave a message
	// Accounts finds what a user name proves itself with, short-lived ones among them; nil: Settings.Credentials.
	Accounts func(username string) (digest.Credential, bool)
	Journal  Journal // keeps the state of calls; nil: a call ends with the process
	Memory   Memory  // keeps what people set and calls use up; nil: it is forgotten with the process
	// Neighbours are the other shards; nil: there are none.
	Neighbours Neighbours
	Proxy      Proxy // takes authenticated MESSAGEs outside a call; nil: they get 405
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

	media      Media
	registrar  Registrar
	locator    Locator
	neighbours Neighbours
	authority  *digest.Authority
	router     Router
	ledger     Ledger
	trunks     *trunk.Set
	accounts   func(username string) (digest.Credential, bool)
	proxy      Proxy
	journal    Journal
	voicemail  *voicemail.Store
	hooks      *http.Client
	sounds     func() *sounds // made when they are first needed

	legs     *legTable
	groups   groupState
	telling  atomic.Int64 // messages about emergency calls that are under way
	stats    Stats
	draining atomic.Bool
	leaving  atomic.Bool     // calls are left to another process
	mute     atomic.Bool     // and nothing that is said leaves
	buffers  sync.Pool       // *[]byte for stateless answers
	ctx      context.Context // ends when the switch stops: look-ups end with it
	stop     context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex // guards what follows, and Call.held
	calls   map[string]*Call
	invites map[string]*answered          // INVITEs that a dead process answered, by Call-ID; mostly none
	callers map[uint64]map[*Call]struct{} // calls by their caller's connection, by Flow.ID; not for UDP
	busy    map[string]int                // calls in progress by extension
	stopped bool
}

// New makes a switchboard; Use and Update must be called before the first message.
func New(cfg Config, rooms Rooms, log *slog.Logger) *Switchboard {
	s := &Switchboard{
		cfg: cfg.withDefaults(), log: log, seed: maphash.MakeSeed(),
		media: rooms.Media, registrar: rooms.Registrar, locator: rooms.Locator, authority: rooms.Authority,
		accounts: rooms.Accounts, router: rooms.Router, ledger: rooms.Ledger, proxy: rooms.Proxy, voicemail: rooms.Voicemail, trunks: rooms.Trunks,
		journal: rooms.Journal, neighbours: rooms.Neighbours,
		hooks: hookClient(), sounds: sync.OnceValue(makeSounds),
		legs: newLegTable(), calls: map[string]*Call{}, invites: map[string]*answered{}, callers: map[uint64]map[*Call]struct{}{}, busy: map[string]int{},
	}
	if s.trunks == nil {
		s.trunks = trunk.New(trunk.Rooms{}, log)
	}
	s.buffers.New = func() any { b := make([]byte, 0, 2048); return &b }
	s.groups.trunks, s.groups.memory = s.trunks, rooms.Memory
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
// when the last one has gone: after Config.StopWait at the latest, for a dead phone does not answer a BYE.
func (s *Switchboard) Run(ctx context.Context) error {
	keeping, kept := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { s.groups.run(keeping) })
	keeper.Go(func() { s.noteStreams(keeping) })
	<-ctx.Done()
	s.Drain(true)
	s.mu.Lock()
	s.stopped = true
	for _, c := range s.calls {
		c.postOnce(hangupEvent{sip.CauseTemporary, "Switch is stopping", "switch", true})
	}
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
	kept()
	keeper.Wait()
	s.hooks.CloseIdleConnections()
	return nil
}

// Stateless answers what needs no transaction: REGISTER, OPTIONS, challenges, and requests for dialogs that do
// not exist.
func (s *Switchboard) Stateless(f transport.Flow, m *sip.Message) bool {
	if tag := m.ToTag(); tag != "" {
		if s.legs.find(tag, m.CallID()) != nil {
			return false
		}
		if !s.leaving.Load() { // else its call goes on elsewhere, where it will be asked again
			s.answer(f, m, &sip.StatusError{Code: 481})
		}
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
		s.requestInside(tag, tx, m)
		return
	}
	if s.answeredBefore(tx, m) {
		return
	}
	if extension, ok := s.fromNeighbour(m); ok {
		if fail := s.startCall(tx, m, caller{extension: extension, neighbour: true}); fail != nil {
			s.refuse(tx, m, fail)
		}
		return
	}
	if t := s.carrierOf(tx.Flow(), m); t != nil {
		s.fromCarrier(tx, m, t)
		return
	}
	user, fail := s.admit(tx.Flow(), m)
	switch {
	case fail != nil:
		s.refuse(tx, m, fail)
	case m.Method() == sip.INVITE:
		if fail := s.startCall(tx, m, caller{extension: user}); fail != nil {
			s.refuse(tx, m, fail)
		}
	case s.proxy != nil && m.Method() == sip.MESSAGE:
		s.proxy.Forward(tx, m)
	default:
		s.refuse(tx, m, &sip.StatusError{Code: 405, Header: "Allow: " + s.allowOutside()})
	}
}

func (s *Switchboard) requestInside(tag string, tx *transaction.Server, m *sip.Message) {
	l := s.legs.find(tag, m.CallID())
	if l == nil {
		s.unknown(tx, m)
		return
	}
	switch l.in().post(requestEvent{l, tx, m}) {
	case gone:
		s.unknown(tx, m)
	case full:
		s.refuse(tx, m, &sip.StatusError{Code: 500, Header: "Retry-After: 2"})
	}
}

// unknown answers a request for a dialog that does not exist. While calls are left to another process nothing is said: the peer asks
// again, and is answered there.
func (s *Switchboard) unknown(tx *transaction.Server, m *sip.Message) {
	if !s.leaving.Load() {
		s.refuse(tx, m, &sip.StatusError{Code: 481})
	}
}

// Ack takes the ACK to one of our 2xx.
func (s *Switchboard) Ack(_ transport.Flow, m *sip.Message) {
	if l := s.legs.find(m.ToTag(), m.CallID()); l != nil {
		l.in().post(ackEvent{l, keep(m)})
	}
}

// Cancel takes a CANCEL for an INVITE; the table has answered it.
func (s *Switchboard) Cancel(tx *transaction.Server, m *sip.Message) {
	l := s.legs.ofInvite(tx)
	if tag := tx.Request().ToTag(); tag != "" { // of a re-INVITE
		l = s.legs.find(tag, m.CallID())
	}
	if l != nil {
		l.in().postOnce(cancelEvent{l, tx, keep(m)})
	}
}

// Stray takes responses that no transaction waits for: a 2xx whose ACK was lost after Timer M, say.
func (s *Switchboard) Stray(_ transport.Flow, m *sip.Message) {
	if m.Status()/100 != 2 || m.CSeqMethod() != sip.INVITE {
		return
	}
	if l := s.legs.find(m.FromTag(), m.CallID()); l != nil && l.role == roleUAC {
		l.in().post(strayEvent{l, keep(m)})
	}
}

// Terminated takes INVITE transactions whose failure response was never acknowledged: no call depends on it.
func (s *Switchboard) Terminated(*transaction.Server, transaction.Failure) {}

// Closed takes the end of a connection. Calls that ring over it hear of it from their transactions, and established
// ones live on; only a caller who still waits for an answer is told here.
func (s *Switchboard) Closed(f transport.Flow) {
	s.registrar.Closed(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.callers[f.ID()] {
		c.postOnce(closedEvent{})
	}
}

// keep copies a message out of the reader's hands.
func keep(m *sip.Message) *sip.Message {
	k := *m
	return &k
}

// spawn runs blocking work of a call, such as a look-up, in a goroutine that Run waits for. A panic in it is
// logged and counted, and failed is called.
func (s *Switchboard) spawn(work func(context.Context), failed func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer func() {
			if p := recover(); p != nil {
				s.stats.Panics.Add(1)
				s.log.Error("look-up panicked", "panic", p, "stack", string(debug.Stack()))
				failed()
			}
		}()
		ctx, cancel := context.WithTimeout(s.ctx, 8*time.Second)
		defer cancel()
		work(ctx)
	}()
}

// dropLeg takes a leg out of the table of dialogs.
func (s *Switchboard) dropLeg(l *Leg) { s.legs.remove(l) }
