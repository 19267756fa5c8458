package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxWAV bounds a WAV file that is read, in bytes: an hour of telephone sound, or five minutes of a studio's. Larger ones are refused
// because the whole file is kept in memory.
const MaxWAV = 64 << 20

// ErrWAV says that a file is no WAV file that we can play.
var ErrWAV = errors.New("not a playable WAV file")

// WAVE format tags.
const (
	wavPCM        = 1
	wavALaw       = 6
	wavMuLaw      = 7
	wavExtensible = 0xfffe
)

// LoadWAV reads a file with ReadWAV; the error names it.
func LoadWAV(path string) ([]int16, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	samples, err := ReadWAV(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

// ReadWAV reads a RIFF WAVE file of 16-bit PCM, A-law or µ-law, mono or stereo (mixed), 8 to 192 kHz, and gives mono samples at 8 kHz. Errors
// wrap ErrWAV and say what is wrong. A data chunk cut short, as a crashed recorder leaves it, is played as far as it goes.
func ReadWAV(r io.Reader) ([]int16, error) {
	return readWAV(r, MaxWAV)
}

func readWAV(r io.Reader, limit int) ([]int16, error) {
	var head [12]byte // first, so that a film under a wrong name is not read to its end
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, fmt.Errorf("%w: no RIFF WAVE header", ErrWAV)
	}
	rest, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWAV, err)
	}
	if len(rest) > limit {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrWAV, limit)
	}
	var form wavFormat
	for len(rest) >= 8 {
		name, size := string(rest[:4]), uint64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		body := rest[:min(size, uint64(len(rest)))]
		switch name {
		case "fmt ":
			if form, err = parseFormat(body); err != nil {
				return nil, err
			}
		case "data":
			if form.tag == 0 {
				return nil, fmt.Errorf("%w: sound before its format", ErrWAV)
			}
			return form.samples(body), nil
		}
		rest = rest[min(size+size%2, uint64(len(rest))):] // chunks begin at even offsets
	}
	return nil, fmt.Errorf("%w: no sound in it", ErrWAV)
}

type wavFormat struct {
	tag            uint16
	channels, rate int
}

func parseFormat(b []byte) (wavFormat, error) {
	if len(b) < 16 {
		return wavFormat{}, fmt.Errorf("%w: format chunk of %d bytes", ErrWAV, len(b))
	}
	f := wavFormat{
		tag:      binary.LittleEndian.Uint16(b),
		channels: int(binary.LittleEndian.Uint16(b[2:])),
		rate:     int(binary.LittleEndian.Uint32(b[4:])),
	}
	bits := binary.LittleEndian.Uint16(b[14:])
	if f.tag == wavExtensible && len(b) >= 26 {
		f.tag = binary.LittleEndian.Uint16(b[24:]) // the first two bytes of the sub-format's GUID
	}
	switch {
	case f.tag != wavPCM && f.tag != wavALaw && f.tag != wavMuLaw:
		return f, fmt.Errorf("%w: format %d, want 16-bit PCM, A-law or mu-law", ErrWAV, f.tag)
	case f.tag == wavPCM && bits != 16, f.tag != wavPCM && bits != 8:
		return f, fmt.Errorf("%w: %d bits a sample in format %d", ErrWAV, bits, f.tag)
	case f.channels != 1 && f.channels != 2:
		return f, fmt.Errorf("%w: %d channels, want 1 or 2", ErrWAV, f.channels)
	case f.rate < SampleRate || f.rate > 192000:
		return f, fmt.Errorf("%w: %d samples a second, want 8000 to 192000", ErrWAV, f.rate)
	}
	return f, nil
}

func (f wavFormat) samples(b []byte) []int16 {
	var pcm []int16
	switch f.tag {
	case wavPCM:
		pcm = make([]int16, len(b)/2)
		for i := range pcm {
			pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case wavALaw:
		pcm = ALaw.Decode(make([]int16, 0, len(b)), b)
	case wavMuLaw:
		pcm = MuLaw.Decode(make([]int16, 0, len(b)), b)
	}
	if f.channels == 2 {
		for i := range len(pcm) / 2 {
			pcm[i] = int16((int(pcm[2*i]) + int(pcm[2*i+1])) / 2)
		}
		pcm = pcm[:len(pcm)/2]
	}
	if f.rate == SampleRate {
		return pcm
	}
	return newResampler(f.rate).run(pcm)
}
