package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrWAVFull says that a recording reached the 4 GB that a WAV header can name.
var ErrWAVFull = errors.New("codec: WAV file is full")

const wavHeaderLen = 44

// A WAVWriter writes a WAV file of 16-bit PCM at 8 kHz. The header is right after every Sync and after Close; a file left by a crash before that
// still plays in ReadWAV.
type WAVWriter struct {
	w        io.WriteSeeker
	channels int
	size     uint32 // bytes of sound
	buf      []byte // reused from one Write to the next
}

// NewWAVWriter writes the header to w, which must be at its beginning. With two channels the samples of a Write alternate, left first.
// Closing w is up to the caller.
func NewWAVWriter(w io.WriteSeeker, channels int) (*WAVWriter, error) {
	if channels != 1 && channels != 2 {
		return nil, fmt.Errorf("codec: WAV file of %d channels", channels)
	}
	out := &WAVWriter{w: w, channels: channels}
	return out, out.header(^uint32(0) - wavHeaderLen) // "as much as there is", until Sync knows
}

// Write appends samples.
func (w *WAVWriter) Write(samples []int16) error {
	if uint64(w.size)+2*uint64(len(samples)) > 1<<32-1-wavHeaderLen {
		return ErrWAVFull
	}
	w.buf = w.buf[:0]
	for _, s := range samples {
		w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(s))
	}
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("codec: write WAV: %w", err)
	}
	w.size += uint32(len(w.buf))
	return nil
}

// Sync makes the header tell the length written so far.
func (w *WAVWriter) Sync() error {
	if _, err := w.w.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("codec: write WAV: %w", err)
	}
	if err := w.header(w.size); err != nil {
		return err
	}
	if _, err := w.w.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("codec: write WAV: %w", err)
	}
	return nil
}

// Close is the last Sync.
func (w *WAVWriter) Close() error { return w.Sync() }

func (w *WAVWriter) header(size uint32) error {
	frame := 2 * w.channels
	b := append(make([]byte, 0, wavHeaderLen), "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, size+wavHeaderLen-8)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, wavPCM)
	b = binary.LittleEndian.AppendUint16(b, uint16(w.channels))
	b = binary.LittleEndian.AppendUint32(b, SampleRate)
	b = binary.LittleEndian.AppendUint32(b, uint32(SampleRate*frame))
	b = binary.LittleEndian.AppendUint16(b, uint16(frame))
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, size)
	if _, err := w.w.Write(b); err != nil {
		return fmt.Errorf("codec: write WAV: %w", err)
	}
	return nil
}
