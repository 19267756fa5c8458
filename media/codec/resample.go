package codec

import "math"

// maxPhases bounds the filter bank of a resampler: 320 are needed for 11.025 kHz, the worst of the usual rates. A stranger rate takes the nearest
// phase, which is 1/640 of a sample away at most.
const maxPhases = 640

// A resampler brings samples from a rate of 8 kHz or more to 8 kHz: a polyphase bank of one low-pass filter, a Hann-windowed sinc with its edge at 3.6 kHz,
// worked out only where a sample is taken.
type resampler struct {
	rate   int
	phases [][]float64 // taps for a sample that lies phase/len(phases) behind one of the input; made when first needed
}

func newResampler(rate int) resampler {
	return resampler{rate, make([][]float64, min(SampleRate/gcd(rate, SampleRate), maxPhases))}
}

// taps are those for a sample that lies rest/8000 behind one of the input. The more input there is to a sample of output, the longer the filter.
func (r resampler) taps(rest int) []float64 {
	p := rest * len(r.phases) / SampleRate
	if r.phases[p] == nil {
		half := 16 * (r.rate + SampleRate - 1) / SampleRate
		r.phases[p] = lowPass(3600/float64(r.rate), half, float64(p)/float64(len(r.phases)))
	}
	return r.phases[p]
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// lowPass is a filter of 2*half+2 taps with unit gain around a point that lies delay (0 to 1) behind tap half; cutoff is a part of the sample rate.
func lowPass(cutoff float64, half int, delay float64) []float64 {
	taps := make([]float64, 2*half+2)
	sum := 0.0
	for i := range taps {
		x := float64(i-half) - delay
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

// run gives all the samples of 8 kHz that in lasts for.
func (r resampler) run(in []int16) []int16 {
	n := (len(in)*SampleRate + r.rate - 1) / r.rate
	out := make([]int16, n)
	for i := range out {
		at, rest := i*r.rate/SampleRate, i*r.rate%SampleRate
		v := filtered(in, r.taps(rest), at)
		out[i] = int16(math.Round(max(-32768, min(32767, v))))
	}
	return out
}

func filtered(in []int16, taps []float64, at int) float64 {
	first := at - (len(taps)/2 - 1)
	v := 0.0
	for k := max(0, -first); k < len(taps) && first+k < len(in); k++ {
		v += taps[k] * float64(in[first+k])
	}
	return v
}
