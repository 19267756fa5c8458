package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/sip"
)

func tcpConfig() Config {
	return Config{Listen: []Listen{{Name: "trunks", Proto: TCP, Address: "127.0.0.1:0"}}}
}

func tcpClient(t testing.TB, remote netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", remote.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// wantEOF checks that the peer ends the connection without another byte.
func wantEOF(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	if n != 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes, %v; want the end", n, err)
	}
}

func wantRead(t *testing.T, c io.Reader, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("got %q, %v; want %q", buf, err, want)
	}
}

func TestTCPReceiveAnswerClose(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	c := tcpClient(t, l.testAddr(0))
	write(t, c, options("TCP", "h", "1", "call1", 1))
	h := e.next(t)
	if h.msg.Source != localPort(c) || h.flow.Local() != l.testAddr(0) || h.flow.Listener() != "trunks" || h.flow.SentBy() != l.testAddr(0).String() {
		t.Errorf("source %v, local %v, sent-by %q", h.msg.Source, h.flow.Local(), h.flow.SentBy())
	}
	if err := h.flow.Send([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, "answer")
	c.Close()
	if f := await(t, e.closed, "Closed"); f != h.flow {
		t.Errorf("closed %v", f)
	}
	if h.flow.Alive() || !errors.Is(h.flow.Send([]byte("x")), ErrClosed) {
		t.Error("the flow still lives")
	}
	if s := l.Stats()[0]; s.Connections != 0 || s.Accepted != 1 || s.In != 1 || s.Out != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestTCPOneByteAtATime(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	c := tcpClient(t, l.testAddr(0))
	text := options("TCP", "h", "1", "call1", 1, "body:hello") + "\r\n\r\n" + options("TCP", "h", "2", "call2", 1)
	for i := range len(text) {
		write(t, c, text[i:i+1])
	}
	for _, want := range []string{"call1", "call2"} {
		if h := e.next(t); h.msg.Header(sip.HeaderCallID) != want {
			t.Errorf("heard %q", h.msg.Raw())
		}
	}
	wantRead(t, c, "\r\n")
}

func TestTCPPipelinedOrder(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	c := tcpClient(t, l.testAddr(0))
	var all strings.Builder
	for i := range 2000 {
		all.WriteString(options("TCP", "h", fmt.Sprint(i), "call", i+1))
	}
	write(t, c, all.String())
	for i := range 2000 {
		h := e.next(t)
		if got, _, _ := h.msg.CSeq(); int(got) != i+1 {
			t.Fatalf("message %d has CSeq %d", i, got)
		}
	}
}

func TestTCPLargeMessageBetweenSmallOnes(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	c := tcpClient(t, l.testAddr(0))
	body := strings.Repeat("x", 65000)
	write(t, c, options("TCP", "h", "1", "small", 1)+options("TCP", "h", "2", "large", 1, "body:"+body)+options("TCP", "h", "3", "small", 2))
	e.next(t)
	h := e.next(t)
	if h.msg.Body() != body {
		t.Errorf("body of %d octets", len(h.msg.Body()))
	}
	e.next(t)
	go h.flow.Send([]byte(h.msg.Raw()))
	wantRead(t, c, h.msg.Raw())
}

func TestTCPFramingErrorIsAnsweredThenClosed(t *testing.T) {
	noLength := strings.Replace(options("TCP", "h", "1", "c", 1), "Content-Length: 0\r\n", "", 1)
	huge := strings.Replace(options("TCP", "h", "1", "c", 1), "Content-Length: 0", "Content-Length: 70000", 1)
	for name, c := range map[string]struct {
		text, status string
	}{
		"no Content-Length": {noLength, "SIP/2.0 400 "},
		"too large":         {huge, "SIP/2.0 413 "},
		"garbage":           {"\x00\x01\x02", ""},
		"TLS":               {"\x16\x03\x01\x02\x00\x01\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEar()
			l := run(t, tcpConfig(), e)
			conn := tcpClient(t, l.testAddr(0))
			write(t, conn, c.text+strings.Repeat("more", 1000))
			got, err := io.ReadAll(conn)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(got), c.status) || c.status == "" && len(got) > 0 {
				t.Errorf("answer %q", got)
			}
			conn.Close()
			await(t, e.closed, "Closed")
			if l.drops(0, DropFraming) != 1 || len(e.got) != 0 {
				t.Errorf("stats %+v", l.Stats()[0])
			}
		})
	}
}

