package codec

import "math"

// toSampleRate brings mono samples from rate (8 kHz or more) to 8 kHz: a low-pass at 3.6 kHz (a Hann-windowed sinc), worked out only where
// a sample is taken. For an integer ratio that is a polyphase decimator; for others (11.025, 22.05, 44.1 kHz) the value is
// interpolated linearly between the two filtered neighbours.
func toSampleRate(in []int16, rate int) []int16 {
	if rate == SampleRate || len(in) == 0 {
		return in
	}
	taps := lowPass(3600/float64(rate), 16*(rate+SampleRate-1)/SampleRate)
	out := make([]int16, 0, len(in)*SampleRate/rate+1)
	for i := 0; ; i++ {
		at, rest := i*rate/SampleRate, i*rate%SampleRate
		if at >= len(in) {
			return out
		}
		v := filtered(in, taps, at)
		if rest > 0 {
			v += (filtered(in, taps, at+1) - v) * float64(rest) / SampleRate
		}
		out = append(out, int16(math.Round(max(-32768, min(32767, v)))))
	}
}

// lowPass is a filter of 2*half+1 taps with unit gain, cutoff as part of the sample rate.
func lowPass(cutoff float64, half int) []float64 {
	taps := make([]float64, 2*half+1)
	sum := 0.0
	for i := range taps {
		x := float64(i - half)
		v := 2 * cutoff
		if x != 0 {
			v = math.Sin(2*math.Pi*cutoff*x) / (math.Pi * x)
		}
		taps[i] = v * (0.5 + 0.5*math.Cos(math.Pi*x/float64(half+1)))
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

func filtered(in []int16, taps []float64, at int) float64 {
	first := at - len(taps)/2
	v := 0.0
	for k := max(0, -first); k < len(taps) && first+k < len(in); k++ {
		v += taps[k] * float64(in[first+k])
	}
	return v
}
