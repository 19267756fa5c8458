package phone

import (
	"math"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestReceptionCountsLossAcrossWrapAndSources(t *testing.T) {
	var r reception
	at := time.Unix(1000, 0)
	put := func(ssrc uint32, sequence uint16, n int) {
		at = at.Add(20 * time.Millisecond)
		r.add(ssrc, sequence, uint32(n)*160, sampleRate, at)
	}
	put(1, 65534, 0)
	put(1, 65535, 1)
	put(1, 1, 3) // 0 is lost
	put(1, 3, 5)
	put(1, 2, 4) // late, not lost
	if r.lost() != 1 || r.received() != 5 || r.late != 1 {
		t.Errorf("lost %d, received %d, late %d; want 1, 5, 1", r.lost(), r.received(), r.late)
	}
	put(2, 500, 0)
	put(2, 502, 2)
	if r.lost() != 2 || r.received() != 7 || r.changes != 1 {
		t.Errorf("after a new source: lost %d, received %d, changes %d; want 2, 7, 1", r.lost(), r.received(), r.changes)
	}
}

func TestReceptionJitter(t *testing.T) {
	var even, uneven reception
	at := time.Unix(1000, 0)
	for n := range 200 {
		at = at.Add(20 * time.Millisecond)
		even.add(1, uint16(n), uint32(n)*160, sampleRate, at)
		uneven.add(1, uint16(n), uint32(n)*160, sampleRate, at.Add(time.Duration(n%2)*8*time.Millisecond))
	}
	if even.jitterTime() > time.Microsecond {
		t.Errorf("an even stream has %v of jitter", even.jitterTime())
	}
	if got := uneven.jitterTime(); got < 7*time.Millisecond || got > 9*time.Millisecond {
		t.Errorf("arrivals 8 ms apart in turn have %v of jitter", got)
	}
}

func TestRoundTrip(t *testing.T) {
	sent := time.Unix(1_700_000_000, 123456789)
	block := rtcp.ReceptionReport{LastSenderReport: uint32(ntpTime(sent) >> 16), Delay: 65536 / 2}
	if got := roundTrip(block, sent.Add(540*time.Millisecond)); math.Abs(float64(got-40*time.Millisecond)) > float64(time.Millisecond) {
		t.Errorf("round trip %v, want 40ms", got)
	}
	if got := roundTrip(rtcp.ReceptionReport{}, sent); got != 0 {
		t.Errorf("no sender report gives %v", got)
	}
}

// The reference values are worked by hand from the formula of G.107 with G.711's Ie 0 and Bpl 4.3.
func TestMeanOpinion(t *testing.T) {
	for _, c := range []struct {
		loss   float64
		jitter time.Duration
		rtt    time.Duration
		want   float64
	}{
		{0, 0, 0, 4.41},
		{0.01, 0, 0, 3.83},
		{0.05, 0, 0, 2.17},
		{0, 20 * time.Millisecond, 400 * time.Millisecond, 4.04},
		{1, 0, 0, 1},
	} {
		if got := meanOpinion(c.loss, c.jitter, c.rtt); math.Abs(got-c.want) > 0.011 {
			t.Errorf("loss %v jitter %v rtt %v: MOS %.2f, want %.2f", c.loss, c.jitter, c.rtt, got, c.want)
		}
	}
}

func TestDigitsThereAndBack(t *testing.T) {
	var out digitSender
	var in digitReader
	for _, key := range "19*#AD1" {
		event, _ := digitEvent(key)
		out.queue = append(out.queue, event)
	}
	timestamp, packets := uint32(0), 0
	for ; out.busy(); timestamp += frameSamples {
		payload, at, first := out.step(timestamp, frameSamples)
		if payload == nil {
			continue
		}
		packets++
		if first {
			continue // lost: the rest must be enough
		}
		in.packet(at, payload)
	}
	if string(in.heard) != "19*#AD1" || string(out.sent) != "19*#AD1" {
		t.Errorf("sent %q, heard %q", out.sent, in.heard)
	}
	if want := 7 * (digitFrames + 2); packets != want {
		t.Errorf("%d packets, want %d", packets, want)
	}
}

func TestInfoDigit(t *testing.T) {
	for _, c := range []struct {
		kind, body string
		want       byte
	}{
		{infoRelay, string(infoBody('7', time.Second)), '7'},
		{"Application/DTMF-Relay; charset=utf-8", "Duration=100\nsignal = #\n", '#'},
		{infoPlain, "5\r\n", '5'},
		{infoPlain, "55", 0},
		{"text/plain", "5", 0},
		{infoRelay, "Duration=100", 0},
	} {
		if got, _ := infoDigit(c.kind, []byte(c.body)); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.kind, c.body, got, c.want)
		}
	}
}
