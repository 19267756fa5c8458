package transport

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tandem/sip"
)

// listenOn is a Layer with one UDP listener, which tells what it receives.
func listenOn(t *testing.T, c Config) (*Layer, chan string) {
	t.Helper()
	heard := make(chan string, 16)
	l, err := New(c, handlerFunc(func(_ Flow, m *sip.Message) { heard <- m.Method() }), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, heard
}

type handlerFunc func(Flow, *sip.Message)

func (h handlerFunc) Receive(f Flow, m *sip.Message) { h(f, m) }
func (h handlerFunc) Closed(Flow)                    {}

// A UDP flow of another process is found by its address or its listener's name; a connection stands for one that is gone.
func TestAttach(t *testing.T) {
	l, _ := listenOn(t, Config{Listen: []Listen{{Name: "a", Proto: UDP, Address: "127.0.0.1:0"}, {Name: "b", Proto: UDP, Address: "127.0.0.2:0"}}})
	a, b := l.testAddr(0), l.testAddr(1)
	remote := netip.MustParseAddrPort("127.0.0.9:5060")
	for name, c := range map[string]struct {
		proto Proto
		label string
		local netip.AddrPort
		alive bool
		want  string
	}{
		"same address":             {UDP, "old name", b, true, "b"},
		"same name, other port":    {UDP, "a", netip.AddrPortFrom(a.Addr(), 1), true, "a"},
		"neither":                  {UDP, "c", netip.MustParseAddrPort("127.0.0.3:5060"), false, "c"},
		"a connection":             {TCP, "a", a, false, "a"},
		"a connection of a page's": {WSS, "web", a, false, "web"},
	} {
		f := l.Attach(c.proto, c.label, c.local, remote)
		if !f.Valid() || f.Alive() != c.alive || f.Listener() != c.want || f.Proto() != c.proto || f.Remote() != remote || f.ID() == 0 {
			t.Errorf("%s: alive %v, listener %q, %v", name, f.Alive(), f.Listener(), f.Proto())
		}
		if err := f.Send([]byte("x")); (err == nil) != c.alive {
			t.Errorf("%s: send: %v", name, err)
		}
	}
}

// A node that does not serve hears nothing and says nothing, and may be bound to an address that is not here.
func TestNodeThatDoesNotServe(t *testing.T) {
	var serves atomic.Bool
	us, heard := listenOn(t, Config{
		Listen: []Listen{{Name: "a", Proto: UDP, Address: "127.0.0.1:0"}, {Name: "away", Proto: UDP, Address: "192.0.2.77:0"}, {Name: "tcp", Proto: TCP, Address: "192.0.2.77:0"}},
		Serves: serves.Load, Away: true,
	})
	them, _ := listenOn(t, Config{Listen: []Listen{{Name: "peer", Proto: UDP, Address: "127.0.0.1:0"}}})
	runLayer(t, us)
	to := us.testAddr(0)
	f := them.Attach(UDP, "peer", them.testAddr(0), to)
	ask := func() {
		if err := f.Send([]byte("OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n" +
			"To: <sip:x@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	for end := time.Now().Add(5 * time.Second); us.drops(0, DropAway) == 0; {
		if time.Now().After(end) {
			t.Fatal("not dropped")
		}
	}
	if err := us.Attach(UDP, "a", to, them.testAddr(0)).Send([]byte("x")); !errors.Is(err, ErrAway) {
		t.Errorf("it sends: %v", err)
	}
	serves.Store(true)
	if err := us.Attach(UDP, "away", us.testAddr(1), them.testAddr(0)).Send([]byte("x")); !errors.Is(err, ErrAway) {
		t.Errorf("it sends from an address that is not here: %v", err)
	}
	ask()
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Error("not heard once it serves")
	}
}

// A node that is about to hand over hears what has begun, and nothing that begins.
func TestNodeThatTakesNothingNew(t *testing.T) {
	us, heard := listenOn(t, Config{
		Listen: []Listen{{Name: "a", Proto: UDP, Address: "127.0.0.1:0"}}, UDPReaders: 1,
		Admits: func() bool { return true }, Begins: func() bool { return false },
	})
	runLayer(t, us)
	c := udpClient(t, us.testAddr(0))
	say := func(start, to, seq string) {
		if _, err := c.Write([]byte(start + "\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n" +
			"To: <sip:x@b>" + to + "\r\nCall-ID: c\r\nCSeq: " + seq + "\r\nMax-Forwards: 70\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	for _, begins := range []string{"INVITE", "REGISTER", "OPTIONS"} {
		say(begins+" sip:x@127.0.0.1 SIP/2.0", "", "1 "+begins)
	}
	for _, x := range [][3]string{
		{"BYE sip:x@127.0.0.1 SIP/2.0", ";tag=2", "BYE"}, {"INVITE sip:x@127.0.0.1 SIP/2.0", ";tag=2", "INVITE"},
		{"ACK sip:x@127.0.0.1 SIP/2.0", "", "ACK"}, {"CANCEL sip:x@127.0.0.1 SIP/2.0", "", "CANCEL"}, {"SIP/2.0 200 OK", ";tag=2", ""},
	} {
		say(x[0], x[1], "1 "+cmp.Or(x[2], "INVITE"))
		if got := await(t, heard, x[0]); got != x[2] {
			t.Errorf("heard %q and not %q", got, x[2])
		}
	}
	if n := us.drops(0, DropAway); n != 3 {
		t.Errorf("%d dropped", n)
	}
}

// What comes over a connection, or would leave over one, while the node may not serve for a moment is late, and not lost.
func TestStreamWhileTheNodeMayNotServe(t *testing.T) {
	for _, proto := range []Proto{TCP, WS} {
		t.Run(proto.String(), func(t *testing.T) {
			var serves atomic.Bool
			serves.Store(true)
			e := newEar()
			cfg := tcpConfig()
			if proto == WS {
				cfg = wsConfig()
			}
			cfg.Serves = serves.Load
			l := run(t, cfg, e)
			var c net.Conn
			if proto == WS {
				c = wsDial(t, l)
			} else {
				c = tcpClient(t, l.testAddr(0))
			}
			ask := func(branch string) {
				m := options(proto.String(), "h", branch, branch, 1)
				if proto == WS {
					m = string(wsFrame(ws.OpText, true, m))
				}
				write(t, c, m)
			}
			ask("one")
			f := e.next(t).flow
			serves.Store(false)
			ask("two")
			if err := f.Send([]byte("OPTIONS sip:late@h SIP/2.0\r\n\r\n")); err != nil {
				t.Errorf("send: %v", err)
			}
			left := make(chan string, 1)
			go func() {
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				left <- string(b[:n])
			}()
			select {
			case text := <-left:
				t.Errorf("it sent %q", text)
			case <-e.got:
				t.Error("it heard")
			case <-time.After(100 * time.Millisecond):
			}
			serves.Store(true)
			if m := e.next(t); m.msg.Source != f.Remote() {
				t.Errorf("heard from %v", m.msg.Source)
			}
			select {
			case text := <-left:
				if !strings.Contains(text, "sip:late@h") {
					t.Errorf("it sent %q", text)
				}
			case <-time.After(5 * time.Second):
				t.Error("what waited was not sent")
			}
			if n := l.drops(0, DropAway); n != 0 {
				t.Errorf("%d messages dropped", n)
			}
		})
	}
}

// The same over a stream: what belongs to a dialog is heard before the role moves, and the connection with it; what begins something waits.
func TestStreamIsHeardBeforeAPlannedChange(t *testing.T) {
	e := newEar()
	cfg := tcpConfig()
	var begins atomic.Bool
	yes := func() bool { return true }
	cfg.Serves, cfg.Admits, cfg.Begins = yes, yes, begins.Load
	l := run(t, cfg, e)
	c := tcpClient(t, l.testAddr(0))
	first := options("TCP", "h", "1", "one", 1)
	bye := strings.NewReplacer("OPTIONS sip", "BYE sip", " OPTIONS\r\n", " BYE\r\n").Replace(first)
	at := strings.Index(bye, "\r\nTo: ") + len("\r\nTo: ")
	end := at + strings.Index(bye[at:], "\r\n")
	write(t, c, bye[:end]+";tag=ours"+bye[end:])
	if h := <-e.got; h.msg.Method() != sip.BYE {
		t.Errorf("heard %s", h.msg.Method())
	}
	write(t, c, first)
	select {
	case h := <-e.got:
		t.Errorf("heard %s", h.msg.Method())
	case <-time.After(5 * shortestPause):
	}
	begins.Store(true)
	if h := <-e.got; h.msg.Method() != sip.OPTIONS {
		t.Errorf("heard %s", h.msg.Method())
	}
}
