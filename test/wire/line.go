package wire

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Line is one socket that SIP is spoken over. It keeps all that comes in until somebody asks for it. One goroutine
// at a time may wait on it.
type Line struct {
	T     testing.TB
	Proto string         // as it stands in a Via
	Local netip.AddrPort // ours
	Peer  netip.AddrPort // the switch's
	Pong  bool           // answer OPTIONS with 200 and say nothing of it; set before the first packet
	Knows bool           // answer what comes inside a call that was hung up with 481, and say nothing of it; set before the first packet
	Heeds bool           // send an INVITE no more once it has a provisional response (RFC 3261 §17.1.1.2); set before the first packet
	Again bool           // acknowledge an answer that comes again, and say nothing of it (RFC 3261 §13.2.2.4, §17.1.1.2); set before the first packet

	conn  net.Conn
	write func(string) error
	ping  func() error // of a connection
	once  sync.Once
	fresh chan struct{} // 1: somebody waits, or will look before it waits
	ended chan struct{}

	mu      sync.Mutex
	heard   []Message // not yet asked for
	Packets int       // all that came in, garbage and retransmissions among it; read it by Count
	bytes   int
	replies map[string]string // to requests, by branch and method: UDP asks again
	acks    map[string]string // of answers to INVITEs, by call and number
	over    map[string]bool   // calls that were hung up
	dead    bool              // hears nothing and says nothing
	again   map[string]int    // how many more final answers a request may get, by branch, since it was sent so often
}

// UDP binds a port of host (0: any, where no reports of media go) to talk to peer.
func UDP(t testing.TB, host string, port int, peer string) *Line {
	t.Helper()
	listen := func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host), Port: port})
	}
	if port == 0 {
		listen = func() (*net.UDPConn, error) { return ListenEven(host) }
	}
	c, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(peer)
	l := newLine(t, "UDP", c, to)
	l.write = func(s string) error { _, err := c.WriteToUDPAddrPort([]byte(s), to); return err }
	go l.readDatagrams(c)
	return l
}

// TCP connects from host.
func TCP(t testing.TB, host, peer string) *Line {
	t.Helper()
	return must(Over(t, "TCP", dial(t, host, peer)))
}

// TLS connects from host, and shows a certificate of its own where it is asked for one; that of the switch is not looked at.
func TLS(t testing.TB, host, peer string, own ...tls.Certificate) *Line {
	t.Helper()
	return must(Over(t, "TLS", shake(t, dial(t, host, peer), own...)))
}

// WS connects from host over ws, or over wss where secure.
func WS(t testing.TB, host, peer string, secure bool) *Line {
	t.Helper()
	c, proto := dial(t, host, peer), "WS"
	if secure {
		c, proto = shake(t, c), "WSS"
	}
	return must(Over(t, proto, c))
}

func must(l *Line, err error) *Line {
	if err != nil {
		l.T.Fatal(err)
	}
	return l
}

// Over speaks SIP over a connection that is there already, TLS included: TCP, TLS, WS or WSS. An error is that of the WebSocket
// handshake; the connection is closed then.
func Over(t testing.TB, proto string, c net.Conn) (*Line, error) {
	peer := netip.MustParseAddrPort(c.RemoteAddr().String())
	l := newLine(t, proto, c, peer)
	if proto == "TCP" || proto == "TLS" {
		l.ping = func() error { return l.write("\r\n\r\n") }
		l.stream(c)
		return l, nil
	}
	d := ws.Dialer{Protocols: []string{"sip"}, NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	if _, _, _, err := d.Dial(context.Background(), "ws://"+peer.String()+"/"); err != nil {
		l.Close()
		return l, fmt.Errorf("WebSocket: %w", err)
	}
	l.write = func(s string) error {
		op := ws.OpText
		if !utf8.ValidString(s) {
			op = ws.OpBinary // a text frame that is no UTF-8 ends the connection (RFC 6455 §8.1)
		}
		return writeFrame(c, op, []byte(s))
	}
	l.ping = func() error { return writeFrame(c, ws.OpPing, nil) }
	go func() {
		defer close(l.ended)
		for {
			raw, _, err := wsutil.ReadServerData(c)
			if err != nil {
				return
			}
			l.take(string(raw), l.Peer)
		}
	}()
	return l, nil
}

// writeFrame is one write, so that frames of several goroutines do not mix.
func writeFrame(c net.Conn, op ws.OpCode, payload []byte) error {
	raw, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload)))
	if err == nil {
		_, err = c.Write(raw)
	}
	return err
}

