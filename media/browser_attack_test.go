package media

import (
	"bytes"
	"encoding/binary"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// A wire is the one UDP socket of a browser, whose datagrams can be watched, sent again and forged.
type wire struct {
	net.PacketConn
	mu   sync.Mutex
	sent [][]byte // SRTP
}

func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	if len(b) > 0 && b[0]>>6 == 2 && b[1]&0x7f < 64 {
		w.mu.Lock()
		w.sent = append(w.sent, bytes.Clone(b))
		w.mu.Unlock()
	}
	return w.PacketConn.WriteTo(b, to)
}

func (w *wire) packets() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// tap lets a browser use a socket of its own.
func tap(t testing.TB) (*wire, func(*webrtc.SettingEngine)) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{PacketConn: c}
	mux := webrtc.NewICEUDPMux(nil, w)
	t.Cleanup(func() { _ = mux.Close(); _ = c.Close() })
	return w, func(s *webrtc.SettingEngine) { s.SetICEUDPMux(mux) }
}

// talking is a call of a browser with a phone.
func talking(t testing.TB, e *Engine, o browserOptions) (*browser, *phone) {
	t.Helper()
	o.Call, o.Leg = t.Name(), "a"
	a := browse(t, e, o)
	b := call(t, e, Options{Call: t.Name(), Leg: "b"}, "PCMA", "telephone-event")
	a.offers(nil)
	b.isOffered(a.s, SendRecv)
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func exchange(a *browser, b *phone) {
	a.t.Helper()
	a.say(voice)
	if p := b.hear(); len(p.Payload()) != 160 {
		a.t.Fatalf("phone hears %d bytes", len(p.Payload()))
	}
	b.say(8, voice)
	if p := a.hear(); len(p.Payload) != 160 {
		a.t.Fatalf("browser hears %d bytes", len(p.Payload))
	}
}

// A check that does not verify is met with silence, moves nothing and costs a counter.
func TestChecksThatDoNotVerify(t *testing.T) {
	e := run(t, local)
	a, b := talking(t, e, browserOptions{})
	a.connected()
	exchange(a, b)
	own, peer := a.s.web.own, a.s.web.peer
	user := stun.NewUsername(own.Ufrag + ":" + peer.Ufrag)
	good := stun.NewShortTermIntegrity(own.Pwd)
	use := stun.RawAttribute{Type: stun.AttrUseCandidate}
	controlling := stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)}
	build := func(set ...stun.Setter) []byte {
		m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, set...)...)
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	unsigned := build(user, use, controlling, stun.Fingerprint)
	broken := build(user, use, controlling, good, stun.Fingerprint)
	broken[len(broken)-1] ^= 1
	x, err := net.Dial("udp4", a.s.Local().String())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	before := a.s.Stats().Remote
	for name, raw := range map[string][]byte{
		"unsigned":            unsigned,
		"wrong password":      build(user, use, controlling, stun.NewShortTermIntegrity(peer.Pwd), stun.Fingerprint),
		"unknown fragment":    build(stun.NewUsername("nobody:"+peer.Ufrag), use, good, stun.Fingerprint),
		"of another browser":  build(stun.NewUsername(own.Ufrag+":other"), use, good, stun.Fingerprint),
		"no fingerprint":      build(user, use, controlling, good),
		"broken fingerprint":  broken,
		"no username":         build(use, controlling, good, stun.Fingerprint),
		"indication":          build(stun.NewType(stun.MethodBinding, stun.ClassIndication), user, good, stun.Fingerprint),
		"answer":              build(stun.BindingSuccess, user, good, stun.Fingerprint),
		"allocate":            build(stun.NewType(stun.MethodAllocate, stun.ClassRequest), user, good, stun.Fingerprint),
		"longer than it says": append(build(user, use, good, stun.Fingerprint), 0, 0, 0, 0),
		"header only":         unsigned[:20],
	} {
		if _, err := x.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := x.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := x.Read(make([]byte, 1500)); err == nil {
			t.Errorf("%s: answered with %d bytes", name, n)
		}
	}
	if now := a.s.Stats().Remote; now != before {
		t.Errorf("media moved to %s", now)
	}
	exchange(a, b)
	if got := e.Stats().Drops["check"]; got < 10 {
		t.Errorf("%d checks dropped", got)
	}

	// What follows the signature is nobody's word: a nomination there moves nothing, and the check is answered as what it is.
	raw := build(user, controlling, good)
	raw = append(raw, 0, byte(stun.AttrUseCandidate), 0, 0)
	binary.BigEndian.PutUint16(raw[2:], uint16(len(raw)-20))
	m := &stun.Message{Raw: raw}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	if err := stun.Fingerprint.AddTo(m); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Write(m.Raw); err != nil {
		t.Fatal(err)
	}
	exchange(a, b)
	if now := a.s.Stats().Remote; now != before {
		t.Errorf("a nomination behind the signature moved media to %s", now)
	}
}

