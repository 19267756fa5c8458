package phone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// A Phone is one user agent with its sockets. Its methods may be used by several goroutines.
type Phone struct {
	set         settings
	log         *slog.Logger
	agent       *sipgo.UserAgent
	credentials credentials
	contactPort uint16
	contact     string // the URI others reach this phone at

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	// sending is held for reading while a request may open a connection, so that none is opened behind Close's back.
	sending sync.RWMutex
	// listeners are ours to close: sipgo leaves them alone.
	listeners []interface{ Close() error }

	incoming chan *Call
	gone     chan struct{} // a WebSocket has closed; one token is enough

	mu           sync.Mutex
	closed       bool
	calls        map[dialogKey]*Call
	answer       Answer
	finals       map[string]final // by branch
	registration registration
	messages     []Message
}

// waitingCalls bounds the incoming calls that nobody has fetched with WaitIncoming; more are handled all the same,
// only not handed out.
const waitingCalls = 64

// sipgoDefaults are set once for the process, since sipgo keeps them in package variables: its own notion of the path
// MTU refuses to send what the kernel would, even responses; and its connections log to a global logger.
var sipgoDefaults = sync.OnceFunc(func() {
	sip.UDPMTUSize = 65000 + 200
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
})

// New binds the phone's sockets. It sends nothing.
func New(c Config) (*Phone, error) {
	set, err := c.check()
	if err != nil {
		return nil, err
	}
	sipgoDefaults()
	p := &Phone{set: set, log: set.Log, credentials: credentials{user: set.AuthUser, password: set.Password, bearer: set.Bearer},
		incoming: make(chan *Call, waitingCalls), gone: make(chan struct{}, 1), calls: map[dialogKey]*Call{}, finals: map[string]final{}, answer: c.Answer}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	transports := sip.TransportsConfig{}
	if set.network == "ws" || set.network == "wss" {
		transports.WS = webSocketTransport(set, p.lost)
	}
	// Contact, Route and Record-Route stay text: see address.go.
	parsers := map[string]sip.HeaderParser{}
	for name, parse := range sip.DefaultHeadersParser() {
		switch name {
		case "contact", "m", "route", "record-route", "refer-to", "referred-by":
		default:
			parsers[name] = parse
		}
	}
	p.agent, err = sipgo.NewUA(sipgo.WithUserAgenTLSConfig(set.tls), sipgo.WithUserAgent(set.agentName),
		sipgo.WithUserAgentParser(sip.NewParser(sip.WithHeadersParsers(parsers))),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(p.log), sip.WithTransportLayerTransports(transports),
			sip.WithTransportLayerReadFilter(p.readFilter)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(p.log), sip.WithTransactionLayerUnhandledResponseHandler(p.strayResponse),
			sip.WithTransactionLayerTerminateOnConnClose()))
	if err != nil {
		return nil, fmt.Errorf("sipgo: %w", err)
	}
	p.agent.TransactionLayer().OnRequest(p.handle)
	if err := p.listen(); err != nil {
		p.Abandon()
		return nil, err
	}
	return p, nil
}

// listen opens what others can reach. A WebSocket client, and a TLS phone without a certificate, can be reached only
// down their own connection, and say so with a contact under .invalid (RFC 7118 §5).
func (p *Phone) listen() error {
	layer := p.agent.TransportLayer()
	address := p.set.local.String()
	var err error
	switch {
	case p.set.network == "udp":
		var conn net.PacketConn
		if conn, err = net.ListenPacket("udp", address); err == nil {
			// Until sipgo knows this socket a first request would open another.
			ready := &readyConn{PacketConn: conn, reading: make(chan struct{})}
			p.serve(conn, conn.LocalAddr(), func() error { return layer.ServeUDP(ready) })
			<-ready.reading
		}
	case p.set.network == "tcp":
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			p.serve(l, l.Addr(), func() error { return layer.ServeTCP(l) })
		}
	case p.set.network == "tls" && p.set.Certificate != nil:
		var l net.Listener
		config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*p.set.Certificate}}
		if l, err = tls.Listen("tcp", address, config); err == nil {
			p.serve(l, l.Addr(), func() error { return layer.ServeTLS(l) })
		}
	default:
		p.contact = fmt.Sprintf("sip:%s@%s.invalid;transport=%s", p.set.User, sip.GenerateTagN(12), p.set.network)
	}
	if err != nil {
		return fmt.Errorf("bind %s %s: %w", p.set.network, address, err)
	}
	return nil
}

