package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	frameTime = 20 * time.Millisecond

	// heardSamples is how much of the past a stream can analyse: two seconds.
	heardSamples = 2 * sampleRate
	// pulseFrames is how many packets pass between two wake-ups of those who wait for a sound.
	pulseFrames = 10
	// maxSources bounds the list of addresses that media came from; a stranger may forge many.
	maxSources = 8
)

// A stream is the media of one call: a pair of sockets, a sender on a 20 ms clock, and a reader for each socket.
// It sends from the port it receives on. Fields below mu belong to whoever holds it; nothing is awaited under it.
type stream struct {
	log       *slog.Logger
	rtp, rtcp *net.UDPConn // nil in a browser
	peer      *peer        // what a browser has instead
	stop      chan struct{}
	running   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	agreed  agreement
	ready   bool // agreed is set, the sender may send
	mute    bool // this side holds: send nothing but silence
	seal    seals
	sending struct {
		ssrc, timestamp uint32
		sequence        uint16
		gap             bool // the last frame was not sent: the next one carries the marker
		packets, octets uint32
		audio           source
		audioEnd        chan struct{}
		digits          digitSender
		digitsEnd       chan struct{}
	}
	hearing hearing
	opus    *opusDecoder // made with the first packet of Opus
	taping  *recorder
}

// seals are the SRTP contexts; those for RTP and RTCP are apart, because two goroutines use them.
type seals struct {
	localKey, remoteKey cryptoLine
	outRTP, outRTCP     *srtp.Context
	inRTP, inRTCP       *srtp.Context
}

// newStream binds an even port and the odd one after it on ip, both chosen by the system.
func newStream(ip netip.Addr, log *slog.Logger) (*stream, error) {
	const attempts = 200
	for range attempts {
		first, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		if err != nil {
			return nil, fmt.Errorf("media port on %s: %w", ip, err)
		}
		port := first.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		if port%2 == 0 {
			if second, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port+1))); err == nil {
				return startStream(first, second, log), nil
			}
		}
		first.Close()
	}
	return nil, fmt.Errorf("media port on %s: no even port with a free neighbour in %d attempts", ip, attempts)
}

// newPeerStream is the media of a browser: the sockets are the PeerConnection's, and so are the readers.
func newPeerStream(p *peer, log *slog.Logger) *stream {
	s := &stream{log: log, peer: p, stop: make(chan struct{})}
	s.begin()
	s.sending.ssrc = p.ssrc()
	p.audio = func(packet []byte) { s.packet(packet, netip.AddrPort{}, time.Now()) }
	p.control = func(packet []byte) { s.controlPacket(packet, time.Now()) }
	s.running.Go(s.send)
	return s
}

func startStream(rtpConn, rtcpConn *net.UDPConn, log *slog.Logger) *stream {
	s := &stream{log: log, rtp: rtpConn, rtcp: rtcpConn, stop: make(chan struct{})}
	s.begin()
	s.running.Go(s.send)
	s.running.Go(s.receive)
	s.running.Go(s.receiveControl)
	return s
}

func (s *stream) begin() {
	s.agreed = agreement{codec: map[uint8]uint8{payloadPCMU: payloadPCMU, payloadPCMA: payloadPCMA}, event: payloadEvent,
		events: []uint8{payloadEvent}, receive: true}
	s.sending.ssrc, s.sending.timestamp, s.sending.sequence = rand.Uint32(), rand.Uint32(), uint16(rand.Uint32())
	s.sending.gap = true
	s.hearing.pulse = make(chan struct{})
}

func (s *stream) port() uint16 { return s.rtp.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// close says goodbye by RTCP, frees the ports and waits for the three goroutines. It may be called more than once.
func (s *stream) close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.running.Wait()
		return
	}
	s.closed = true
	goodbye := s.control(true)
	s.finishAudio()
	if s.sending.digitsEnd != nil {
		close(s.sending.digitsEnd)
		s.sending.digitsEnd = nil
	}
	s.hearing.wake()
	s.mu.Unlock()
	s.writeControl(goodbye)
	close(s.stop)
	if s.peer != nil {
		s.peer.close()
	} else {
		s.rtp.Close()
		s.rtcp.Close()
	}
	s.running.Wait()
	if err := s.stopTaping(); err != nil {
		s.log.Warn("recording not finished", "error", err)
	}
}

// apply takes what offer and answer agreed on. Keys that did not change keep their contexts, and with them the
// rollover counter and the replay window.
func (s *stream) apply(a agreement, mute bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.secure {
		s.seal = seals{}
	} else if s.seal.outRTP == nil || !s.seal.localKey.same(a.localKey) || !s.seal.remoteKey.same(a.remoteKey) {
		made := seals{localKey: a.localKey, remoteKey: a.remoteKey}
		for _, one := range []struct {
			key cryptoLine
			to  **srtp.Context
		}{{a.localKey, &made.outRTP}, {a.localKey, &made.outRTCP}, {a.remoteKey, &made.inRTP}, {a.remoteKey, &made.inRTCP}} {
			context, err := one.key.context()
			if err != nil {
				return fmt.Errorf("SRTP: %w", err)
			}
			*one.to = context
		}
		s.seal = made
	}
	s.agreed, s.ready, s.mute = a, true, mute
	return nil
}

// A pacer gives each frame an absolute deadline, start + n·20 ms, so that lateness does not add up.
type pacer struct {
	start time.Time
	n     int64
}

// next returns when the next frame is due, and how many frames were passed over because the sender was more than
// five frames late: it must not catch up with a burst.
func (p *pacer) next(now time.Time) (due time.Time, skipped int64) {
	p.n++
	due = p.start.Add(time.Duration(p.n) * frameTime)
	if late := now.Sub(due) / frameTime; late > 5 {
		skipped = int64(late)
		p.n += skipped
		due = due.Add(time.Duration(skipped) * frameTime)
	}
	return due, skipped
}