// A ClientHello from an address that ICE has not checked reaches nobody, however many come: 100 calls of 100 connect.
func TestClientHelloRace(t *testing.T) {
	e := run(t, local)
	probe := browse(t, e, browserOptions{Options: Options{Call: "p", Leg: "p"}})
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	defer attackers.Wait()
	defer close(stop)
	hello := clientHelloNull()
	for range 2 {
		x, err := net.Dial("udp4", probe.s.Local().String())
		if err != nil {
			t.Fatal(err)
		}
		attackers.Go(func() {
			defer x.Close()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					_, _ = x.Write(hello)
				}
			}
		})
	}
	calls := 100
	if testing.Short() {
		calls = 10
	}
	for range calls / 10 {
		var all []*browser
		for range 10 {
			a := browse(t, e, browserOptions{Options: Options{Call: t.Name(), Leg: "a"}})
			a.offers(nil)
			a.isAnswered(nil)
			all = append(all, a)
		}
		for _, a := range all {
			a.connected()
			a.s.Close()
			_ = a.pc.Close()
		}
	}
	if got := e.Stats().Drops["source"]; got == 0 {
		t.Error("the attack has reached nobody")
	}
}

// clientHelloNull is a DTLS 1.2 ClientHello with TLS_NULL_WITH_NULL_NULL alone.
func clientHelloNull() []byte {
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	body = append(body, 0, 0, 0, 2, 0, 0, 1, 0)
	msg := append([]byte{1, 0, 0, byte(len(body)), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(msg))}, msg...)
}

// The same from the browser's own address, as one who can forge it would send it, with alerts between: the handshake goes on.
func TestForgedHandshake(t *testing.T) {
	e := run(t, local)
	w, set := tap(t)
	a, b := talking(t, e, browserOptions{set: set})
	port := net.UDPAddrFromAddrPort(a.s.Local())
	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = w.PacketConn.WriteTo([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40}, port) // fatal: handshake failure
			}
		}
	})
	a.connected()
	close(stop)
	attacker.Wait()
	exchange(a, b)
}

var fingerprintLine = regexp.MustCompile(`a=fingerprint:sha-256 \S+`)

// The wrong certificate: not one packet passes either way, the call stands, and the right one is heard when it comes.
func TestWrongFingerprint(t *testing.T) {
	e := run(t, local)
	a := browse(t, e, browserOptions{Options: Options{Call: "x", Leg: "a"}})
	b := call(t, e, Options{Call: "x", Leg: "b"}, "PCMA")
	body := a.describe(a.pc.CreateOffer(nil))
	other := "a=fingerprint:sha-256 " + strings.Repeat("AB:", 31) + "AB"
	if err := a.s.SetOffer(fingerprintLine.ReplaceAll(body, []byte(other))); err != nil {
		t.Fatal(err)
	}
	b.isOffered(a.s, SendRecv)
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	a.until("the handshake to fail", func(s Stats) bool { return s.Drops["handshake"] > 0 })
	for range 20 {
		a.say(voice)
		b.say(8, voice)
	}
	b.until("the phone to be heard", func(s Stats) bool { return s.In.Packets == 20 })
	b.silent()
	if s := a.s.Stats(); s.Suite != "" || s.Heard || s.In.Packets != 0 || s.Out.Packets != 0 || s.ReportsOut != 0 {
		t.Errorf("stats %+v", s)
	}
	select {
	case p := <-a.heard:
		t.Errorf("browser hears %v", p)
	default:
	}
	if e.Stats().Sessions != 2 {
		t.Error("a session is gone")
	}
}

// A million forged packets from the browser's own address change nothing, and what was heard once is not heard again.
func TestForgedAndReplayed(t *testing.T) {
	e := run(t, local)
	w, set := tap(t)
	a, b := talking(t, e, browserOptions{set: set})
	a.connected()
	exchange(a, b)
	port := net.UDPAddrFromAddrPort(a.s.Local())
	forged := bytes.Clone(w.packets()[0])
	many := 1_000_000
	if testing.Short() {
		many = 50_000
	}
	for i := range many {
		binary.BigEndian.PutUint16(forged[2:], uint16(i))
		forged[20]++
		if _, err := w.PacketConn.WriteTo(forged, port); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 { // the kernel's buffer is small: what it drops would prove nothing
			sent := uint64(i + 1)
			a.until("the port to keep up", func(s Stats) bool { return s.Drops["auth"]+s.Drops["replay"] >= sent })
		}
		if i%(many/20) == 0 {
			exchange(a, b)
		}
	}
	s := a.s.Stats()
	if s.Drops["auth"] == 0 || s.In.Packets != 21 || s.In.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
	before := s.Drops["replay"] // forged ones with a number seen before
	for _, p := range w.packets() {
		if _, err := w.PacketConn.WriteTo(p, port); err != nil {
			t.Fatal(err)
		}
	}
	a.until("replays to be dropped", func(s Stats) bool { return s.Drops["replay"] == before+21 })
	b.silent()
	exchange(a, b)
}
