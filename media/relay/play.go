package relay

import (
	"errors"
	"strings"
	"time"

	"tandem/media/codec"
	"tandem/media/rtp"
)

var (
	// ErrNoCodec says that the leg agreed on no codec that the clip exists in.
	ErrNoCodec = errors.New("relay: clip has no form that the leg can hear")
	// ErrNoKeys says that the leg did not agree on telephone-events.
	ErrNoKeys = errors.New("relay: leg takes no telephone-events")
	// ErrNoKey says that something is not a key of a telephone.
	ErrNoKey = errors.New("relay: not a key")
)

// frameSize is the bytes of one frame of G.711, and of G.722 at 64 kbit/s too.
const frameSize = codec.SampleRate * int(frame/time.Millisecond) / 1000

// A Sound is ready to be sent: whole frames of 20 ms in each codec that we can make. It is shared and never changed.
type Sound struct {
	ALaw, MuLaw, G722 []byte
}

// NewSound encodes samples at 8 kHz; the last frame is filled up with silence.
func NewSound(samples []int16) Sound {
	whole := (len(samples) + frameSize - 1) / frameSize * frameSize
	filled := make([]int16, whole)
	copy(filled, samples)
	var wide codec.G722Encoder
	return Sound{ALaw: codec.ALaw.Encode(nil, filled), MuLaw: codec.MuLaw.Encode(nil, filled), G722: wide.EncodeNarrow(nil, filled)}
}

// Frames is the length in frames of 20 ms.
func (s Sound) Frames() int { return len(s.ALaw) / frameSize }

// in gives the bytes for a format, nil if there are none.
func (s Sound) in(f Format) []byte {
	if f.Rate != codec.SampleRate || f.Channels > 1 {
		return nil
	}
	switch strings.ToUpper(f.Name) {
	case "PCMA":
		return s.ALaw
	case "PCMU":
		return s.MuLaw
	case "G722":
		return s.G722
	}
	return nil
}

// A playback is where a port is in a sound.
type playback struct {
	bytes []byte
	pt    uint8
	at    int
	loop  bool
	mark  any
}

// Play has the peer hear s from the next beat of the clock, again and again with loop, instead of the other leg. The event PlayDone with
// mark comes when s was sent whole; not after StopPlay, nor when another Play took its place.
func (p *Port) Play(s Sound, loop bool, mark any) (err error) {
	if done := p.do(func() { err = p.start(s, loop, mark) }); done != nil {
		return done
	}
	return err
}

func (p *Port) start(s Sound, loop bool, mark any) error {
	f, ok := find(p.set.Send, Format.Audio)
	bytes := s.in(f)
	if !ok || len(bytes) == 0 {
		return ErrNoCodec
	}
	p.play = &playback{bytes: bytes, pt: f.PayloadType, loop: loop, mark: mark}
	p.loop.clock.beat(p, p.loop.now)
	return nil
}

// StopPlay gives the floor back to the other leg.
func (p *Port) StopPlay() error { return p.do(func() { p.play = nil }) }

// Press sends keys as telephone-events, each for duration (0: 100 ms), one after the other. Audio is held back meanwhile.
func (p *Port) Press(keys string, duration time.Duration) (err error) {
	if done := p.do(func() { err = p.press(keys, duration) }); done != nil {
		return done
	}
	return err
}

func (p *Port) press(keys string, duration time.Duration) error {
	f, ok := p.keyFormat()
	if !ok {
		return ErrNoKeys
	}
	codes := make([]uint8, 0, len(keys))
	for i := range len(keys) {
		code, ok := codec.EventOf(keys[i])
		if !ok {
			return ErrNoKey
		}
		codes = append(codes, code)
	}
	if p.keys == nil {
		p.keys = &codec.EventSender{Rate: f.Rate}
	}
	for _, code := range codes {
		if err := p.keys.Press(code, duration); err != nil {
			return err
		}
	}
	p.loop.clock.beat(p, p.loop.now)
	return nil
}

// keyFormat is the telephone-event with the clock of the audio, for they share timestamps (RFC 4733 §2.1).
func (p *Port) keyFormat() (Format, bool) {
	return find(p.set.Send, func(f Format) bool { return f.Event() && f.Rate == p.out.Rate })
}

// beat is called every 20 ms while a sound or keys are to be sent. Their timestamps advance with the clock, sent or not.
func (p *Port) beat() {
	o, now := &p.out, p.loop.now
	ts := o.reached(now)
	if o.own {
		ts = o.ts + o.Rate/uint32(time.Second/frame)
	}
	switch {
	case p.keys != nil && p.pressNow(ts):
	case p.play != nil:
		p.playNow(ts)
	case p.keys == nil:
		p.loop.clock.rest(p)
	}
	if o.own {
		o.ts, o.at = ts, now
	}
}

// pressNow sends the packet of a key press that is due; true if audio must wait.
func (p *Port) pressNow(ts uint32) bool {
	k := p.keys
	if k.Idle() {
		p.keys = nil
		return false
	}
	held := k.Active()
	e, due := k.Tick(ts)
	if !due {
		return k.Active()
	}
	f, ok := p.keyFormat()
	if !ok || !p.reachable() { // a re-INVITE took it away
		p.keys = nil
		return false
	}
	p.send(f.PayloadType, e.Marker, e.Timestamp, ts, e.Payload[:], true)
	return held || k.Active()
}

// playNow sends the frame that is due. A held leg misses it, as a radio does.
func (p *Port) playNow(ts uint32) {
	if p.web != nil && p.web.connecting(p.loop.now) {
		return // its beginning would be lost
	}
	pb := p.play
	f := pb.bytes[pb.at : pb.at+frameSize]
	if p.reachable() {
		p.send(pb.pt, !p.out.own, ts, ts, f, false)
	}
	if pb.at += frameSize; pb.at < len(pb.bytes) {
		return
	}
	pb.at = 0
	if !pb.loop {
		p.play = nil
		p.emit(Event{Kind: PlayDone, Play: pb.mark})
	}
}

// send puts a packet of our own into the leg's stream. reached is the media time that it brings the stream to.
func (p *Port) send(pt uint8, marker bool, ts, reached uint32, payload []byte, event bool) {
	o := &p.out
	if !o.own {
		p.soon()
		o.leapNow()
	}
	seq := o.seq + 1
	b := rtp.AppendHeader(p.loop.scratch[:0], rtp.Header{PayloadType: pt, Marker: marker, Seq: seq, Timestamp: ts, SSRC: o.SSRC})
	b = append(b, payload...)
	o.own, o.feeder = true, nil
	o.mark(seq, reached, p.loop.now)
	p.transmit(rtp.Packet(b), event)
}
