package transaction_test

import (
	"context"
	"slices"
	"sync"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"testing/synctest"
	"time"
)

const (
	officeAddr = "192.0.2.1:5060"
	peerAddr   = "192.0.2.2:5060"
)

// office is the user of a table on a network, and writes down what it is told. Functions that are not set
// mean: nothing is stateless, nothing is answered.
type office struct {
	*testing.T
	net   *siptest.Network
	port  *siptest.Port
	table *transaction.Table
	peer  *siptest.Peer

	stateless func(f transport.Flow, m *sip.Message) bool
	request   func(tx *transaction.Server, m *sip.Message)

	mu         sync.Mutex
	requests   []*transaction.Server
	acks       []string // CSeq of each ACK
	cancels    []*transaction.Server
	strays     []int // status
	closed     []transport.Flow
	terminated []time.Duration
	responses  []heard // of all clients
	failures   []heard
}

// heard is what a sink was told: a status or a failure.
type heard struct {
	what string
	at   time.Duration
}

// inOffice runs a test in a bubble with a table and a peer, joined by proto.
func inOffice(t *testing.T, proto transport.Proto, cfg transaction.Config, test func(o *office)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &office{T: t, net: siptest.NewNetwork(t, siptest.Options{})}
		o.table = transaction.New(cfg, o, quiet())
		o.port = o.net.Listen(proto, officeAddr, o.table)
		o.peer = o.net.Peer(proto, peerAddr)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- o.table.Run(ctx) }()
		test(o)
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// both runs a test over UDP and over TCP.
func both(t *testing.T, test func(o *office)) {
	t.Helper()
	for _, proto := range []transport.Proto{transport.UDP, transport.TCP} {
		t.Run(proto.String(), func(t *testing.T) { inOffice(t, proto, transaction.Config{}, test) })
	}
}

func (o *office) udp() bool { return o.port.Proto() == transport.UDP }

// out is the flow from the office to the peer, in is the one back.
func (o *office) out() transport.Flow { return o.flow(o.port, peerAddr) }
func (o *office) in() transport.Flow  { return o.flow(o.peer.Port, officeAddr) }

func (o *office) flow(from *siptest.Port, to string) transport.Flow {
	o.Helper()
	if o.udp() {
		return from.Flow(to)
	}
	f, err := from.Connect(to)
	if err != nil {
		o.Fatal(err)
	}
	return f
}

// until lets time pass up to an instant of the network, and waits for what happens then.
func (o *office) until(at time.Duration) {
	time.Sleep(at - o.net.Since())
	synctest.Wait()
}

// settle waits for what happens now.
func (o *office) settle() { synctest.Wait() }

func (o *office) send(f transport.Flow, r siptest.Request) *transaction.Client {
	o.Helper()
	c, err := o.table.Send(f, r.Bytes(f), o)
	if err != nil {
		o.Fatal(err)
	}
	return c
}

// tx is the i-th server transaction.
func (o *office) tx(i int) *transaction.Server {
	o.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if i >= len(o.requests) {
		o.Fatalf("%d requests came, want %d or more", len(o.requests), i+1)
	}
	return o.requests[i]
}

func (o *office) respond(tx *transaction.Server, status int) {
	o.Helper()
	if err := tx.Respond(siptest.Response(tx.Request(), status, "office")); err != nil {
		o.Fatalf("respond %d: %v", status, err)
	}
}

// live asserts how many transactions there are.
func (o *office) live(want int) {
	o.Helper()
	synctest.Wait()
	stats := o.table.Stats()
	if n := stats.Total(); n != want {
		o.Fatalf("at %v: %d live transactions, want %d: %v", o.net.Since(), n, want, stats.Live)
	}
}

// gone asserts that the only transaction ends at that instant and not a moment before.
func (o *office) gone(at time.Duration) {
	o.Helper()
	if now := o.net.Since(); now < at {
		o.until(at - 1)
		o.live(1)
	}
	o.until(at)
	o.live(0)
}

func equal[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// seconds makes instants.
func seconds(s ...float64) (at []time.Duration) {
	for _, x := range s {
		at = append(at, time.Duration(x*float64(time.Second)))
	}
	return at
}

func (o *office) Stateless(f transport.Flow, m *sip.Message) bool {
	return o.stateless != nil && o.stateless(f, m)
}

func (o *office) Request(tx *transaction.Server, m *sip.Message) {
	o.mu.Lock()
	o.requests = append(o.requests, tx)
	o.mu.Unlock()
	if o.request != nil {
		o.request(tx, m)
	}
}

func (o *office) Ack(_ transport.Flow, m *sip.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acks = append(o.acks, m.Header(sip.HeaderCSeq))
}

func (o *office) Cancel(tx *transaction.Server, _ *sip.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancels = append(o.cancels, tx)
}

func (o *office) Stray(_ transport.Flow, m *sip.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.strays = append(o.strays, m.Status())
}

func (o *office) Closed(f transport.Flow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = append(o.closed, f)
}

func (o *office) Terminated(*transaction.Server, transaction.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.terminated = append(o.terminated, o.net.Since())
}

func (o *office) Response(_ *transaction.Client, m *sip.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.responses = append(o.responses, heard{m.Raw()[8:11], o.net.Since()})
}

func (o *office) Failed(_ *transaction.Client, why transaction.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = append(o.failures, heard{why.String(), o.net.Since()})
}
