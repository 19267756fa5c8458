package codec

import (
	"math"
	"testing"
)

// Values of ITU-T G.711 tables 1a and 2a (decoder output), brought to 16 bits: A-law times 8 (from 13 bits), µ-law times 4 (from 14).
func TestG711Values(t *testing.T) {
	for _, test := range []struct {
		law  Law
		b    byte
		want int16
	}{
		{ALaw, 0xd5, 8}, {ALaw, 0x55, -8}, // smallest
		{ALaw, 0xaa, 32256}, {ALaw, 0x2a, -32256}, // largest: 4032
		{ALaw, 0xd5 ^ 0x10, 33 * 8}, {ALaw, 0x80 ^ 0x55 ^ 0x20, 66 * 8}, // first step of the second and third segment
		{MuLaw, 0xff, 0}, {MuLaw, 0x7f, 0},
		{MuLaw, 0x80, 32124}, {MuLaw, 0x00, -32124}, // largest: 8031
		{MuLaw, 0xef, 33 * 4}, {MuLaw, 0xdf, 99 * 4},
	} {
		if got := test.law.Decode(nil, []byte{test.b})[0]; got != test.want {
			t.Errorf("law %d, byte %#02x: %d, want %d", test.law, test.b, got, test.want)
		}
	}
}

func TestG711RoundTrip(t *testing.T) {
	for _, law := range []Law{ALaw, MuLaw} {
		for i := range 256 {
			b := byte(i)
			want := b
			if law == MuLaw && b == 0x7f {
				want = 0xff // minus zero
			}
			if got := law.Encode(nil, law.Decode(nil, []byte{b}))[0]; got != want {
				t.Errorf("law %d: %#02x becomes %#02x", law, b, got)
			}
		}
	}
}

// Every sample lies in the interval of the value that it becomes: half a step of its segment around it (G.711 tables 1 and 2).
func TestG711Intervals(t *testing.T) {
	for _, law := range []Law{ALaw, MuLaw} {
		for s := math.MinInt16; s <= math.MaxInt16; s++ {
			b := law.Encode(nil, []int16{int16(s)})
			got := int(law.Decode(nil, b)[0])
			half, clip := 4<<(^b[0]>>4&7), 32636
			if law == ALaw {
				half, clip = 8<<max(0, int((b[0]^0x55)>>4&7)-1), 32768
			}
			// The lowest bits of 16 are not looked at: 2 by µ-law, 3 by A-law.
			if d := abs(s - got); d > half+4 && abs(s) <= clip {
				t.Fatalf("law %d: %d becomes %d, %d away; half a step is %d", law, s, got, d, half)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

func TestTranslate(t *testing.T) {
	for _, law := range []Law{ALaw, MuLaw} {
		for i := range 256 {
			b := []byte{byte(i)}
			before := int(law.Decode(nil, b)[0])
			law.Translate(b)
			after := int(law.Other().Decode(nil, b)[0])
			// The steps of the louder segments are the same size in both laws and half a step apart at most.
			if limit := max(8, abs(before)/24); abs(before-after) > limit {
				t.Errorf("law %d: %d becomes %d", law, before, after)
			}
		}
	}
	if ALaw.Other() != MuLaw || MuLaw.Other() != ALaw {
		t.Error("Other")
	}
	quiet := []byte{ALaw.Silence()}
	if ALaw.Translate(quiet); abs(int(MuLaw.Decode(nil, quiet)[0])) > 8 {
		t.Errorf("silence becomes %#02x", quiet[0])
	}
}

func TestTranslateKeepsATone(t *testing.T) {
	tone := TestTone()
	pcm := make([]int16, 8000)
	tone.Read(pcm)
	for _, law := range []Law{ALaw, MuLaw} {
		b := law.Encode(nil, pcm)
		law.Translate(b)
		hz, level := Frequency(law.Other().Decode(nil, b))
		// The steps of the two laws lie half a step apart, so a tone must come out a little louder or softer.
		if math.Abs(hz-1004) > 0.3 || math.Abs(level+10) > 0.2 {
			t.Errorf("law %d: %.2f Hz at %.2f dBm0", law, hz, level)
		}
	}
}

func TestG711DoesNotAllocate(t *testing.T) {
	b, pcm := make([]byte, 160), make([]int16, 0, 160)
	if n := testing.AllocsPerRun(100, func() {
		pcm = MuLaw.Decode(pcm[:0], b)
		b = ALaw.Encode(b[:0], pcm)
		ALaw.Translate(b)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
