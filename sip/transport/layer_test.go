package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// heard is one message as a Handler got it.
type heard struct {
	flow Flow
	msg  sip.Message
}

// ear is a Handler that a test listens through.
type ear struct {
	got    chan heard
	closed chan Flow
	on     func(f Flow, m *sip.Message) // called in Receive, before got; nil: nothing
}

func newEar() *ear { return &ear{got: make(chan heard, 4096), closed: make(chan Flow, 4096)} }

func (e *ear) Receive(f Flow, m *sip.Message) {
	if e.on != nil {
		e.on(f, m)
	}
	e.got <- heard{f, *m}
}

func (e *ear) Closed(f Flow) { e.closed <- f }

func (e *ear) next(t *testing.T) heard {
	t.Helper()
	return await(t, e.got, "a message")
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
	}
	panic("unreachable")
}

// eventually waits for a condition that no channel tells of, such as a counter.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// run serves a Layer until the test ends and checks that Run returns.
func run(t testing.TB, c Config, h Handler) *Layer {
	t.Helper()
	l, err := New(c, h, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	runLayer(t, l)
	return l
}

func runLayer(t testing.TB, l *Layer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("Run does not return")
		}
	}
	t.Cleanup(stop)
	return stop
}

func (l *Layer) testAddr(i int) netip.AddrPort { return l.Listeners()[i].Addr }

func (l *Layer) drops(i int, r Reason) uint64 { return l.Stats()[i].Dropped[r] }

func udpClient(t testing.TB, remote netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// hasIPv6 tells whether the machine has ::1, which a container may lack.
func hasIPv6() bool {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func localPort(c net.Conn) netip.AddrPort {
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// options is an OPTIONS request that passes validation.
func options(proto, sentBy, branch, callID string, cseq int, extra ...string) string {
	body := ""
	for i, e := range extra {
		if b, ok := strings.CutPrefix(e, "body:"); ok {
			body, extra = b, append(extra[:i:i], extra[i+1:]...)
			break
		}
	}
	head := ""
	for _, e := range extra {
		head += e + "\r\n"
	}
	return fmt.Sprintf("OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: %s\r\nCSeq: %d OPTIONS\r\n"+
		"%sContent-Length: %d\r\n\r\n%s", proto, sentBy, branch, callID, cseq, head, len(body), body)
}

// Whoever wants to take nothing new any more can wait for what its Handler still has in hand.
func TestLayerSettles(t *testing.T) {
	e, began, goOn := newEar(), make(chan bool), make(chan bool)
	e.on = func(Flow, *sip.Message) { began <- true; <-goOn }
	l, err := New(Config{Listen: []Listen{{Name: "a", Proto: UDP, Address: "127.0.0.1:0"}}}, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := runLayer(t, l)
	defer stop()
	if !l.Settled() {
		t.Error("not settled before the first message")
	}
	c := udpClient(t, l.testAddr(0))
	if _, err := c.Write([]byte("OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n" +
		"To: <sip:x@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	await(t, began, "the message")
	if l.Settled() {
		t.Error("settled while the handler has a message")
	}
	goOn <- true
	for end := time.Now().Add(patience); !l.Settled(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not settled when the handler has returned")
		}
	}
}
