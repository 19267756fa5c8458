package phone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// A hearing is what one stream has received so far. It is guarded by its stream's lock.
type hearing struct {
	reception
	pcm      []int16 // the last heardSamples or so
	total    uint64  // samples since the call began
	frames   int
	pulse    chan struct{} // closed and replaced each pulseFrames packets
	digits   digitReader
	sources  []netip.AddrPort
	payload  uint8
	loudAt   time.Time // when something above silentDBm0 was last heard
	rejected int       // packets that were no RTP of ours, or did not authenticate
	control  int       // the same of RTCP: baresip opens SRTP calls with a plain one
	held     int       // packets that came although the other side had agreed not to send
	firstAt  time.Time
	remoteRR rtcp.ReceptionReport // what the other side last said of our packets
	rtt      time.Duration
	goodbye  bool
}

func (h *hearing) wake() {
	close(h.pulse)
	h.pulse = make(chan struct{})
}

func (s *stream) receive() {
	buf := make([]byte, 2048)
	for {
		n, from, err := s.rtp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // anything else is an ICMP answer to what we sent
			s.packet(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), time.Now())
		}
	}
}

// packet takes one datagram from the media port.
func (s *stream) packet(data []byte, from netip.AddrPort, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.hearing
	plain, err := data, error(nil)
	if s.seal.inRTP != nil {
		plain, err = s.seal.inRTP.DecryptRTP(nil, data, nil)
	}
	var p rtp.Packet
	if err == nil {
		err = p.Unmarshal(plain)
	}
	codec, audio := s.agreed.codec[p.PayloadType]
	event := slices.Contains(s.agreed.events, p.PayloadType)
	if err != nil || p.Version != 2 || !audio && !event {
		h.rejected++
		s.log.Debug("packet rejected", "from", from, "payload", p.PayloadType, "bytes", len(data), "error", err)
		return
	}
	if from.IsValid() && !slices.Contains(h.sources, from) && len(h.sources) < maxSources {
		h.sources = append(h.sources, from)
	}
	if h.firstAt.IsZero() {
		h.firstAt = now
	}
	if s.ready && !s.agreed.receive {
		h.held++
	}
	clock := codecClock(codec)
	if event {
		clock = codecClock(s.agreed.codec[s.agreed.payload])
	}
	h.add(p.SSRC, p.SequenceNumber, p.Timestamp, clock, now)
	if event {
		if h.digits.packet(p.Timestamp, p.Payload) {
			h.wake()
		}
		return
	}
	h.payload = codec
	if codec == payloadOpus {
		s.hearOpus(&p, now)
		return
	}
	s.hear(decodeG711(codec, p.Payload, nil), p.SSRC, p.Timestamp, now)
}

func (s *stream) hearOpus(p *rtp.Packet, now time.Time) {
	if s.opus == nil {
		var err error
		if s.opus, err = newOpusDecoder(); err != nil {
			s.log.Warn("Opus not decoded", "error", err)
			return
		}
	}
	s.hear(s.opus.decode(p.Payload), p.SSRC, p.Timestamp/(clockOpus/sampleRate), now)
}

func (s *stream) hear(pcm []int16, ssrc, timestamp uint32, now time.Time) {
	h := &s.hearing
	var power float64
	for _, v := range pcm {
		power += float64(v) * float64(v)
	}
	if len(pcm) > 0 && levelDBm0(power/float64(len(pcm))) > silentDBm0 {
		h.loudAt = now
	}
	h.total += uint64(len(pcm))
	h.pcm = append(h.pcm, pcm...)
	if len(h.pcm) > 2*heardSamples {
		h.pcm = append(h.pcm[:0], h.pcm[len(h.pcm)-heardSamples:]...)
	}
	if s.taping != nil {
		if err := s.taping.write(ssrc, timestamp, pcm); err != nil {
			s.log.Warn("recording stopped", "error", err)
			s.taping = nil
		}
	}
	if h.frames++; h.frames%pulseFrames == 0 {
		h.wake()
	}
}

// fresh returns at most the last second of what was heard after the mark, and a channel that closes when there is more.
func (s *stream) fresh(mark uint64) ([]int16, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.hearing
	n := min(h.total-mark, sampleRate, uint64(len(h.pcm)))
	return slices.Clone(h.pcm[uint64(len(h.pcm))-n:]), h.pulse, s.closed
}

func (s *stream) mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hearing.total
}

// waitTone returns when a tone of hz fills what arrived since the call of it, at least 0.4 s of audio.
func (s *stream) waitTone(ctx context.Context, hz float64) (Sound, error) {
	const enough = 3200
	mark := s.mark()
	var last Sound
	for {
		pcm, more, closed := s.fresh(mark)
		if len(pcm) >= enough {
			if last = analyse(pcm); last.IsTone(hz) {
				return last, nil
			}
		}
		if closed {
			return last, errEnded
		}
		select {
		case <-more:
		case <-ctx.Done():
			if len(pcm) == 0 {
				return last, fmt.Errorf("no %g Hz tone: no audio arrived: %w", hz, ctx.Err())
			}
			return last, fmt.Errorf("no %g Hz tone: heard %.1f Hz at %.1f dBm0, purity %.2f: %w", hz, last.Hz, last.Level, last.Purity, ctx.Err())
		}
	}
}

// waitQuiet returns when nothing above silentDBm0 was heard for the time given, counted from the call of it.
func (s *stream) waitQuiet(ctx context.Context, quiet time.Duration) error {
	began := time.Now()
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not quiet for %v: %w", quiet, ctx.Err())
		case <-s.stop:
			return errEnded
		case <-timer.C:
		}
		s.mu.Lock()
		since := s.hearing.loudAt
		s.mu.Unlock()
		if since.Before(began) {
			since = began
		}
		if left := quiet - time.Since(since); left > 0 {
			timer.Reset(left)
		} else {
			return nil
		}
	}
}

// waitDigits returns when the keys heard so far end with want.
func (s *stream) waitDigits(ctx context.Context, want string) error {
	for {
		s.mu.Lock()
		got, more, closed := string(s.hearing.digits.heard), s.hearing.pulse, s.closed
		s.mu.Unlock()
		if len(got) >= len(want) && got[len(got)-len(want):] == want {
			return nil
		}
		if closed {
			return fmt.Errorf("heard the digits %q, not %q: %w", got, want, errEnded)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("heard the digits %q, not %q: %w", got, want, ctx.Err())
		}
	}
}

// heardDigit notes a key that came by INFO.
func (s *stream) heardDigit(key byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hearing.digits.heard = append(s.hearing.digits.heard, key)
	s.hearing.wake()
}
