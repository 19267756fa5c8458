package digest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"time"
)

// A nonce is base64url of 6 bytes of time (ms since 1970), 9 random bytes and 12 bytes of MAC over both, the
// realm (through the key) and the source that it was given to. It is all that there is to a challenge: the
// server keeps nothing. The source is in it so that a stranger who forges a phone's address cannot use his own
// nonce to collect failures in the phone's name.
const (
	nonceSeed  = 15 // time and random
	nonceBytes = nonceSeed + 12
	nonceText  = 36
)

// clockSkew is how far ahead the clock of another node with our key may be.
const clockSkew = 30 * time.Second

// seed is what makes a nonce unique.
type seed [nonceSeed]byte

// issued is the time in the nonce, in ms since 1970.
func (s *seed) issued() int64 {
	var ms int64
	for _, b := range s[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms
}

// mac signs a seed for a source. The input has one fixed length and the output is cut to 96 of 256 bits, so a
// plain keyed hash is enough.
func (a *Authority) mac(s *seed, source netip.Addr) (tag [12]byte) {
	var in [32 + nonceSeed + 16]byte
	copy(in[:], a.nonceKey[:])
	copy(in[32:], s[:])
	if !a.cfg.AnySource {
		host := sourceOf(source).As16()
		copy(in[32+nonceSeed:], host[:])
	}
	sum := sha256.Sum256(in[:])
	copy(tag[:], sum[:])
	return tag
}

// appendNonce makes a nonce for a source.
func (a *Authority) appendNonce(dst []byte, now time.Time, source netip.Addr) []byte {
	var raw [nonceBytes]byte
	ms := a.clock(now)
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	_, _ = rand.Read(raw[6:nonceSeed]) // never fails: it ends the process instead
	tag := a.mac((*seed)(raw[:nonceSeed]), source)
	copy(raw[nonceSeed:], tag[:])
	return base64.RawURLEncoding.AppendEncode(dst, raw[:])
}

// openNonce tells whether a nonce is ours, was given to that source, and is young enough.
func (a *Authority) openNonce(now time.Time, text string, source netip.Addr) (s seed, ok bool) {
	if len(text) != nonceText {
		return s, false
	}
	var raw [nonceBytes]byte
	n, err := base64.RawURLEncoding.Decode(raw[:], []byte(text))
	if err != nil || n != nonceBytes {
		return s, false
	}
	copy(s[:], raw[:])
	tag := a.mac(&s, source)
	if subtle.ConstantTimeCompare(tag[:], raw[nonceSeed:]) != 1 {
		return s, false
	}
	age := time.Duration(a.clock(now)-s.issued()) * time.Millisecond
	return s, age >= -clockSkew && age <= a.cfg.Lifetime
}

// clock is the time in ms since 1970, immune to steps of the wall clock while the process lives.
func (a *Authority) clock(now time.Time) int64 {
	return a.startMS + now.Sub(a.start).Milliseconds()
}

// sourceOf is what counts as one source: an IPv4 address, or the /64 of an IPv6 one, within which a host
// changes its address as it likes.
func sourceOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if !addr.Is6() {
		return addr
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr
	}
	return p.Addr()
}