func TestTCPSlowPeerDisturbsNobody(t *testing.T) {
	t.Parallel()
	e := newEar()
	cfg := tcpConfig()
	cfg.Limits.FirstMessage = 2 * time.Second
	l := run(t, cfg, e)
	slow, silent := tcpClient(t, l.testAddr(0)), tcpClient(t, l.testAddr(0))
	write(t, slow, "OPTIONS sip:a@")
	good := tcpClient(t, l.testAddr(0))
	write(t, good, options("TCP", "h", "1", "good", 1))
	h := e.next(t)
	if err := h.flow.Send([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	wantRead(t, good, "answer")
	wantEOF(t, slow)
	wantEOF(t, silent)
	if !h.flow.Alive() {
		t.Error("the good connection was closed too")
	}
	eventually(t, "two slow peers counted", func() bool { return l.drops(0, DropSlow) == 2 })
}

func TestTCPIdleLimit(t *testing.T) {
	e := newEar()
	cfg := tcpConfig()
	cfg.Limits.Idle = 100 * time.Millisecond
	l := run(t, cfg, e)
	c := tcpClient(t, l.testAddr(0))
	write(t, c, options("TCP", "h", "1", "good", 1))
	e.next(t)
	wantEOF(t, c)
	await(t, e.closed, "Closed")
}

func TestConnectionCaps(t *testing.T) {
	cfg := tcpConfig()
	cfg.Limits.ConnectionsPerSource = 2
	cfg.Limits.Connections = 3
	e := newEar()
	l := run(t, cfg, e)
	hello := func(from string, id string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", l.testAddr(0).String())
		if errors.Is(err, syscall.ECONNRESET) {
			return nil // refused before connect had returned
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte(options("TCP", "h", id, id, 1))) // a refused one may fail already
		return c
	}
	refused := func(from string, id string) {
		t.Helper()
		before := l.drops(0, DropRefused)
		if c := hello(from, id); c != nil {
			wantEOF(t, c)
		}
		eventually(t, "a refusal counted", func() bool { return l.drops(0, DropRefused) == before+1 })
	}
	first := hello("127.0.0.1", "1")
	hello("127.0.0.1", "2")
	e.next(t)
	e.next(t)
	refused("127.0.0.1", "3") // over the cap of its source
	hello("127.0.0.2", "4")
	e.next(t)
	refused("127.0.0.3", "5") // over the cap of all
	first.Close()
	await(t, e.closed, "Closed")
	hello("127.0.0.1", "6")
	if h := e.next(t); h.msg.Header(sip.HeaderCallID) != "6" {
		t.Errorf("heard %q", h.msg.Raw())
	}
}

func TestFullWriteQueueClosesOnlyThatPeer(t *testing.T) {
	e := newEar()
	cfg := tcpConfig()
	cfg.Limits.WriteQueue = 64 << 10
	l := run(t, cfg, e)
	deaf, good := tcpClient(t, l.testAddr(0)), tcpClient(t, l.testAddr(0))
	write(t, deaf, options("TCP", "h", "1", "deaf", 1))
	deafFlow := e.next(t).flow
	write(t, good, options("TCP", "h", "1", "good", 1))
	goodFlow := e.next(t).flow
	chunk := make([]byte, 32<<10)
	eventually(t, "the queue is full", func() bool { return errors.Is(deafFlow.Send(chunk), ErrQueueFull) })
	if f := await(t, e.closed, "Closed"); f != deafFlow {
		t.Error("another flow was closed")
	}
	if err := deafFlow.Send(chunk); !errors.Is(err, ErrClosed) {
		t.Errorf("send after: %v", err)
	}
	if err := goodFlow.Send([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	wantRead(t, good, "still here")
	if l.drops(0, DropWriteQueue) != 1 {
		t.Errorf("stats %+v", l.Stats()[0])
	}
}

func TestWriteDeadlineClosesAPeerThatDoesNotRead(t *testing.T) {
	e := newEar()
	cfg := tcpConfig()
	cfg.Limits.WriteQueue = 64 << 20
	cfg.Limits.Write = 200 * time.Millisecond
	l := run(t, cfg, e)
	deaf := tcpClient(t, l.testAddr(0))
	write(t, deaf, options("TCP", "h", "1", "deaf", 1))
	f := e.next(t).flow
	chunk := make([]byte, 60<<10)
	for range 300 { // 18 MB: more than the kernel takes for a peer that does not read
		if err := f.Send(chunk); err != nil {
			break // the deadline may have come already
		}
	}
	await(t, e.closed, "Closed")
	eventually(t, "a slow peer counted", func() bool { return l.drops(0, DropSlow) == 1 })
}

// refusingListener fails like a process without file descriptors, then gives one connection.
type refusingListener struct {
	failures atomic.Int32
	conn     chan net.Conn
}

func (r *refusingListener) Accept() (net.Conn, error) {
	if r.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	c, ok := <-r.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (r *refusingListener) Close() error   { close(r.conn); return nil }
func (r *refusingListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptSurvivesLackOfDescriptors(t *testing.T) {
	e := newEar()
	l, err := New(tcpConfig(), e, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := l.listeners[0].(*streamListener)
	client := tcpClient(t, l.testAddr(0))
	accepted, err := s.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.ln.Close()
	fake := &refusingListener{conn: make(chan net.Conn, 1)}
	fake.failures.Store(4)
	fake.conn <- accepted
	s.ln = fake
	start := time.Now()
	runLayer(t, l)
	write(t, client, options("TCP", "h", "1", "late", 1))
	e.next(t)
	if s.count.errors.Load() != 4 || time.Since(start) < 75*time.Millisecond {
		t.Errorf("%d errors in %s: 5, 10, 20 and 40 ms of pauses wanted", s.count.errors.Load(), time.Since(start))
	}
}

func TestConnectTCP(t *testing.T) {
	t.Parallel()
	e := newEar()
	l := run(t, tcpConfig(), e)
	l.tempo.ping, l.tempo.pong = 50*time.Millisecond, 2*time.Second
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	to := netip.MustParseAddrPort(server.Addr().String())
	flows := make(chan Flow, 8)
	for range 8 { // all wait for one attempt
		go func() {
			f, err := l.Connect(context.Background(), Hop{Proto: TCP, Addr: to})
			if err != nil {
				t.Error(err)
			}
			flows <- f
		}()
	}
	f := await(t, flows, "a flow")
	for range 7 {
		if g := await(t, flows, "a flow"); g != f {
			t.Error("another connection was opened")
		}
	}
	if f.Listener() != "" || f.SentBy() != l.testAddr(0).String() || f.Remote() != to {
		t.Errorf("flow %q %q %v", f.Listener(), f.SentBy(), f.Remote())
	}
	peer, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	peer.SetDeadline(time.Now().Add(patience))
	wantRead(t, peer, "\r\n\r\n") // our ping
	write(t, peer, "\r\n")
	wantRead(t, peer, "\r\n\r\n")
	write(t, peer, "\r\n")
	if err := f.Send([]byte("request")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(peer)
	for { // pings may stand before it
		if b, err := r.Peek(1); err != nil {
			t.Fatal(err)
		} else if b[0] == 'r' {
			break
		}
		r.ReadByte()
	}
	wantRead(t, r, "request")
	write(t, peer, options("TCP", "h", "1", "back", 1))
	if h := e.next(t); h.flow != f {
		t.Error("a request on our connection came on another flow")
	}
	// It has answered pings before; now it does not.
	if got := await(t, e.closed, "Closed"); got != f {
		t.Error("another flow was closed")
	}
	if c := l.Stats()[1]; c.Listener != "" || c.Proto != TCP || c.Accepted != 1 || c.Connections != 0 {
		t.Errorf("stats %+v", c)
	}
}

func TestConnectUsesAnAcceptedConnection(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	c := tcpClient(t, l.testAddr(0))
	write(t, c, options("TCP", "h", "1", "c", 1))
	f := e.next(t).flow
	got, err := l.Connect(context.Background(), Hop{Proto: TCP, Addr: localPort(c)})
	if err != nil || got != f {
		t.Errorf("%v, %v", got, err)
	}
}

func TestConnectFailures(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(closed.Addr().String())
	closed.Close()
	if _, err := l.Connect(context.Background(), Hop{Proto: TCP, Addr: to}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	if _, err := l.Connect(context.Background(), Hop{Proto: TCP, Addr: netip.MustParseAddrPort("[::1]:1")}); !errors.Is(err, ErrNoRoute) {
		t.Errorf("no listener: %v", err)
	}
	if _, err := l.Connect(context.Background(), Hop{Proto: TLS, Addr: to}); err == nil || !strings.Contains(err.Error(), "no name to verify") {
		t.Errorf("TLS without a name: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Connect(ctx, Hop{Proto: TCP, Addr: l.testAddr(0)}); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("cancelled: %v", err)
	}
}

// Loopback has an MTU of 65536, and every request fits; so this test plays with the size that it claims.
func TestConnectForMovesLargeRequestsToTCP(t *testing.T) {
	e := newEar()
	cfg := udpConfig("127.0.0.1:0")
	cfg.Listen = append(cfg.Listen, tcpConfig().Listen...)
	l := run(t, cfg, e)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(server.Addr().String())
	connect := func(size int) Proto {
		t.Helper()
		f, err := l.ConnectFor(context.Background(), Hop{Proto: UDP, Addr: to}, size)
		if err != nil {
			t.Fatal(err)
		}
		return f.Proto()
	}
	if got := connect(1300); got != UDP {
		t.Errorf("small: %s", got)
	}
	if got := connect(65400); got != TCP {
		t.Errorf("large: %s", got)
	}
	for _, f := range []func(){
		func() { c, _ := server.Accept(); c.Close(); server.Close() },
		func() { await(t, e.closed, "Closed") },
	} {
		f()
	}
	if got := connect(65400); got != UDP {
		t.Errorf("large, refused: %s", got)
	}
}

func TestUpdateKeepsConnectionsOfAClosedListener(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	old := l.testAddr(0)
	c := tcpClient(t, old)
	write(t, c, options("TCP", "h", "1", "c", 1))
	f := e.next(t).flow
	if err := l.Update(Config{Listen: []Listen{{Name: "other", Proto: TCP, Address: "127.0.0.1:0"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", old.String()); err == nil {
		t.Error("the old listener still listens")
	}
	if err := f.Send([]byte("alive")); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, "alive")
}

func TestRunLeavesNothingBehind(t *testing.T) {
	count := func() (fds int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	first, err := New(udpConfig("127.0.0.1:0"), newEar(), nil) // whatever the runtime opens once
	if err != nil {
		t.Fatal(err)
	}
	runLayer(t, first)()
	fds, goroutines := count(), runtime.NumGoroutine()
	e := newEar()
	cfg := Config{Listen: append(udpConfig("127.0.0.1:0").Listen, tcpConfig().Listen...)}
	l, err := New(cfg, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := runLayer(t, l)
	var conns []net.Conn
	for i := range 20 {
		c, err := net.Dial("tcp", l.testAddr(1).String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		write(t, c, options("TCP", "h", fmt.Sprint(i), "c", i+1))
		h := e.next(t)
		if i%2 == 0 {
			h.flow.Send([]byte("the last word"))
		}
	}
	go func() { // what was queued arrives before the end
		for i, c := range conns {
			text, _ := io.ReadAll(c)
			if want := []string{"the last word", ""}[i%2]; string(text) != want {
				t.Errorf("client %d got %q", i, text)
			}
			c.Close()
		}
		conns = nil
	}()
	stop()
	eventually(t, "no descriptor or goroutine is left", func() bool { return count() <= fds && runtime.NumGoroutine() <= goroutines })
}
