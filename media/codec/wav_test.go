package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wavFile puts sound under a header of our own making, chunk by chunk.
func wavFile(tag uint16, channels, rate, bits int, sound []byte, before ...byte) []byte {
	form := binary.LittleEndian.AppendUint16(nil, tag)
	form = binary.LittleEndian.AppendUint16(form, uint16(channels))
	form = binary.LittleEndian.AppendUint32(form, uint32(rate))
	form = binary.LittleEndian.AppendUint32(form, uint32(rate*channels*bits/8))
	form = binary.LittleEndian.AppendUint16(form, uint16(channels*bits/8))
	form = binary.LittleEndian.AppendUint16(form, uint16(bits))
	if tag == wavExtensible {
		form = append(form, 22, 0, 16, 0, 0, 0, 0, 0, 1, 0)
		form = append(form, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71)
	}
	b := append([]byte("RIFF\x00\x00\x00\x00WAVE"), before...)
	b = append(b, chunk("fmt ", form)...)
	return append(b, chunk("data", sound)...)
}

func chunk(name string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, len(body)%2)...)
}

// sine is a second of a tone at -10 dBm0 as 16-bit samples of any rate, the same on every channel.
func sine(hz float64, rate, channels int) []byte {
	var b []byte
	peak := 32767 * math.Pow(10, (-10-overload)/20)
	for i := range rate {
		s := uint16(int16(math.Round(peak * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))))
		for range channels {
			b = binary.LittleEndian.AppendUint16(b, s)
		}
	}
	return b
}

