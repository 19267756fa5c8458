package siptest

import (
	"strconv"
	"sync"
	"tandem/sip"
	"tandem/sip/transport"
	"time"
)

// Received is a message that a Peer heard.
type Received struct {
	*sip.Message
	At   time.Duration // since the network began
	Flow transport.Flow
}

// Peer is a phone or switch whose every word the test writes. It answers nothing by itself and retransmits
// nothing.
type Peer struct {
	*Port
	fresh chan Received // for Next; what finds it full is only in All

	mu     sync.Mutex
	all    []Received
	broken []transport.Flow
	script func(Received)
}

// Peer opens a port with a Peer behind it.
func (n *Network) Peer(proto transport.Proto, address string) *Peer {
	n.t.Helper()
	p := &Peer{fresh: make(chan Received, 4096)}
	p.Port = n.Listen(proto, address, (*hearing)(p))
	return p
}

// hearing keeps Receive and Closed out of the Peer's own methods.
type hearing Peer

func (h *hearing) Receive(f transport.Flow, m *sip.Message) {
	p := (*Peer)(h)
	kept := *m
	r := Received{Message: &kept, At: p.net.Since(), Flow: f}
	p.mu.Lock()
	p.all = append(p.all, r)
	script := p.script
	p.mu.Unlock()
	select {
	case p.fresh <- r:
	default:
	}
	if script != nil {
		script(r)
	}
}

func (h *hearing) Closed(f transport.Flow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = append(h.broken, f)
}

// Script has a function called for each message from now on, from the goroutine that reads the port.
func (p *Peer) Script(do func(Received)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = do
}

// Send sends a request down a flow. It fails the test when the flow does not take it.
func (p *Peer) Send(f transport.Flow, r Request) {
	p.net.t.Helper()
	p.SendText(f, string(r.Bytes(f)))
}

// SendText sends any text.
func (p *Peer) SendText(f transport.Flow, text string) {
	p.net.t.Helper()
	if err := f.Send([]byte(text)); err != nil {
		p.net.t.Errorf("siptest: send: %v", err)
	}
}

// Answer sends a response to a request the way it came; the To tag is made of the peer's address. Lines are
// whole header lines.
func (p *Peer) Answer(r Received, status int, lines ...string) {
	p.net.t.Helper()
	p.SendText(r.Flow, string(Response(r.Message, status, p.Tag(), lines...)))
}

// Tag is the To tag of Answer.
func (p *Peer) Tag() string {
	return "t" + strconv.Itoa(int(p.addr.Port())) + "-" + strconv.Itoa(int(p.addr.Addr().AsSlice()[3]))
}

// Next is the next message that was not asked for yet. It waits for a minute, then fails the test.
func (p *Peer) Next() Received {
	p.net.t.Helper()
	select {
	case r := <-p.fresh:
		return r
	case <-time.After(time.Minute):
		p.net.t.Fatal("siptest: no message for a minute")
	}
	return Received{}
}

// Quiet fails the test if a message comes, or waits for Next, within d.
func (p *Peer) Quiet(d time.Duration) {
	p.net.t.Helper()
	select {
	case r := <-p.fresh:
		p.net.t.Fatalf("siptest: unexpected at %v:\n%s", r.At, r.Raw())
	case <-time.After(d):
	}
}

// All is everything heard so far.
func (p *Peer) All() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Received(nil), p.all...)
}

// Times are the instants at which a method, or a status such as "486", was heard.
func (p *Peer) Times(what string) (at []time.Duration) {
	for _, r := range p.All() {
		if r.Method() == what || strconv.Itoa(r.Status()) == what {
			at = append(at, r.At)
		}
	}
	return at
}

// Broken are the connections that closed so far.
func (p *Peer) Broken() []transport.Flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]transport.Flow(nil), p.broken...)
}
