package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// A peer is the browser's part of one call: a PeerConnection of pion's, which writes and judges the descriptions as
// JSEP wants them (RFC 8829), does ICE and DTLS-SRTP, and hands up what it decrypted.
//
// PeerConnection always believes in sendrecv, and holds are written into the text afterwards, the way JsSIP does it:
// it stops and makes receivers as directions change, and a switch that plays music on hold has more streams than it
// declared. For the same reason packets are taken where SRTP lets go of them, whatever their SSRC.
type peer struct {
	pc     *webrtc.PeerConnection
	track  *peerTrack
	sender *webrtc.RTPSender
	tcp    bool // no UDP: the candidates, active all of them, are made when the other side's are known, and no description names them
	log    *slog.Logger

	gathered  chan struct{} // one token for each time candidates are complete
	connected atomic.Bool
	chosen    atomic.Pointer[[2]string] // the pair of addresses, for when the connection is closed
	audio     func(packet []byte)
	control   func(packet []byte)
}

// payloads of what a browser offers, with the numbers Chromium gives them.
const (
	payloadOpus    = 111
	payloadEvent8  = 126
	payloadEvent48 = 110
	clockOpus      = 48000
)

// newPeer makes a PeerConnection that gathers candidates on ip only; tcp leaves UDP out (RFC 6544, active).
func newPeer(codecs []uint8, ip netip.Addr, tcp bool, log *slog.Logger) (*peer, error) {
	p := &peer{log: log, tcp: tcp, gathered: make(chan struct{}, 4)}
	media := &webrtc.MediaEngine{}
	if err := registerCodecs(media, codecs); err != nil {
		return nil, err
	}
	engine := webrtc.SettingEngine{BufferFactory: p.buffer, LoggerFactory: pionLog{log}}
	engine.SetIncludeLoopbackCandidate(ip.IsLoopback())
	engine.SetIPFilter(func(one net.IP) bool { a, _ := netip.AddrFromSlice(one); return a.Unmap() == ip })
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if tcp {
		networks = []webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6}
	}
	engine.SetNetworkTypes(networks)
	var err error
	p.pc, err = webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("PeerConnection: %w", err)
	}
	p.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			select {
			case p.gathered <- struct{}{}:
			default:
			}
		}
	})
	p.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		p.log.Debug("peer connection", "state", state.String())
		p.connected.Store(state == webrtc.PeerConnectionStateConnected)
		_, _ = p.pair()
	})
	p.track = &peerTrack{}
	transceiver, err := p.pc.AddTransceiverFromTrack(p.track)
	if err != nil {
		_ = p.pc.Close()
		return nil, fmt.Errorf("PeerConnection: %w", err)
	}
	p.sender = transceiver.Sender()
	return p, nil
}

func registerCodecs(media *webrtc.MediaEngine, codecs []uint8) error {
	register := func(name string, rate uint32, channels uint16, fmtp string, payload uint8) error {
		return media.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(payload), RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: "audio/" + name, ClockRate: rate, Channels: channels, SDPFmtpLine: fmtp}}, webrtc.RTPCodecTypeAudio)
	}
	var err error
	wide := false
	for _, c := range codecs {
		if c == payloadOpus {
			wide = true
			err = errors.Join(err, register("opus", clockOpus, 2, "minptime=10;useinbandfec=1", c))
			continue
		}
		err = errors.Join(err, register(codecNames[c], sampleRate, 0, "", c))
	}
	if wide {
		err = errors.Join(err, register("telephone-event", clockOpus, 0, "0-15", payloadEvent48))
	}
	err = errors.Join(err, register("telephone-event", sampleRate, 0, "0-15", payloadEvent8))
	for _, uri := range []string{"urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:ssrc-audio-level"} { // as browsers do
		err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeAudio))
	}
	return err
}

// ssrc is the one that PeerConnection declares for what this phone sends.
func (p *peer) ssrc() uint32 { return uint32(p.sender.GetParameters().Encodings[0].SSRC) }

// offer writes an offer with all candidates in it; restart asks for an ICE restart (RFC 8839 §4.4.1.1.1). An offer of
// ours that nobody answered is taken back first.
func (p *peer) offer(d Direction, restart bool) ([]byte, error) {
	p.rollback()
	p.forgetGathered()
	first := p.pc.LocalDescription() == nil
	offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: restart && !first})
	if err == nil {
		err = p.pc.SetLocalDescription(offer)
	}
	if err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	return p.local(d, first || restart)
}

