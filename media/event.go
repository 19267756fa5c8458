package media

import (
	"net/netip"
	"time"

	"tandem/media/relay"
)

// An Event is what a Session noticed.
type Event struct {
	Kind     EventKind
	Inbound  bool           // Silence: the peer is silent; else: nothing reaches the peer
	Digit    byte           // DTMF: 0-9 * # A-D, or ! for the hook flash
	Duration time.Duration  // DTMF: how long the key was held
	Addr     netip.AddrPort // Latched: where the peer's media really comes from
}

// EventKind tells events apart.
type EventKind uint8

// The kinds of events.
const (
	Silence    EventKind = iota + 1 // a direction was silent for Config.Silence, or HeldSilence; once until it speaks again
	DTMF                            // the peer pressed a key; once for each press
	PlayDone                        // the clip of the last Play was sent whole
	Latched                         // the peer's media was heard for the first time, or from elsewhere
	Lost                            // a browser sends nothing any more, not even checks; once until it comes back
	RecordDone                      // a recording has reached its limit, or could not be written
)

var eventNames = [...]string{Silence: "silence", DTMF: "dtmf", PlayDone: "play done", Latched: "latched", Lost: "lost", RecordDone: "record done"}

// String names the kind for logs.
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return "unknown"
}

// hear turns the relay's events into the session's. It runs in a relay loop.
func hear(events func(Event)) func(relay.Event) {
	if events == nil {
		return nil
	}
	return func(e relay.Event) {
		switch e.Kind {
		case relay.Silence:
			events(Event{Kind: Silence, Inbound: e.Inbound})
		case relay.Digit:
			events(Event{Kind: DTMF, Digit: e.Digit, Duration: e.Duration})
		case relay.PlayDone:
			events(Event{Kind: PlayDone})
		case relay.Latched:
			events(Event{Kind: Latched, Addr: e.Addr})
		case relay.Lost:
			events(Event{Kind: Lost})
		}
	}
}
