package call

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/media"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

const (
	switchAddr = "192.0.2.9:5060"
	domain     = "example.com"
	realm      = "example.com"
	secretWord = "not to be told"
)

// office is a switch on an in-memory network, with what it hears and says written down.
type office struct {
	*testing.T
	net        *siptest.Network
	board      *Switchboard
	table      *transaction.Table
	authority  *digest.Authority
	media      *fakeMedia
	locator    *fakeLocator
	ledger     *fakeLedger
	router     *fakeRouter
	registrar  *fakeRegistrar
	udp, tcp   *siptest.Port
	phones     []*phone
	log        *bytes.Buffer
	stop       context.CancelFunc // of the switchboard
	stopped    chan struct{}
	endTable   func()
	standby    *Standby         // of the last start, if it followed
	follows    func(b *Standby) // what the last start follows before it is promoted; nil: it reads states
	revived    Revived          // what the last start found
	lost       transport.Link   // stands for connections of a dead switch
	calls      int              // Call-IDs made
	journal    *fakeJournal     // nil: nothing is kept
	order      [][]byte         // what the next switch finds, in this order; nil: as it comes
	forgotten  int              // calls without a record, as another node serves them
	unanswered int              // INVITEs that such a node leaves without a word
	before     uint64           // calls that dead switches began
	start      func()           // starts the switch once more
	panics     int              // that the test expects
	away       bool             // the next start is that of a node whose address is not there yet
}

// setup changes the office before it opens.
type setup func(cfg *Config, s *Settings)

// inOffice runs a test in a bubble, and when it is over looks whether anything is left behind: calls, dialogs, ports,
// limits, transactions, messages that nobody expected. The bubble itself looks for goroutines.
func inOffice(t *testing.T, test func(o *office), setups ...setup) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &office{
			T: t, net: siptest.NewNetwork(t, siptest.Options{}), media: &fakeMedia{}, ledger: &fakeLedger{},
			locator:   &fakeLocator{bindings: map[string][]registrar.Binding{}},
			authority: digest.New(digest.Config{Realm: realm}), router: &fakeRouter{}, registrar: &fakeRegistrar{}, lost: deadLink{siptest.NewDiscard(transport.TCP)},
			log: &bytes.Buffer{},
		}
		log := slog.New(slog.NewTextHandler(&lockedWriter{w: o.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg := Config{Product: "Tandem/test", SessionInterval: -1}
		settings := &Settings{
			Domains: []string{domain}, Plan: planOf(t, officePlan), Credentials: map[string]digest.Credential{},
			Clips: map[string]media.Clip{"/sounds/busy.wav": {}, "/sounds/welcome.wav": {}},
		}
		for _, x := range settings.Plan.Extensions() {
			settings.Credentials[x.Number] = digest.NewCredential(x.Number, realm, secretWord+x.Number)
		}
		for _, s := range setups {
			s(&cfg, settings)
		}
		o.start = func() { o.open(cfg, settings, log) }
		o.start()
		defer func() { // after a Fatal too
			o.stop()
			<-o.stopped
			o.endTable()
			if t.Failed() {
				t.Logf("log of the switch:\n%s", o.log)
			}
		}()
		test(o)
		o.clean()
	})
}

// open starts the switch: with what the journal has, if there is one.
func (o *office) open(cfg Config, settings *Settings, log *slog.Logger) {
	rooms := Rooms{
		Media: o.media, Registrar: o.registrar, Locator: o.locator, Authority: o.authority, Router: o.router, Ledger: o.ledger,
	}
	if o.journal != nil {
		rooms.Journal = o.journal
	}
	o.board = New(cfg, rooms, log)
	o.board.Update(settings)
	o.table = transaction.New(transaction.Config{Shards: 2}, o.board, log)
	o.board.Use(o.table)
	o.udp = o.net.Listen(transport.UDP, switchAddr, o.table)
	o.tcp = o.net.Listen(transport.TCP, switchAddr, o.table)
	o.udp.Away(o.away)
	if o.follows != nil {
		o.standby = o.board.Standby()
		o.follows(o.standby)
	}
	o.adopt()
	table, endTable := running(o.table.Run)
	board, endBoard := running(o.board.Run)
	o.stop, o.stopped = endBoard, board
	o.endTable = func() {
		endTable()
		<-table
	}
}

