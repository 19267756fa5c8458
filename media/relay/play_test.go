package relay

import (
	"testing"
	"time"

	"tandem/media/codec"
	"tandem/media/rtp"
)

func toneOf(hz float64, frames int) []int16 {
	samples := make([]int16, frames*frameSize)
	tone := codec.NewTone(-10, hz)
	tone.Read(samples)
	return samples
}

func TestPlay(t *testing.T) {
	for _, f := range []Format{pcma, pcmu, {PayloadType: 9, Name: "G722", Rate: 8000}} {
		r := start(t, Config{})
		a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{Receive: []Format{f}})
		if err := a.Play(NewSound(toneOf(1004, 25)), false, "mark"); err != nil {
			t.Fatal(err)
		}
		var first, last rtp.Packet
		var heard []int16
		law, isLaw := f.Law()
		var wide codec.G722Decoder
		for i := range 25 {
			p := a.hearRTP()
			if i == 0 {
				first = p
			} else if p.Seq() != last.Seq()+1 || p.Timestamp() != last.Timestamp()+160 {
				t.Fatalf("packet %d: sequence %d after %d, timestamp %d after %d", i, p.Seq(), last.Seq(), p.Timestamp(), last.Timestamp())
			}
			if p.Marker() != (i == 0) || p.PayloadType() != f.PayloadType || len(p.Payload()) != 160 {
				t.Fatalf("packet %d: marker %v, type %d, %d bytes", i, p.Marker(), p.PayloadType(), len(p.Payload()))
			}
			if isLaw {
				heard = law.Decode(heard, p.Payload())
			} else {
				heard = wide.DecodeNarrow(heard, p.Payload())
			}
			last = p
		}
		if hz, level := codec.Frequency(heard); hz < 1003 || hz > 1005 || level < -11 || level > -9 {
			t.Errorf("%s: %v Hz at %v dBm0", f.Name, hz, level)
		}
		if e := a.wait(PlayDone); e.Play != "mark" || first.SSRC() != a.SSRC() {
			t.Errorf("event %+v", e)
		}
	}
}

// A player takes the floor from the other leg and gives it back, on one stream without a break.
func TestPlayOverBridge(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	b.say(8)
	before := a.hearRTP()
	if err := a.Play(NewSound(toneOf(425, 5)), true, nil); err != nil {
		t.Fatal(err)
	}
	first := a.hearRTP()
	if first.Seq() != before.Seq()+1 || !first.Marker() || first.SSRC() != before.SSRC() || int32(first.Timestamp()-before.Timestamp()) < 160 {
		t.Errorf("player: %v after %v", first[:12], before[:12])
	}
	b.say(8)
	a.say(8)
	if got := b.hearRTP(); got.Marker() == false {
		t.Error("a is heard by b without a beginning")
	}
	for end := time.Now().Add(2 * time.Second); b.Stats().Drops[DropReplaced] == 0; {
		if time.Now().After(end) {
			t.Fatal("b was not replaced")
		}
	}
	if err := a.StopPlay(); err != nil {
		t.Fatal(err)
	}
	b.say(8)
	last := first
	for {
		p := a.hearRTP()
		if p.Seq() != last.Seq()+1 || int32(p.Timestamp()-last.Timestamp()) < 160 {
			t.Fatalf("sequence %d after %d, timestamp %d after %d", p.Seq(), last.Seq(), p.Timestamp(), last.Timestamp())
		}
		last = p
		if p.Payload()[0] == 0 { // b's
			break
		}
	}
	if !last.Marker() {
		t.Error("no marker where b comes back")
	}
}

func TestPlayNeedsACodec(t *testing.T) {
	r := start(t, Config{})
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{Receive: []Format{{PayloadType: 96, Name: "opus", Rate: 48000, Channels: 2}}})
	if err := a.Play(NewSound(toneOf(425, 5)), false, nil); err != ErrNoCodec {
		t.Errorf("opus: %v", err)
	}
	if err := a.Press("1", 0); err != ErrNoKeys {
		t.Errorf("keys: %v", err)
	}
	b := openLeg(t, r, nil, "127.0.0.1:0", 2, Settings{})
	if err := b.Play(NewSound(nil), false, nil); err != ErrNoCodec {
		t.Errorf("nothing to play: %v", err)
	}
	if err := b.Press("12x", 0); err != ErrNoKey {
		t.Errorf("no key: %v", err)
	}
}

