package phone

import (
	"math"
	"math/cmplx"
)

// fullScaleDBm0 is the level of a full-scale sine in G.711 (ITU-T G.711 table 5: the mu-law peak is +3.17,
// the A-law's +3.14 dBm0; the difference is below what a report shows).
const fullScaleDBm0 = 3.14

// defaultToneDBm0 is the level tones are played at: loud enough to find, low enough not to clip.
const defaultToneDBm0 = -10

// source yields the audio a phone sends, one frame of 20 ms at a time. It is used by one goroutine only.
type source interface {
	// next fills pcm and says whether there was audio left. After false it is not asked again.
	next(pcm []int16) bool
}

// tone is an endless sine with continuous phase.
type tone struct {
	step, phase float64
	amplitude   float64
}

func newTone(hz, dbm0 float64) *tone {
	return &tone{step: 2 * math.Pi * hz / sampleRate, amplitude: 32767 * math.Pow(10, (dbm0-fullScaleDBm0)/20)}
}

func (t *tone) next(pcm []int16) bool {
	for i := range pcm {
		pcm[i] = int16(math.Round(t.amplitude * math.Sin(t.phase)))
		t.phase += t.step
	}
	t.phase = math.Mod(t.phase, 2*math.Pi)
	return true
}

// clip plays samples once.
type clip struct{ samples []int16 }

func (c *clip) next(pcm []int16) bool {
	n := copy(pcm, c.samples)
	clear(pcm[n:])
	c.samples = c.samples[n:]
	return len(c.samples) > 0
}

// Sound is what a stretch of audio holds: its strongest frequency in Hz, its level in dBm0, and the share of
// its power (0 to 1) that lies within 30 Hz of that frequency. A clean tone has a Purity above 0.95;
// speech and noise stay below 0.5.
type Sound struct {
	Hz     float64 `json:"hz"`
	Level  float64 `json:"level_dbm0"`
	Purity float64 `json:"purity"`
}

// silentDBm0 is the level below which audio counts as silence.
const silentDBm0 = -50

// IsTone says whether the sound is a tone within 2% of hz, and loud enough to be heard.
func (s Sound) IsTone(hz float64) bool {
	return s.Level > silentDBm0 && s.Purity > 0.8 && math.Abs(s.Hz-hz) <= math.Max(5, 0.02*hz)
}

const spectrumSize = 8192

// analyse measures up to spectrumSize samples of 8 kHz audio: a Hann window, an FFT, and a parabola through the
// three bins round the peak, which finds a tone to about 0.1 Hz in a second of audio.
func analyse(pcm []int16) Sound {
	if len(pcm) > spectrumSize {
		pcm = pcm[len(pcm)-spectrumSize:]
	}
	if len(pcm) == 0 {
		return Sound{Level: math.Inf(-1)}
	}
	var power float64
	bins := make([]complex128, spectrumSize)
	for i, s := range pcm {
		power += float64(s) * float64(s)
		window := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(pcm)))
		bins[i] = complex(float64(s)*window, 0)
	}
	sound := Sound{Level: levelDBm0(power / float64(len(pcm)))}
	if power == 0 {
		return sound
	}
	transform(bins)
	sound.Hz, sound.Purity = peak(bins[:spectrumSize/2])
	return sound
}

// levelDBm0 turns a mean square of 16-bit samples into dBm0, never below -96.
func levelDBm0(meanSquare float64) float64 {
	const floor = -96
	if meanSquare <= 0 {
		return floor
	}
	return math.Max(floor, 10*math.Log10(2*meanSquare/(32767*32767))+fullScaleDBm0)
}

func peak(bins []complex128) (hz, purity float64) {
	const binHz = float64(sampleRate) / spectrumSize
	magnitude := make([]float64, len(bins))
	best, total := 1, 0.0
	for i := 1; i < len(bins); i++ {
		magnitude[i] = cmplx.Abs(bins[i])
		total += magnitude[i] * magnitude[i]
		if magnitude[i] > magnitude[best] {
			best = i
		}
	}
	const reach = 31 // bins, 30 Hz
	near := 0.0
	for i := max(1, best-reach); i <= min(len(bins)-1, best+reach); i++ {
		near += magnitude[i] * magnitude[i]
	}
	offset := 0.0
	if best > 1 && best < len(bins)-1 {
		left, middle, right := magnitude[best-1], magnitude[best], magnitude[best+1]
		if curve := left - 2*middle + right; curve != 0 {
			offset = 0.5 * (left - right) / curve
		}
	}
	return (float64(best) + offset) * binHz, near / total
}

// transform is an in-place radix-2 FFT; len(x) is a power of two.
func transform(x []complex128) {
	n := len(x)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j ^= bit
		if i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for size := 2; size <= n; size <<= 1 {
		root := cmplx.Rect(1, -2*math.Pi/float64(size))
		for start := 0; start < n; start += size {
			w := complex(1, 0)
			for k := start; k < start+size/2; k++ {
				a, b := x[k], x[k+size/2]*w
				x[k], x[k+size/2] = a+b, a-b
				w *= root
			}
		}
	}
}