// running starts a room; done is closed when it has ended.
func running(run func(context.Context) error) (done chan struct{}, end context.CancelFunc) {
	ctx, end := context.WithCancel(context.Background())
	done = make(chan struct{})
	go func() {
		defer close(done)
		_ = run(ctx)
	}()
	return done, end
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// settle waits for what happens now.
func (o *office) settle() { synctest.Wait() }

// pass lets time go by.
func (o *office) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until lets time pass up to an instant of the network.
func (o *office) until(at time.Duration) { o.pass(at - o.net.Since()) }

// idle asserts that no call holds anything any more, now.
func (o *office) idle() {
	o.Helper()
	o.settle()
	if n, dialogs, ports := o.board.Live(), o.board.Dialogs(), o.media.open(); n != 0 || dialogs != 0 || ports != 0 {
		o.Errorf("at %v: %d calls, %d dialogs, %d media sessions left: %+v", o.net.Since(), n, dialogs, ports, o.board.Calls())
	}
}

// clean asserts that nothing is left at the end of a test.
func (o *office) clean() {
	o.Helper()
	o.idle()
	o.unheard()
	for _, p := range o.phones {
		p.deaf = true // what comes from here on is retransmission
	}
	o.pass(64*500*time.Millisecond + 6*time.Second)
	o.idle()
	o.board.mu.Lock()
	if len(o.board.busy) != 0 || len(o.board.callers) != 0 {
		o.Errorf("limits still count %v, and %d connections are watched", o.board.busy, len(o.board.callers))
	}
	o.board.mu.Unlock()
	stats := o.table.Stats()
	if n := stats.Total(); n != o.unanswered {
		o.Errorf("%d transactions left: %v", n, stats.Live)
	}
	if n := o.board.stats.Panics.Load() + stats.Panics; n != uint64(o.panics) {
		o.Errorf("%d panics, expected %d", n, o.panics)
	}
	if n := o.board.stats.InboxFull.Load(); n != 0 {
		o.Errorf("%d events dropped", n)
	}
	if records, started := len(o.ledger.all())+o.forgotten, o.before+o.board.stats.Started.Load(); records != int(started) {
		o.Errorf("%d records of %d calls", records, started)
	}
	for _, r := range o.ledger.all() {
		if r.Duration < 0 || r.Ended.Before(r.Started) || r.EndedBy == "" || r.Status == 0 {
			o.Errorf("record that cannot be: %+v", r)
		}
	}
	if strings.Contains(o.log.String(), secretWord) {
		o.Error("a password is in the log")
	}
	for _, p := range o.phones {
		for _, m := range p.All() {
			if p.challenges {
				continue
			}
			if m.Has(sip.HeaderAuthorization) || m.Has(sip.HeaderProxyAuthorization) {
				o.Errorf("%s was sent credentials:\n%s", p.ext, m.Raw())
			}
		}
	}
}

// unheard asserts that every phone has taken note of all that was said to it.
func (o *office) unheard() {
	o.Helper()
	o.settle()
	for _, p := range o.phones {
		if left := p.left(); len(left) > 0 && !p.deaf {
			for _, m := range left {
				o.Errorf("%s did not expect, at %v:\n%s", p.ext, m.At, m.Raw())
			}
		}
	}
}

// record is the only record so far.
func (o *office) record() Record {
	o.Helper()
	o.settle()
	all := o.ledger.all()
	if len(all) != 1 {
		o.Fatalf("%d records, want 1", len(all))
	}
	return all[0]
}

// at asserts what time it is.
func (o *office) at(want time.Duration) {
	o.Helper()
	if got := o.net.Since(); got != want {
		o.Errorf("it is %v, want %v", got, want)
	}
}

func equal[T comparable](t testing.TB, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// seconds makes instants.
func seconds(s ...float64) (at []time.Duration) {
	for _, x := range s {
		at = append(at, time.Duration(x*float64(time.Second)))
	}
	return at
}
