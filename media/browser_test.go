package media

import (
	"net"
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
	media func(*webrtc.MediaEngine)
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
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(set), webrtc.WithMediaEngine(m)).NewPeerConnection(webrtc.Configuration{})
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
	up := b.up
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected && up != nil {
			close(up)
			up = nil
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
