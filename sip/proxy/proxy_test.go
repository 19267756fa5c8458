package proxy

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// forwarder is a switch that forwards every request to the same targets.
type forwarder struct {
	table   *transaction.Table
	targets func() []Target
}

func (f *forwarder) Stateless(transport.Flow, *sip.Message) bool { return false }
func (f *forwarder) Request(tx *transaction.Server, m *sip.Message) {
	Forward(f.table, tx, m, f.targets())
}
func (f *forwarder) Ack(transport.Flow, *sip.Message)                    {}
func (f *forwarder) Cancel(*transaction.Server, *sip.Message)            {}
func (f *forwarder) Stray(transport.Flow, *sip.Message)                  {}
func (f *forwarder) Closed(transport.Flow)                               {}
func (f *forwarder) Terminated(*transaction.Server, transaction.Failure) {}

// scene runs a test with a switch between alice and two phones.
func scene(t *testing.T, do func(t *testing.T, alice, bob, carol *siptest.Peer, to transport.Flow)) {
	synctest.Test(t, func(t *testing.T) {
		net := siptest.NewNetwork(t, siptest.Options{})
		f := &forwarder{}
		f.table = transaction.New(transaction.Config{}, f, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = f.table.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		port := net.Listen(transport.UDP, "192.0.2.9:5060", f.table)
		f.targets = func() []Target {
			return []Target{
				{URI: "sip:bob@192.0.2.2", Flow: port.Flow("192.0.2.2:5060")},
				{URI: "sip:carol@192.0.2.3;x=y", Flow: port.Flow("192.0.2.3:5060"), Routes: []string{"<sip:edge;lr>"}},
			}
		}
		alice := net.Peer(transport.UDP, "192.0.2.1:5060")
		bob, carol := net.Peer(transport.UDP, "192.0.2.2:5060"), net.Peer(transport.UDP, "192.0.2.3:5060")
		do(t, alice, bob, carol, alice.Flow("192.0.2.9:5060"))
		time.Sleep(time.Minute) // of the bubble's clock: every transaction has ended
		if s := f.table.Stats(); s.Total() != 0 {
			t.Errorf("%d transactions are left", s.Total())
		}
	})
}

var message = siptest.Request{
	Method: sip.MESSAGE, URI: "sip:1002@example.com", Type: "text/plain", Body: "hello\r\n",
	Lines: []string{"Route: <sip:192.0.2.9;lr>", "Authorization: Digest username=\"1001\"", "X-Odd: As It Is"},
}

func TestForwardsToAllAndTakesTheFirst2xx(t *testing.T) {
	scene(t, func(t *testing.T, alice, bob, carol *siptest.Peer, to transport.Flow) {
		alice.Send(to, message)
		b, c := bob.Next(), carol.Next()
		text := c.Raw()
		for _, want := range []string{"MESSAGE sip:carol@192.0.2.3;x=y SIP/2.0\r\n", "Route: <sip:edge;lr>\r\n", "Max-Forwards: 69\r\n", "X-Odd: As It Is\r\n", "hello\r\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		for _, leaked := range []string{"Authorization", "192.0.2.9;lr>"} {
			if strings.Contains(text, leaked) {
				t.Errorf("%q passed on in\n%s", leaked, text)
			}
		}
		bob.Answer(b, 486)
		alice.Quiet(time.Second)
		carol.Answer(c, 200)
		if r := alice.Next(); r.Status() != 200 {
			t.Fatalf("got %d", r.Status())
		}
	})
}

func TestBestOfFailures(t *testing.T) {
	for _, c := range []struct {
		name           string
		bob, carol, at int
	}{
		{"busy before absent", 480, 486, 486},
		{"6xx at once", 603, 0, 603},
		{"503 becomes 500", 503, 503, 500},
		{"challenge of a phone stays behind others", 401, 488, 488},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(t *testing.T, alice, bob, carol *siptest.Peer, to transport.Flow) {
				alice.Send(to, message)
				b, d := bob.Next(), carol.Next()
				if c.bob != 0 {
					bob.Answer(b, c.bob)
				}
				if c.carol != 0 {
					carol.Answer(d, c.carol)
				}
				if r := alice.Next(); r.Status() != c.at {
					t.Fatalf("got %d, want %d", r.Status(), c.at)
				}
			})
		})
	}
}

func TestMaxForwardsEnds(t *testing.T) {
	scene(t, func(t *testing.T, alice, bob, _ *siptest.Peer, to transport.Flow) {
		alice.SendText(to, strings.Replace(string(message.Bytes(to)), "Max-Forwards: 70", "Max-Forwards: 0", 1))
		if r := alice.Next(); r.Status() != 483 {
			t.Fatalf("got %d", r.Status())
		}
		bob.Quiet(time.Second)
	})
}
