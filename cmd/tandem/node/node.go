// Package node builds every room of the switch, introduces them to each other, and starts, reloads and stops them.
// It is used by the command line and by tests that want a whole switch in one process.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tandem/call"
	"tandem/certificate"
	"tandem/cluster"
	"tandem/configs"
	"tandem/console"
	"tandem/console/pages"
	"tandem/media"
	"tandem/media/secure"
	"tandem/media/turn"
	"tandem/registrar"
	"tandem/sip/digest"
	"tandem/sip/proxy"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/token"
	"tandem/trunk"
	"tandem/voicemail"
)

// Options are what a Node is told beside its configuration.
type Options struct {
	Version string
	Log     *slog.Logger
	// Load reads the configuration anew for a reload; nil: a reload is refused.
	Load func() (*configs.Config, error)
	// Guests are extensions that the page for browsers lends; nil: none.
	Guests *Guests
	// Timers of transactions; zero: RFC 3261's.
	Timers transaction.Config
	// Debts are what a node before this one in the process has answered for; nil: nothing.
	Debts *Debts
	// Directory is where the phones of the other shards are; nil: the switch has no shards.
	Directory *Directory
}

// Node is one running switch.
type Node struct {
	opts    Options
	log     *slog.Logger
	started time.Time

	config    atomic.Pointer[configs.Config]
	oauth     *token.OAuth
	keys      atomic.Pointer[token.Keys] // of short-lived passwords
	reloading sync.Mutex                 // one reload at a time

	layer     *transport.Layer
	resolver  *transport.Resolver
	table     *transaction.Table
	authority *digest.Authority
	registrar *registrar.Registrar
	bindings  *registrar.Store
	media     *media.Engine
	trunks    *trunk.Set
	board     *call.Switchboard
	ledger    *call.FileLedger
	claims    *claims // of its records; nil: no other node could write them
	boxes     *voicemail.Store
	lamps     *voicemail.Lamps
	replica   *voicemail.Replica // of the boxes, with those of the other switch
	state     *cluster.Engine
	built     atomic.Bool                  // every room is there
	hot       atomic.Bool                  // a node that stands by has read everything
	doubts    chan string                  // for the node that serves, see doubt
	serves    atomic.Pointer[time.Time]    // since when this node of a pair serves
	standing  atomic.Pointer[call.Standby] // of a node that stands by
	rewrite   chan struct{}                // values are to be written again; capacity 1
	unread    unread
	unclaimed unclaimed
	held      *bindingJournal
	console   *console.Server
	pages     *pages.Pages
	edge      *proxy.Edge  // of a shard; else nil
	pathKey   []byte       // of the ways to our phones that other shards are told
	turn      *turn.Server // nil: we run none
	signed    *certificate.SelfSigned
	acme      *certificate.ACME // nil: no listener asks for it
}

// New builds a switch and binds its sockets; Run serves. An error is a sentence for the operator, and leaves
// nothing bound.
func New(cfg *configs.Config, opts Options) (*Node, error) {
	if opts.Debts == nil {
		opts.Debts = NewDebts()
	}
	n := &Node{opts: opts, log: opts.Log, started: time.Now(), doubts: make(chan string, doubtsWait), rewrite: make(chan struct{}, 1)}
	n.config.Store(cfg)
	settings, err := settingsOf(cfg)
	if err != nil {
		return nil, err
	}
	if n.state, err = n.startState(cfg); err != nil {
		return nil, err
	}
	if err := n.build(cfg, settings); err != nil {
		n.abandon()
		return nil, err
	}
	return n, nil
}

// abandon frees what a switch holds that could not be built whole.
func (n *Node) abandon() {
	n.leaveDirectory()
	if n.layer != nil {
		n.layer.Close()
	}
	if n.media != nil { // it frees its loops when it ends
		ended, end := context.WithCancel(context.Background())
		end()
		_ = n.media.Run(ended)
	}
	n.acme.Close()
	if n.turn != nil {
		_ = n.turn.Close()
	}
	n.state.Close()
}

