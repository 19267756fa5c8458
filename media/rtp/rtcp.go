package rtp

import (
	"encoding/binary"
	"errors"
	"iter"
)

// RTCP packet types (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2).
const (
	TypeSR    = 200
	TypeRR    = 201
	TypeSDES  = 202
	TypeBYE   = 203
	TypeAPP   = 204
	TypeRTPFB = 205
	TypePSFB  = 206
	TypeXR    = 207
)

// ErrCompound says that a datagram is no valid RTCP compound.
var ErrCompound = errors.New("rtp: not a valid RTCP compound")

// A Compound is a whole RTCP datagram that ParseCompound accepted.
type Compound []byte

// A Control is one packet of a Compound, header included, without padding.
type Control []byte

// ParseCompound checks b by RFC 3550 §6.1 and Appendix A.2: every packet version 2, the first one SR or RR, lengths that add up to the
// datagram, padding on the last one only, and each type at least as long as its counts say. A datagram of 4 bytes is none: it has no
// SSRC to be judged by, which once let strangers take over calls (AST-2017-008). Reduced-size RTCP (RFC 5506) is refused,
// for we do not negotiate it.
func ParseCompound(b []byte) (Compound, error) { return parseCompound(b, false) }

// ParseReduced takes feedback that stands alone too (RFC 5506), as browsers send that on arrival times whether that was negotiated or not; and its
// padding, which is of 1 to 3 bytes and not only in the last packet (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
func ParseReduced(b []byte) (Compound, error) { return parseCompound(b, true) }

func parseCompound(b []byte, reduced bool) (Compound, error) {
	if len(b) < 8 || len(b) > MaxPacket || len(b)%4 != 0 {
		return nil, ErrCompound
	}
	for rest, first := b, true; len(rest) > 0; first = false {
		size := controlSize(rest)
		if size == 0 || size > len(rest) || first && !mayLead(rest, reduced) {
			return nil, ErrCompound
		}
		c := rest[:size]
		rest = rest[size:]
		if c[0]&0x20 != 0 {
			pad := int(c[size-1])
			loose := reduced && c[1] == TypeRTPFB
			if !loose && (len(rest) > 0 || pad%4 != 0) || pad == 0 || pad > size-4 {
				return nil, ErrCompound
			}
			c = c[:size-pad]
		}
		if !validControl(c) {
			return nil, ErrCompound
		}
	}
	return Compound(b), nil
}

// mayLead tells whether a packet may be the first of a datagram.
func mayLead(b []byte, reduced bool) bool {
	report := (b[1] == TypeSR || b[1] == TypeRR) && b[0]&0x20 == 0
	return report || reduced && (b[1] == TypeRTPFB || b[1] == TypePSFB)
}

// controlSize is the size in bytes of the packet at the start of b, 0 if it has no valid header.
func controlSize(b []byte) int {
	if len(b) < 4 || b[0]>>6 != 2 {
		return 0
	}
	return 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
}

func validControl(c []byte) bool {
	count := int(c[0] & 0x1f)
	switch c[1] {
	case TypeSR:
		return len(c) >= 28+24*count
	case TypeRR:
		return len(c) >= 8+24*count
	case TypeSDES:
		return validSDES(c[4:], count)
	case TypeBYE:
		return validBYE(c, count)
	case TypeAPP, TypeRTPFB, TypePSFB:
		return len(c) >= 12
	case TypeXR:
		return len(c) >= 8
	}
	// An unknown type is stepped over by its length (RFC 3550 §6.1), if its second byte can be RTCP at all.
	return c[1] >= 192 && c[1] <= 223
}

