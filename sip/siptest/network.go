package siptest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"tandem/sip/transport"
	"testing"
	"time"
)

// Options say how the network treats messages. The zero value delivers everything at once.
type Options struct {
	Latency   time.Duration // one way
	Jitter    time.Duration // added at random, UDP only: messages may overtake each other
	Loss      float64       // share of UDP messages that vanish, 0 to 1
	Duplicate float64       // share of UDP messages that arrive twice, 0 to 1
	Seed      uint64        // of what is random above; the same seed repeats the same run
	// Drop is asked for each UDP message; true loses it. Called one at a time.
	Drop func(from, to netip.AddrPort, raw string) bool
}

// Network joins ports. It ends with its test.
type Network struct {
	t     testing.TB
	start time.Time
	ids   atomic.Uint64
	done  chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	opts     Options
	rng      *rand.Rand
	ports    map[portKey]*Port
	ends     map[uint64]*end // both ends of every connection, by Flow.ID
	sequence uint64
	closed   bool
}

type portKey struct {
	proto transport.Proto
	addr  netip.AddrPort
}

// NewNetwork makes a network without ports, which is closed when the test ends.
func NewNetwork(t testing.TB, opts Options) *Network {
	n := &Network{
		t: t, start: time.Now(), done: make(chan struct{}), opts: opts,
		rng: rand.New(rand.NewPCG(opts.Seed, 1)), ports: map[portKey]*Port{}, ends: map[uint64]*end{},
	}
	t.Cleanup(n.Close)
	return n
}

// Since is how long the network has existed: what Received.At counts in.
func (n *Network) Since() time.Duration { return time.Since(n.start) }

// Set changes the options for what is sent from now on; the seed stays.
func (n *Network) Set(opts Options) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opts = opts
}

// Close stops all ports and waits for their goroutines. Nothing is delivered afterwards.
func (n *Network) Close() {
	n.mu.Lock()
	was := n.closed
	n.closed = true
	n.mu.Unlock()
	if !was {
		close(n.done)
	}
	n.wg.Wait()
}

// Listen opens a port whose messages go to h. Address is IP:port and must be free for that transport.
func (n *Network) Listen(proto transport.Proto, address string, h transport.Handler) *Port {
	n.t.Helper()
	p := &Port{
		net: n, proto: proto, addr: netip.MustParseAddrPort(address), handler: h,
		id: n.ids.Add(1), wake: make(chan struct{}, 1),
	}
	key := portKey{proto, p.addr}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.ports[key] != nil {
		panic(fmt.Sprintf("siptest: %v %s: network is closed or address in use", proto, address))
	}
	n.ports[key] = p
	n.wg.Go(p.read)
	return p
}

func (n *Network) port(proto transport.Proto, addr netip.AddrPort) *Port {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	return n.ports[portKey{proto, addr}]
}

// fate decides when a message arrives, and how often: no instant means lost. The sequence keeps messages in
// order that arrive at the same instant.
func (n *Network) fate(stream bool, from, to netip.AddrPort, raw string) (at []time.Time, sequence uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sequence++
	arrival := time.Now().Add(n.opts.Latency)
	if stream {
		return []time.Time{arrival}, n.sequence
	}
	if n.opts.Drop != nil && n.opts.Drop(from, to, raw) || n.opts.Loss > 0 && n.rng.Float64() < n.opts.Loss {
		return nil, n.sequence
	}
	copies := 1
	if n.opts.Duplicate > 0 && n.rng.Float64() < n.opts.Duplicate {
		copies = 2
	}
	for range copies {
		late := time.Duration(0)
		if n.opts.Jitter > 0 {
			late = time.Duration(n.rng.Int64N(int64(n.opts.Jitter)))
		}
		at = append(at, arrival.Add(late))
	}
	return at, n.sequence
}