// build makes the rooms in the order in which they need each other, and lets them go on with what another process left.
func (n *Node) build(cfg *configs.Config, settings *call.Settings) error {
	opts := n.opts
	var err error
	n.authority = digest.New(digest.Config{Realm: cfg.Node.Realm, Key: n.state.Secret("nonces")})
	n.pathKey = n.state.Secret("paths")
	n.oauth = token.NewOAuth(opts.Log.With("room", "token"))
	n.acceptTokens(cfg)
	n.held = newBindingJournal(n.state, opts.Log.With("room", "registrar"))
	n.bindings = registrar.NewStore(n.held)
	n.registrar = registrar.New(n.registrarConfig(cfg), n.bindings, n.authority, accounts{n}, opts.Log.With("room", "registrar"))
	if n.media, err = media.NewEngine(n.mediaConfig(cfg), opts.Log.With("room", "media")); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	mail := opts.Log.With("room", "voicemail")
	if n.boxes, err = voicemail.Open(voicemail.Config{
		Dir: filepath.Join(cfg.Node.StateDir, "voicemail"), Index: messageIndex{n.state, mail}, Elsewhere: n.otherBoxes(),
	}, mail); err != nil {
		return err
	}
	n.replica = voicemail.NewReplica(n.boxes, n.fetchSound, mail)
	if err = n.answerSounds(); err != nil {
		return err
	}
	if err = n.loadKeys(cfg); err != nil {
		return err
	}
	n.ledger = call.NewFileLedger(cfg.CDR, opts.Log.With("room", "cdr"))
	if paired(cfg) {
		n.claims = &claims{engine: n.state, node: n.state.Name()}
		n.ledger.Use(n.claims)
		if err = errors.Join(n.answerDoubts(), n.answerDebts()); err != nil {
			return err
		}
	}
	n.resolver = transport.NewResolver(transport.ResolverConfig{Transports: transports(cfg.Transport.Listen), Servers: cfg.Node.NameServers})
	n.trunks = trunk.New(trunk.Rooms{Network: carriers{n}, Product: "Tandem/" + opts.Version}, opts.Log.With("room", "trunk"))
	n.board = call.New(call.Config{Product: "Tandem/" + opts.Version}, call.Rooms{
		Media: call.EngineMedia(n.media), Registrar: registrations{n}, Locator: locator{n}, Voicemail: n.boxes,
		Authority: n.authority, Accounts: n.credential, Router: router{n}, Ledger: n.ledger, Proxy: messages{n}, Trunks: n.trunks, Neighbours: n.neighbours(),
		Journal: callJournal{n.state}, Memory: callMemory{n.state, n.opts.Directory.everywhere()},
	}, opts.Log.With("room", "call"))
	n.board.Update(settings)
	if s := n.opts.Directory.everywhere(); s != nil {
		s.join(n.board, opts.Log.With("room", "call"))
	}
	n.newTable()
	n.lamps = voicemail.NewLamps(n.boxes, lampLocator{n}, n.table, "Tandem/"+opts.Version, mail)
	n.lamps.Keep(n.keepLamp)
	n.trunks.Use(n.table)
	n.trunks.Update(cfg.Trunks, cfg.TrunkGroups...)
	if err := n.newCertificates(); err != nil {
		return err
	}
	if err := n.newTURN(cfg); err != nil {
		return err
	}
	n.pages = n.newPages()
	if n.layer, err = transport.New(n.transport(cfg), n.table, opts.Log.With("room", "transport")); err != nil {
		return err
	}
	if paired(cfg) {
		n.media.Gate(n.state.Lease().Held)
	} else if err := n.revive(); err != nil {
		return err
	}
	n.console, err = console.New(console.Config{Socket: cfg.Node.AdminSocket, HTTP: cfg.Node.HTTP},
		view{n}, n.metrics(), opts.Log.With("room", "console"))
	n.built.Store(err == nil)
	return err
}

// newTable puts the transactions between the transports and the switchboard; with shards the edge stands before that.
func (n *Node) newTable() {
	user, use := transaction.User(n.board), func(*transaction.Table) {}
	if n.opts.Directory != nil {
		n.edge = proxy.NewEdge(n.board, paths{n})
		user, use = n.edge, func(t *transaction.Table) { n.edge.Use(t) }
	}
	n.table = transaction.New(n.opts.Timers, user, n.opts.Log.With("room", "transaction"))
	n.board.Use(n.table)
	use(n.table)
}

// Listeners are the sockets that serve SIP.
func (n *Node) Listeners() []transport.Bound { return n.layer.Listeners() }

// HTTPAddr is where metrics and health are served; nil: nowhere.
func (n *Node) HTTPAddr() net.Addr { return n.console.HTTPAddr() }

// Ends say how a switch stops. Done, each: Leave stops at once and leaves the calls to the process that comes next; Drain refuses
// new calls and waits until the last one has ended; Stop, after Drain, ends them.
type Ends struct{ Leave, Drain, Stop context.Context }

// serving starts the rooms that speak of their own accord: only the node that serves has them.
func (n *Node) serving() []*running {
	return []*running{
		n.background("voicemail", n.serveMessages), n.background("trunk", n.trunks.Run), n.background("registrar", n.registrar.Run), n.background("wake", n.wake),
		n.background("acme", n.serveACME), n.background("form", n.keepForm), n.background("claims", n.claims.run),
	}
}

