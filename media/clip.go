package media

import (
	"fmt"
	"io"
	"math"
	"time"

	"tandem/media/codec"
	"tandem/media/relay"
)

// A Clip is sound that is ready to be played, in both G.711 laws and in G.722. It is prepared once, never changes, and may be played by any number of
// sessions at once.
type Clip struct {
	sound relay.Sound
}

// Duration is how long it plays, in whole frames of 20 ms.
func (c Clip) Duration() time.Duration {
	return time.Duration(c.sound.Frames()) * 20 * time.Millisecond
}

// LoadWAV makes a Clip of a WAV file: 16-bit PCM, A-law or µ-law, mono or stereo, any rate.
func LoadWAV(path string) (Clip, error) {
	samples, err := codec.LoadWAV(path)
	if err != nil {
		return Clip{}, fmt.Errorf("media: %w", err)
	}
	return NewClip(samples), nil
}

// ReadWAV does the same from a reader.
func ReadWAV(r io.Reader) (Clip, error) {
	samples, err := codec.ReadWAV(r)
	if err != nil {
		return Clip{}, fmt.Errorf("media: %w", err)
	}
	return NewClip(samples), nil
}

// NewClip makes a Clip of samples at 8 kHz.
func NewClip(samples []int16) Clip { return Clip{relay.NewSound(samples)} }

// Tone is a steady tone of hz at level dBm0. A duration of 0 is one second, which loops without a click if hz is a whole number.
func Tone(hz, level float64, duration time.Duration) Clip {
	if duration <= 0 {
		duration = time.Second
	}
	t := codec.NewTone(level, hz)
	samples := make([]int16, int(duration.Seconds()*codec.SampleRate))
	t.Read(samples)
	return NewClip(samples)
}

// Key is the sound of a key (ITU-T Q.23), for a peer that takes neither telephone-events nor INFO; false for what is no key.
func Key(key byte, duration time.Duration) (Clip, bool) {
	t, ok := codec.DTMFTone(key, -9)
	if !ok {
		return Clip{}, false
	}
	samples := make([]int16, int(duration.Seconds()*codec.SampleRate))
	t.Read(samples)
	return NewClip(samples), true
}

// Quiet is silence: what a leg hears that nobody speaks to, so that it does not take the line for dead.
func Quiet(duration time.Duration) Clip {
	return NewClip(make([]int16, int(duration.Seconds()*codec.SampleRate)))
}

// Notice is a short announcement without words: the three rising tones that telephone users know from before an announcement (ITU-T
// E.180 §7), then a chord of three notes that fades, and a second of silence, so that it may be looped.
func Notice() Clip {
	var samples []int16
	for _, hz := range []float64{950, 1400, 1800} {
		part := make([]int16, codec.SampleRate*330/1000)
		t := codec.NewTone(-14, hz)
		t.Read(part)
		edge(part)
		samples = append(samples, part...)
	}
	samples = append(samples, make([]int16, codec.SampleRate/2)...)
	for _, hz := range [][]float64{{523.25, 659.25}, {659.25, 783.99}, {783.99, 1046.5}} {
		samples = append(samples, note(hz, 450*time.Millisecond)...)
	}
	return NewClip(append(samples, make([]int16, codec.SampleRate)...))
}

// Beep is one tone of Beeps and the pause after it.
type Beep struct {
	Hz      float64
	On, Off time.Duration
}

// Beeps is tones one after the other, for what is said without words.
func Beeps(list ...Beep) Clip {
	var samples []int16
	for _, b := range list {
		part := make([]int16, int(b.On.Seconds()*codec.SampleRate))
		t := codec.NewTone(-14, b.Hz)
		t.Read(part)
		edge(part)
		samples = append(samples, part...)
		samples = append(samples, make([]int16, int(b.Off.Seconds()*codec.SampleRate))...)
	}
	return NewClip(samples)
}

// note is a sound that is struck and dies away.
func note(hz []float64, d time.Duration) []int16 {
	part := make([]int16, int(d.Seconds()*codec.SampleRate))
	t := codec.NewTone(-14, hz...)
	t.Read(part)
	for i := range part {
		part[i] = int16(float64(part[i]) * math.Exp(-3*float64(i)/float64(len(part))))
	}
	edge(part)
	return part
}

// edge softens the first and last 5 ms, against clicks.
func edge(samples []int16) {
	n := min(codec.SampleRate/200, len(samples)/2)
	for i := range n {
		samples[i] = int16(int(samples[i]) * i / n)
		j := len(samples) - 1 - i
		samples[j] = int16(int(samples[j]) * i / n)
	}
}