func (s *stream) send() {
	const controlFrames = 250 // an RTCP report each 5 s (RFC 3550 §6.2), the first after 1 s
	p := pacer{start: time.Now()}
	timer := time.NewTimer(0)
	defer timer.Stop()
	pcm := make([]int16, frameSamples)
	buf := make([]byte, 0, 512)
	for frame := 0; ; frame++ {
		due, skipped := p.next(time.Now())
		timer.Reset(time.Until(due))
		select {
		case <-s.stop:
			return
		case <-timer.C:
		}
		s.mu.Lock()
		s.sending.timestamp += uint32(1+skipped) * s.frameTicks()
		packet := s.frame(pcm, buf[:0])
		to := s.agreed.rtp
		var control []rtcp.Packet
		if frame%controlFrames == controlFrames/5 {
			control = s.control(false)
		}
		s.mu.Unlock()
		s.writeControl(control)
		if len(packet) > 0 && s.peer != nil {
			s.peer.write(packet)
		} else if len(packet) > 0 {
			// A refused port shows as an error on the next write; the far side may simply not listen yet.
			_, _ = s.rtp.WriteToUDPAddrPort(packet, to)
		}
	}
}

// frame builds this tick's packet, or none. The caller holds mu.
func (s *stream) frame(pcm []int16, out []byte) []byte {
	out2 := &s.sending
	if !s.ready || !s.agreed.send || s.closed || s.peer != nil && !s.peer.connected.Load() {
		out2.gap = true
		return nil
	}
	header := rtp.Header{Version: 2, SSRC: out2.ssrc, Timestamp: out2.timestamp, PayloadType: s.agreed.payload, Marker: out2.gap}
	var payload []byte
	if out2.digits.busy() && s.agreed.event >= 0 {
		var first bool
		payload, header.Timestamp, first = out2.digits.step(out2.timestamp, s.frameTicks())
		if !out2.digits.busy() && out2.digitsEnd != nil {
			close(out2.digitsEnd)
			out2.digitsEnd = nil
		}
		if payload != nil {
			header.PayloadType, header.Marker = uint8(s.agreed.event), first
		}
	}
	if payload == nil {
		header.Timestamp = out2.timestamp
		payload = s.nextAudio(pcm)
		out2.gap = false
	}
	header.SequenceNumber = out2.sequence
	out2.sequence++
	out2.packets++
	out2.octets += uint32(len(payload))
	packet := rtp.Packet{Header: header, Payload: payload}
	plain, err := packet.Marshal()
	if err == nil && s.seal.outRTP != nil {
		plain, err = s.seal.outRTP.EncryptRTP(nil, plain, nil)
	}
	if err != nil {
		s.log.Warn("packet not built", "error", err)
		return nil
	}
	return append(out, plain...)
}

// nextAudio is the payload of this frame. pcm is room for one.
func (s *stream) nextAudio(pcm []int16) []byte {
	codec := s.agreed.codec[s.agreed.payload]
	silent := s.sending.audio == nil || s.mute
	more, payload := true, opusSilence
	if ready, ok := s.sending.audio.(*opusSource); ok && codec == payloadOpus && !silent {
		payload, more = ready.packet()
	} else if silent {
		clear(pcm)
	} else {
		more = s.sending.audio.next(pcm)
	}
	if !more {
		s.finishAudio()
	}
	if codec == payloadOpus {
		return payload
	}
	return encodeG711(codec, pcm, make([]byte, 0, frameSamples))
}

// frameTicks is what the RTP clock advances by in one frame.
func (s *stream) frameTicks() uint32 {
	return codecClock(s.agreed.codec[s.agreed.payload]) / sampleRate * frameSamples
}

func (s *stream) finishAudio() {
	s.sending.audio = nil
	if s.sending.audioEnd != nil {
		close(s.sending.audioEnd)
		s.sending.audioEnd = nil
	}
}

// play replaces what is being sent; nil is silence. The channel closes when it ended or was replaced.
func (s *stream) play(audio source) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishAudio()
	end := make(chan struct{})
	if audio == nil || s.closed {
		close(end)
		return end
	}
	s.sending.audio, s.sending.audioEnd = audio, end
	return end
}

var (
	errNoEvents   = errors.New("the other side takes no telephone-events; send the digits by INFO")
	errDigitsBusy = errors.New("digits are still being sent")
	errEnded      = errors.New("the call has ended")
)

// sendDigits sends keys as telephone-events and waits until the last one is out.
func (s *stream) sendDigits(ctx context.Context, keys string) error {
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return errEnded
	case s.agreed.event < 0 || !s.ready:
		s.mu.Unlock()
		return errNoEvents
	case s.sending.digits.busy():
		s.mu.Unlock()
		return errDigitsBusy
	}
	for _, key := range keys {
		event, _ := digitEvent(key)
		s.sending.digits.queue = append(s.sending.digits.queue, event)
	}
	end := make(chan struct{})
	s.sending.digitsEnd = end
	s.mu.Unlock()
	select {
	case <-end:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending.digits.busy() {
		return errEnded
	}
	return nil
}

// tape starts writing what is heard to a WAV file, in place of an earlier one.
func (s *stream) tape(path string) error {
	rec, err := newRecorder(path)
	if err != nil {
		return err
	}
	err = s.stopTaping()
	s.mu.Lock()
	s.taping = rec
	s.mu.Unlock()
	return err
}

func (s *stream) stopTaping() error {
	s.mu.Lock()
	rec := s.taping
	s.taping = nil
	s.mu.Unlock()
	if rec == nil {
		return nil
	}
	return rec.close()
}
