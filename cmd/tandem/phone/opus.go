package phone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pion/opus"
	"github.com/pion/opus/pkg/oggreader"
)

// Opus is passed, not made: there is no encoder here, so that a phone that agreed on it sends the packets of an Ogg
// file (RFC 7845), and what it hears is decoded to 8 kHz.

// maxOpusPackets bounds what one file may hold in memory: half an hour.
const maxOpusPackets = 90000

// opusSilence is an Opus packet of 20 ms without sound: CELT, fullband, mono, one frame.
var opusSilence = []byte{0xf8, 0xff, 0xfe}

// An opusSource is a source that can also be sent as it is. It is read one way or the other, frame by frame.
type opusSource struct {
	packets [][]byte
	decoder *opusDecoder
}

func readOpus(path string) (*opusSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &opusSource{}
	if s.packets, err = opusPackets(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.decoder, err = newOpusDecoder()
	return s, err
}

func opusPackets(r io.Reader) ([][]byte, error) {
	ogg, _, err := oggreader.NewWith(r)
	if err != nil {
		return nil, fmt.Errorf("no Ogg Opus file: %w", err)
	}
	var packets [][]byte
	for {
		segments, _, err := ogg.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("a page of it: %w", err)
		}
		for _, packet := range segments {
			if bytes.HasPrefix(packet, []byte("OpusTags")) {
				break
			}
			if !is20ms(packet) {
				return nil, errors.New("its packets are not of 20 ms: encode with --framesize 20")
			}
			if packets = append(packets, bytes.Clone(packet)); len(packets) > maxOpusPackets {
				return nil, errors.New("longer than half an hour")
			}
		}
	}
}

// is20ms reads the table-of-contents byte (RFC 6716 §3.1): one frame, of a configuration whose frames last 20 ms.
func is20ms(packet []byte) bool {
	if len(packet) == 0 || packet[0]&3 != 0 {
		return false
	}
	switch config := packet[0] >> 3; {
	case config < 12:
		return config%4 == 1
	case config < 16:
		return config%2 == 1
	default:
		return config%4 == 3
	}
}

// packet returns the next packet as it is, and whether there are more.
func (s *opusSource) packet() ([]byte, bool) {
	if len(s.packets) == 0 {
		return opusSilence, false
	}
	p := s.packets[0]
	s.packets = s.packets[1:]
	return p, len(s.packets) > 0
}

func (s *opusSource) next(pcm []int16) bool {
	packet, more := s.packet()
	clear(pcm)
	copy(pcm, s.decoder.decode(packet))
	return more
}

// An opusDecoder makes 8 kHz mono of Opus packets. It belongs to whoever holds its stream's lock.
type opusDecoder struct {
	decoder opus.Decoder
	pcm     [6 * frameSamples]int16 // a packet holds 120 ms at most
}

func newOpusDecoder() (*opusDecoder, error) {
	decoder, err := opus.NewDecoderWithOutput(sampleRate, 1)
	if err != nil {
		return nil, fmt.Errorf("decoder of Opus: %w", err)
	}
	return &opusDecoder{decoder: decoder}, nil
}

// decode returns the samples of one packet, valid until the next; none when it cannot be read.
func (d *opusDecoder) decode(packet []byte) []int16 {
	n, err := d.decoder.DecodeToInt16(packet, d.pcm[:])
	if err != nil {
		return nil
	}
	return d.pcm[:n]
}
