package media

import (
	"bytes"
	"github.com/pion/dtls/v3"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// A browser is the far end of a leg as pion/webrtc plays it: a PeerConnection with one microphone.
type browser struct {
	t      testing.TB
	s      *Session
	events chan Event
	pc     *webrtc.PeerConnection
	mic    *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	heard  chan *pionrtp.Packet
	up     chan struct{}
	mime   string
	seq    uint16
	ts     uint32
}

type browserOptions struct {
	Options
	mime  string // of its microphone; empty: PCMA
	set   func(*webrtc.SettingEngine)
	video string // of its camera; empty: it has none
}

// browse opens a session with a browser at its other end.
func browse(t testing.TB, e *Engine, o browserOptions) *browser {
	t.Helper()
	b := &browser{t: t, events: make(chan Event, 64), heard: make(chan *pionrtp.Packet, 256), up: make(chan struct{}), mime: o.mime, seq: 7}
	if b.mime == "" {
		b.mime = webrtc.MimeTypePCMA
	}
	if !o.Local.IsValid() {
		o.Local = loopback
	}
	o.SignallingSource, o.Web = loopback, true
	o.Events = func(ev Event) {
		select {
		case b.events <- ev:
		default:
			t.Error("more events than anybody waits for")
		}
	}
	s, err := e.NewSession(o.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b.s = s
	b.connectPeer(o)
	return b
}

func (b *browser) connectPeer(o browserOptions) {
	t := b.t
	t.Helper()
	var set webrtc.SettingEngine
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	set.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	if o.set != nil {
		o.set(&set)
	}
	m := new(webrtc.MediaEngine)
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for pt, rate := range map[webrtc.PayloadType]uint32{110: 48000, 126: 8000} {
		c := webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: rate}}
		if err := m.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	with := []func(*webrtc.API){webrtc.WithSettingEngine(set), webrtc.WithMediaEngine(m)}
	if o.video != "" {
		with = append(with, webrtc.WithInterceptorRegistry(feedback(t, m)))
	}
	pc, err := webrtc.NewAPI(with...).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	b.pc = pc
	c := webrtc.RTPCodecCapability{MimeType: b.mime, ClockRate: 8000}
	if b.mime == webrtc.MimeTypeOpus {
		c.ClockRate, c.Channels = 48000, 2
	}
	if b.mic, err = webrtc.NewTrackLocalStaticRTP(c, "mic", "page"); err != nil {
		t.Fatal(err)
	}
	if b.sender, err = pc.AddTrack(b.mic); err != nil {
		t.Fatal(err)
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			select {
			case b.heard <- p:
			default:
			}
		}
	})
	up, once := b.up, new(sync.Once) // states are told from a goroutine each
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected && up != nil {
			once.Do(func() { close(up) })
		}
	})
}

// describe makes the browser's offer or answer, with all its candidates.
func (b *browser) describe(d webrtc.SessionDescription, err error) []byte {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(d); err != nil {
		b.t.Fatal(err)
	}
	<-gathered
	return []byte(b.pc.LocalDescription().SDP)
}

func (b *browser) remote(kind webrtc.SDPType, body []byte, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: string(body)}); err != nil {
		b.t.Fatalf("%v\n%s", err, body)
	}
}

// offers lets the browser make the offer.
func (b *browser) offers(o *webrtc.OfferOptions) []byte {
	b.t.Helper()
	body := b.describe(b.pc.CreateOffer(o))
	if !IsWeb(body) {
		b.t.Fatalf("not a browser's offer\n%s", body)
	}
	if err := b.s.SetOffer(body); err != nil {
		b.t.Fatalf("%v\n%s", err, body)
	}
	return body
}

// isAnswered completes that.
func (b *browser) isAnswered(like *Session) []byte {
	b.t.Helper()
	body, err := b.s.CreateAnswer(like)
	b.remote(webrtc.SDPTypeAnswer, body, err)
	return body
}

// isOffered lets the session make the offer and the browser answer it.
func (b *browser) isOffered(like *Session) (offer, answer []byte) {
	b.t.Helper()
	offer, err := b.s.CreateOffer(like)
	b.remote(webrtc.SDPTypeOffer, offer, err)
	answer = b.describe(b.pc.CreateAnswer(nil))
	if err := b.s.SetAnswer(answer); err != nil {
		b.t.Fatalf("%v\n%s", err, answer)
	}
	return offer, answer
}

func (b *browser) connected() {
	b.t.Helper()
	select {
	case <-b.up:
	case <-time.After(10 * time.Second):
		b.t.Fatalf("not connected: %s, ICE %s; %+v", b.pc.ConnectionState(), b.pc.ICEConnectionState(), b.s.Stats())
	}
	b.until("keys", func(s Stats) bool { return s.Suite != "" })
}

