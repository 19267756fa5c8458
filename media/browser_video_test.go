package media

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// feedback is what a browser has: NACK and retransmission, reports, and feedback on arrival times.
func feedback(t testing.TB, m *webrtc.MediaEngine) *interceptor.Registry {
	t.Helper()
	r := new(interceptor.Registry)
	for _, f := range []func() error{
		func() error { return webrtc.RegisterDefaultInterceptors(m, r) },
		func() error { return webrtc.ConfigureTWCCHeaderExtensionSender(m, r) },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// A camera is the video of a browser.
type camera struct {
	*browser
	track  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	seen   chan *pionrtp.Packet
	asked  chan rtcp.Packet // what the other browser reports and asks for
	number uint16
}

// film opens a browser with microphone and camera.
func film(t testing.TB, e *Engine, leg, mime string) *camera {
	t.Helper()
	c := &camera{
		browser: browse(t, e, browserOptions{Options: Options{Call: t.Name(), Leg: leg}, video: mime, mime: webrtc.MimeTypeOpus}),
		seen:    make(chan *pionrtp.Packet, 256), asked: make(chan rtcp.Packet, 256), number: 100,
	}
	c.begin(mime)
	return c
}

// begin adds the camera to what is sent.
func (c *camera) begin(mime string) {
	t := c.t
	kind := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}
	if mime == webrtc.MimeTypeH264 {
		kind.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	}
	var err error
	if c.track, err = webrtc.NewTrackLocalStaticRTP(kind, "camera", "page"); err != nil {
		t.Fatal(err)
	}
	if c.sender, err = c.pc.AddTrack(c.track); err != nil {
		t.Fatal(err)
	}
	c.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		to := c.heard
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			to = c.seen
		}
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			select {
			case to <- p:
			default:
			}
		}
	})
	sender := c.sender
	go func() { // ends with the PeerConnection
		for {
			list, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range list {
				select {
				case c.asked <- p:
				default:
				}
			}
		}
	}()
}

// show sends a packet of video.
func (c *camera) show(payload []byte) {
	c.t.Helper()
	p := &pionrtp.Packet{Header: pionrtp.Header{Version: 2, SequenceNumber: c.number, Timestamp: uint32(c.number) * 3000, Marker: true}, Payload: payload}
	c.number++
	if err := c.track.WriteRTP(p); err != nil {
		c.t.Fatal(err)
	}
}

// sees waits for a packet of exactly this payload.
func (c *camera) sees(want []byte) *pionrtp.Packet {
	c.t.Helper()
	end := time.After(5 * time.Second)
	for {
		select {
		case p := <-c.seen:
			if bytes.Equal(p.Payload, want) {
				return p
			}
		case <-end:
			c.t.Fatalf("%.20q not seen; %+v", want, c.s.Stats())
		}
	}
}

// isAsked waits for feedback that fits.
func (c *camera) isAsked(what string, fits func(rtcp.Packet) bool, meanwhile func()) {
	c.t.Helper()
	end := time.After(5 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case p := <-c.asked:
			if fits(p) {
				return
			}
		case <-tick.C:
			meanwhile()
		case <-end:
			c.t.Fatalf("no %s; %+v", what, c.s.Stats())
		}
	}
}

// meet has a call b: the offer goes through, b answers, and then a is answered.
func meet(a, b *camera) (answer []byte) {
	a.t.Helper()
	a.offers(nil)
	b.isOffered(a.s)
	answer = a.isAnswered(b.s)
	if err := Join(a.s, b.s); err != nil {
		a.t.Fatal(err)
	}
	return answer
}

func picture(c *camera, i int) []byte {
	return fmt.Appendf(nil, "%s frame %d %s", c.s.opts.Leg, i, strings.Repeat("x", 1000))
}

// VP8 and H.264 pass between two browsers as they are, both ways, beside the sound; what one asks for comes to the other.
func TestVideoBetweenBrowsers(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264} {
		t.Run(mime, func(t *testing.T) {
			e := run(t, local)
			a, b := film(t, e, "a", mime), film(t, e, "b", mime)
			meet(a, b)
			a.connected()
			b.connected()
			for _, x := range [][2]*camera{{a, b}, {b, a}} {
				from, to := x[0], x[1]
				for i := range 20 {
					want := picture(from, i)
					number := from.number
					from.show(want)
					if p := to.sees(want); p.SequenceNumber != number || p.Timestamp != uint32(number)*3000 || !p.Marker {
						t.Fatalf("frame %d: %v", i, p.Header)
					}
				}
				from.say(voice)
				if p := to.hear(); !bytes.Equal(p.Payload, voice) {
					t.Errorf("%d bytes of sound", len(p.Payload))
				}
				ssrc := uint32(from.sender.GetParameters().Encodings[0].SSRC)
				pli := &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc}
				from.isAsked("PLI", func(p rtcp.Packet) bool {
					got, ok := p.(*rtcp.PictureLossIndication)
					return ok && got.MediaSSRC == ssrc
				}, func() {
					if err := to.pc.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}, pli}); err != nil {
						t.Fatal(err)
					}
				})
				from.number++
				lost := from.number - 1
				more := func() { from.show([]byte("more")) }
				from.isAsked("NACK", func(p rtcp.Packet) bool {
					n, ok := p.(*rtcp.TransportLayerNack)
					return ok && n.MediaSSRC == ssrc && slices.Contains(n.Nacks[0].PacketList(), lost)
				}, more)
				from.isAsked("TWCC", func(p rtcp.Packet) bool { _, ok := p.(*rtcp.TransportLayerCC); return ok }, more)
				from.isAsked("report", func(p rtcp.Packet) bool {
					r, ok := p.(*rtcp.ReceiverReport)
					return ok && slices.ContainsFunc(r.Reports, func(x rtcp.ReceptionReport) bool {
						return x.SSRC == ssrc && x.LastSequenceNumber&0xffff >= uint32(lost)
					})
				}, more)
			}
			if s := a.s.Stats(); s.Video == nil || s.Video.PacketsIn < 20 || s.Video.PacketsOut < 20 || s.Video.Feedback == 0 || s.Drops["auth"] != 0 || s.Drops["malformed"] != 0 {
				t.Errorf("stats %+v, video %+v", s, s.Video)
			}
		})
	}
}

