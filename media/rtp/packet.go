package rtp

import (
	"encoding/binary"
	"errors"
)

const (
	HeaderLen = 12   // bytes of the fixed header
	MaxPacket = 1500 // bytes; longer datagrams are not media of ours
)

// Errors of Parse. They carry no detail on purpose: on the packet path they are counted, not printed.
var (
	ErrShort     = errors.New("rtp: shorter than its header")
	ErrVersion   = errors.New("rtp: version is not 2")
	ErrExtension = errors.New("rtp: header extension longer than the packet")
	ErrPadding   = errors.New("rtp: padding longer than the payload")
	ErrOversize  = errors.New("rtp: longer than 1500 bytes")
)

// A Packet is a whole RTP packet in the buffer it came in. Its methods may be called only after Parse accepted it
// (or on one made by AppendHeader).
type Packet []byte

// Parse checks b by RFC 3550 §5.1 (version, CSRC list, extension, padding) and returns it as a Packet.
// Use ParseProtected for SRTP: the padding count of an encrypted packet is ciphertext.
func Parse(b []byte) (Packet, error) {
	p, err := ParseProtected(b)
	if err != nil {
		return nil, err
	}
	if p[0]&0x20 != 0 {
		room := len(p) - p.HeaderLen()
		if pad := int(p[len(p)-1]); pad == 0 || pad > room {
			return nil, ErrPadding
		}
	}
	return p, nil
}

// ParseProtected checks only what SRTP leaves readable: the header, not the padding.
func ParseProtected(b []byte) (Packet, error) {
	if len(b) < HeaderLen {
		return nil, ErrShort
	}
	if len(b) > MaxPacket {
		return nil, ErrOversize
	}
	if b[0]>>6 != 2 {
		return nil, ErrVersion
	}
	n := HeaderLen + 4*int(b[0]&0x0f)
	if len(b) < n {
		return nil, ErrShort
	}
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return nil, ErrExtension
		}
		if n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:])); len(b) < n {
			return nil, ErrExtension
		}
	}
	return Packet(b), nil
}

// PayloadType is 0 to 127.
func (p Packet) PayloadType() uint8 { return p[1] & 0x7f }

// Marker is the M bit: for audio the first packet of a talkspurt or of a telephone-event.
func (p Packet) Marker() bool { return p[1]&0x80 != 0 }

// Seq is the 16-bit sequence number.
func (p Packet) Seq() uint16 { return binary.BigEndian.Uint16(p[2:]) }

// Timestamp is in units of the payload's clock.
func (p Packet) Timestamp() uint32 { return binary.BigEndian.Uint32(p[4:]) }

// SSRC is the synchronisation source.
func (p Packet) SSRC() uint32 { return binary.BigEndian.Uint32(p[8:]) }

// Payload is what follows the header, without the padding. It aliases the packet.
func (p Packet) Payload() []byte {
	end := len(p)
	if p[0]&0x20 != 0 {
		end -= int(p[len(p)-1])
	}
	return p[p.HeaderLen():end]
}

// HeaderLen is the length of the header in bytes, with CSRC list and extension.
func (p Packet) HeaderLen() int {
	n := HeaderLen + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 {
		n += 4 + 4*int(binary.BigEndian.Uint16(p[n+2:]))
	}
	return n
}

// SetPayloadType rewrites the payload type and keeps the marker.
func (p Packet) SetPayloadType(pt uint8) { p[1] = p[1]&0x80 | pt&0x7f }

// SetMarker rewrites the marker and keeps the payload type.
func (p Packet) SetMarker(m bool) {
	p[1] &= 0x7f
	if m {
		p[1] |= 0x80
	}
}

// SetSeq rewrites the sequence number.
func (p Packet) SetSeq(n uint16) { binary.BigEndian.PutUint16(p[2:], n) }

// SetTimestamp rewrites the timestamp.
func (p Packet) SetTimestamp(t uint32) { binary.BigEndian.PutUint32(p[4:], t) }

// SetSSRC rewrites the synchronisation source.
func (p Packet) SetSSRC(ssrc uint32) { binary.BigEndian.PutUint32(p[8:], ssrc) }

// Bare removes CSRC list, header extension and padding in place and returns the shorter packet. A leg that did not negotiate
// extensions gets none, whatever the other leg's browser sends.
func (p Packet) Bare() Packet {
	if p[0]&0x3f == 0 {
		return p
	}
	payload := p.Payload()
	p[0] = 0x80
	return p[:HeaderLen+copy(p[HeaderLen:], payload)]
}

// A Header is what AppendHeader writes: version 2 without CSRC, extension or padding.
type Header struct {
	PayloadType uint8
	Marker      bool
	Seq         uint16
	Timestamp   uint32
	SSRC        uint32
}

// AppendHeader appends the 12 bytes of h; the payload follows by append.
func AppendHeader(dst []byte, h Header) []byte {
	second := h.PayloadType & 0x7f
	if h.Marker {
		second |= 0x80
	}
	dst = append(dst, 0x80, second)
	dst = binary.BigEndian.AppendUint16(dst, h.Seq)
	dst = binary.BigEndian.AppendUint32(dst, h.Timestamp)
	return binary.BigEndian.AppendUint32(dst, h.SSRC)
}
