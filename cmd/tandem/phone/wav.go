package phone

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	wavPCM  = 1
	wavALaw = 6
	wavULaw = 7

	// maxWAVBytes bounds what one file may hold in memory: about half an hour of 16-bit audio at 8 kHz.
	maxWAVBytes = 32 << 20
)

// readWAV returns the samples of a mono or stereo WAV file as 8 kHz mono: 16-bit PCM at any rate that 8000
// divides or that divides 48000 (by averaging), or G.711 of either law at 8 kHz. Of stereo the left channel is taken.
func readWAV(path string) ([]int16, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	samples, err := decodeWAV(bufio.NewReader(io.LimitReader(f, maxWAVBytes)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

type wavFormat struct {
	Code, Channels uint16
	Rate           uint32
	_              uint32 // bytes per second
	Block, Bits    uint16
}

func decodeWAV(r io.Reader) ([]int16, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, errors.New("not a WAV file")
	}
	var format wavFormat
	for {
		var chunk struct {
			ID   [4]byte
			Size uint32
		}
		if err := binary.Read(r, binary.LittleEndian, &chunk); err != nil {
			return nil, errors.New("WAV file without data")
		}
		body := io.LimitReader(r, int64(chunk.Size)+int64(chunk.Size&1))
		switch string(chunk.ID[:]) {
		case "fmt ":
			if err := binary.Read(body, binary.LittleEndian, &format); err != nil {
				return nil, errors.New("WAV file with a short format chunk")
			}
		case "data":
			data, err := io.ReadAll(body)
			if err != nil {
				return nil, err
			}
			return format.samples(data)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return nil, err
		}
	}
}

func (f wavFormat) samples(data []byte) ([]int16, error) {
	if f.Channels == 0 || f.Channels > 2 || f.Rate < sampleRate || f.Rate%sampleRate != 0 {
		return nil, fmt.Errorf("WAV with %d channels at %d Hz: need 1 or 2 at a multiple of 8000 Hz", f.Channels, f.Rate)
	}
	var all []int16
	switch {
	case f.Code == wavPCM && f.Bits == 16:
		for i := 0; i+1 < len(data); i += 2 * int(f.Channels) {
			all = append(all, int16(binary.LittleEndian.Uint16(data[i:])))
		}
	case (f.Code == wavALaw || f.Code == wavULaw) && f.Bits == 8 && f.Channels == 1:
		payload := uint8(payloadPCMU)
		if f.Code == wavALaw {
			payload = payloadPCMA
		}
		all = decodeG711(payload, data, nil)
	default:
		return nil, fmt.Errorf("WAV format %d with %d bits: need 16-bit PCM or mono G.711", f.Code, f.Bits)
	}
	return average(all, int(f.Rate/sampleRate)), nil
}

// average brings the rate down by a whole factor. It is a crude low-pass, good enough for tones and speech.
func average(in []int16, factor int) []int16 {
	if factor == 1 {
		return in
	}
	out := make([]int16, 0, len(in)/factor)
	for i := 0; i+factor <= len(in); i += factor {
		sum := 0
		for _, s := range in[i : i+factor] {
			sum += int(s)
		}
		out = append(out, int16(sum/factor))
	}
	return out
}

// recorder writes 8 kHz 16-bit mono WAV. Gaps in the stream are filled with silence by RTP timestamp, so the file
// lasts as long as the call did.
type recorder struct {
	file    *os.File
	out     *bufio.Writer
	samples uint32
	ssrc    uint32
	nextTS  uint32
	started bool
}

func newRecorder(path string) (*recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	r := &recorder{file: f, out: bufio.NewWriter(f)}
	return r, r.header()
}

// maxGapSamples is the longest silence one jump of the timestamp may add (10 s): more is a sender that restarted.
const maxGapSamples = 10 * sampleRate

func (r *recorder) write(ssrc, timestamp uint32, pcm []int16) error {
	if r.started && ssrc == r.ssrc {
		if gap := int32(timestamp - r.nextTS); gap < 0 && gap > -maxGapSamples {
			return nil // late or doubled: its place is taken
		} else if gap > 0 && gap < maxGapSamples {
			if err := r.append(make([]int16, gap)); err != nil {
				return err
			}
		}
	}
	r.started, r.ssrc, r.nextTS = true, ssrc, timestamp+uint32(len(pcm))
	return r.append(pcm)
}

func (r *recorder) append(pcm []int16) error {
	r.samples += uint32(len(pcm))
	return binary.Write(r.out, binary.LittleEndian, pcm)
}

func (r *recorder) header() error {
	bytes := r.samples * 2
	return binary.Write(r.out, binary.LittleEndian, struct {
		RIFF     [4]byte
		Size     uint32
		WAVE     [4]byte
		Fmt      [4]byte
		FmtSize  uint32
		Code     uint16
		Channels uint16
		Rate     uint32
		PerSec   uint32
		Block    uint16
		Bits     uint16
		Data     [4]byte
		DataSize uint32
	}{
		[4]byte{'R', 'I', 'F', 'F'}, 36 + bytes, [4]byte{'W', 'A', 'V', 'E'}, [4]byte{'f', 'm', 't', ' '}, 16,
		wavPCM, 1, sampleRate, 2 * sampleRate, 2, 16, [4]byte{'d', 'a', 't', 'a'}, bytes,
	})
}

// close writes the final sizes into the header.
func (r *recorder) close() error {
	err := r.out.Flush()
	if _, seekErr := r.file.Seek(0, io.SeekStart); seekErr != nil {
		err = errors.Join(err, seekErr)
	} else {
		err = errors.Join(err, r.header(), r.out.Flush())
	}
	return errors.Join(err, r.file.Close())
}
