package siptest

import (
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"tandem/sip"
	"tandem/sip/transport"
	"time"
)

// Port is one bound address. For UDP it is the transport.Link of all its flows; for the others it accepts
// and opens connections, each a Link of its own.
type Port struct {
	net     *Network
	proto   transport.Proto
	addr    netip.AddrPort
	handler transport.Handler
	id      uint64
	wake    chan struct{} // capacity 1: a signal that waits already is enough
	away    atomic.Bool

	mu     sync.Mutex
	queue  []delivery // by instant, then sequence
	closed bool
}

// delivery is a message, or the news of a closed connection, on its way to a port.
type delivery struct {
	at       time.Time
	sequence uint64
	flow     transport.Flow
	raw      string
	closed   bool
}

// maxQueue bounds what waits for one port, as a socket's buffer does; over UDP more is lost, over a
// connection it is transport.ErrQueueFull.
const maxQueue = 1 << 16

// Away makes the port, of UDP, one of a node that does not serve: what it sends is transport.ErrAway.
func (p *Port) Away(on bool) { p.away.Store(on) }

// Addr is the address of the port.
func (p *Port) Addr() netip.AddrPort { return p.addr }

// Flow is the flow to a peer over UDP.
func (p *Port) Flow(remote string) transport.Flow {
	if p.proto != transport.UDP {
		panic("siptest: Flow is for UDP; use Connect")
	}
	return transport.NewFlow(p, p.addr, netip.MustParseAddrPort(remote))
}

// Close unbinds the port, as a host that dies: what is sent to it vanishes, what it sends fails, and its
// connections are left open.
func (p *Port) Close() {
	p.net.mu.Lock()
	delete(p.net.ports, portKey{p.proto, p.addr})
	p.net.mu.Unlock()
	p.mu.Lock()
	p.closed, p.queue = true, nil
	p.mu.Unlock()
}

// Proto, ID, Listener, SentBy, Alive, Send and Names make a UDP port a transport.Link.
func (p *Port) Proto() transport.Proto             { return p.proto }
func (p *Port) ID() uint64                         { return p.id }
func (p *Port) Listener() string                   { return "siptest" }
func (p *Port) SentBy(local netip.AddrPort) string { return local.String() }
func (p *Port) Names() []string                    { return nil }
func (p *Port) Alive() bool                        { return !p.isClosed() }
func (p *Port) Send(local, remote netip.AddrPort, raw []byte) error {
	if p.isClosed() {
		return transport.ErrClosed
	}
	if p.away.Load() {
		return transport.ErrAway
	}
	text := string(raw)
	at, sequence := p.net.fate(false, local, remote, text)
	if to := p.net.port(p.proto, remote); to != nil {
		for _, t := range at {
			to.enqueue(delivery{at: t, sequence: sequence, raw: text, flow: transport.NewFlow(to, remote, local)})
		}
	}
	return nil
}

func (p *Port) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// enqueue puts a delivery in its place; false: the port is closed or its queue is full.
func (p *Port) enqueue(d delivery) bool {
	p.mu.Lock()
	if p.closed || len(p.queue) >= maxQueue {
		p.mu.Unlock()
		return false
	}
	i := sort.Search(len(p.queue), func(i int) bool {
		q := p.queue[i]
		return q.at.After(d.at) || q.at.Equal(d.at) && q.sequence > d.sequence
	})
	p.queue = append(p.queue, delivery{})
	copy(p.queue[i+1:], p.queue[i:])
	p.queue[i] = d
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

// read hands what arrives to the handler, in order, until the network closes.
func (p *Port) read() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d, wait, found := p.next()
		if found && wait <= 0 {
			p.handle(d)
			continue
		}
		var elapsed <-chan time.Time
		if found {
			timer.Reset(wait)
			elapsed = timer.C
		}
		select {
		case <-p.net.done:
			return
		case <-p.wake:
		case <-elapsed:
		}
	}
}

// next takes the first delivery if it is due; else wait is how long it still takes.
func (p *Port) next() (d delivery, wait time.Duration, found bool) {
	select {
	case <-p.net.done:
		return d, 0, false
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return d, 0, false
	}
	d = p.queue[0]
	if wait = time.Until(d.at); wait <= 0 {
		p.queue[0] = delivery{}
		p.queue = p.queue[1:]
	}
	return d, wait, true
}

func (p *Port) handle(d delivery) {
	if d.closed {
		p.handler.Closed(d.flow)
		return
	}
	var m sip.Message
	if m.Parse(d.raw) != nil { // a keepalive, or nothing that could be answered
		return
	}
	m.Source = d.flow.Remote()
	p.handler.Receive(d.flow, &m)
}
