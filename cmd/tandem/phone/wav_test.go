package phone

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRecorderFillsGapsByTimestamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heard.wav")
	rec, err := newRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	one := []int16{1, 2, 3, 4}
	for _, step := range []struct{ ssrc, ts uint32 }{
		{7, 100}, {7, 104}, // in order
		{7, 112}, // four samples lost
		{7, 104}, // late: dropped
		{9, 5},   // another source: follows at once
	} {
		if err := rec.write(step.ssrc, step.ts, one); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.close(); err != nil {
		t.Fatal(err)
	}
	got, err := readWAV(path)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(one, one, make([]int16, 4), one, one)
	if !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}

func TestReadWAVRefuses(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"no WAV":   {"hello", "not a WAV file"},
		"no data":  {"RIFF\x00\x00\x00\x00WAVE", "without data"},
		"bad rate": {wavBytes(1, 1, 11025, 16, "ab"), "multiple of 8000"},
		"8-bit":    {wavBytes(1, 1, 8000, 8, "ab"), "need 16-bit PCM"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.wav")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readWAV(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestReadWAVKinds(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    []int16
	}{
		"16 kHz stereo": {wavBytes(1, 2, 16000, 16, "\x0a\x00\xff\xff\x14\x00\xff\xff"), []int16{15}},
		"A-law":         {wavBytes(6, 1, 8000, 8, "\xd5\xaa"), []int16{8, 32256}},
		"mu-law":        {wavBytes(7, 1, 8000, 8, "\x80"), []int16{32124}},
	} {
		got, err := decodeWAV(strings.NewReader(c.content))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v (%v), want %v", name, got, err, c.want)
		}
	}
}

func wavBytes(code, channels byte, rate uint32, bits byte, data string) string {
	return "RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + string([]byte{code, 0, channels, 0,
		byte(rate), byte(rate >> 8), byte(rate >> 16), 0, 0, 0, 0, 0, 0, 0, bits, 0}) +
		"data" + string([]byte{byte(len(data)), 0, 0, 0}) + data
}
