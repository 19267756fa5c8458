package transport

import (
	"encoding/binary"
	"net/netip"
)

// STUN as a phone uses it on the SIP port to keep its NAT open (RFC 5626 §4.4.2, RFC 5389).
const (
	stunHeader        = 20
	stunCookie        = 0x2112A442
	stunBinding       = 0x0001
	stunSuccess       = 0x0101
	stunError         = 0x0111
	stunErrorCode     = 0x0009
	stunUnknownAttrs  = 0x000A
	stunXORMapped     = 0x0020
	stunOptional      = 0x8000 // attributes from here on may be ignored
	stunMaxUnknown    = 8      // listed in a 420
	stunKnownUsername = 0x0006
	stunKnownMI       = 0x0008
)

// isSTUN tells a STUN packet from SIP, which never begins with octets below 4.
func isSTUN(p []byte) bool {
	return len(p) >= stunHeader && p[0] < 4 && binary.BigEndian.Uint32(p[4:]) == stunCookie
}

// appendSTUNAnswer writes the answer to a Binding request from source; ok is false for what gets none.
func appendSTUNAnswer(dst, req []byte, source netip.AddrPort) (answer []byte, ok bool) {
	if binary.BigEndian.Uint16(req) != stunBinding || int(binary.BigEndian.Uint16(req[2:])) != len(req)-stunHeader ||
		len(req)%4 != 0 {
		return dst, false
	}
	unknown, ok := stunUnknown(req[stunHeader:])
	if !ok {
		return dst, false
	}
	if len(unknown) > 0 {
		dst = appendSTUNHeader(dst, stunError, 8+4+pad4(2*len(unknown)), req)
		dst = append(dst, 0, stunErrorCode, 0, 4, 0, 0, 4, 20)
		dst = binary.BigEndian.AppendUint16(append(dst, 0, stunUnknownAttrs), uint16(2*len(unknown)))
		for _, t := range unknown {
			dst = binary.BigEndian.AppendUint16(dst, t)
		}
		return append(dst, make([]byte, pad4(2*len(unknown))-2*len(unknown))...), true
	}
	addr := source.Addr().Unmap().AsSlice()
	family := byte(1)
	if len(addr) == 16 {
		family = 2
	}
	dst = appendSTUNHeader(dst, stunSuccess, 8+len(addr), req)
	dst = append(dst, 0, stunXORMapped, 0, byte(4+len(addr)), 0, family)
	dst = binary.BigEndian.AppendUint16(dst, source.Port()^(stunCookie>>16))
	for i, b := range addr {
		dst = append(dst, b^req[4+i]) // cookie, then transaction id
	}
	return dst, true
}

// stunUnknown lists the attributes that we would have to understand but do not.
func stunUnknown(attrs []byte) (unknown []uint16, ok bool) {
	for len(attrs) > 0 {
		if len(attrs) < 4 {
			return nil, false
		}
		t, n := binary.BigEndian.Uint16(attrs), pad4(int(binary.BigEndian.Uint16(attrs[2:])))
		if n > len(attrs)-4 {
			return nil, false
		}
		attrs = attrs[4+n:]
		// Credentials are understood and not asked for.
		if t < stunOptional && t != stunKnownUsername && t != stunKnownMI && len(unknown) < stunMaxUnknown {
			unknown = append(unknown, t)
		}
	}
	return unknown, true
}

func appendSTUNHeader(dst []byte, kind uint16, length int, req []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	return append(dst, req[4:stunHeader]...)
}

func pad4(n int) int { return (n + 3) &^ 3 }