func TestEcho(t *testing.T) {
	r := start(t, Config{})
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{})
	if err := a.Echo(); err != nil {
		t.Fatal(err)
	}
	samples := toneOf(700, 10)
	var heard []int16
	for i := range 10 {
		a.write(a.packet(8, codec.ALaw.Encode(nil, samples[i*160:(i+1)*160])))
		heard = codec.ALaw.Decode(heard, a.hearRTP().Payload())
	}
	if hz, _ := codec.Frequency(heard); hz < 699 || hz > 701 {
		t.Errorf("%v Hz came back", hz)
	}
	if err := a.Part(); err != nil {
		t.Fatal(err)
	}
	a.say(8)
	settled(t, r, 11)
	a.silent()
}

// Keys that we press: one timestamp, growing duration, marker on the first, the end three times, audio held back, the stream going on.
func TestPress(t *testing.T) {
	r := start(t, Config{})
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{})
	if err := a.Play(NewSound(toneOf(425, 50)), true, nil); err != nil {
		t.Fatal(err)
	}
	last := a.hearRTP()
	if err := a.Press("5#", 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	audioAt := last.Timestamp()
	for _, want := range []uint8{5, 11} {
		p := a.hearRTP()
		for p.PayloadType() == 8 {
			audioAt, last = p.Timestamp(), p
			p = a.hearRTP()
		}
		at := p.Timestamp()
		if !p.Marker() || int32(at-audioAt) < 160 {
			t.Errorf("key %d: marker %v, timestamp %d after audio's %d", want, p.Marker(), at, audioAt)
		}
		var durations []uint16
		ends := 0
		for {
			e, err := codec.ParseEvent(p.Payload())
			if err != nil || e.Code != want || p.Timestamp() != at || p.PayloadType() != 101 || p.Seq() != last.Seq()+1 {
				t.Fatalf("key %d: %+v, timestamp %d, type %d, sequence %d after %d", want, e, p.Timestamp(), p.PayloadType(), p.Seq(), last.Seq())
			}
			durations = append(durations, e.Duration)
			last = p
			if e.End {
				if ends++; ends == 3 {
					break
				}
			}
			p = a.hearRTP()
		}
		for i, d := range durations {
			if d != uint16(min(160*(i+1), 800)) {
				t.Errorf("key %d: durations %v", want, durations)
				break
			}
		}
		if n := len(durations); n != 7 {
			t.Errorf("key %d: %d packets, want 4, and 3 ends", want, n)
		}
	}
	p := a.hearRTP()
	if p.PayloadType() != 8 || p.Seq() != last.Seq()+1 || int32(p.Timestamp()-last.Timestamp()) < 800 {
		t.Errorf("after the keys: type %d, sequence %d after %d, timestamp %d", p.PayloadType(), p.Seq(), last.Seq(), p.Timestamp())
	}
}

// Without anybody speaking a pause between keys is still a pause in timestamps.
func TestPressAlone(t *testing.T) {
	r := start(t, Config{})
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, Settings{})
	if err := a.Press("12", 60*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	starts := make(map[uint32]bool)
	var order []uint32
	for range 10 { // 60 ms: three packets of which the last is an end, and two more ends
		p := a.hearRTP()
		if !starts[p.Timestamp()] {
			starts[p.Timestamp()] = true
			order = append(order, p.Timestamp())
		}
	}
	if len(order) != 2 || order[1]-order[0] < 480+800 {
		t.Errorf("events at %v: want two, 60 ms and a pause of 100 ms apart", order)
	}
}