func dial(t testing.TB, host, peer string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", peer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shake(t testing.TB, c net.Conn, own ...tls.Certificate) net.Conn {
	t.Helper()
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, Certificates: own}) // a certificate of the test's own
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return s
}

func newLine(t testing.TB, proto string, c net.Conn, peer netip.AddrPort) *Line {
	l := &Line{
		T: t, Proto: proto, conn: c, Peer: peer, Local: netip.MustParseAddrPort(c.LocalAddr().String()), Pong: true,
		fresh: make(chan struct{}, 1), ended: make(chan struct{}), replies: map[string]string{},
	}
	t.Cleanup(l.Close)
	return l
}

// Close ends the socket in an orderly way.
func (l *Line) Close() { l.once.Do(func() { _ = l.conn.Close() }) }

// Reset ends a TCP connection by RST, as a phone does that lost its power and came back.
func (l *Line) Reset() {
	if c, ok := l.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	l.Close()
}

// Die makes the phone hear and say nothing any more, its socket still open: no ICMP tells the switch.
func (l *Line) Die() {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
}

// Ended is closed when the other side, or Close, has ended the socket.
func (l *Line) Ended() <-chan struct{} { return l.ended }

func (l *Line) stream(c net.Conn) {
	l.write = func(s string) error { _, err := io.WriteString(c, s); return err }
	go func() {
		defer close(l.ended)
		for r := bufio.NewReader(c); ; {
			raw, err := readMessage(r)
			if err != nil {
				return
			}
			l.take(raw, l.Peer)
		}
	}()
}

// readMessage reads the head and as many octets as Content-Length says.
func readMessage(r *bufio.Reader) (string, error) {
	var head strings.Builder
	size := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if head.Len() == 0 && strings.TrimSpace(line) == "" {
			continue // keepalive
		}
		head.WriteString(line)
		name, value, _ := strings.Cut(line, ":")
		if n := strings.ToLower(strings.TrimSpace(name)); n == "content-length" || n == "l" {
			size, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return head.String() + string(body), err
}

func (l *Line) readDatagrams(c *net.UDPConn) {
	defer close(l.ended)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier packet
		}
		l.take(string(buf[:n]), from)
	}
}

// take files what came in. A request that came before gets the same reply again.
func (l *Line) take(raw string, from netip.AddrPort) {
	m, ok := Parse(raw)
	m.From = from
	l.mu.Lock()
	l.Packets++
	l.bytes += len(raw)
	if l.dead || !ok && strings.TrimSpace(raw) == "" { // keepalive
		l.mu.Unlock()
		return
	}
	if ack := l.acks[ackKey(m)]; ack != "" && l.Again && m.Status() >= 200 {
		l.mu.Unlock()
		_ = l.write(ack)
		return
	}
	if l.repeated(m) {
		l.mu.Unlock()
		return
	}
	key := m.Branch() + " " + m.Method()
	reply, again := l.replies[key]
	if m.Method() == "" {
		again = false
	}
	stranger := !again && l.over[m.Get("call-id")] && m.Method() != "" && m.Method() != "ACK"
	pong := !stranger && m.Method() == "OPTIONS" && l.Pong
	if !again && !pong && !stranger {
		l.heard = append(l.heard, m)
	}
	if !again && m.Method() != "" && m.Method() != "ACK" {
		l.replies[key] = ""
	}
	l.mu.Unlock()
	switch {
	case again && reply != "":
		_ = l.write(reply)
	case stranger:
		l.Reply(m, 481, Reply{})
	case !again && pong:
		l.Reply(m, 200, Reply{})
	}
	select {
	case l.fresh <- struct{}{}:
	default:
	}
}

