package siptest_test

import (
	"net/netip"
	"strings"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
	"testing"
	"testing/synctest"
	"time"
)

// TestExample is the example of the package comment.
func TestExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := siptest.NewNetwork(t, siptest.Options{})
		bob := net.Peer(transport.UDP, "192.0.2.2:5060")
		alice := net.Peer(transport.UDP, "192.0.2.1:5060")
		bob.Script(func(r siptest.Received) {
			if r.Method() == sip.OPTIONS {
				bob.Answer(r, 200)
			}
		})
		alice.Send(alice.Flow("192.0.2.2:5060"), siptest.Request{Method: sip.OPTIONS})
		if r := alice.Next(); r.Status() != 200 || r.At != 0 {
			t.Fatalf("%d at %v", r.Status(), r.At)
		}
	})
}

func TestLatencyAndOrder(t *testing.T) {
	for _, proto := range []transport.Proto{transport.UDP, transport.TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := siptest.NewNetwork(t, siptest.Options{Latency: 30 * time.Millisecond})
				a, b := net.Peer(proto, "192.0.2.1:5060"), net.Peer(proto, "192.0.2.2:5060")
				f := flow(t, a, b)
				for i := range 500 {
					a.Send(f, siptest.Request{CSeq: i + 1})
				}
				for i := range 500 {
					r := b.Next()
					if seq, _, _ := r.CSeq(); int(seq) != i+1 || r.At != 30*time.Millisecond || r.Source != f.Local() {
						t.Fatalf("message %d: CSeq %d at %v from %v", i, seq, r.At, r.Source)
					}
				}
			})
		})
	}
}

func TestLossAndDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := siptest.NewNetwork(t, siptest.Options{Loss: 0.5, Duplicate: 0.5, Jitter: time.Second, Seed: 7})
		a, b := net.Peer(transport.UDP, "192.0.2.1:5060"), net.Peer(transport.UDP, "192.0.2.2:5060")
		for range 1000 {
			a.Send(flow(t, a, b), siptest.Request{})
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(b.All()); n < 600 || n > 900 {
			t.Fatalf("%d of 1000 arrived, about 750 expected", n)
		}
		net.Set(siptest.Options{Drop: func(_, _ netip.AddrPort, raw string) bool { return strings.HasPrefix(raw, "BYE") }})
		before := len(b.All())
		a.Send(flow(t, a, b), siptest.Request{Method: sip.BYE})
		a.Send(flow(t, a, b), siptest.Request{Method: sip.INFO})
		synctest.Wait()
		if all := b.All(); len(all) != before+1 || all[before].Method() != sip.INFO {
			t.Fatalf("%d messages after Drop", len(all)-before)
		}
	})
}

func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := siptest.NewNetwork(t, siptest.Options{Latency: time.Millisecond})
		a, b := net.Peer(transport.TLS, "192.0.2.1:5061"), net.Peer(transport.TLS, "192.0.2.2:5061")
		f := flow(t, a, b)
		a.Send(f, siptest.Request{})
		r := b.Next()
		b.Answer(r, 200)
		if got := a.Next(); got.Flow != f || got.Status() != 200 {
			t.Fatalf("%d came by %v", got.Status(), got.Flow)
		}
		net.Break(f)
		if f.Alive() || f.Send([]byte("x")) != transport.ErrClosed || r.Flow.Send([]byte("x")) != transport.ErrClosed {
			t.Fatal("a broken connection still takes messages")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if x, y := a.Broken(), b.Broken(); len(x) != 1 || x[0] != f || len(y) != 1 || y[0] != r.Flow {
			t.Fatalf("closed: %v and %v", x, y)
		}
	})
}

func flow(t *testing.T, a, b *siptest.Peer) transport.Flow {
	t.Helper()
	if r := b.Addr().String(); a.Proto() == transport.UDP {
		return a.Flow(r)
	} else if f, err := a.Connect(r); err != nil {
		t.Fatal(err)
		return f
	} else {
		return f
	}
}
