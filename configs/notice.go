package configs

import (
	"bytes"
	"encoding/binary"
	"math"
)

// noticeRate is that of telephony.
const noticeRate = 8000

// noticeWAV is the demo's notice as a WAV file (16-bit PCM, mono, 8 kHz): three notes of a bell, twice, like those
// before an announcement. It is made here so that there is no file whose origin one would have to look up.
func noticeWAV() []byte {
	var sound []int16
	for range 2 {
		for i, hz := range []float64{659.26, 523.25, 783.99} { // e″, c″, g″
			seconds := 0.45
			if i == 2 {
				seconds = 1.1
			}
			sound = append(sound, bell(hz, seconds)...)
		}
		sound = append(sound, make([]int16, noticeRate/4)...)
	}
	return wav(sound)
}

// bell is one note that dies away, with two partials above.
func bell(hz, seconds float64) []int16 {
	out := make([]int16, int(seconds*noticeRate))
	for i := range out {
		t := float64(i) / noticeRate
		v := 0.0
		for n, level := range []float64{1, 0.35, 0.15} {
			v += level * math.Sin(2*math.Pi*hz*float64(n+1)*t) * math.Exp(-t*(3+2*float64(n)))
		}
		attack := math.Min(1, t/0.005) // no click
		release := math.Min(1, (seconds-t)/0.02)
		out[i] = int16(9000 * v / 1.5 * attack * release)
	}
	return out
}

// wav puts the RIFF header in front of samples.
func wav(samples []int16) []byte {
	var b bytes.Buffer
	size := uint32(2 * len(samples))
	b.WriteString("RIFF")
	header := []any{
		36 + size, [8]byte{'W', 'A', 'V', 'E', 'f', 'm', 't', ' '}, uint32(16),
		uint16(1), uint16(1), uint32(noticeRate), uint32(2 * noticeRate), uint16(2), uint16(16),
		[4]byte{'d', 'a', 't', 'a'}, size, samples,
	}
	for _, v := range header {
		_ = binary.Write(&b, binary.LittleEndian, v) // to memory
	}
	return b.Bytes()
}
