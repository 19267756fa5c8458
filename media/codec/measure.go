package codec

import (
	"math"
	"math/bits"
	"math/cmplx"
)

// Level is the power of the samples in dBm0; -Inf for silence.
func Level(samples []int16) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	if len(samples) == 0 || sum == 0 {
		return math.Inf(-1)
	}
	return dBm0(sum / float64(len(samples)))
}

// dBm0 of a mean square: a full-scale sine has 32768²/2.
func dBm0(meanSquare float64) float64 {
	return 10*math.Log10(meanSquare/(32768.0*32768.0/2)) + overload
}

// Goertzel is the power in dBm0 of the one frequency hz in the samples; -Inf for nothing at all.
func Goertzel(samples []int16, hz float64) float64 {
	coeff := 2 * math.Cos(2*math.Pi*hz/SampleRate)
	var s1, s2 float64
	for _, s := range samples {
		s1, s2 = float64(s)+coeff*s1-s2, s1
	}
	n := float64(len(samples))
	power := s1*s1 + s2*s2 - coeff*s1*s2 // = (amplitude·n/2)²
	if n == 0 || power <= 0 {
		return math.Inf(-1)
	}
	return dBm0(2 * power / (n * n))
}

// Frequency finds the strongest frequency in at least 64 samples (the last 8192 are looked at), in Hz, and the level in dBm0 of all of
// them. Within 0.3 Hz for a steady tone of a second. 0 for silence below -60 dBm0 or too few samples.
func Frequency(samples []int16) (hz, level float64) {
	level = Level(samples)
	if len(samples) < 64 || level < -60 {
		return 0, level
	}
	n := 1 << (bits.Len(uint(min(len(samples), 8192))) - 1)
	samples = samples[len(samples)-n:]
	spectrum := make([]complex128, n)
	for i, s := range samples {
		hann := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(n))
		spectrum[i] = complex(float64(s)*hann, 0)
	}
	fft(spectrum)
	peak := 2 // below lies the constant part with its skirt
	for i := peak; i < n/2-1; i++ {
		if cmplx.Abs(spectrum[i]) > cmplx.Abs(spectrum[peak]) {
			peak = i
		}
	}
	// The top of the parabola through the logarithms of the peak and its neighbours lies between the bins.
	a, b, c := logAbs(spectrum[peak-1]), logAbs(spectrum[peak]), logAbs(spectrum[peak+1])
	off := 0.0
	if bend := a - 2*b + c; bend < 0 {
		off = max(-0.5, min(0.5, 0.5*(a-c)/bend))
	}
	return (float64(peak) + off) * SampleRate / float64(n), level
}

func logAbs(c complex128) float64 { return math.Log(cmplx.Abs(c) + 1e-9) }

// fft is the radix-2 transform in place; len(x) is a power of two.
func fft(x []complex128) {
	n := len(x)
	shift := 64 - bits.TrailingZeros(uint(n))
	for i := range x {
		if j := int(bits.Reverse64(uint64(i)) >> shift); j > i {
			x[i], x[j] = x[j], x[i]
		}
	}
	for size := 2; size <= n; size *= 2 {
		turn := cmplx.Rect(1, -2*math.Pi/float64(size))
		for from := 0; from < n; from += size {
			w := complex(1, 0)
			for k := from; k < from+size/2; k++ {
				even, odd := x[k], x[k+size/2]*w
				x[k], x[k+size/2] = even+odd, even-odd
				w *= turn
			}
		}
	}
}

// DetectDTMF tells which key sounds in a block of at least 320 samples (40 ms): both tones above -35 dBm0, within 8 dB of each other, 6 dB
// above the rest of their groups, and together nearly all the power there is.
func DetectDTMF(samples []int16) (byte, bool) {
	if len(samples) < 320 {
		return 0, false
	}
	row, low, lowOK := strongest(samples, dtmfLow)
	col, high, highOK := strongest(samples, dtmfHigh)
	if !lowOK || !highOK || low < -35 || high < -35 || math.Abs(low-high) > 8 {
		return 0, false
	}
	both := 10 * math.Log10(math.Pow(10, low/10)+math.Pow(10, high/10))
	if Level(samples)-both > 3 {
		return 0, false
	}
	return dtmfKeys[row][col], true
}

func strongest(samples []int16, group [4]float64) (best int, level float64, clear bool) {
	level, second := math.Inf(-1), math.Inf(-1)
	for i, hz := range group {
		switch l := Goertzel(samples, hz); {
		case l > level:
			best, level, second = i, l, level
		case l > second:
			second = l
		}
	}
	return best, level, level-second >= 6
}