// Run serves until Leave or Drain is done, or, with ErrDeposed, until another node of the cluster does. It returns when
// everything has stopped: calls first, then their records, lamps, registrations at carriers, media, transactions,
// transports, the console, and last the engine that all of them write to.
func (n *Node) Run(ends Ends) error {
	calls := n.background("call", n.board.Run)
	records := n.background("cdr", n.ledger.Run)
	packets := n.background("media", n.media.Run)
	copies := n.background("messages", n.replica.Run)
	tokens := n.background("token", n.oauth.Run)
	transactions := n.background("transaction", n.table.Run)
	sockets := n.background("transport", n.layer.Run)
	views := n.background("console", n.console.Run)
	relay := n.background("turn", n.runTURN)
	certificates := n.background("certificate", n.keepCertificates)
	alive := n.background("watchdog", n.watchdog)
	known := n.background("directory", n.followShard)
	n.log.Info("switch serves", "node", n.config.Load().Node.Name, "version", n.opts.Version,
		"plan", n.config.Load().Plan.Version())

	m := newMember(n, n.serving)
	var role *running
	if paired(n.config.Load()) {
		role = n.background("cluster", m.run)
	} else {
		m.rooms = n.serving()
	}
	how := n.waitForEnd(ends, m.deposed)
	var errs []error
	if role != nil {
		errs = append(errs, role.end()) // from here on somebody else serves
	}
	if n.board.Drain(true); how != ended {
		n.log.Info("leaving", "calls", n.board.Live())
		n.board.Leave(role != nil)
	}
	rooms := append([]*running{alive, known, calls, records}, m.rooms...)
	for _, room := range append(rooms, copies, tokens, packets, transactions, sockets, relay, certificates, views) {
		errs = append(errs, room.end())
	}
	n.acme.Close()
	n.leaveDirectory()
	n.state.Close()
	if how == deposed {
		return errors.Join(append(errs, ErrDeposed)...)
	}
	n.log.Info("switch has stopped")
	return errors.Join(errs...)
}

// ending is how a switch ends.
type ending uint8

const (
	ended   ending = iota // nothing is left
	left                  // calls go on elsewhere, or in the next process
	deposed               // another node serves
)

// waitForEnd returns when calls have ended as far as they shall.
func (n *Node) waitForEnd(ends Ends, taken <-chan struct{}) ending {
	select {
	case <-taken:
		return deposed
	case <-ends.Leave.Done():
	case <-ends.Drain.Done():
		n.board.Drain(true)
		n.log.Info("draining", "calls", n.board.Live())
		if n.waitForCalls(ends, taken) {
			return ended
		}
	}
	return left
}

// waitForCalls waits until no call is left, or somebody is tired of waiting; it is false when the calls shall be left, as they
// must be to another node that has begun to serve.
func (n *Node) waitForCalls(ends Ends, taken <-chan struct{}) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n.board.Live() > 0 {
		select {
		case <-ends.Stop.Done():
			return true
		case <-ends.Leave.Done():
			return false
		case <-taken:
			return false
		case <-tick.C:
		}
	}
	return true
}

// running is one room at work.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

// background starts a room. One that fails or panics is logged; the others go on, so that what still can serve does.
func (n *Node) background(name string, run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan error, 1)}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				n.log.Error("room panicked", "name", name, "panic", p, "stack", string(debug.Stack()))
				r.done <- fmt.Errorf("%s panicked: %v", name, p)
			}
		}()
		err := run(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			err = nil
		case err != nil:
			n.log.Error("room stopped", "name", name, "err", err)
		}
		r.done <- err
	}()
	return r
}

// end stops a room and waits for it.
func (r *running) end() error {
	r.cancel()
	return <-r.done
}

// transport is what the transports take from a configuration: carriers, and sources from which somebody proved himself, cost
// no budget.
func (n *Node) transport(cfg *configs.Config) transport.Config {
	c := cfg.Transport
	c.Pages, c.TicketKeys = n.pages, n.state.TicketKeys
	c.Issue = n.issued()
	if paired(cfg) {
		l := n.state.Lease()
		c.Serves, c.Admits, c.Begins, c.Away = l.Held, l.Admits, l.Begins, true
	}
	c.Known = func(a netip.Addr) bool { return n.authority.Known(a) || n.trunks.Knows(a) || n.opts.Directory.knows(a) }
	return c
}

// mediaConfig is what the media room takes from a configuration. Browsers see one certificate whichever node serves.
func (n *Node) mediaConfig(cfg *configs.Config) media.Config {
	c := cfg.Media
	if cert, err := secure.CertificateFor(n.state.PrivateKey("dtls")); err != nil {
		n.log.Error("browsers see a certificate of this process alone", "err", err)
	} else {
		c.Certificate = &cert
	}
	return c
}

// registrarConfig is what the registrar takes from a configuration: the public address is ours too.
func (n *Node) registrarConfig(cfg *configs.Config) registrar.Config {
	c := cfg.Registrar
	c.TurnsAway = n.turnsAway
	if cfg.TURN.Server != nil || len(cfg.TURN.URLs) > 0 {
		c.Extra = n.relays
	}
	if cfg.Node.PublicAddress != "" {
		c.Domains = append(c.Domains[:len(c.Domains):len(c.Domains)], cfg.Node.PublicAddress)
	}
	return c
}

// turnsAway tells whether a phone that comes now shall come later: the store takes no more at a time, or the switch drains, and who is
// in no call has nothing to do here any more.
func (n *Node) turnsAway(aor string) bool {
	return n.held.crowded() || n.board.Draining() && !n.board.Busy(aor)
}

// accounts are the extensions of the configuration in force.
type accounts struct{ n *Node }

// Credential is what a user name proves itself with.
func (a accounts) Credential(username string) (digest.Credential, bool) {
	return a.n.credential(username)
}

// MayRegister lets each extension register itself only.
func (a accounts) MayRegister(username, aor string) bool { return username == aor }