func TestReadWAV(t *testing.T) {
	tone := samples(NewTone(-10, 1004), 8000)
	list := chunk("LIST", []byte("odd")) // with its byte of filling
	for name, b := range map[string][]byte{
		"8 kHz mono":          wavFile(wavPCM, 1, 8000, 16, sine(1004, 8000, 1)),
		"8 kHz stereo":        wavFile(wavPCM, 2, 8000, 16, sine(1004, 8000, 2)),
		"16 kHz":              wavFile(wavPCM, 1, 16000, 16, sine(1004, 16000, 1)),
		"48 kHz stereo":       wavFile(wavPCM, 2, 48000, 16, sine(1004, 48000, 2)),
		"44.1 kHz stereo":     wavFile(wavPCM, 2, 44100, 16, sine(1004, 44100, 2)),
		"22.05 kHz":           wavFile(wavPCM, 1, 22050, 16, sine(1004, 22050, 1)),
		"11.025 kHz":          wavFile(wavPCM, 1, 11025, 16, sine(1004, 11025, 1)),
		"A-law":               wavFile(wavALaw, 1, 8000, 8, ALaw.Encode(nil, tone)),
		"mu-law":              wavFile(wavMuLaw, 1, 8000, 8, MuLaw.Encode(nil, tone)),
		"extensible":          wavFile(wavExtensible, 1, 8000, 16, sine(1004, 8000, 1)),
		"another chunk first": wavFile(wavPCM, 1, 8000, 16, sine(1004, 8000, 1), list...),
	} {
		t.Run(name, func(t *testing.T) {
			pcm, err := ReadWAV(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if len(pcm) != 8000 {
				t.Errorf("%d samples, want 8000", len(pcm))
			}
			hz, level := Frequency(pcm)
			if math.Abs(hz-1004) > 0.5 || math.Abs(level+10) > 0.3 {
				t.Errorf("%.2f Hz at %.2f dBm0, want 1004 at -10", hz, level)
			}
		})
	}
}

// What 8 kHz cannot carry must not come back as something else.
func TestResamplerStopsAliases(t *testing.T) {
	for _, rate := range []int{16000, 48000, 44100, 22050} {
		for hz := 4600.0; hz < float64(rate)/2-300; hz += 1900 {
			pcm, err := ReadWAV(bytes.NewReader(wavFile(wavPCM, 1, rate, 16, sine(hz, rate, 1))))
			if err != nil {
				t.Fatal(err)
			}
			if level := Level(pcm[400 : len(pcm)-400]); level > -50 {
				t.Errorf("%.0f Hz at %d samples a second: %.1f dBm0 left of -10", hz, rate, level)
			}
		}
		for _, hz := range []float64{300, 1000, 3000} {
			pcm, err := ReadWAV(bytes.NewReader(wavFile(wavPCM, 1, rate, 16, sine(hz, rate, 1))))
			if err != nil {
				t.Fatal(err)
			}
			if level := Level(pcm[400 : len(pcm)-400]); math.Abs(level+10) > 0.5 {
				t.Errorf("%.0f Hz at %d samples a second: %.1f dBm0, want -10", hz, rate, level)
			}
		}
	}
}

func TestReadWAVRefuses(t *testing.T) {
	sound := make([]byte, 320)
	good := wavFile(wavPCM, 1, 8000, 16, sound)
	for name, test := range map[string]struct {
		b    []byte
		says string
	}{
		"empty":             {nil, "RIFF"},
		"text":              {[]byte("hello, this is not a WAV file at all"), "RIFF"},
		"header only":       {good[:12], "no sound"},
		"format only":       {good[:36], "no sound"},
		"format cut":        {good[:30], "format chunk"},
		"MP3 inside":        {wavFile(0x55, 1, 8000, 16, sound), "format 85"},
		"8-bit PCM":         {wavFile(wavPCM, 1, 8000, 8, sound), "8 bits"},
		"16-bit A-law":      {wavFile(wavALaw, 1, 8000, 16, sound), "16 bits"},
		"5.1":               {wavFile(wavPCM, 6, 48000, 16, sound), "6 channels"},
		"no channels":       {wavFile(wavPCM, 0, 8000, 16, sound), "0 channels"},
		"4 kHz":             {wavFile(wavPCM, 1, 4000, 16, sound), "4000"},
		"1 MHz":             {wavFile(wavPCM, 1, 1000000, 16, sound), "1000000"},
		"sound before form": {append([]byte("RIFF\x00\x00\x00\x00WAVE"), chunk("data", sound)...), "before"},
	} {
		_, err := ReadWAV(bytes.NewReader(test.b))
		if !errors.Is(err, ErrWAV) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want ErrWAV that says %q", name, err, test.says)
		}
	}
	long := io.MultiReader(bytes.NewReader(good), endless{})
	if _, err := readWAV(long, 1<<16); !errors.Is(err, ErrWAV) || !strings.Contains(err.Error(), "larger than 65536") {
		t.Errorf("endless file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "bad.wav")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWAV(path); !errors.Is(err, ErrWAV) || !strings.Contains(err.Error(), path) {
		t.Errorf("LoadWAV does not name the file: %v", err)
	}
	if _, err := LoadWAV(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestWAVWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWAVWriter(f, 2)
	if err != nil {
		t.Fatal(err)
	}
	half := make([]int16, 8000)
	for i, s := range samples(NewTone(-10, 1004), 4000) {
		half[2*i], half[2*i+1] = s, s
	}
	read := func(want int) {
		t.Helper()
		pcm, err := LoadWAV(path)
		if err != nil || len(pcm) != want {
			t.Fatalf("%d samples, %v; want %d", len(pcm), err, want)
		}
	}
	if err := w.Write(half); err != nil {
		t.Fatal(err)
	}
	read(4000) // as a crash would leave it
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(half); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	read(8000)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if riff, data := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[40:]); int(riff) != len(b)-8 || int(data) != len(b)-44 {
		t.Errorf("header says %d and %d for a file of %d", riff, data, len(b))
	}
	pcm, _ := LoadWAV(path)
	if hz, level := Frequency(pcm); math.Abs(hz-1004) > 0.5 || math.Abs(level+10) > 0.2 {
		t.Errorf("%.2f Hz at %.2f dBm0", hz, level)
	}
	if _, err := NewWAVWriter(f, 3); err == nil {
		t.Error("three channels taken")
	}
}

func FuzzReadWAV(f *testing.F) {
	f.Add(wavFile(wavPCM, 2, 16000, 16, make([]byte, 640)))
	f.Add(wavFile(wavMuLaw, 1, 8000, 8, make([]byte, 161)))
	f.Add(wavFile(wavExtensible, 1, 11025, 16, make([]byte, 50), chunk("LIST", []byte("x"))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm, err := ReadWAV(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrWAV) {
				t.Fatal(err)
			}
			return
		}
		if len(pcm) > len(b) {
			t.Fatalf("%d samples out of %d bytes", len(pcm), len(b))
		}
	})
}