// Keys that the peer presses: passed on with the other leg's number, and reported once each although the end comes three times.
func TestKeysPassAndAreReported(t *testing.T) {
	r := start(t, Config{})
	other := event
	other.PayloadType = 96
	a, b := bridge(t, r, Settings{}, Settings{Receive: []Format{pcma, other}})
	a.say(8)
	b.hearRTP()
	at := a.ts
	for _, e := range []codec.Event{
		{Code: 7, Duration: 160, Volume: 10}, {Code: 7, Duration: 320, Volume: 10}, {Code: 7, Duration: 480, Volume: 10, End: true},
		{Code: 7, Duration: 480, Volume: 10, End: true}, {Code: 7, Duration: 480, Volume: 10, End: true},
	} {
		a.ts = at
		pl := e.Payload()
		a.write(a.packet(101, pl[:]))
		p := b.hearRTP()
		if got, err := codec.ParseEvent(p.Payload()); err != nil || got != e || p.PayloadType() != 96 {
			t.Fatalf("%+v with type %d, want %+v", got, p.PayloadType(), e)
		}
	}
	if e := a.wait(Digit); e.Digit != '7' || e.Duration != 60*time.Millisecond {
		t.Errorf("event %+v", e)
	}
	// The end of the next one is lost: the clock ends it.
	a.ts = at + 1600
	pl := codec.Event{Code: 11, Duration: 160, Volume: 10}.Payload()
	a.write(a.packet(101, pl[:]))
	b.hearRTP()
	if e := a.wait(Digit); e.Digit != '#' {
		t.Errorf("event %+v", e)
	}
	if len(a.events) > 0 {
		t.Errorf("one more event: %+v", <-a.events)
	}
}

// The clock's deadlines are absolute: over a second the frames that are due were sent, neither more nor fewer, for all players.
func TestPlayersKeepTime(t *testing.T) {
	const players = 40
	r := start(t, Config{})
	legs := make([]*leg, players)
	for i := range legs {
		legs[i] = openLeg(t, r, nil, "127.0.0.1:0", uint32(i), Settings{})
		if err := legs[i].Play(NewSound(toneOf(425, 50)), false, nil); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	used := make(map[int]int)
	for _, g := range legs {
		g.wait(PlayDone)
		used[g.phase]++
	}
	if took := time.Since(begin); took < 950*time.Millisecond {
		t.Errorf("50 frames took %v", took)
	}
	if len(used) != phases {
		t.Errorf("%d phases used by %d players, want all %d", len(used), players, phases)
	}
	for _, g := range legs {
		var first, last rtp.Packet
		for i := range 50 {
			if last = g.hearRTP(); i == 0 {
				first = last
			}
		}
		if got := last.Timestamp() - first.Timestamp(); got != 49*160 {
			t.Errorf("50 frames over %d samples", got)
		}
		g.silent()
	}
}

// clock alone: every deadline once, in order, none lost to a late tick, and no flood after a long stop.
func TestClock(t *testing.T) {
	start := time.Unix(1000, 0)
	var c clock
	c.init(start)
	p, q := &Port{}, &Port{}
	c.beat(p, start)
	c.beat(q, start)
	if p.phase == q.phase || c.busy != 2 {
		t.Fatalf("phases %d and %d", p.phase, q.phase)
	}
	if at := c.next(2); at.Sub(start) > frame || !at.After(start) {
		t.Errorf("next in %v", at.Sub(start))
	}
	c.rest(p)
	c.rest(p)
	c.rest(q)
	if at := c.next(2); at != c.chore {
		t.Errorf("idle clock waits for %v", at.Sub(start))
	}
	if !c.next(0).IsZero() {
		t.Error("a loop without ports has a deadline")
	}
}

func TestSilenceWatchdog(t *testing.T) {
	r := start(t, Config{})
	set := Settings{SilenceIn: 300 * time.Millisecond}
	a, b := bridge(t, r, set, Settings{SilenceOut: 300 * time.Millisecond})
	if err := a.Play(NewSound(make([]int16, 1600)), true, nil); err != nil { // a is fed, and dead all the same
		t.Fatal(err)
	}
	if e := a.wait(Silence); !e.Inbound {
		t.Errorf("event %+v", e)
	}
	if e := b.wait(Silence); e.Inbound {
		t.Errorf("event %+v", e)
	}
	// To one who never spoke nothing more is sent, until it does.
	for {
		if _, ok := a.peer.listen(60 * time.Millisecond); !ok {
			break
		}
	}
	a.say(8)
	a.hearRTP()
	if e := a.wait(Silence); !e.Inbound { // and again
		t.Errorf("event %+v", e)
	}
}
