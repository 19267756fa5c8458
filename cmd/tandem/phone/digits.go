package phone

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Digits as telephone-events (RFC 4733 §2.3) and as INFO bodies.

const digitKeys = "0123456789*#ABCD"

const (
	digitFrames    = 8 // 160 ms of tone
	digitGapFrames = 4 // 80 ms between two
	digitVolume    = 10
)

func digitEvent(key rune) (uint8, bool) {
	i := strings.IndexRune(digitKeys, key)
	return uint8(i), i >= 0
}

// cleanDigits checks and upper-cases a string of keys.
func cleanDigits(keys string) (string, error) {
	keys = strings.ToUpper(strings.TrimSpace(keys))
	if keys == "" {
		return "", fmt.Errorf("no digits given")
	}
	for _, key := range keys {
		if _, ok := digitEvent(key); !ok {
			return "", fmt.Errorf("%q is not a DTMF key (0-9, *, #, A-D)", key)
		}
	}
	return keys, nil
}

// A digitSender turns queued keys into event packets, one step each 20 ms.
type digitSender struct {
	queue     []uint8
	frame     int // of the current key, counting its gap
	timestamp uint32
	sent      []byte
}

func (d *digitSender) busy() bool { return len(d.queue) > 0 }

// step, given the time and the length of a frame on the RTP clock, returns the payload of this frame's event packet, the timestamp of its event and whether it is the first one.
// A nil payload is a gap frame; speech stays away during the tone, as RFC 4733 §2.5.1.2 advises.
func (d *digitSender) step(now, ticks uint32) (payload []byte, timestamp uint32, first bool) {
	const ends = 3 // the end of an event is sent three times
	if d.frame == 0 {
		d.timestamp = now
	}
	d.frame++
	frame := d.frame
	if frame == digitFrames+ends-1+digitGapFrames {
		d.sent = append(d.sent, digitKeys[d.queue[0]])
		d.queue, d.frame = d.queue[1:], 0
	} else if frame < digitFrames+ends {
		payload = make([]byte, 4)
		payload[0], payload[1] = d.queue[0], digitVolume
		if frame >= digitFrames {
			payload[1] |= 0x80
		}
		binary.BigEndian.PutUint16(payload[2:], uint16(uint32(min(frame, digitFrames))*ticks))
	}
	return payload, d.timestamp, frame == 1
}

// A digitReader tells events apart by their timestamp, so that a key counts once however many of its packets arrive,
// and even when only one does.
type digitReader struct {
	seen      bool
	timestamp uint32
	heard     []byte
}

func (d *digitReader) packet(timestamp uint32, payload []byte) bool {
	if len(payload) < 4 || int(payload[0]) >= len(digitKeys) || d.seen && timestamp == d.timestamp {
		return false
	}
	d.seen, d.timestamp = true, timestamp
	d.heard = append(d.heard, digitKeys[payload[0]])
	return true
}

const (
	infoRelay = "application/dtmf-relay"
	infoPlain = "application/dtmf"
)

func infoBody(key byte, length time.Duration) []byte {
	return fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", key, length.Milliseconds())
}

// infoDigit reads the key out of an INFO body of either kind.
func infoDigit(contentType string, body []byte) (byte, bool) {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	text := strings.TrimSpace(string(body))
	switch strings.TrimSpace(kind) {
	case infoPlain:
	case infoRelay:
		value := ""
		for line := range strings.Lines(text) {
			if name, v, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(name), "Signal") {
				value = strings.TrimSpace(v)
			}
		}
		text = value
	default:
		return 0, false
	}
	if key, err := cleanDigits(text); err == nil && len(key) == 1 {
		return key[0], true
	}
	return 0, false
}