// A phone at the other end: sound alone, and the section of the camera is refused in its place.
func TestVideoAndPhone(t *testing.T) {
	e := run(t, local)
	a := film(t, e, "a", webrtc.MimeTypeVP8)
	b := call(t, e, Options{Call: t.Name(), Leg: "b"}, "PCMA", "telephone-event")
	a.offers(nil)
	offer := b.isOffered(a.s, SendRecv)
	if len(offer.Media) != 1 {
		t.Errorf("the phone is offered %v", offer.Media)
	}
	answer, err := a.s.CreateAnswer(b.s) // pion takes no refusal of a track that it has; browsers do
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(answer, "m="); len(got) != 2 || !strings.HasPrefix(got[1], "video 0 ") {
		t.Errorf("the browser is answered %v", got)
	}
	if a.s.Video() || a.s.Stats().Video != nil {
		t.Error("video with a phone")
	}
}

// Hold stops the video with the sound, and a camera that comes and goes in the call is asked of the other side.
func TestVideoIsHeld(t *testing.T) {
	e := run(t, local)
	a, b := film(t, e, "a", webrtc.MimeTypeVP8), film(t, e, "b", webrtc.MimeTypeVP8)
	meet(a, b)
	a.connected()
	b.connected()
	a.show(picture(a, 1))
	b.sees(picture(a, 1))
	directions := func(to string) {
		t.Helper()
		var body []byte
		offer := a.describe(a.pc.CreateOffer(nil))
		if to != "sendrecv" {
			offer = bytes.ReplaceAll(offer, []byte("a=sendrecv"), []byte("a="+to))
		}
		if err := a.s.SetOffer(offer); err != nil {
			t.Fatal(err)
		}
		if !a.s.VideoNews() {
			t.Error("no news of video")
		}
		body, _ = b.isOffered(a.s)
		if got := strings.Count(string(body), "a="+to+"\r\n"); got != 2 {
			t.Errorf("the other browser is offered %d sections with %s\n%s", got, to, body)
		}
		a.isAnswered(b.s)
	}
	directions("inactive")
	a.show(picture(a, 2))
	a.until("the packet", func(s Stats) bool { return s.Drops["held"] > 0 })
	directions("sendrecv")
	a.show(picture(a, 3))
	b.sees(picture(a, 3))
}

// A browser that answers without video is no reason to give the caller some.
func TestVideoIsRefused(t *testing.T) {
	e := run(t, local)
	a := film(t, e, "a", webrtc.MimeTypeVP8)
	b := browse(t, e, browserOptions{Options: Options{Call: t.Name(), Leg: "b"}})
	a.offers(nil)
	offer, err := b.s.CreateOffer(a.s)
	b.remote(webrtc.SDPTypeOffer, offer, err)
	answer := string(b.describe(b.pc.CreateAnswer(nil)))
	before, video, _ := strings.Cut(answer, "m=video 9 ")
	answer = strings.ReplaceAll(before, "BUNDLE 0 1", "BUNDLE 0") + "m=video 0 " + video
	if err := b.s.SetAnswer([]byte(answer)); err != nil {
		t.Fatal(err)
	}
	body, err := a.s.CreateAnswer(b.s)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(body, "m="); len(got) != 2 || !strings.HasPrefix(got[1], "video 0 ") {
		t.Errorf("the caller is answered %v", got)
	}
}

// What another process goes on with has no video, and its next offer says so.
func TestVideoIsNotHandedOver(t *testing.T) {
	e := run(t, local)
	a, b := film(t, e, "a", webrtc.MimeTypeVP8), film(t, e, "b", webrtc.MimeTypeVP8)
	meet(a, b)
	if st, ok := a.s.State(false); !ok || st.Agreed.Video != nil || !a.s.Video() {
		t.Errorf("state %+v", st.Agreed)
	}
	a.s.noVideo = true
	offer, err := a.s.CreateOffer(b.s)
	if got := lines(offer, "m="); err != nil || len(got) != 2 || !strings.HasPrefix(got[1], "video 0 ") {
		t.Errorf("offered %v, error %v", got, err)
	}
}
