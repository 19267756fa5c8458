package browser

import (
	"bytes"
	"encoding/binary"
	"math"
)

// microphoneHz is the tone that every tab's microphone hears, unless a test gives it another.
const microphoneHz = 440

// microphoneWAV is a second of a tone, which Chromium repeats: 48 kHz, 16 bit, mono. The tone fits into it, so that it
// goes on without a click.
func microphoneWAV(hz float64) []byte {
	const rate = 48000
	var b bytes.Buffer
	data := make([]byte, 2*rate)
	for i := range rate {
		v := int16(9000 * math.Sin(2*math.Pi*hz*float64(i)/rate))
		binary.LittleEndian.PutUint16(data[2*i:], uint16(v))
	}
	b.WriteString("RIFF")
	_ = binary.Write(&b, binary.LittleEndian, uint32(36+len(data)))
	b.WriteString("WAVEfmt ")
	_ = binary.Write(&b, binary.LittleEndian, struct {
		Size             uint32
		Format, Channels uint16
		Rate, Bytes      uint32
		Block, Bits      uint16
	}{16, 1, 1, rate, 2 * rate, 2, 16})
	b.WriteString("data")
	_ = binary.Write(&b, binary.LittleEndian, uint32(len(data)))
	b.Write(data)
	return b.Bytes()
}
