package codec

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestEventPayload(t *testing.T) {
	e := Event{Code: 11, End: true, Volume: 10, Duration: 800}
	p := e.Payload()
	if p != [4]byte{11, 0x8a, 3, 0x20} {
		t.Errorf("payload % x", p)
	}
	if got, err := ParseEvent(p[:]); err != nil || got != e {
		t.Errorf("read %+v, %v", got, err)
	}
	for n := range 4 {
		if _, err := ParseEvent(p[:n]); !errors.Is(err, ErrEvent) {
			t.Errorf("%d bytes: %v, want ErrEvent", n, err)
		}
	}
	if got, err := ParseEvent([]byte{1, 0x40, 0, 0, 9, 9, 9, 9}); err != nil || got != (Event{Code: 1}) {
		t.Errorf("reserved bit and a second event: %+v, %v", got, err)
	}
}

func TestDigits(t *testing.T) {
	for i, d := range []byte("0123456789*#ABCD") {
		if code, ok := EventOf(d); !ok || code != uint8(i) {
			t.Errorf("EventOf(%c) = %d, %v", d, code, ok)
		}
		if got, ok := DigitOf(uint8(i)); !ok || got != d {
			t.Errorf("DigitOf(%d) = %c, %v", i, got, ok)
		}
	}
	if code, ok := EventOf('d'); !ok || code != 15 {
		t.Errorf("EventOf(d) = %d, %v", code, ok)
	}
	if code, ok := EventOf('!'); !ok || code != EventFlash {
		t.Errorf("EventOf(!) = %d, %v", code, ok)
	}
	for _, d := range []byte("eE x\x00") {
		if code, ok := EventOf(d); ok {
			t.Errorf("EventOf(%q) = %d", d, code)
		}
	}
	if _, ok := DigitOf(16); ok {
		t.Error("the flash is no digit")
	}
}

// tick runs the sender's 20 ms clock and gives what left at which tick.
type sent struct {
	tick int
	EventPacket
	event Event
}

func drive(t *testing.T, s *EventSender, ticks int, timestamp, step uint32) (out []sent) {
	t.Helper()
	for i := range ticks {
		if p, ok := s.Tick(timestamp + uint32(i)*step); ok {
			e, err := ParseEvent(p.Payload[:])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, sent{i, p, e})
		}
	}
	return out
}

