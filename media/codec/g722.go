package codec

// G.722 at 64 kbit/s (mode 1): two sub-bands of 8000 samples a second, 6 bits for the lower, 2 for the upper, ADPCM in each. The RTP clock is 8000
// although the sound has 16000 samples a second (RFC 3551 §4.5.2). Names of the steps are those of ITU-T G.722 §6.

// A G722Encoder turns sound into G.722. The zero value is ready; each stream has its own.
type G722Encoder struct {
	bands subBands
	qmf   [24]int32
}

// A G722Decoder turns G.722 into sound. The zero value is ready; each stream has its own.
type G722Decoder struct {
	bands subBands
	qmf   [24]int32
}

// qmfHalf are the 12 different coefficients of the quadrature mirror filters (table 11).
var qmfHalf = [12]int32{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}

// Encode appends the bytes for src, 16 kHz, one byte for two samples; a single sample at the end is left out.
func (e *G722Encoder) Encode(dst []byte, src []int16) []byte {
	for ; len(src) >= 2; src = src[2:] {
		copy(e.qmf[:], e.qmf[2:])
		e.qmf[22], e.qmf[23] = int32(src[0]), int32(src[1])
		var odd, even int32
		for i, c := range qmfHalf {
			odd += e.qmf[2*i] * c
			even += e.qmf[2*i+1] * qmfHalf[11-i]
		}
		dst = append(dst, e.bands.encode((even+odd)>>14, (even-odd)>>14))
	}
	return dst
}

// EncodeNarrow appends the bytes for src at 8 kHz, one each: the sound is the lower sub-band as it stands, and the upper one is silent.
func (e *G722Encoder) EncodeNarrow(dst []byte, src []int16) []byte {
	for _, s := range src {
		dst = append(dst, e.bands.encode(int32(s)>>1, 0))
	}
	return dst
}

// Decode appends the sound of src, 16 kHz, two samples for each byte.
func (d *G722Decoder) Decode(dst []int16, src []byte) []int16 {
	for _, code := range src {
		low, high := d.bands.decode(code)
		copy(d.qmf[:], d.qmf[2:])
		d.qmf[22], d.qmf[23] = low+high, low-high
		var first, second int32
		for i, c := range qmfHalf {
			second += d.qmf[2*i] * c
			first += d.qmf[2*i+1] * qmfHalf[11-i]
		}
		dst = append(dst, int16(saturate(first>>11)), int16(saturate(second>>11)))
	}
	return dst
}

// DecodeNarrow appends the sound of src at 8 kHz, one sample for each byte: the lower sub-band alone, which is what 8 kHz can carry.
func (d *G722Decoder) DecodeNarrow(dst []int16, src []byte) []int16 {
	for _, code := range src {
		low, _ := d.bands.decode(code)
		dst = append(dst, int16(saturate(low<<1)))
	}
	return dst
}

func saturate(v int32) int32 { return max(-32768, min(32767, v)) }
