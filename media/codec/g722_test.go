package codec

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
)

// rough is sound by integers alone, so that any language can make the same: noise that swells over a triangle that changes pitch.
func rough(n int) []int16 {
	out := make([]int16, n)
	x, tri, step := 1, 0, 37
	sign := func() int {
		if step > 0 {
			return 1
		}
		return -1
	}
	for i := range out {
		x = (x*1103515245 + 12345) & 0x7fffffff
		noise := x>>15&0xffff - 32768
		if tri += step; tri > 20000 || tri < -20000 {
			step = -step
			tri += 2 * step
		}
		if i%97 == 0 {
			step += sign()
		}
		if i%4000 == 0 {
			step = 37 * sign()
		}
		out[i] = int16(max(-32768, min(32767, noise*(i>>6&255)>>9+tri)))
	}
	return out
}

func randomBytes(n int) []byte {
	out := make([]byte, n)
	x := 7
	for i := range out {
		x = (x*1103515245 + 12345) & 0x7fffffff
		out[i] = byte(x >> 16)
	}
	return out
}

func crcOf(samples []int16) uint32 {
	b := make([]byte, 0, 2*len(samples))
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return crc32.ChecksumIEEE(b)
}

// The sums were made by libspandsp 2.0.0 (Debian's libspandsp2) from the same sound: bit for bit the same codec as that of many phones.
func TestG722AsOthersDo(t *testing.T) {
	pcm := rough(32000)
	for i := range pcm {
		pcm[i] >>= 1 // or the filter overflows, where that library wraps and we clip
	}
	var e, narrow G722Encoder
	wideCode, narrowCode := e.Encode(nil, pcm), narrow.EncodeNarrow(nil, pcm)
	var d, dn, dr G722Decoder
	for name, test := range map[string]struct{ got, want uint32 }{
		"16 kHz encoded":       {crc32.ChecksumIEEE(wideCode), 0x9e2567a7},
		"16 kHz decoded":       {crcOf(d.Decode(nil, wideCode)), 0x4e3350ee},
		"8 kHz encoded":        {crc32.ChecksumIEEE(narrowCode), 0x98d8024d},
		"8 kHz decoded":        {crcOf(dn.DecodeNarrow(nil, narrowCode)), 0x2bf17fa4},
		"random bytes decoded": {crcOf(dr.DecodeNarrow(nil, randomBytes(20000))), 0x80c55c2f},
	} {
		if test.got != test.want {
			t.Errorf("%s: %#x, want %#x", name, test.got, test.want)
		}
	}
	if len(wideCode) != 16000 || len(narrowCode) != 32000 {
		t.Errorf("%d and %d bytes", len(wideCode), len(narrowCode))
	}
}

func TestG722KeepsATone(t *testing.T) {
	pcm := samples(TestTone(), 8000)
	var e G722Encoder
	var d, wide G722Decoder
	code := e.EncodeNarrow(nil, pcm)
	if hz, level := Frequency(d.DecodeNarrow(nil, code)); math.Abs(hz-1004) > 0.3 || math.Abs(level+10) > 0.1 {
		t.Errorf("8 kHz: %.2f Hz at %.2f dBm0", hz, level)
	}
	// What was sent from 8 kHz is heard by a phone that decodes the whole band: half the frequency, as Frequency takes 16 kHz for 8.
	if hz, level := Frequency(wide.Decode(nil, code)); math.Abs(2*hz-1004) > 0.6 || math.Abs(level+10) > 0.5 {
		t.Errorf("16 kHz: %.2f Hz at %.2f dBm0", 2*hz, level)
	}
}

func TestG722Clips(t *testing.T) {
	var d G722Decoder
	for _, s := range d.Decode(nil, randomBytes(20000)) {
		if s == math.MinInt16 || s == math.MaxInt16 {
			return
		}
	}
	t.Error("random bytes never reach the limits")
}

func TestG722DoesNotAllocate(t *testing.T) {
	var e G722Encoder
	var d G722Decoder
	code, pcm := make([]byte, 0, 160), make([]int16, 320)
	if n := testing.AllocsPerRun(100, func() {
		code = e.Encode(code[:0], pcm)
		pcm = d.Decode(pcm[:0], code)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkG722Encode20ms(b *testing.B) {
	var e G722Encoder
	pcm, code := rough(320), make([]byte, 0, 160)
	for b.Loop() {
		code = e.Encode(code[:0], pcm)
	}
}