// sentAgain says that a request that has its final answer was sent so many times more: as many answers more are its own, and nobody hears them,
// nor that it was being tried.
func (l *Line) sentAgain(branch string, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again == nil {
		l.again = map[string]int{}
	}
	l.again[branch] = times
	l.heard = slices.DeleteFunc(l.heard, l.repeated)
}

// repeated tells whether a message is one of those. The caller holds mu.
func (l *Line) repeated(m Message) bool {
	times, answered := l.again[m.Branch()]
	if answered && m.Status() == 100 {
		return true
	}
	if m.Status() < 200 || times == 0 {
		return false
	}
	l.again[m.Branch()]--
	return true
}

// acknowledged remembers the ACK of an answer.
func (l *Line) acknowledged(id string, seq int, ack string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acks == nil {
		l.acks = map[string]string{}
	}
	key := fmt.Sprint(id, " ", seq, " INVITE")
	l.acks[key] = ack
	if l.Again { // it came again before we had answered
		l.heard = slices.DeleteFunc(l.heard, func(m Message) bool { return ackKey(m) == key && m.Status() >= 200 })
	}
}

// hungUp notes that a call is over for us.
func (l *Line) hungUp(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over == nil {
		l.over = map[string]bool{}
	}
	l.over[id] = l.Knows
}

func ackKey(m Message) string {
	seq, method := m.CSeq()
	return fmt.Sprint(m.Get("call-id"), " ", seq, " ", method)
}

// Send writes text as it is.
func (l *Line) Send(text string) {
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return
	}
	if err := l.write(text); err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, net.ErrClosed) {
		l.T.Logf("%s %v: %v", l.Proto, l.Local, err)
	}
}

// Ping keeps a connection alive: CRLF CRLF (RFC 5626 §4.4.1), or a ping of WebSocket.
func (l *Line) Ping() error { return l.ping() }

// Poll waits for a message that matches and takes it.
func (l *Line) Poll(limit time.Duration, match func(Message) bool) (Message, bool) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		if m, ok := l.find(match); ok {
			return m, true
		}
		select {
		case <-l.fresh:
		case <-l.ended: // nothing more will come
			return l.find(match)
		case <-deadline.C:
			return l.find(match)
		}
	}
}

func (l *Line) find(match func(Message) bool) (Message, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, m := range l.heard {
		if match(m) {
			l.heard = append(l.heard[:i:i], l.heard[i+1:]...)
			return m, true
		}
	}
	return Message{}, false
}

// Await is Poll that must succeed.
func (l *Line) Await(limit time.Duration, what string, match func(Message) bool) Message {
	l.T.Helper()
	m, ok := l.Poll(limit, match)
	if !ok {
		l.T.Fatalf("%s %v: no %s within %v; heard instead: %s", l.Proto, l.Local, what, limit, l.unheard())
	}
	return m
}

func (l *Line) unheard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, m := range l.heard {
		fmt.Fprintf(&b, "\n%s", m.Raw)
	}
	return b.String()
}

// Request waits for a request of a method.
func (l *Line) Request(limit time.Duration, method string) Message {
	l.T.Helper()
	return l.Await(limit, method, func(m Message) bool { return m.Method() == method })
}

// Count is the number of packets and bytes that ever came in, whatever they were.
func (l *Line) Count() (packets, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Packets, l.bytes
}

// Quiet fails the test when anything but a keepalive comes within d, or was there already.
func (l *Line) Quiet(d time.Duration) {
	l.T.Helper()
	if m, ok := l.Poll(d, func(Message) bool { return true }); ok {
		l.T.Errorf("%s %v should have heard nothing, and heard\n%s", l.Proto, l.Local, m.Raw)
	}
}

// Token is random text that fits everywhere.
func Token() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
