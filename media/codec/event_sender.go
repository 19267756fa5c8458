package codec

import (
	"errors"
	"time"
)

// MaxQueuedEvents bounds the presses that wait in an EventSender: twice the longest number anybody dials in one go. What does not fit is refused.
const MaxQueuedEvents = 64

// ErrEventQueue says that more keys were pressed than an EventSender holds.
var ErrEventQueue = errors.New("codec: too many key presses waiting")

// An EventPacket is what an EventSender wants sent now.
type EventPacket struct {
	Timestamp uint32 // that of the event's beginning, for all of its packets
	Marker    bool   // on the first packet of an event
	Payload   [4]byte
}

// An EventSender plays key presses as telephone-events on the 20 ms clock of the stream they go into: the same timestamp for all packets of an
// event, growing duration, the end three times at the same pace (RFC 4733 §2.5.1.4). A plain value.
type EventSender struct {
	Rate   uint32        // clock of the telephone-event payload in Hz; 0: 8000
	Volume uint8         // dB below 0 dBm0; 0: 10
	Gap    time.Duration // silence between two presses; 0: 100 ms, at least 60 ms for the repeated ends

	queue   [MaxQueuedEvents]Pressed
	head, n int
	state   eventState
	start   uint32 // timestamp of the event's beginning
	until   uint32 // ticks of the clock that it shall last
	repeats int
	rest    uint32 // ticks of the clock left of the gap
}

type eventState uint8

const (
	eventIdle eventState = iota
	eventTone
	eventEnding
	eventGap
)

// Press queues one event for the given time; 40 ms to 6 s are kept to, 0 is 100 ms.
func (s *EventSender) Press(code uint8, d time.Duration) error {
	if s.n == MaxQueuedEvents {
		return ErrEventQueue
	}
	if d == 0 {
		d = 100 * time.Millisecond
	}
	d = max(40*time.Millisecond, min(6*time.Second, d))
	s.queue[(s.head+s.n)%MaxQueuedEvents] = Pressed{Code: code, Duration: d}
	s.n++
	return nil
}

// Active tells whether an event is being sent, so that audio must be held back. It stays true through the repeated ends, not through the gap.
func (s *EventSender) Active() bool { return s.state == eventTone || s.state == eventEnding }

// Idle tells that nothing is being sent or waiting.
func (s *EventSender) Idle() bool { return s.state == eventIdle && s.n == 0 }

// Tick is called every 20 ms with the RTP timestamp the stream has reached and gives the packet to send, if any.
func (s *EventSender) Tick(timestamp uint32) (EventPacket, bool) {
	step := s.rate() / 50
	if s.state == eventGap {
		if s.rest > 0 {
			s.rest -= min(s.rest, step)
			return EventPacket{}, false
		}
		s.state = eventIdle
	}
	first := s.state == eventIdle
	if first {
		if s.n == 0 {
			return EventPacket{}, false
		}
		s.state, s.start, s.repeats = eventTone, timestamp, 0
		s.until = uint32(s.queue[s.head].Duration * time.Duration(s.rate()) / time.Second)
	}
	lasted := min(timestamp-s.start+step, 0xffff)
	if s.state == eventTone && lasted >= s.until {
		s.state, s.until = eventEnding, lasted
	}
	if s.state == eventEnding {
		lasted = s.until
	}
	p := EventPacket{Timestamp: s.start, Marker: first}
	p.Payload = Event{Code: s.queue[s.head].Code, End: s.state == eventEnding, Volume: s.volume(), Duration: uint16(lasted)}.Payload()
	if s.state == eventEnding {
		s.ended()
	}
	return p, true
}

// ended counts the end packets; after the third the gap begins, of which the repeats have used 40 ms.
func (s *EventSender) ended() {
	if s.repeats++; s.repeats < 3 {
		return
	}
	gap := s.Gap
	if gap == 0 {
		gap = 100 * time.Millisecond
	}
	s.state = eventGap
	s.rest = uint32(max(20*time.Millisecond, gap-40*time.Millisecond) * time.Duration(s.rate()) / time.Second)
	s.head = (s.head + 1) % MaxQueuedEvents
	s.n--
}

func (s *EventSender) rate() uint32 {
	if s.Rate == 0 {
		return 8000
	}
	return s.Rate
}

func (s *EventSender) volume() uint8 {
	if s.Volume == 0 {
		return 10
	}
	return s.Volume
}
