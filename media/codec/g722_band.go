package codec

// Tables of ITU-T G.722 §6.2: decision levels and output codes of the 60-level quantizer, inverse quantizers of 6, 4 and 2 bits, and the
// logarithmic scale factors.
var (
	decision6 = [30]int32{0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919}

	inverse6 = [64]int32{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
		-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
		24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
		4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	inverse4 = [16]int32{0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0}
	inverse2 = [4]int32{-7408, -1616, 7408, 1616}

	logStep4 = [16]int32{-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60}
	logStep2 = [4]int32{798, -214, 798, -214}

	antilog = [32]int32{
		2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
		2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
	}
)

// subBands are the states of both ADPCM coders; encoder and decoder keep the same.
type subBands struct {
	low, high subBand
	begun     bool
}

// A subBand is the adaptive predictor and quantizer of one band (§6.2.1.3 ff.). Index 0 is the present, higher ones the past.
type subBand struct {
	step   int32 // DET, the quantizer's scale factor
	log    int32 // NB, its logarithm
	guess  int32 // S, the predictor's estimate of the next sample
	guessZ int32 // SZ, the part of it from the zeros

	difference    [7]int32 // D
	zeros         [7]int32 // B, [0] unused
	partial       [3]int32 // P
	reconstructed [3]int32 // R
	poles         [3]int32 // A, [0] unused
}

func (b *subBands) begin() {
	if !b.begun {
		b.begun, b.low.step, b.high.step = true, 32, 8
	}
}

func (b *subBands) encode(low, high int32) byte {
	b.begin()
	code := b.low.quantize6(low)
	b.low.adapt(inverse4[code>>2], logStep4[code>>2], 8, 18432)
	top := b.high.quantize2(high)
	b.high.adapt(inverse2[top], logStep2[top], 10, 22528)
	return top<<6 | code
}

func (b *subBands) decode(code byte) (low, high int32) {
	b.begin()
	// The lower band is heard with all 6 bits; the predictor goes by 4, so that bits may be stolen on the way (§1.3).
	code6, top := code&0x3f, code>>6
	low = clamp15(b.low.guess + b.low.step*inverse6[code6]>>15)
	b.low.adapt(inverse4[code6>>2], logStep4[code6>>2], 8, 18432)
	high = clamp15(b.high.guess + b.high.step*inverse2[top]>>15)
	b.high.adapt(inverse2[top], logStep2[top], 10, 22528)
	return low, high
}

func clamp15(v int32) int32 { return max(-16384, min(16383, v)) }

// quantize6 is QUANTL: the code of the difference between sample and guess among 60 levels.
func (b *subBand) quantize6(sample int32) byte {
	e := saturate(sample - b.guess)
	size := e
	if e < 0 {
		size = -(e + 1)
	}
	i := 1
	for i < 30 && size >= decision6[i]*b.step>>12 {
		i++
	}
	switch {
	case e >= 0:
		return byte(62 - i)
	case i <= 2:
		return byte(64 - i)
	}
	return byte(34 - i)
}

// quantize2 is QUANTH.
func (b *subBand) quantize2(sample int32) byte {
	e := saturate(sample - b.guess)
	size := e
	if e < 0 {
		size = -(e + 1)
	}
	code := byte(1)
	if size >= 564*b.step>>12 {
		code = 0
	}
	if e >= 0 {
		code += 2
	}
	return code
}

// adapt takes the quantized difference into predictor and scale factor (LOGSCL, SCALEL and their kin).
func (b *subBand) adapt(inverse, logStep, shift, limit int32) {
	d := b.step * inverse >> 15
	b.log = max(0, min(limit, b.log*127>>7+logStep))
	scale := antilog[b.log>>6&31]
	if s := shift - b.log>>11; s < 0 {
		scale <<= -s
	} else {
		scale >>= s
	}
	b.step = scale << 2
	b.predict(d)
}

func (b *subBand) predict(d int32) {
	b.difference[0] = d
	b.reconstructed[0] = saturate(b.guess + d)
	b.partial[0] = saturate(b.guessZ + d)
	p1, p2 := b.adaptPoles()
	b.adaptZeros(d)
	copy(b.difference[1:], b.difference[:6])
	copy(b.reconstructed[1:], b.reconstructed[:2])
	copy(b.partial[1:], b.partial[:2])
	b.poles[1], b.poles[2] = p1, p2

	fromPoles := saturate(b.poles[1]*saturate(2*b.reconstructed[1])>>15 + b.poles[2]*saturate(2*b.reconstructed[2])>>15)
	b.guessZ = 0
	for i := 6; i > 0; i-- {
		b.guessZ += b.zeros[i] * saturate(2*b.difference[i]) >> 15
	}
	b.guessZ = saturate(b.guessZ)
	b.guess = saturate(fromPoles + b.guessZ)
}

// adaptPoles is UPPOL2 and UPPOL1.
func (b *subBand) adaptPoles() (p1, p2 int32) {
	now, last, before := b.partial[0] < 0, b.partial[1] < 0, b.partial[2] < 0
	w := saturate(4 * b.poles[1])
	if now == last {
		w = min(32767, -w)
	}
	p2 = w >> 7
	if now == before {
		p2 += 128
	} else {
		p2 -= 128
	}
	p2 = max(-12288, min(12288, p2+b.poles[2]*32512>>15))

	p1 = b.poles[1] * 32640 >> 15
	if now == last {
		p1 += 192
	} else {
		p1 -= 192
	}
	limit := saturate(15360 - p2)
	return max(-limit, min(limit, saturate(p1))), p2
}

// adaptZeros is UPZERO.
func (b *subBand) adaptZeros(d int32) {
	push := int32(128)
	if d == 0 {
		push = 0
	}
	for i := 1; i < 7; i++ {
		w := b.zeros[i] * 32640 >> 15
		if (b.difference[i] < 0) == (d < 0) {
			w += push
		} else {
			w -= push
		}
		b.zeros[i] = saturate(w)
	}
}
