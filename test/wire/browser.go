package wire

import (
	"encoding/binary"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Browser is the media of a page as pion/webrtc plays it: a PeerConnection with a microphone whose packets of 20 ms bear a mark and a
// count like those of Media.
type Browser struct {
	Mark string
	Sent uint32 // packets so far; where it is not 0 at first, that many were sent before, as far as their numbers tell
	PC   *webrtc.PeerConnection
	t    testing.TB
	mic  *webrtc.TrackLocalStaticRTP

	mu      sync.Mutex
	ahead   uint32 // what Sent runs to
	heard   map[string]map[uint32]int
	refused []string // why packets were refused by SRTP
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup
}

// Codecs of a page. Opus is not decoded: the marks pass as they are.
var (
	PCMU = webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}}
	Opus = webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}}
)

// NewBrowser makes a PeerConnection on this machine's loopback address that can do one codec; set may change how, nil: as it is.
func NewBrowser(t testing.TB, mark string, codec webrtc.RTPCodecParameters, set func(*webrtc.SettingEngine)) *Browser {
	t.Helper()
	b := &Browser{Mark: mark, t: t, heard: map[string]map[uint32]int{}, stop: make(chan struct{})}
	s := webrtc.SettingEngine{LoggerFactory: &logs{logging.NewDefaultLoggerFactory(), b}}
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	if set != nil {
		set(&s)
	}
	m := new(webrtc.MediaEngine)
	err := m.RegisterCodec(codec, webrtc.RTPCodecTypeAudio)
	if err != nil {
		t.Fatal(err)
	}
	if b.PC, err = webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(m)).NewPeerConnection(webrtc.Configuration{}); err != nil {
		t.Fatal(err)
	}
	b.mic, err = webrtc.NewTrackLocalStaticRTP(codec.RTPCodecCapability, "mic", "page")
	if err == nil {
		_, err = b.PC.AddTrack(b.mic)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.PC.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			b.take(p.Payload)
		}
	})
	t.Cleanup(b.Stop)
	return b
}

// Stop ends both ways.
func (b *Browser) Stop() {
	b.once.Do(func() { close(b.stop) })
	_ = b.PC.Close()
	b.running.Wait()
}

// Offer is the page's offer, with its candidates.
func (b *Browser) Offer() string {
	b.t.Helper()
	d, err := b.PC.CreateOffer(nil)
	return b.local(d, err)
}

func (b *Browser) local(d webrtc.SessionDescription, err error) string {
	b.t.Helper()
	gathered := webrtc.GatheringCompletePromise(b.PC)
	if err == nil {
		err = b.PC.SetLocalDescription(d)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	<-gathered
	return b.PC.LocalDescription().SDP
}

// Answered takes the answer to the page's offer, and speaks from then on.
func (b *Browser) Answered(sdp string) {
	b.t.Helper()
	b.remote(webrtc.SDPTypeAnswer, sdp)
	b.speakOnce()
}

// Answer answers an offer, and speaks from then on.
func (b *Browser) Answer(offer string) string {
	b.t.Helper()
	b.remote(webrtc.SDPTypeOffer, offer)
	d, err := b.PC.CreateAnswer(nil)
	answer := b.local(d, err)
	b.speakOnce()
	return answer
}

func (b *Browser) remote(kind webrtc.SDPType, sdp string) {
	b.t.Helper()
	if err := b.PC.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}); err != nil {
		b.t.Fatalf("%v\n%s", err, sdp)
	}
}

func (b *Browser) speakOnce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mic != nil {
		mic := b.mic
		b.mic = nil
		b.running.Go(func() { b.speak(mic) })
	}
}

func (b *Browser) speak(mic *webrtc.TrackLocalStaticRTP) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var p rtp.Packet
	for {
		b.mu.Lock()
		b.Sent = next(b.Sent, b.ahead)
		n := b.Sent
		b.mu.Unlock()
		if p.Unmarshal(Packet(b.Mark, 1, n)) == nil {
			_ = mic.WriteRTP(&p)
		}
		select {
		case <-b.stop:
			return
		case <-tick.C:
		}
	}
}

func (b *Browser) take(payload []byte) {
	if len(payload) < 8 {
		return
	}
	mark, n := string(payload[:4]), binary.BigEndian.Uint32(payload[4:])
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heard[mark] == nil {
		b.heard[mark] = map[uint32]int{}
	}
	b.heard[mark][n]++
}

// logs has the logs of a browser's parts. That of its SRTP says of each packet that it refuses why, and so does nothing else.
type logs struct {
	*logging.DefaultLoggerFactory
	b *Browser
}

// NewLogger is the log of one part.
func (f *logs) NewLogger(scope string) logging.LeveledLogger {
	l := f.DefaultLoggerFactory.NewLogger(scope)
	if scope == "srtp" {
		return refusals{l, f.b}
	}
	return l
}

type refusals struct {
	logging.LeveledLogger
	b *Browser
}

// Info takes why a packet was refused.
func (r refusals) Info(why string) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	r.b.refused = append(r.b.refused, "not decrypted: "+why)
}

// Marks are the speakers that were heard, and what could not be read.
func (b *Browser) Marks() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.AppendSeq(slices.Clone(b.refused), maps.Keys(b.heard))
}

// RunAhead has the count run ahead to that of a packet to come, with no time lost.
func (b *Browser) RunAhead(to uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead = to
}

// Heard is how many packets of a speaker arrived.
func (b *Browser) Heard(mark string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.heard[mark])
}

// Count is how many packets have been sent.
func (b *Browser) Count() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Sent
}