func (b *browser) until(what string, ok func(Stats) bool) {
	b.t.Helper()
	(&phone{t: b.t, s: b.s}).until(what, ok)
}

// say sends 20 ms of payload; the number is that of its microphone's codec.
func (b *browser) say(payload []byte) {
	b.t.Helper()
	p := &pionrtp.Packet{Header: pionrtp.Header{Version: 2, SequenceNumber: b.seq, Timestamp: b.ts}, Payload: payload}
	b.seq++
	b.ts += 160
	if b.mime == webrtc.MimeTypeOpus {
		b.ts += 800
	}
	if err := b.mic.WriteRTP(p); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) hear() *pionrtp.Packet {
	b.t.Helper()
	select {
	case p := <-b.heard:
		return p
	case <-time.After(3 * time.Second):
		b.t.Fatalf("nothing heard; %+v", b.s.Stats())
		return nil
	}
}

func TestBrowserCallsPhone(t *testing.T) {
	e := run(t, local)
	a := browse(t, e, browserOptions{Options: Options{Call: "x", Leg: "a"}})
	b := call(t, e, Options{Call: "x", Leg: "b"}, "PCMA", "telephone-event")
	a.offers(nil)
	b.isOffered(a.s, SendRecv)
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	a.connected()
	for range 5 {
		a.say(voice)
		if p := b.hear(); len(p.Payload()) != 160 || p.PayloadType() != 8 || len(p) != 172 {
			t.Fatalf("phone hears type %d, %d bytes in %d", p.PayloadType(), len(p.Payload()), len(p))
		}
		b.say(8, voice)
		if p := a.hear(); len(p.Payload) != 160 || p.PayloadType != 8 {
			t.Fatalf("browser hears type %d with %d bytes", p.PayloadType, len(p.Payload))
		}
	}
	if s := a.s.Stats(); s.Suite != "AEAD_AES_128_GCM" || !s.Heard || s.In.Packets != 5 || s.Out.Packets != 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestPhoneCallsBrowser(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{Call: "x", Leg: "a"}, "PCMU", "telephone-event")
	b := browse(t, e, browserOptions{Options: Options{Call: "x", Leg: "b"}, mime: webrtc.MimeTypePCMU})
	a.offers(SendRecv)
	b.isOffered(a.s)
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	b.connected()
	for range 5 {
		b.say(voice)
		if p := a.hear(); len(p.Payload()) != 160 || p.PayloadType() != 0 {
			t.Fatalf("phone hears type %d, %d bytes", p.PayloadType(), len(p.Payload()))
		}
		a.say(0, voice)
		if p := b.hear(); len(p.Payload) != 160 {
			t.Fatalf("browser hears %d bytes", len(p.Payload))
		}
	}
}

// An ICE restart keeps the keys: new credentials, the sound goes on.
func TestICERestart(t *testing.T) {
	e := run(t, local)
	a, b := talking(t, e, browserOptions{})
	a.connected()
	exchange(a, b)
	own, before := a.s.web.own, a.s.Stats()
	a.offers(&webrtc.OfferOptions{ICERestart: true})
	answer := a.isAnswered(b.s)
	if a.s.web.own == own || a.s.web.association != 1 {
		t.Errorf("own %v, association %d", a.s.web.own, a.s.web.association)
	}
	if got := lines(answer, "a=setup:"); len(got) != 1 || got[0] != "passive" {
		t.Errorf("setup %v", got)
	}
	a.until("the browser to nominate anew", func(s Stats) bool {
		return s.Remote != before.Remote || a.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected
	})
	for range 3 {
		exchange(a, b)
	}
	if s := a.s.Stats(); s.Drops["auth"] != 0 || s.In.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

// An offer without news keeps ICE, DTLS and the payload numbers, and the answer to it is the one before with another version.
func TestReofferWithoutChange(t *testing.T) {
	e := run(t, local)
	a, b := talking(t, e, browserOptions{})
	a.connected()
	exchange(a, b)
	first := a.s.neg.Said()
	a.offers(nil)
	again := a.isAnswered(b.s)
	if !bytes.Equal(first, again) {
		t.Errorf("another answer\n%s\n%s", first, again)
	}
	exchange(a, b)
	offer, _ := a.isOffered(b.s) // our own re-offer, as for a session timer
	for _, prefix := range []string{"a=ice-ufrag:", "a=fingerprint:", "a=mid:", "m=", "a=candidate:"} {
		if got, want := lines(offer, prefix), lines(first, prefix); prefix == "m=" && got[0][:12] != want[0][:12] || prefix != "m=" && !slices.Equal(got, want) {
			t.Errorf("%s: %v, before %v", prefix, got, want)
		}
	}
	if got := lines(offer, "a=setup:"); len(got) != 1 || got[0] != "actpass" {
		t.Errorf("setup %v", got)
	}
	exchange(a, b)
	if a.s.web.association != 1 {
		t.Errorf("association %d", a.s.web.association)
	}
}

// The browser as DTLS server: an answer with a=setup:passive has us begin the handshake.
func TestWeAreActive(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA")
	b := browse(t, e, browserOptions{Options: Options{Call: "x", Leg: "b"}, set: func(s *webrtc.SettingEngine) {
		_ = s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer)
	}})
	a.offers(SendRecv)
	_, answer := b.isOffered(a.s)
	if got := lines(answer, "a=setup:"); len(got) != 1 || got[0] != "passive" {
		t.Fatalf("setup %v", got)
	}
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	b.connected()
	exchange(b, a)
}

