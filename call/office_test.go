package call

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"tandem/dialplan"
	"tandem/dialplan/block"
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

// officePlan has extensions 1001 to 1006; 1004 has no class, and so no limit.
const officePlan = `
class "office" { max_calls = 2 }
extension "1001" {
  name  = "Alice"
  class = class.office
}
extension "1002" {
  name  = "Bob"
  class = class.office
}
extension "1003" { class = class.office }
extension "1004" {}
extension "1005" {}
extension "1006" {}
ring_group "sales" {
  strategy = "all"
  members  = [extension["1002"], extension["1003"]]
}
ring_group "line" {
  strategy = "in_order"
  members  = [extension["1002"], extension["1003"], extension["1004"]]
  timeout  = "40s"
  each     = "10s"
}
route "internal" {
  to = "1xxx"
  dial {
    extension = call.to
    timeout   = "20s"
  }
}
route "sales" {
  to = "200"
  ring { group = ring_group.sales }
}
route "line" {
  to = "201"
  ring { group = ring_group.line }
}
route "guarded" {
  to = "300"
  dial {
    extension = extension["1002"]
    timeout   = "20s"
  }
  on "busy" {
    play { file = "busy.wav" }
  }
  on "no_answer" {
    dial {
      extension = extension["1003"]
      timeout   = "10s"
    }
  }
  on "unreachable" {
    reject { status = 404 }
  }
  on "declined" {
    dial {
      extension = extension["1003"]
      timeout   = "10s"
    }
    on "busy" {
      reject { status = 404 }
    }
    on "unreachable" {
      play {
        file   = "busy.wav"
        answer = false
      }
    }
  }
}
route "notice" {
  to = "301"
  play { file = "welcome.wav" }
  dial {
    extension = extension["1002"]
    timeout   = "20s"
  }
}
route "echo" {
  to = "400"
  echo {}
}
route "tone" {
  to = "401"
  tone { hz = 1004 }
}
route "no" {
  to = "402"
  reject { status = 603 }
}
route "elsewhere" {
  to = "403"
  redirect { to = "1005" }
}
`

// planOf compiles one HCL text.
func planOf(t testing.TB, text string) *dialplan.Plan {
	t.Helper()
	file, d := hclsyntax.ParseConfig([]byte(text), "office.hcl", hcl.InitialPos)
	if d.HasErrors() {
		t.Fatal(d)
	}
	dialplan.Prepare(file.Body)
	schema := append(dialplan.Schema(), hcl.BlockHeaderSchema{Type: "extension", LabelNames: []string{"number"}})
	content, d := file.Body.Content(&hcl.BodySchema{Blocks: schema})
	if d.HasErrors() {
		t.Fatal(d)
	}
	src := dialplan.Source{
		Files:   map[string][]byte{"office.hcl": file.Bytes},
		Resolve: func(path string) (string, error) { return "/sounds/" + path, nil },
	}
	for _, b := range content.Blocks {
		if b.Type != "extension" {
			src.Blocks = append(src.Blocks, b)
			continue
		}
		r := block.Open(b.Body, block.Schema("name class srtp"), nil, &d)
		x := dialplan.Declared{At: b.LabelRanges[0]}
		x.Number, x.Name, x.SRTP = b.Labels[0], r.Text("name", ""), r.Text("srtp", "optional")
		if e := r.Expr("class"); e != nil {
			if ref, ok := r.Ref(e, "class"); ok {
				x.Class, x.ClassAt = ref.Name, ref.NameAt
			}
		}
		src.Extensions = append(src.Extensions, x)
	}
	plan, more := dialplan.Compile(src)
	if d = append(d, more...); d.HasErrors() {
		t.Fatal(d.Error(), d.Errs())
	}
	return plan
}

// office is a switch on an in-memory network, with what it hears and says written down.
type office struct {
	*testing.T
	net       *siptest.Network
	board     *Switchboard
	table     *transaction.Table
	authority *digest.Authority
	media     *fakeMedia
	locator   *fakeLocator
	ledger    *fakeLedger
	router    *fakeRouter
	registrar *fakeRegistrar
	udp, tcp  *siptest.Port
	phones    []*phone
	log       *bytes.Buffer
	stop      context.CancelFunc // of the switchboard
	stopped   chan struct{}
	calls     int // Call-IDs made
	panics    int // that the test expects
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
			authority: digest.New(digest.Config{Realm: realm}), router: &fakeRouter{}, registrar: &fakeRegistrar{},
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
		o.board = New(cfg, Rooms{
			Media: o.media, Registrar: o.registrar, Locator: o.locator, Authority: o.authority, Router: o.router, Ledger: o.ledger,
		}, log)
		o.board.Update(settings)
		o.table = transaction.New(transaction.Config{Shards: 2}, o.board, log)
		o.board.Use(o.table)
		o.udp = o.net.Listen(transport.UDP, switchAddr, o.table)
		o.tcp = o.net.Listen(transport.TCP, switchAddr, o.table)
		table, endTable := running(o.table.Run)
		board, endBoard := running(o.board.Run)
		o.stop, o.stopped = endBoard, board
		defer func() { // after a Fatal too
			endBoard()
			<-board
			endTable()
			<-table
			if t.Failed() {
				t.Logf("log of the switch:\n%s", o.log)
			}
		}()
		test(o)
		o.clean()
	})
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
	if n := stats.Total(); n != 0 {
		o.Errorf("%d transactions left: %v", n, stats.Live)
	}
	if n := o.board.stats.Panics.Load() + stats.Panics; n != uint64(o.panics) {
		o.Errorf("%d panics, expected %d", n, o.panics)
	}
	if n := o.board.stats.InboxFull.Load(); n != 0 {
		o.Errorf("%d events dropped", n)
	}
	if records, started := len(o.ledger.all()), o.board.stats.Started.Load(); records != int(started) {
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

// fakeLocator knows where phones are because the test says so.
type fakeLocator struct {
	mu       sync.Mutex
	bindings map[string][]registrar.Binding
}

func (l *fakeLocator) Lookup(aor string, _ time.Time) []registrar.Binding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.bindings[aor])
}

func (l *fakeLocator) add(aor string, b registrar.Binding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bindings[aor] = append(l.bindings[aor], b)
}

func (l *fakeLocator) drop(aor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.bindings, aor)
}

// fakeLedger keeps records.
type fakeLedger struct {
	mu      sync.Mutex
	records []Record
}

func (l *fakeLedger) Write(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
}

func (l *fakeLedger) all() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// fakeRouter reaches what the test says.
type fakeRouter struct {
	reach func(ctx context.Context, uri sip.URI, size int) (transport.Flow, error)
}

func (r *fakeRouter) Reach(ctx context.Context, uri sip.URI, size int) (transport.Flow, error) {
	if r.reach == nil {
		return transport.Flow{}, fmt.Errorf("no way to %s", uri.Host)
	}
	return r.reach(ctx, uri, size)
}

// fakeRegistrar answers every REGISTER with 401, and notes closed connections.
type fakeRegistrar struct {
	mu     sync.Mutex
	closed int
}

func (r *fakeRegistrar) AppendReceive(dst []byte, _ time.Time, _ transport.Flow, m *sip.Message) []byte {
	return sip.AppendResponse(dst, m, 401, "", "reg")
}

func (r *fakeRegistrar) Closed(transport.Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
}
