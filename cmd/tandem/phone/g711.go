package phone

// G.711 (ITU-T G.711), computed rather than looked up: a phone handles fifty packets a second.

const (
	payloadPCMU = 0
	payloadPCMA = 8
	// payloadEvent is the dynamic number this phone offers for telephone-event (RFC 4733).
	payloadEvent = 101

	sampleRate   = 8000
	frameSamples = 160 // 20 ms
)

// codecNames maps the static payload numbers of RFC 3551, and the one this phone gives Opus, to the names used in Config.Codecs and in reports.
var codecNames = map[uint8]string{payloadPCMU: "PCMU", payloadPCMA: "PCMA", payloadOpus: "OPUS"}

// codecClock is the rate of a codec's RTP timestamps.
func codecClock(codec uint8) uint32 {
	if codec == payloadOpus {
		return clockOpus
	}
	return sampleRate
}

func codecPayload(name string) (uint8, bool) {
	for number, known := range codecNames {
		if known == name {
			return number, true
		}
	}
	return 0, false
}

func encodeG711(payload uint8, pcm []int16, out []byte) []byte {
	for _, s := range pcm {
		if payload == payloadPCMA {
			out = append(out, linearToALaw(s))
		} else {
			out = append(out, linearToMuLaw(s))
		}
	}
	return out
}

func decodeG711(payload uint8, data []byte, out []int16) []int16 {
	for _, b := range data {
		if payload == payloadPCMA {
			out = append(out, aLawToLinear(b))
		} else {
			out = append(out, muLawToLinear(b))
		}
	}
	return out
}

func linearToMuLaw(sample int16) byte {
	const bias, clip = 0x84, 32635
	v, sign := int(sample), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exponent := 7
	for mask := 0x4000; v&mask == 0 && exponent > 0; mask >>= 1 {
		exponent--
	}
	mantissa := byte(v>>(exponent+3)) & 0x0f
	return ^(sign | byte(exponent)<<4 | mantissa)
}

func muLawToLinear(b byte) int16 {
	b = ^b
	exponent, mantissa := int(b>>4)&7, int(b)&0x0f
	v := (mantissa<<3+0x84)<<exponent - 0x84
	if b&0x80 != 0 {
		return int16(-v)
	}
	return int16(v)
}

func linearToALaw(sample int16) byte {
	v, sign := int(sample)>>3, byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	// v has 12 bits now; segment 0 and 1 are linear, each further one doubles the step.
	segment := 0
	for edge := 0x1f; v > edge && segment < 7; edge = edge<<1 | 1 {
		segment++
	}
	code := byte(segment) << 4
	if segment < 2 {
		code |= byte(v>>1) & 0x0f
	} else {
		code |= byte(v>>segment) & 0x0f
	}
	return (code | sign) ^ 0x55
}

func aLawToLinear(b byte) int16 {
	b ^= 0x55
	segment, v := int(b>>4)&7, int(b&0x0f)<<4
	switch segment {
	case 0:
		v += 8
	default:
		v = (v + 0x108) << (segment - 1)
	}
	if b&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}
