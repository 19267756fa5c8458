package codec

// A Law is one of the two compandings of ITU-T G.711: one byte a sample at 8 kHz.
type Law uint8

// The laws, with the payload types that RFC 3551 gives them (8 and 0).
const (
	ALaw Law = iota
	MuLaw
)

// The tables are filled before main and never written again.
var (
	toLinear  = [2][256]int16{ALaw: expand(expandALaw), MuLaw: expand(expandMuLaw)}
	fromALaw  = compress(compressALaw)
	fromMuLaw = compress(compressMuLaw)
	toOther   = [2][256]byte{ALaw: crossLaw(ALaw, MuLaw), MuLaw: crossLaw(MuLaw, ALaw)}
)

// Silence is the byte that decodes to the smallest positive amplitude.
func (l Law) Silence() byte {
	if l == MuLaw {
		return 0xff
	}
	return 0xd5
}

// Decode appends the samples of src to dst.
func (l Law) Decode(dst []int16, src []byte) []int16 {
	table := &toLinear[l]
	for _, b := range src {
		dst = append(dst, table[b])
	}
	return dst
}

// Encode appends the bytes of src to dst.
func (l Law) Encode(dst []byte, src []int16) []byte {
	table := &fromALaw
	if l == MuLaw {
		table = &fromMuLaw
	}
	for _, s := range src {
		dst = append(dst, table[uint16(s)>>2])
	}
	return dst
}

// Translate turns b from law l into the other one, in place. Each value goes to the nearest of the other law.
func (l Law) Translate(b []byte) {
	table := &toOther[l]
	for i, v := range b {
		b[i] = table[v]
	}
}

// Other is the other law.
func (l Law) Other() Law { return l ^ 1 }

func expand(one func(byte) int16) (table [256]int16) {
	for i := range table {
		table[i] = one(byte(i))
	}
	return table
}

// compress makes a table indexed by the upper 14 bits of a sample: neither law sees more (A-law has 13, µ-law 14).
func compress(one func(int) byte) (table [1 << 14]byte) {
	for i := range table {
		table[i] = one(int(int16(i << 2)))
	}
	return table
}

func crossLaw(from, to Law) (table [256]byte) {
	one := compressALaw
	if to == MuLaw {
		one = compressMuLaw
	}
	for i := range table {
		table[i] = one(int(expandLaw(from, byte(i))))
	}
	return table
}

func expandLaw(l Law, b byte) int16 {
	if l == MuLaw {
		return expandMuLaw(b)
	}
	return expandALaw(b)
}

// expandALaw is G.711 table 1: even bits inverted, 3 bits of segment, 4 of step, result shifted to 16 bits.
func expandALaw(b byte) int16 {
	b ^= 0x55
	t := int16(b&0x0f)<<4 + 8
	if seg := b >> 4 & 7; seg > 0 {
		t = (t + 0x100) << (seg - 1)
	}
	if b&0x80 == 0 {
		return -t
	}
	return t
}

// expandMuLaw is G.711 table 2: all bits inverted, bias 33 (here 0x84 in 16 bits).
func expandMuLaw(b byte) int16 {
	b = ^b
	t := (int16(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		return -t
	}
	return t
}

func compressALaw(s int) byte {
	mask := byte(0xd5)
	if s >>= 3; s < 0 {
		mask, s = 0x55, -s-1
	}
	seg := byte(0)
	for limit := 0x1f; s > limit; limit = limit<<1 | 1 {
		seg++
	}
	step := s >> 1
	if seg > 1 {
		step = s >> seg
	}
	return (seg<<4 | byte(step&0x0f)) ^ mask
}

func compressMuLaw(s int) byte {
	mask := byte(0xff)
	if s >>= 2; s < 0 {
		mask, s = 0x7f, -s
	}
	s = min(s, 8158) + 33
	seg := byte(0)
	for limit := 0x3f; s > limit; limit = limit<<1 | 1 {
		seg++
	}
	return (seg<<4 | byte(s>>(seg+1)&0x0f)) ^ mask
}
