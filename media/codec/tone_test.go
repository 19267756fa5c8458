package codec

import (
	"math"
	"math/rand/v2"
	"testing"
)

func samples(tone Tone, n int) []int16 {
	pcm := make([]int16, n)
	tone.Read(pcm)
	return pcm
}

func TestTestTone(t *testing.T) {
	pcm := samples(TestTone(), 8000)
	hz, level := Frequency(pcm)
	if math.Abs(hz-1004) > 0.3 || math.Abs(level+10) > 0.05 {
		t.Errorf("%.2f Hz at %.2f dBm0, want 1004 at -10", hz, level)
	}
	if g := Goertzel(pcm, 1004); math.Abs(g+10) > 0.05 {
		t.Errorf("Goertzel(1004) = %.2f dBm0, want -10", g)
	}
	if g := Goertzel(pcm, 2000); g > -60 {
		t.Errorf("Goertzel(2000) = %.2f dBm0, want next to nothing", g)
	}
}

func TestToneGoesOnWithoutAStep(t *testing.T) {
	whole := samples(NewTone(-10, 440), 1600)
	tone := NewTone(-10, 440)
	for i := 0; i < 1600; i += 160 {
		part := make([]int16, 160)
		tone.Read(part)
		for k := range part {
			if part[k] != whole[i+k] {
				t.Fatalf("sample %d: %d, want %d", i+k, part[k], whole[i+k])
			}
		}
	}
}

func TestToneClips(t *testing.T) {
	for _, s := range samples(NewTone(20, 1000), 800) {
		if s == math.MinInt16 || s == math.MaxInt16 {
			return
		}
	}
	t.Error("a tone far too loud does not reach the limits")
}

func TestFrequency(t *testing.T) {
	for hz := 150.0; hz < 3800; hz += 73.7 {
		for _, n := range []int{8000, 1600} {
			got, level := Frequency(samples(NewTone(-20, hz), n))
			tolerance := 0.3
			if n < 8000 {
				tolerance = 2
			}
			if math.Abs(got-hz) > tolerance || math.Abs(level+20) > 0.3 {
				t.Errorf("%d samples of %.1f Hz: %.2f Hz at %.2f dBm0", n, hz, got, level)
			}
		}
	}
	if hz, level := Frequency(make([]int16, 8000)); hz != 0 || !math.IsInf(level, -1) {
		t.Errorf("silence: %v Hz at %v", hz, level)
	}
	if hz, _ := Frequency(samples(TestTone(), 63)); hz != 0 {
		t.Errorf("63 samples: %v Hz", hz)
	}
}

func TestFrequencyInNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pcm := samples(NewTone(-20, 1004), 8000)
	for i := range pcm {
		pcm[i] += int16(rng.NormFloat64() * 800)
	}
	if hz, _ := Frequency(pcm); math.Abs(hz-1004) > 0.5 {
		t.Errorf("%.2f Hz, want 1004", hz)
	}
}

func TestDTMF(t *testing.T) {
	for i := range len(digits) {
		for _, level := range []float64{-8, -20, -30} {
			tone, ok := DTMFTone(digits[i], level)
			if !ok {
				t.Fatalf("no tone for %c", digits[i])
			}
			pcm := samples(tone, 400)
			if got, ok := DetectDTMF(pcm); !ok || got != digits[i] {
				t.Errorf("%c at %v dBm0 heard as %c, %v", digits[i], level, got, ok)
			}
			law := MuLaw
			if got, ok := DetectDTMF(law.Decode(nil, law.Encode(nil, pcm))); !ok || got != digits[i] {
				t.Errorf("%c at %v dBm0 through mu-law heard as %c, %v", digits[i], level, got, ok)
			}
		}
	}
	if _, ok := DTMFTone('!', -10); ok {
		t.Error("the flash has no tone")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	noise := make([]int16, 400)
	for i := range noise {
		noise[i] = int16(rng.NormFloat64() * 3000)
	}
	for name, pcm := range map[string][]int16{
		"silence":         make([]int16, 400),
		"one tone":        samples(NewTone(-10, 1004), 400),
		"a row's tone":    samples(NewTone(-10, 770), 400),
		"dial tone":       samples(NewTone(-10, 350, 440), 400),
		"noise":           noise,
		"too short":       samples(NewTone(-10, 770, 1336), 319),
		"far too unequal": unequal(770, 1336),
	} {
		if d, ok := DetectDTMF(pcm); ok {
			t.Errorf("%s heard as %c", name, d)
		}
	}
}

func unequal(low, high float64) []int16 {
	pcm := samples(NewTone(-5, low), 400)
	for i, s := range samples(NewTone(-20, high), 400) {
		pcm[i] += s
	}
	return pcm
}

func BenchmarkTone20ms(b *testing.B) {
	tone, pcm := TestTone(), make([]int16, 160)
	for b.Loop() {
		tone.Read(pcm)
	}
}
