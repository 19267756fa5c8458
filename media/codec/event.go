package codec

import (
	"encoding/binary"
	"errors"
	"time"
)

// EventFlash is the hook flash among the events of RFC 4733 §3.2; 0 to 15 are the DTMF digits.
const EventFlash = 16

const digits = "0123456789*#ABCD"

// An Event is the payload of a telephone-event packet (RFC 4733 §2.3).
type Event struct {
	Code     uint8 // 0-15 are the digits 0-9 * # A-D
	End      bool
	Volume   uint8  // power below 0 dBm0, 0 to 63 dB
	Duration uint16 // so far, in RTP timestamp units
}

// ErrEvent says that a payload is no telephone-event.
var ErrEvent = errors.New("codec: telephone-event payload shorter than 4 bytes")

// ParseEvent reads the first event of a payload. Some phones pack a second one behind it, which RFC 4733 §2.5.1.5 lets a receiver ignore.
func ParseEvent(payload []byte) (Event, error) {
	if len(payload) < 4 {
		return Event{}, ErrEvent
	}
	return Event{
		Code:     payload[0],
		End:      payload[1]&0x80 != 0,
		Volume:   payload[1] & 0x3f,
		Duration: binary.BigEndian.Uint16(payload[2:]),
	}, nil
}

// Payload is the event's four bytes.
func (e Event) Payload() [4]byte {
	second := e.Volume & 0x3f
	if e.End {
		second |= 0x80
	}
	return [4]byte{e.Code, second, byte(e.Duration >> 8), byte(e.Duration)}
}

// DigitOf names an event 0-15 by its key; false for other events.
func DigitOf(code uint8) (byte, bool) {
	if int(code) >= len(digits) {
		return 0, false
	}
	return digits[code], true
}

// EventOf is the event of a key 0-9 * # A-D (or a-d), or of ! for the hook flash; false for others.
func EventOf(digit byte) (uint8, bool) {
	if digit >= 'a' && digit <= 'd' {
		digit -= 'a' - 'A'
	}
	if digit == '!' {
		return EventFlash, true
	}
	for i := range len(digits) {
		if digits[i] == digit {
			return uint8(i), true
		}
	}
	return 0, false
}

// A Pressed is one key press that an EventReceiver took in.
type Pressed struct {
	Code     uint8
	Duration time.Duration
	EndLost  bool // none of the end packets came; the duration is that of the last update
}

// eventPatience is how long after the last packet of an event its end counts as lost: more than two updates at the slowest usual rate.
const eventPatience = 150 * time.Millisecond

// An EventReceiver makes one Pressed of all packets of an event. A plain value; the zero value takes a clock of 8000 Hz.
type EventReceiver struct {
	Rate uint32 // of the telephone-event payload, Hz

	active    bool
	event     Event
	timestamp uint32
	last      time.Time
	done      [4]eventKey // the last ones finished: end packets come three times and out of order
	doneNext  int
}

type eventKey struct {
	timestamp uint32
	code      uint8
	set       bool
}

// Active tells whether a key is held at the moment: audio should be held back meanwhile.
func (r *EventReceiver) Active() bool { return r.active }

// Receive takes the payload of one telephone-event packet with its RTP timestamp and appends to out the presses that it completes: its own, or
// one whose end was lost and which this new event proves over. Malformed payloads are ignored.
func (r *EventReceiver) Receive(now time.Time, timestamp uint32, payload []byte, out []Pressed) []Pressed {
	e, err := ParseEvent(payload)
	if err != nil || r.finished(timestamp, e.Code) {
		return out
	}
	same := r.active && r.timestamp == timestamp && r.event.Code == e.Code
	if r.active && !same {
		if int32(timestamp-r.timestamp) < 0 {
			return out // a straggler of something older
		}
		out = r.finish(out, true)
	}
	if !same {
		r.active, r.timestamp, r.event = true, timestamp, e
	}
	r.last = now
	r.event.Duration = max(r.event.Duration, e.Duration) // updates may overtake each other
	if e.End {
		out = r.finish(out, false)
	}
	return out
}

// Deadline is when Tick must be called at the latest; zero if nothing is pending.
func (r *EventReceiver) Deadline() time.Time {
	if !r.active {
		return time.Time{}
	}
	return r.last.Add(eventPatience)
}

// Tick ends an event whose end packets were lost.
func (r *EventReceiver) Tick(now time.Time, out []Pressed) []Pressed {
	if r.active && !now.Before(r.Deadline()) {
		out = r.finish(out, true)
	}
	return out
}

func (r *EventReceiver) finish(out []Pressed, lost bool) []Pressed {
	rate := time.Duration(r.Rate)
	if rate == 0 {
		rate = 8000
	}
	r.active = false
	r.done[r.doneNext%len(r.done)] = eventKey{r.timestamp, r.event.Code, true}
	r.doneNext++
	return append(out, Pressed{Code: r.event.Code, Duration: time.Duration(r.event.Duration) * time.Second / rate, EndLost: lost})
}

func (r *EventReceiver) finished(timestamp uint32, code uint8) bool {
	for _, k := range r.done {
		if k.set && k.timestamp == timestamp && k.code == code {
			return true
		}
	}
	return false
}