// A readyConn tells when its first read begins.
type readyConn struct {
	net.PacketConn
	once    sync.Once
	reading chan struct{}
}

func (c *readyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.once.Do(func() { close(c.reading) })
	return c.PacketConn.ReadFrom(b)
}

func (p *Phone) serve(socket interface{ Close() error }, bound net.Addr, run func() error) {
	p.listeners = append(p.listeners, socket)
	host, port, _ := splitHostPort(bound.String(), 0)
	p.contactPort = uint16(port)
	p.contact = fmt.Sprintf("sip:%s@%s", p.set.User, hostPort(host, port))
	if p.set.network != "udp" {
		p.contact += ";transport=" + p.set.network
	}
	p.running.Go(func() { _ = run() }) // it ends, with an error, when the socket is closed
}

// URI is where others can reach this phone directly: the address in its Contact.
func (p *Phone) URI() string { return p.contact }

// contactHeader is the Contact of requests and responses that make or keep a dialog.
func (p *Phone) contactHeader() string {
	if p.set.Outbound {
		return "<" + p.contact + ";ob>"
	}
	return "<" + p.contact + ">"
}

// aor is the address of record as a URI.
func (p *Phone) aor() string { return "sip:" + p.set.User + "@" + p.set.Domain }

// SetAnswer changes what happens to the next incoming calls.
func (p *Phone) SetAnswer(a Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = a
}

// Calls are those that have not ended.
func (p *Phone) Calls() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*Call
	for _, c := range p.calls {
		all = append(all, c)
	}
	return all
}

// WaitIncoming returns the next incoming call that was not yet handed out; it may ring, be answered, or be over.
func (p *Phone) WaitIncoming(ctx context.Context) (*Call, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.ctx.Done():
		return nil, errClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("no incoming call: %w", ctx.Err())
	}
}

var errClosed = errors.New("the phone is closed")

// Close ends every call with BYE, CANCEL or 480, waiting a second at most for the answers, and then frees every socket
// and goroutine. It does not unregister.
func (p *Phone) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var ending sync.WaitGroup
	for _, c := range p.Calls() {
		ending.Go(func() { _ = c.Hangup(ctx) })
	}
	ending.Wait()
	return p.Abandon()
}

// sweepAfter is longer than a goroutine of sipgo's waits for a processor on a loaded machine.
const sweepAfter = time.Second

// Abandon frees everything without a word to anybody, as when the plug is pulled.
func (p *Phone) Abandon() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	var err error
	if first {
		p.cancel()
		for _, c := range p.Calls() {
			c.end(Ended{By: ByLocal, Reason: "phone closed"})
		}
		p.sending.Lock()
		_ = p.agent.Close() // complains of connections that are gone already
		p.sending.Unlock()
		for _, l := range p.listeners {
			err = errors.Join(err, l.Close())
		}
	}
	p.running.Wait()
	if first {
		// A request that was read just before makes sipgo open a socket for its answer, in a goroutine that nothing
		// lets us wait for: sweep now, and once more when it must have run.
		sweep := func() { _ = p.agent.TransportLayer().Close() }
		sweep()
		time.AfterFunc(sweepAfter, sweep)
	}
	return err
}

// spawn runs f unless the phone is closed, and makes Close wait for it.
func (p *Phone) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Go(func() {
		defer p.recover("background work")
		f()
	})
	return true
}

// recover keeps one bad message or call from ending the process; sipgo has no guard of its own.
func (p *Phone) recover(doing string) {
	if what := recover(); what != nil {
		p.log.Error("panic", "doing", doing, "value", what, "stack", string(debug.Stack()))
	}
}

func (p *Phone) call(key dialogKey) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[key]
}

func (p *Phone) addCall(c *Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	p.calls[c.dialog.key()] = c
	return nil
}

func (p *Phone) dropCall(key dialogKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, key)
}
