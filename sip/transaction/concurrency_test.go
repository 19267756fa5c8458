package transaction_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a sink that takes its time over the first response.
type slow struct {
	entered, leave chan struct{}
	mu             sync.Mutex
	inside         int
	heard          []int
}

func (s *slow) Response(_ *transaction.Client, m *sip.Message) {
	s.mu.Lock()
	s.inside++
	first := len(s.heard) == 0
	if s.inside > 1 {
		panic("two callbacks at a time")
	}
	s.heard = append(s.heard, m.Status())
	s.mu.Unlock()
	if first {
		close(s.entered)
		<-s.leave
	}
	s.mu.Lock()
	s.inside--
	s.mu.Unlock()
}

func (s *slow) Failed(*transaction.Client, transaction.Failure) { s.heard = append(s.heard, 408) }

// TestTurns: responses that come over other sockets, and the timer, wait for the callback that is running.
func TestTurns(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		s := &slow{entered: make(chan struct{}), leave: make(chan struct{})}
		c, err := o.table.Send(o.out(), siptest.Request{Method: sip.INVITE}.Bytes(o.out()), s)
		if err != nil {
			t.Fatal(err)
		}
		invite := o.peer.Next()
		second := o.net.Listen(transport.UDP, "192.0.2.1:5070", o.table)
		o.peer.Answer(invite, 180)
		<-s.entered
		for _, status := range []int{181, 182, 183} {
			o.peer.SendText(o.peer.Flow(second.Addr().String()), string(siptest.Response(invite.Message, status, "x")))
		}
		o.settle()
		c.Cancel("")
		o.until(33 * time.Second)
		close(s.leave)
		o.settle()
		equal(t, "heard", s.heard, 180, 181, 182, 183, 408)
	})
}

// TestFlood: of a flood of responses behind a slow callback some are lost, but never the outcome.
func TestFlood(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		s := &slow{entered: make(chan struct{}), leave: make(chan struct{})}
		if _, err := o.table.Send(o.out(), siptest.Request{Method: sip.INVITE}.Bytes(o.out()), s); err != nil {
			t.Fatal(err)
		}
		invite := o.peer.Next()
		second := o.net.Listen(transport.UDP, "192.0.2.1:5070", o.table)
		o.peer.Answer(invite, 180)
		<-s.entered
		f := o.peer.Flow(second.Addr().String())
		for range 1000 {
			o.peer.SendText(f, string(siptest.Response(invite.Message, 181, "x")))
		}
		o.peer.SendText(f, string(siptest.Response(invite.Message, 486, "x")))
		o.settle()
		close(s.leave)
		o.settle()
		if n := len(s.heard); n != 66 || s.heard[0] != 180 || s.heard[65] != 486 {
			t.Fatalf("%d responses heard, the last %d", n, s.heard[n-1])
		}
	})
}

// TestLossyNetwork: calls and messages among tables over a network that loses and doubles a fifth of all
// packets, from many goroutines: each transaction comes to one end, each request to the user once, and
// nothing is left.
func TestLossyNetwork(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{Shards: 4}, func(o *office) {
		o.net.Set(siptest.Options{Latency: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.2, Duplicate: 0.2, Seed: 3})
		o.request = func(tx *transaction.Server, m *sip.Message) {
			status := 200
			if m.Method() == sip.INVITE {
				status = 486
			}
			go func() {
				if err := tx.Respond(siptest.Response(m, status, "office")); err != nil {
					t.Error(err)
				}
			}()
		}
		far := o.net.Listen(transport.UDP, "192.0.2.3:5060", o.table)
		const n = 400
		sinks := make([]tally, n)
		var senders sync.WaitGroup
		for g := range 8 {
			senders.Go(func() {
				for i := g; i < n; i += 8 {
					method := sip.INVITE
					if i%2 == 0 {
						method = sip.MESSAGE
					}
					f := far.Flow(officeAddr)
					raw := siptest.Request{Method: method, CallID: strconv.Itoa(i)}.Bytes(f)
					if _, err := o.table.Send(f, raw, &sinks[i]); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
				}
			})
		}
		senders.Wait()
		o.until(2 * time.Minute)
		answered := 0
		for i := range sinks {
			if f, failed := sinks[i].final.Load(), sinks[i].failed.Load(); f+failed != 1 {
				t.Fatalf("request %d: %d final responses and %d failures", i, f, failed)
			} else if f == 1 {
				answered++
			}
		}
		if answered < n*95/100 || len(o.requests) > n {
			t.Fatalf("%d of %d answered, the user saw %d", answered, n, len(o.requests))
		}
		if len(o.strays) != 0 {
			t.Fatalf("strays: %v", o.strays)
		}
		o.live(0)
	})
}

type tally struct{ final, failed atomic.Int32 }

func (s *tally) Response(_ *transaction.Client, m *sip.Message) {
	if m.Status() >= 200 {
		s.final.Add(1)
	}
}
func (s *tally) Failed(*transaction.Client, transaction.Failure) { s.failed.Add(1) }

// TestManyReaders: the same requests through several reading goroutines at once reach the user once each.
func TestManyReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{T: t, net: siptest.NewNetwork(t, siptest.Options{})}
		o.table = transaction.New(transaction.Config{Shards: 2}, o, quiet())
		link := siptest.NewDiscard(transport.UDP)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for i := range 500 {
					r := siptest.Request{Method: sip.INVITE, Branch: fmt.Sprint("z9hG4bK", i), CallID: strconv.Itoa(i)}
					o.table.Receive(link.Flow(), parse(t, r.Bytes(link.Flow())))
					r.Method = sip.CANCEL
					o.table.Receive(link.Flow(), parse(t, r.Bytes(link.Flow())))
				}
			})
		}
		readers.Wait()
		stats := o.table.Stats()
		if len(o.requests) != 500 || len(o.cancels) != 500 || stats.Merged != 0 || stats.Absorbed[transaction.InviteServer] != 1500 {
			t.Fatalf("%d requests, %d cancels, %+v", len(o.requests), len(o.cancels), stats)
		}
	})
}

// TestGoroutines: as many for ten thousand transactions as for none.
func TestGoroutines(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		link := siptest.NewDiscard(transport.UDP)
		o.settle()
		before := runtime.NumGoroutine()
		for i := range 5000 {
			o.table.Receive(link.Flow(), parse(t, siptest.Request{Method: sip.INVITE, CallID: strconv.Itoa(i)}.Bytes(link.Flow())))
			o.send(link.Flow(), siptest.Request{Method: sip.INVITE})
		}
		o.live(10000)
		o.until(time.Second)
		if now := runtime.NumGoroutine(); now != before {
			t.Fatalf("%d goroutines, %d before", now, before)
		}
	})
}