// validSDES walks the chunks: SSRC, items of type, length and text, a null item, zero bytes up to the next multiple of four.
func validSDES(b []byte, chunks int) bool {
	for range chunks {
		if len(b) < 8 {
			return false
		}
		n := 4
		for n < len(b) && b[n] != 0 {
			if n+2 > len(b) || n+2+int(b[n+1]) > len(b) {
				return false
			}
			n += 2 + int(b[n+1])
		}
		if n = (n + 4) &^ 3; n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

func validBYE(c []byte, count int) bool {
	n := 4 + 4*count
	if len(c) < n {
		return false
	}
	return len(c) == n || len(c) >= n+1+int(c[n]) // optional reason with its length
}

// SSRC is the sender of the compound.
func (c Compound) SSRC() uint32 { return binary.BigEndian.Uint32(c[4:]) }

// All gives the packets of the compound in order. Nothing is allocated.
func (c Compound) All() iter.Seq[Control] {
	return func(yield func(Control) bool) {
		for rest := []byte(c); len(rest) > 0; {
			size := controlSize(rest)
			one := rest[:size]
			if one[0]&0x20 != 0 {
				one = one[:size-int(one[size-1])]
			}
			if !yield(Control(one)) {
				return
			}
			rest = rest[size:]
		}
	}
}

// Type is the packet type, TypeSR and so on.
func (c Control) Type() uint8 { return c[1] }

// SSRC is the sender of the packet (of the first chunk or source in SDES and BYE), 0 if the packet names none.
func (c Control) SSRC() uint32 {
	if len(c) < 8 {
		return 0
	}
	return binary.BigEndian.Uint32(c[4:])
}

// SenderInfo is the sender's part of an SR (RFC 3550 §6.4.1).
type SenderInfo struct {
	NTP       uint64 // 32.32 fixed-point seconds since 1900
	Timestamp uint32 // the same instant on the RTP clock
	Packets   uint32
	Octets    uint32 // payload only
}

// LSR is the middle 32 bits of the NTP time: what a report block about this SR carries back.
func (s SenderInfo) LSR() uint32 { return uint32(s.NTP >> 16) }

// Sender reads the sender info of an SR; false for every other type.
func (c Control) Sender() (SenderInfo, bool) {
	if c[1] != TypeSR {
		return SenderInfo{}, false
	}
	return SenderInfo{
		NTP:       binary.BigEndian.Uint64(c[8:]),
		Timestamp: binary.BigEndian.Uint32(c[16:]),
		Packets:   binary.BigEndian.Uint32(c[20:]),
		Octets:    binary.BigEndian.Uint32(c[24:]),
	}, true
}

// A Report is one report block of an SR or RR (RFC 3550 §6.4.1).
type Report struct {
	SSRC         uint32 // whose packets are reported on
	FractionLost uint8  // of 256, since the report before
	Lost         int32  // since the beginning, 24 bits signed
	HighestSeq   uint32 // extended: cycles in the upper half
	Jitter       uint32 // in RTP clock units
	LSR, DLSR    uint32 // last SR heard and how long ago, both in 1/65536 s; 0: none heard
}

// Reports is the number of report blocks; 0 for types that have none.
func (c Control) Reports() int {
	if c[1] != TypeSR && c[1] != TypeRR {
		return 0
	}
	return int(c[0] & 0x1f)
}

// Report reads block i of Reports().
func (c Control) Report(i int) Report {
	off := 8
	if c[1] == TypeSR {
		off = 28
	}
	b := c[off+24*i:]
	return Report{
		SSRC:         binary.BigEndian.Uint32(b),
		FractionLost: b[4],
		Lost:         int32(binary.BigEndian.Uint32(b[4:])<<8) >> 8,
		HighestSeq:   binary.BigEndian.Uint32(b[8:]),
		Jitter:       binary.BigEndian.Uint32(b[12:]),
		LSR:          binary.BigEndian.Uint32(b[16:]),
		DLSR:         binary.BigEndian.Uint32(b[20:]),
	}
}

// CNAME is the canonical name of an SDES packet's first chunk; nil if there is none. It aliases the packet.
func (c Control) CNAME() []byte {
	if c[1] != TypeSDES || c[0]&0x1f == 0 {
		return nil
	}
	for b := c[8:]; len(b) >= 2 && b[0] != 0; {
		text := b[2 : 2+int(b[1])]
		if b[0] == 1 {
			return text
		}
		b = b[2+len(text):]
	}
	return nil
}

// Kinds of feedback (RFC 4585 §6.2 and §6.3, RFC 5104 §4.3.1): the count field of RTPFB and PSFB.
const (
	formatNACK = 1
	formatTWCC = 15 // draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1
	formatPLI  = 1
	formatFIR  = 4
	formatAFB  = 15 // of REMB: draft-alvestrand-rmcat-remb-03 §2.2
)

// VideoFeedback tells whether the packet asks for repair or a key frame or tells of arrival: NACK, TWCC, PLI, FIR, REMB.
func (c Control) VideoFeedback() bool {
	switch format := c[0] & 0x1f; c[1] {
	case TypeRTPFB:
		return format == formatNACK || format == formatTWCC
	case TypePSFB:
		return format == formatPLI || format == formatFIR || format == formatAFB && len(c) >= 16 && string(c[12:16]) == "REMB"
	}
	return false
}

// Whole is a packet that All gave, with its padding.
func (c Control) Whole() []byte { return c[:controlSize(c)] }

// Media is the source that a feedback packet is about (RFC 4585 §6.1); 0 where it names none there, as FIR and REMB do.
func (c Control) Media() uint32 {
	if len(c) < 12 {
		return 0
	}
	return binary.BigEndian.Uint32(c[8:])
}
