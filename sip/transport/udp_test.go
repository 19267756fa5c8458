package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"tandem/sip"
)

func udpConfig(addr string) Config {
	return Config{Listen: []Listen{{Name: "phones", Proto: UDP, Address: addr}}}
}

func read(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func write(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestUDPReceiveAndAnswer(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0", ":0"} {
		if addr[0] == '[' && !hasIPv6() {
			continue
		}
		t.Run(addr, func(t *testing.T) {
			e := newEar()
			l := run(t, udpConfig(addr), e)
			host := netip.MustParseAddr("127.0.0.1")
			if strings.HasPrefix(addr, "[") {
				host = netip.IPv6Loopback()
			}
			to := netip.AddrPortFrom(host, l.testAddr(0).Port())
			c := udpClient(t, to)
			write(t, c, options("UDP", "h", "1", "call1", 1))
			h := e.next(t)
			if h.msg.Source != localPort(c) || h.flow.Remote() != localPort(c) || h.flow.Local() != to {
				t.Errorf("source %v, flow %v → %v", h.msg.Source, h.flow.Remote(), h.flow.Local())
			}
			if want := to.String(); h.flow.SentBy() != want {
				t.Errorf("SentBy %q, want %q", h.flow.SentBy(), want)
			}
			if err := h.flow.Send([]byte("answer")); err != nil {
				t.Fatal(err)
			}
			if got := read(t, c); got != "answer" {
				t.Errorf("got %q", got)
			}
			if s := l.Stats()[0]; s.In != 1 || s.Out != 1 || s.BytesOut != 6 || s.Listener != "phones" {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// The connected client socket takes a packet only from the address that it asked.
func TestUDPWildcardAnswersFromTheAddressAsked(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0"} {
		t.Run(addr, func(t *testing.T) {
			e := newEar()
			l := run(t, udpConfig(addr), e)
			asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), l.testAddr(0).Port())
			c := udpClient(t, asked)
			write(t, c, options("UDP", "h", "1", "call1", 1))
			h := e.next(t)
			if h.flow.Local() != asked {
				t.Errorf("local %v, want %v", h.flow.Local(), asked)
			}
			if err := h.flow.Send([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if got := read(t, c); got != "x" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestUDPLargestDatagram(t *testing.T) {
	e := newEar()
	l := run(t, udpConfig("127.0.0.1:0"), e)
	c := udpClient(t, l.testAddr(0))
	body := strings.Repeat("x", 65000)
	write(t, c, options("UDP", "h", "1", "call1", 1, "body:"+body))
	h := e.next(t)
	if h.msg.Body() != body {
		t.Errorf("body of %d octets", len(h.msg.Body()))
	}
	if err := h.flow.Send([]byte(h.msg.Raw())); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c); got != h.msg.Raw() {
		t.Errorf("%d octets came back", len(got))
	}
	if err := h.flow.Send(make([]byte, 65508)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("send of 65508: %v", err)
	}
}

func TestUDPOrderOfOneFlow(t *testing.T) {
	e := newEar()
	c := udpConfig("127.0.0.1:0")
	c.UDPReaders = 4
	l := run(t, c, e)
	client := udpClient(t, l.testAddr(0))
	for i := range 500 {
		write(t, client, options("UDP", "h", fmt.Sprint(i), "call", i+1))
	}
	for i := range 500 {
		h := e.next(t)
		if got, _, _ := h.msg.CSeq(); int(got) != i+1 {
			t.Fatalf("message %d has CSeq %d", i, got)
		}
	}
}

func TestUDPKeepalives(t *testing.T) {
	e := newEar()
	l := run(t, udpConfig("127.0.0.1:0"), e)
	c := udpClient(t, l.testAddr(0))
	for _, k := range []string{"\r\n\r\n", "\x00", "\r\n", ""} {
		write(t, c, k)
	}
	req := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, "transaction!"...)
	write(t, c, string(req))
	got := []byte(read(t, c))
	me := localPort(c)
	ip := me.Addr().As4()
	if len(got) != 32 || binary.BigEndian.Uint16(got) != stunSuccess || !bytes.Equal(got[4:20], req[4:]) ||
		binary.BigEndian.Uint16(got[20:]) != stunXORMapped ||
		binary.BigEndian.Uint16(got[26:])^0x2112 != me.Port() ||
		binary.BigEndian.Uint32(got[28:])^stunCookie != binary.BigEndian.Uint32(ip[:]) {
		t.Errorf("answer %x", got)
	}
	// A comprehension-required attribute that nobody knows is a 420 (RFC 5389 §7.3.1).
	req[3] = 4
	write(t, c, string(append(req, 0x7f, 0x01, 0, 0)))
	if got := []byte(read(t, c)); binary.BigEndian.Uint16(got) != stunError || len(got) != 36 || !bytes.Contains(got, []byte{0x7f, 1}) {
		t.Errorf("answer %x", got)
	}
	s := l.Stats()[0]
	if s.Keepalives != 6 || s.In != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestInvalidRequestsAreAnsweredWithoutState(t *testing.T) {
	e := newEar()
	l := run(t, udpConfig("127.0.0.1:0"), e)
	c := udpClient(t, l.testAddr(0))
	bad := strings.Replace(options("UDP", "h", "1", "call1", 1), "CSeq: 1 OPTIONS", "CSeq: 1 INVITE", 1)
	write(t, c, bad)
	first := read(t, c)
	write(t, c, bad)
	if again := read(t, c); again != first {
		t.Errorf("a retransmission got another answer:\n%s\n%s", first, again)
	}
	var m sip.Message
	if err := m.Parse(first); err != nil || m.Status() != 400 || m.ToTag() == "" {
		t.Errorf("answer %q", first)
	}
	if via, err := m.TopVia(); err != nil || !via.Params.Has("received") {
		t.Errorf("via of %q", first)
	}
	// None of these is answered: a broken ACK, a broken response, no SIP at all. The good request after them is
	// the next thing that anybody hears of.
	write(t, c, strings.ReplaceAll(strings.Replace(bad, "OPTIONS sip", "ACK sip", 1), "CSeq: 1 INVITE", "CSeq: 1 BYE"))
	write(t, c, "SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n")
	write(t, c, "garbage, more of it, and no end in sight")
	write(t, c, options("UDP", "h", "2", "good", 1))
	if h := e.next(t); h.msg.Header(sip.HeaderCallID) != "good" {
		t.Errorf("heard %q", h.msg.Raw())
	}
	h := e.got
	if len(h) != 0 {
		t.Errorf("more was heard")
	}
	if l.drops(0, DropInvalid) != 4 || l.drops(0, DropGarbage) != 1 || l.Stats()[0].Out != 2 {
		t.Errorf("stats %+v", l.Stats()[0])
	}
}

func TestReplyGoesWhereRFC3581Says(t *testing.T) {
	e := newEar()
	l := run(t, udpConfig("127.0.0.1:0"), e)
	c := udpClient(t, l.testAddr(0))
	write(t, c, options("UDP", "h:7777", "1", "c", 1))
	h := e.next(t)
	if got := Reply(h.flow, &h.msg); got != h.flow {
		t.Errorf("with rport: %v", got.Remote())
	}
	write(t, c, strings.Replace(options("UDP", "h:7777", "1", "c", 1), ";rport", "", 1))
	h = e.next(t)
	if got := Reply(h.flow, &h.msg).Remote(); got != netip.MustParseAddrPort("127.0.0.1:7777") {
		t.Errorf("without rport: %v", got)
	}
}

func TestPanicEndsOneMessage(t *testing.T) {
	e := newEar()
	e.on = func(_ Flow, m *sip.Message) {
		if m.Header(sip.HeaderCallID) == "bomb" {
			panic("bomb")
		}
	}
	l := run(t, udpConfig("127.0.0.1:0"), e)
	c := udpClient(t, l.testAddr(0))
	write(t, c, options("UDP", "h", "1", "bomb", 1))
	write(t, c, options("UDP", "h", "2", "fine", 1))
	if h := e.next(t); h.msg.Header(sip.HeaderCallID) != "fine" {
		t.Errorf("heard %q", h.msg.Raw())
	}
	if l.drops(0, DropPanic) != 1 {
		t.Errorf("stats %+v", l.Stats()[0])
	}
}

func TestStrangersBudget(t *testing.T) {
	known := netip.MustParseAddr("127.0.0.7")
	e := newEar()
	cfg := udpConfig("127.0.0.1:0")
	cfg.Strangers = Budget{Rate: 0.001, Burst: 3}
	cfg.Known = func(a netip.Addr) bool { return a == known }
	l := run(t, cfg, e)
	stranger := udpClient(t, l.testAddr(0))
	for i := range 10 {
		write(t, stranger, options("UDP", "h", fmt.Sprint(i), "stranger", i+1))
	}
	for range 3 {
		e.next(t)
	}
	eventually(t, "seven messages over the budget", func() bool { return l.drops(0, DropBudget) == 7 })
	friend, err := net.DialUDP("udp", &net.UDPAddr{IP: known.AsSlice()}, net.UDPAddrFromAddrPort(l.testAddr(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	for i := range 10 {
		write(t, friend, options("UDP", "h", fmt.Sprint(i), "friend", i+1))
	}
	for range 10 {
		if h := e.next(t); h.msg.Header(sip.HeaderCallID) != "friend" {
			t.Errorf("heard %q", h.msg.Raw())
		}
	}
}

func TestBindErrorsNameListenerAndRemedy(t *testing.T) {
	l := run(t, udpConfig("127.0.0.1:0"), newEar())
	busy := l.testAddr(0).String()
	for name, c := range map[string]struct{ addr, want string }{
		"in use":     {busy, "another program uses it"},
		"no port":    {"127.0.0.1", "want host:port"},
		"no address": {"192.0.2.1:5060", "no interface"},
		"bad port":   {"127.0.0.1:sip", "must be a number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(udpConfig(c.addr), newEar(), nil)
			if err == nil || !strings.Contains(err.Error(), `listen "phones"`) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOverlappingListenersAreNamed(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.LocalAddr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(addr)
	for second, want := range map[string]string{addr: `is taken by listen "a"`, "0.0.0.0:" + port: `overlaps listen "a"`} {
		cfg := Config{Listen: []Listen{{Name: "a", Proto: UDP, Address: addr}, {Name: "b", Proto: UDP, Address: second}}}
		if _, err := New(cfg, newEar(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestUpdateTouchesOnlyWhatChanged(t *testing.T) {
	e := newEar()
	first := Config{Listen: []Listen{{Name: "a", Proto: UDP, Address: "127.0.0.1:0"}, {Name: "b", Proto: UDP, Address: "127.0.0.1:0"}}}
	l := run(t, first, e)
	a, b := l.testAddr(0), l.testAddr(1)
	ca, cb := udpClient(t, a), udpClient(t, b)
	write(t, cb, options("UDP", "h", "1", "to-b", 1))
	goneFlow := e.next(t).flow
	write(t, ca, options("UDP", "h", "1", "to-a", 1))
	keptFlow := e.next(t).flow

	broken := Config{Listen: []Listen{{Name: "c", Proto: UDP, Address: "127.0.0.1:0"}, {Name: "d", Proto: UDP, Address: "nonsense"}}}
	if err := l.Update(broken); err == nil {
		t.Fatal("a broken Config was taken")
	}
	if got := l.Listeners(); len(got) != 2 || got[0].Addr != a || got[1].Addr != b {
		t.Fatalf("after a refused Config: %v", got)
	}
	next := Config{Listen: []Listen{{Name: "a", Proto: UDP, Address: "127.0.0.1:0", Advertise: "sip.example.com"}, {Name: "c", Proto: UDP, Address: "127.0.0.1:0"}}}
	if err := l.Update(next); err != nil {
		t.Fatal(err)
	}
	if got := l.Listeners(); len(got) != 2 || got[0].Addr != a || got[1].Name != "c" {
		t.Fatalf("after the change: %v", got)
	}
	if goneFlow.Alive() || !errors.Is(goneFlow.Send([]byte("x")), ErrClosed) {
		t.Error("a flow of the closed listener still sends")
	}
	if want := fmt.Sprintf("sip.example.com:%d", a.Port()); !keptFlow.Alive() || keptFlow.SentBy() != want {
		t.Errorf("kept flow: alive %v, SentBy %q", keptFlow.Alive(), keptFlow.SentBy())
	}
	write(t, udpClient(t, l.testAddr(1)), options("UDP", "h", "1", "to-c", 1))
	if h := e.next(t); h.flow.Listener() != "c" {
		t.Errorf("heard on %q", h.flow.Listener())
	}
}

func TestConnectUDP(t *testing.T) {
	e := newEar()
	cfg := udpConfig("0.0.0.0:0")
	if hasIPv6() {
		cfg.Listen = append(cfg.Listen, Listen{Name: "six", Proto: UDP, Address: "[::1]:0"})
	}
	l := run(t, cfg, e)
	peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	to := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	f, err := l.Connect(context.Background(), Hop{Proto: UDP, Addr: to})
	if err != nil {
		t.Fatal(err)
	}
	if f.Listener() != "phones" || f.Local() != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.testAddr(0).Port()) {
		t.Errorf("flow over %q from %v", f.Listener(), f.Local())
	}
	if err := f.Send([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := peer.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "hello" || from != f.Local() {
		t.Errorf("peer got %q from %v: %v", buf[:n], from, err)
	}
	f, err = l.Connect(context.Background(), Hop{Proto: UDP, Addr: netip.MustParseAddrPort("[::1]:5060")})
	if hasIPv6() && (err != nil || f.Listener() != "six") {
		t.Errorf("IPv6: %v", err)
	}
	for _, hop := range []Hop{{Proto: WS, Addr: to}, {Proto: TCP, Addr: to}} {
		if _, err := l.Connect(context.Background(), hop); !errors.Is(err, ErrNoRoute) {
			t.Errorf("%s: %v", hop, err)
		}
	}
}

func TestUDPAllocations(t *testing.T) {
	e := &silent{}
	l := run(t, udpConfig("0.0.0.0:0"), e)
	u := l.listeners[0].(*udpListener)
	in := inbox{layer: l, count: &u.count}
	f := NewFlow(u, netip.MustParseAddrPort("127.0.0.1:5060"), netip.MustParseAddrPort("127.0.0.1:9"))
	raw := []byte(options("UDP", "h", "1", "c", 1))
	if n := testing.AllocsPerRun(1000, func() { u.datagram(&in, f, raw) }); n > 1 {
		t.Errorf("receiving allocates %.0f times, want the text only", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = f.Send(raw) }); n > 0 {
		t.Errorf("sending allocates %.0f times", n)
	}
}

type silent struct{}

func (*silent) Receive(Flow, *sip.Message) {}
func (*silent) Closed(Flow)                {}
