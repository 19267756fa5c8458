package relay

import (
	"encoding/binary"
	"testing"
)

// A key that a browser sends at 48000 Hz is as long for a phone that counts at 8000, and the other way round.
func TestEventClocks(t *testing.T) {
	opus := Format{PayloadType: 111, Name: "opus", Rate: 48000, Channels: 2}
	wide, narrow := Format{PayloadType: 110, Name: "telephone-event", Rate: 48000}, Format{PayloadType: 101, Name: "telephone-event", Rate: 8000}
	for _, c := range []struct {
		name     string
		from, to Format
		in, out  uint16
	}{
		{"down", wide, narrow, 4800, 800},
		{"up", narrow, wide, 800, 4800},
		{"up and too long to say", narrow, wide, 16000, 0xffff},
		{"the same", wide, wide, 4800, 4800},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := routes([]Format{opus, c.from}, []Format{opus, c.to})
			r := table.of(c.from.PayloadType)
			if !r.forward || r.pt != c.to.PayloadType || !r.event || r.clock != c.from.Rate {
				t.Fatalf("route %+v", r)
			}
			payload := []byte{5, 10, 0, 0}
			binary.BigEndian.PutUint16(payload[2:], c.in)
			r.rescale(payload)
			if got := binary.BigEndian.Uint16(payload[2:]); got != c.out {
				t.Errorf("duration %d, want %d", got, c.out)
			}
		})
	}
}

// Ports that have agreed on the same share their table; what else is agreed gets its own, however many there were.
func TestRoutesAreShared(t *testing.T) {
	l := new(Loop)
	first := l.routesOf([]Format{pcma, event}, []Format{pcmu})
	if again := l.routesOf([]Format{pcma, event}, []Format{pcmu}); again != first {
		t.Error("the same was agreed, and the table is another")
	}
	for pt := range uint8(2 * routedTables) {
		f := Format{PayloadType: 96 + pt, Name: "opus", Rate: 48000}
		r := l.routesOf([]Format{f}, []Format{pcmu, f})
		if got := r.of(96 + pt); !got.known || !got.forward || got.pt != 96+pt || r.of(8).known {
			t.Errorf("type %d: %+v", 96+pt, got)
		}
	}
	if again := l.routesOf([]Format{pcma, event}, []Format{pcmu}); !again.of(8).translate || again.of(0).known {
		t.Error("a table was changed that is in use")
	}
}
