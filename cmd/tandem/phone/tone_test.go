package phone

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAnalyseFindsTones(t *testing.T) {
	for _, hz := range []float64{100, 440, 697.5, 1004, 2100, 3333.3} {
		pcm := make([]int16, 8000)
		newTone(hz, -10).next(pcm)
		coded := decodeG711(payloadPCMA, encodeG711(payloadPCMA, pcm, nil), nil)
		got := analyse(coded)
		if math.Abs(got.Hz-hz) > 1 || math.Abs(got.Level+10) > 0.3 || !got.IsTone(hz) {
			t.Errorf("%.1f Hz at -10 dBm0 was read as %+v", hz, got)
		}
		if got.IsTone(hz * 1.1) {
			t.Errorf("%.1f Hz also passes for %.1f Hz", hz, hz*1.1)
		}
	}
}

func TestAnalyseShortStretch(t *testing.T) {
	pcm := make([]int16, 3200)
	newTone(440, -10).next(pcm)
	if got := analyse(pcm); !got.IsTone(440) {
		t.Errorf("440 Hz for 0.4 s was read as %+v", got)
	}
}

func TestAnalyseRefusesWhatIsNoTone(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise, silence := make([]int16, 8000), make([]int16, 8000)
	for i := range noise {
		noise[i] = int16(random.IntN(8000) - 4000)
	}
	if got := analyse(noise); got.IsTone(got.Hz) {
		t.Errorf("noise passes for a tone: %+v", got)
	}
	if got := analyse(silence); got.IsTone(got.Hz) || got.Level > silentDBm0 {
		t.Errorf("silence passes for a tone: %+v", got)
	}
	if got := analyse(nil); got.IsTone(0) {
		t.Errorf("nothing passes for a tone: %+v", got)
	}
}