// A new certificate is a new DTLS association (RFC 8842): the leg goes on with the old keys until the new ones are there.
func TestNewAssociation(t *testing.T) {
	e := run(t, local)
	a, b := talking(t, e, browserOptions{})
	a.connected()
	exchange(a, b)
	_ = a.pc.Close() // a page that was loaded anew: the same leg by Replaces or re-INVITE
	a.up = make(chan struct{})
	a.connectPeer(browserOptions{})
	a.offers(nil)
	a.isAnswered(b.s)
	a.connected()
	n := a.s.Stats().In.Packets
	a.until("the new keys", func(s Stats) bool { a.say(voice); return s.In.Packets > n }) // ours are there a moment after the browser's
	for range 3 {
		exchange(a, b)
	}
	if a.s.web.association != 2 {
		t.Errorf("association %d", a.s.web.association)
	}
}

// Suites: GCM where the browser can, else AES-CM.
func TestSuites(t *testing.T) {
	for want, profiles := range map[string][]dtls.SRTPProtectionProfile{
		"AEAD_AES_128_GCM":        {dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM},
		"AEAD_AES_256_GCM":        {dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80},
		"AES_CM_128_HMAC_SHA1_80": {dtls.SRTP_AES128_CM_HMAC_SHA1_80},
	} {
		t.Run(want, func(t *testing.T) {
			e := run(t, local)
			a, b := talking(t, e, browserOptions{set: func(s *webrtc.SettingEngine) { s.SetSRTPProtectionProfiles(profiles...) }})
			a.connected()
			exchange(a, b)
			if got := a.s.Stats().Suite; got != want {
				t.Errorf("suite %s", got)
			}
		})
	}
}

// shaking are the stacks of all goroutines that a handshake of ours, or a browser of pion's, has left.
func shaking() (left []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "/pion/") || strings.Contains(stack, "secure.Handshake") {
			left = append(left, stack)
		}
	}
	return left
}

// Nothing of the handshake remains: no goroutine for a leg, and none after it.
func TestBrowserLeavesNothing(t *testing.T) {
	e := run(t, local)
	// Ends in every stage: before any check, in the middle of ICE and DTLS, and after it.
	for i := range 12 {
		a := browse(t, e, browserOptions{Options: Options{Call: "x", Leg: "a"}})
		a.offers(nil)
		if i%4 > 0 {
			a.isAnswered(nil)
		}
		if i%4 == 2 {
			a.until("a check", func(s Stats) bool { return s.Remote.IsValid() })
		}
		if i%4 == 3 {
			a.connected()
		}
		a.s.Close()
		_ = a.pc.Close()
	}
	end := time.Now().Add(5 * time.Second)
	for len(shaking()) > 0 && time.Now().Before(end) {
		runtime.Gosched()
	}
	if left := shaking(); len(left) > 0 {
		t.Errorf("goroutines remain:\n%s", strings.Join(left, "\n\n"))
	}
	if ufrags, places := e.relay.Browsers(); ufrags != 0 || places != 0 {
		t.Errorf("%d fragments and %d places remain", ufrags, places)
	}
}

// Over IPv6 as over IPv4.
func TestBrowserOverIPv6(t *testing.T) {
	e := run(t, local)
	c, err := net.ListenPacket("udp6", "[::1]:0") // pion gathers no such address by itself
	if err != nil {
		t.Fatal(err)
	}
	mux := webrtc.NewICEUDPMux(nil, c)
	defer mux.Close()
	a := browse(t, e, browserOptions{
		Options: Options{Call: "x", Leg: "a", Local: netip.IPv6Loopback()},
		set: func(s *webrtc.SettingEngine) {
			s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
			s.SetICEUDPMux(mux)
		},
	})
	b := call(t, e, Options{Call: "x", Leg: "b"}, "PCMA")
	a.offers(nil)
	b.isOffered(a.s, SendRecv)
	a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	a.connected()
	exchange(a, b)
	if got := a.s.Stats().Remote.Addr(); !got.Is6() {
		t.Errorf("media goes to %s", got)
	}
}
