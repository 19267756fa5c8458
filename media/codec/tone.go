package codec

import "math"

// SampleRate is the rate of all sound here, in Hz.
const SampleRate = 8000

// overload is the level of a full-scale sine in dBm0 (G.711 §1, A-law: 3.14).
const overload = 3.14

// A Tone is a sum of sines that goes on without a step from one Read to the next.
type Tone struct {
	amplitude float64
	step      [2]float64 // radians a sample; 0: no second sine
	phase     [2]float64
}

// NewTone makes a tone of one or two frequencies in Hz (a third and more are ignored), each at level dBm0.
func NewTone(level float64, hz ...float64) Tone {
	t := Tone{amplitude: 32767 * math.Pow(10, (level-overload)/20)}
	for i := range min(2, len(hz)) {
		t.step[i] = 2 * math.Pi * hz[i] / SampleRate
	}
	return t
}

// TestTone is the milliwatt line's tone at the level that meters expect: 1004 Hz at -10 dBm0.
func TestTone() Tone { return NewTone(-10, 1004) }

var (
	dtmfLow  = [4]float64{697, 770, 852, 941}
	dtmfHigh = [4]float64{1209, 1336, 1477, 1633}
	dtmfKeys = [4]string{"123A", "456B", "789C", "*0#D"}
)

// DTMFTone is the pair of tones of a key (ITU-T Q.23), each at level dBm0; false for what is no key.
func DTMFTone(digit byte, level float64) (Tone, bool) {
	code, ok := EventOf(digit)
	if !ok || code > 15 {
		return Tone{}, false
	}
	for row, keys := range dtmfKeys {
		for col := range keys {
			if keys[col] == digits[code] {
				return NewTone(level, dtmfLow[row], dtmfHigh[col]), true
			}
		}
	}
	return Tone{}, false
}

// Read fills dst with the next samples.
func (t *Tone) Read(dst []int16) {
	for i := range dst {
		v := 0.0
		for k := range t.step {
			v += math.Sin(t.phase[k])
			if t.phase[k] += t.step[k]; t.phase[k] > 2*math.Pi {
				t.phase[k] -= 2 * math.Pi
			}
		}
		dst[i] = int16(math.Round(max(-32768, min(32767, t.amplitude*v))))
	}
}