func TestEventSender(t *testing.T) {
	var s EventSender
	if err := s.Press(5, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := s.Press(11, 0); err != nil {
		t.Fatal(err)
	}
	const start = 0xffffff00 // the timestamp wraps in the middle of the first event
	got := drive(t, &s, 40, start, 160)
	type row struct {
		tick     int
		code     uint8
		marker   bool
		end      bool
		duration uint16
	}
	var want []row
	for _, press := range []struct {
		tick int
		code uint8
	}{{0, 5}, {10, 11}} { // 5 ticks of tone, 2 of repeated ends, the rest of 100 ms from the first end
		for i := range 7 {
			want = append(want, row{press.tick + i, press.code, i == 0, i >= 4, uint16(160 * min(i+1, 5))})
		}
	}
	var rows []row
	for _, p := range got {
		rows = append(rows, row{p.tick, p.event.Code, p.Marker, p.event.End, p.event.Duration})
		begin := uint32(start)
		if p.event.Code == 11 {
			begin += 10 * 160
		}
		if p.Timestamp != begin || p.event.Volume != 10 {
			t.Errorf("tick %d: timestamp %x, volume %d", p.tick, p.Timestamp, p.event.Volume)
		}
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("sent\n%v\nwant\n%v", rows, want)
	}
	if !s.Idle() || s.Active() {
		t.Error("not idle at the end")
	}
}

func TestEventSenderAt48kHz(t *testing.T) {
	s := EventSender{Rate: 48000, Volume: 8, Gap: time.Second}
	for _, code := range []uint8{1, 2} {
		if err := s.Press(code, 60*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	got := drive(t, &s, 100, 1000, 960)
	if len(got) != 10 {
		t.Fatalf("%d packets, want 10", len(got))
	}
	if e := got[4].event; e.Duration != 2880 || !e.End || e.Volume != 8 {
		t.Errorf("last of the first event %+v", e)
	}
	if gap := got[5].tick - got[2].tick; gap != 51 { // the end packet of tick 2 speaks for the sound up to tick 3
		t.Errorf("%d ticks from the end to the next event, want 51", gap)
	}
}

func TestEventSenderBounds(t *testing.T) {
	var s EventSender
	for range MaxQueuedEvents {
		if err := s.Press(1, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Press(1, 0); !errors.Is(err, ErrEventQueue) {
		t.Errorf("one too many: %v, want ErrEventQueue", err)
	}
	got := drive(t, &s, 320, 0, 160)
	if e := got[299].event; !e.End || e.Duration != 48000 {
		t.Errorf("an hour's press ends after 6 s: %+v", e)
	}
	if !got[0].Marker || got[1].Marker {
		t.Error("marker on the first packet alone")
	}
}

func TestEventReceiver(t *testing.T) {
	type in struct {
		ms        int
		timestamp uint32
		event     Event
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	tone := func(from int, timestamp uint32, code uint8, updates, ends int) (list []in) {
		for i := range updates {
			list = append(list, in{from + 20*i, timestamp, Event{Code: code, Duration: uint16(160 * (i + 1))}})
		}
		for i := range ends {
			list = append(list, in{from + 20*(updates+i), timestamp, Event{Code: code, End: true, Duration: uint16(160 * (updates + 1))}})
		}
		return list
	}
	for name, test := range map[string]struct {
		in   []in
		want []Pressed
	}{
		"whole":                            {tone(0, 1000, 5, 4, 3), []Pressed{{Code: 5, Duration: ms(100)}}},
		"all at once":                      {tone(0, 1000, 5, 0, 1), []Pressed{{Code: 5, Duration: ms(20)}}},
		"end came once":                    {tone(0, 1000, 5, 4, 1), []Pressed{{Code: 5, Duration: ms(100)}}},
		"end lost":                         {tone(0, 1000, 5, 4, 0), []Pressed{{Code: 5, Duration: ms(80), EndLost: true}}},
		"two of the same key":              {append(tone(0, 1000, 5, 4, 3), tone(200, 2600, 5, 4, 3)...), []Pressed{{Code: 5, Duration: ms(100)}, {Code: 5, Duration: ms(100)}}},
		"end lost, the next begins":        {append(tone(0, 1000, 5, 4, 0), tone(100, 1800, 6, 4, 3)...), []Pressed{{Code: 5, Duration: ms(80), EndLost: true}, {Code: 6, Duration: ms(100)}}},
		"end lost, of the next all but it": {append(tone(0, 1000, 5, 4, 0), tone(100, 1800, 6, 0, 1)...), []Pressed{{Code: 5, Duration: ms(80), EndLost: true}, {Code: 6, Duration: ms(20)}}},
		"update after its end": {[]in{{0, 1000, Event{Code: 5, Duration: 160}}, {20, 1000, Event{Code: 5, End: true, Duration: 480}}, {40, 1000, Event{Code: 5, Duration: 320}}},
			[]Pressed{{Code: 5, Duration: ms(60)}}},
		"updates overtake": {[]in{{0, 1000, Event{Code: 5, Duration: 480}}, {20, 1000, Event{Code: 5, Duration: 320}}}, []Pressed{{Code: 5, Duration: ms(60), EndLost: true}}},
		"straggler of an older event": {append(append(tone(0, 1000, 5, 1, 1), tone(100, 5000, 6, 2, 0)...), append([]in{{140, 900, Event{Code: 7, Duration: 160}}}, tone(150, 5000, 6, 0, 1)...)...),
			[]Pressed{{Code: 5, Duration: ms(40)}, {Code: 6, Duration: ms(40)}}},
		"timestamps wrap": {append(tone(0, 0xffffff00, 5, 2, 0), tone(40, 100, 6, 1, 1)...), []Pressed{{Code: 5, Duration: ms(40), EndLost: true}, {Code: 6, Duration: ms(40)}}},
	} {
		t.Run(name, func(t *testing.T) {
			var r EventReceiver
			var got []Pressed
			for _, one := range test.in {
				p := one.event.Payload()
				now := epoch.Add(ms(one.ms))
				got = r.Tick(now, got)
				got = r.Receive(now, one.timestamp, p[:], got)
			}
			if last := test.in[len(test.in)-1]; r.Active() != (!r.Deadline().IsZero()) {
				t.Errorf("active %v with deadline %v after %+v", r.Active(), r.Deadline(), last)
			}
			if r.Active() {
				before := len(got)
				if got = r.Tick(r.Deadline().Add(-1), got); len(got) != before {
					t.Error("ended before its deadline")
				}
				got = r.Tick(r.Deadline(), got)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if r.Active() {
				t.Error("still active")
			}
		})
	}
	var r EventReceiver
	if got := r.Receive(epoch, 1, []byte{1, 2}, nil); got != nil || r.Active() {
		t.Error("malformed payload taken")
	}
}

func TestSenderToReceiver(t *testing.T) {
	s, r := EventSender{Rate: 48000}, EventReceiver{Rate: 48000}
	for i := range len(digits) {
		code, _ := EventOf(digits[i])
		if err := s.Press(code, 120*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	var got []Pressed
	heard := ""
	for i := 0; !s.Idle(); i++ {
		now := epoch.Add(time.Duration(i) * 20 * time.Millisecond)
		// Every third packet is lost, ends among them.
		if p, ok := s.Tick(uint32(i) * 960); ok && i%3 != 0 {
			got = r.Receive(now, p.Timestamp, p.Payload[:], got)
		}
		got = r.Tick(now, got)
	}
	for _, p := range got {
		d, _ := DigitOf(p.Code)
		heard += string(d)
	}
	if heard != digits {
		t.Errorf("heard %q, want %q", heard, digits)
	}
}

func TestParseINFO(t *testing.T) {
	for name, test := range map[string]struct {
		kind, body string
		want       Pressed
		err        bool
	}{
		"relay":                    {"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Pressed{Code: 5, Duration: 160 * time.Millisecond}, false},
		"relay with spaces":        {"Application/DTMF-Relay; charset=utf-8", "Signal= 5 \nDuration= 250", Pressed{Code: 5, Duration: 250 * time.Millisecond}, false},
		"star":                     {"application/dtmf-relay", "Signal=*\r\n", Pressed{Code: 10}, false},
		"hash by number":           {"application/dtmf-relay", "Signal=11\r\n", Pressed{Code: 11}, false},
		"lower case letter":        {"application/dtmf-relay", "signal=d\r\n", Pressed{Code: 15}, false},
		"flash":                    {"application/dtmf-relay", "Signal=hf", Pressed{Code: EventFlash}, false},
		"flash by number":          {"application/dtmf-relay", "Signal=16", Pressed{Code: EventFlash}, false},
		"duration of nonsense":     {"application/dtmf-relay", "Signal=1\nDuration=-7", Pressed{Code: 1}, false},
		"plain":                    {"application/dtmf", "7", Pressed{Code: 7}, false},
		"plain with newline":       {"application/dtmf", "#\r\n", Pressed{Code: 11}, false},
		"relay's text as plain":    {"application/dtmf", "Signal=3\r\nDuration=100", Pressed{Code: 3, Duration: 100 * time.Millisecond}, false},
		"no signal":                {"application/dtmf-relay", "Duration=100", Pressed{}, true},
		"two signals":              {"application/dtmf-relay", "Signal=1\nSignal=2", Pressed{}, true},
		"no key":                   {"application/dtmf-relay", "Signal=x", Pressed{}, true},
		"signal without value":     {"application/dtmf-relay", "Signal", Pressed{}, true},
		"number out of range":      {"application/dtmf-relay", "Signal=17", Pressed{}, true},
		"two digits below ten":     {"application/dtmf-relay", "Signal=05", Pressed{}, true},
		"several keys":             {"application/dtmf", "123", Pressed{}, true},
		"empty":                    {"application/dtmf", "", Pressed{}, true},
		"another type":             {"application/media_control+xml", "5", Pressed{}, true},
		"longer than anybody says": {"application/dtmf", string(make([]byte, 300)), Pressed{}, true},
	} {
		got, err := ParseINFO(test.kind, []byte(test.body))
		if got != test.want || errors.Is(err, ErrINFO) != test.err {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
	}
	for code := range uint8(17) {
		p := Pressed{Code: code, Duration: 120 * time.Millisecond}
		if got, err := ParseINFO("application/dtmf-relay", RelayBody(p)); err != nil || got != p {
			t.Errorf("%q read as %+v, %v", RelayBody(p), got, err)
		}
	}
}

func FuzzParseINFO(f *testing.F) {
	f.Add("application/dtmf-relay", []byte("Signal=5\r\nDuration=160\r\n"))
	f.Add("application/dtmf", []byte("#"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		p, err := ParseINFO(kind, body)
		if err != nil {
			return
		}
		if again, err := ParseINFO("application/dtmf-relay", RelayBody(p)); err != nil || again != p {
			t.Fatalf("%+v written as %q, read as %+v, %v", p, RelayBody(p), again, err)
		}
	})
}
