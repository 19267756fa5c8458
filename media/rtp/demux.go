package rtp

// Kind is what a datagram on a media port is, told by its first two bytes.
type Kind uint8

// The kinds of RFC 7983 §7, with RTCP told from RTP by RFC 5761 §4.
const (
	KindUnknown Kind = iota
	KindSTUN
	KindZRTP
	KindDTLS
	KindTURN
	KindRTP
	KindRTCP
)

// String names the kind as logs and metrics do.
func (k Kind) String() string {
	switch k {
	case KindSTUN:
		return "stun"
	case KindZRTP:
		return "zrtp"
	case KindDTLS:
		return "dtls"
	case KindTURN:
		return "turn"
	case KindRTP:
		return "rtp"
	case KindRTCP:
		return "rtcp"
	}
	return "unknown"
}

// Demux tells what b is. It looks at two bytes only: a KindRTP or KindRTCP still has to pass Parse or ParseCompound.
func Demux(b []byte) Kind {
	if len(b) < 2 {
		return KindUnknown
	}
	switch first := b[0]; {
	case first <= 3:
		return KindSTUN
	case first >= 16 && first <= 19:
		return KindZRTP
	case first >= 20 && first <= 63:
		return KindDTLS
	case first >= 64 && first <= 79:
		return KindTURN
	case first >= 128 && first <= 191:
		// With the marker bit a payload type of 64-95 would look like RTCP; RFC 5761 §4 forbids those numbers to RTP for that reason.
		if b[1] >= 192 && b[1] <= 223 {
			return KindRTCP
		}
		return KindRTP
	}
	return KindUnknown
}