// answer takes an offer and writes the answer to it.
func (p *peer) answer(body []byte, d Direction) ([]byte, error) {
	p.rollback()
	p.forgetGathered()
	before := fragment(p.pc.LocalDescription())
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: plainly(body)}); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err == nil {
		err = p.pc.SetLocalDescription(answer)
	}
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return p.local(d, fragment(&answer) != before) // a restart by the other side gathers here too
}

// fragment is the ICE user fragment of a description; empty: there is none yet.
func fragment(d *webrtc.SessionDescription) string {
	if d == nil {
		return ""
	}
	_, after, _ := strings.Cut(d.SDP, "a=ice-ufrag:")
	f, _, _ := strings.Cut(after, "\r\n")
	return f
}

// accept takes the answer to the last offer. A second answer, in the 200 after a 183, is applied to a new offer that
// nobody sees: so JsSIP does, and only one stable answer survives it.
func (p *peer) accept(body []byte) error {
	if p.pc.SignalingState() == webrtc.SignalingStateStable {
		offer, err := p.pc.CreateOffer(nil)
		if err == nil {
			err = p.pc.SetLocalDescription(offer)
		}
		if err != nil {
			return fmt.Errorf("offer again: %w", err)
		}
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: plainly(body)}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// rollback takes an unanswered offer of ours back.
func (p *peer) rollback() {
	if p.pc.SignalingState() == webrtc.SignalingStateHaveLocalOffer {
		if err := p.pc.SetLocalDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeRollback}); err != nil {
			p.log.Warn("offer not taken back", "error", err)
		}
	}
}

func (p *peer) forgetGathered() {
	for len(p.gathered) > 0 {
		<-p.gathered
	}
}

// gatherTime is far above what host candidates take.
const gatherTime = 3 * time.Second

// local is the local description with its candidates and the direction d.
func (p *peer) local(d Direction, gathers bool) ([]byte, error) {
	if gathers {
		timer := time.NewTimer(gatherTime)
		defer timer.Stop()
		select {
		case <-p.gathered:
		case <-timer.C:
			return nil, errors.New("candidates were not gathered in time")
		}
	}
	text := p.pc.LocalDescription().SDP
	if !p.tcp && !strings.Contains(text, "a=candidate:") {
		return nil, errors.New("no ICE candidate: the local address is none of an interface")
	}
	return []byte(withDirection(text, d)), nil
}

func withDirection(text string, d Direction) string {
	for _, one := range []Direction{SendRecv, SendOnly, RecvOnly, Inactive} {
		text = strings.Replace(text, "a="+string(one)+"\r\n", "a=\x00\r\n", 1)
	}
	return strings.ReplaceAll(text, "a=\x00\r\n", "a="+string(d)+"\r\n")
}

// plainly is what PeerConnection is told of the other side's description: sendrecv, and an SSRC where none is
// declared, since it would make a transceiver, and with it another section, for each stream it was not told of.
func plainly(body []byte) string {
	text := withDirection(string(body), SendRecv)
	if !strings.Contains(text, "\na=ssrc:") {
		text = strings.TrimRight(text, "\r\n") + "\r\na=ssrc:1 cname:undeclared\r\n"
	}
	return text
}

// write sends one RTP packet, or drops it while there is no connection.
func (p *peer) write(packet []byte) { p.track.write(packet) }

func (p *peer) writeControl(packets []rtcp.Packet) {
	if p.connected.Load() {
		_ = p.pc.WriteRTCP(packets)
	}
}

// pair is the selected pair of addresses, or the last one, local first; both are empty before there is one.
func (p *peer) pair() (local, remote string) {
	text := func(c *webrtc.ICECandidate) string {
		return hostPort(c.Address, int(c.Port)) + "/" + c.Protocol.String()
	}
	if transport := p.sender.Transport(); transport != nil && transport.ICETransport() != nil {
		if pair, err := transport.ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil {
			p.chosen.Store(&[2]string{text(pair.Local), text(pair.Remote)})
		}
	}
	if last := p.chosen.Load(); last != nil {
		return last[0], last[1]
	}
	return "", ""
}

func (p *peer) close() { _ = p.pc.GracefulClose() }

// waitConnected returns when ICE and DTLS are done.
func (p *peer) waitConnected(ctx context.Context) error {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for !p.connected.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("media not connected, state %s: %w", p.pc.ConnectionState(), ctx.Err())
		}
	}
	return nil
}
