package sip

import (
	"errors"
	"strings"
)

// ErrCSeq means that a CSeq is missing, malformed or out of range.
var ErrCSeq = errors.New("sip: malformed CSeq")

// CSeq reads the sequence number (below 2^31, RFC 3261 §8.1.1.5) and the method.
func (m *Message) CSeq() (seq uint32, method string, err error) {
	v := m.Header(HeaderCSeq)
	i := skip(v, 0, charToken)
	if i == len(v) || !isBlank(v[i]) {
		return 0, "", ErrCSeq
	}
	n, ok := Digits(v[:i])
	method = Trim(v[i:])
	if !ok || n >= 1<<31 || !IsToken(method) {
		return 0, "", ErrCSeq
	}
	return uint32(n), method, nil
}

// CSeqMethod is the method of the CSeq: what a response answers. Empty if there is none.
func (m *Message) CSeqMethod() string {
	_, method, _ := m.CSeq()
	return method
}

// MaxForwards is the hop limit, 0 to 255; ok is false when there is none. A number over 255 counts as none
// (RFC 4475 §3.1.2.4), so that it is replaced on the way; what is no number, -1, Validate has refused.
func (m *Message) MaxForwards() (n int, ok bool) {
	i := m.Index(HeaderMaxForwards)
	if i < 0 {
		return 0, false
	}
	v, good := Digits(m.Value(i))
	switch {
	case good && v <= 255:
		return int(v), true
	case isDigits(m.Value(i)):
		return 0, false
	}
	return -1, true
}

// Seconds reads a delta-seconds header such as Expires or Min-Expires; over-large values become 2^32-1
// (RFC 3261 §20.19). ok is false when it is missing or malformed. Parameters after ";" and the comment of a
// Retry-After are left alone.
func (m *Message) Seconds(id HeaderID) (n uint32, ok bool) {
	i := m.Index(id)
	if i < 0 {
		return 0, false
	}
	v := m.Value(i)
	if end := strings.IndexAny(v, ";("); end >= 0 {
		v = v[:end]
	}
	return ParseSeconds(Trim(v))
}

// ParseSeconds reads delta-seconds; over-large values become 2^32-1.
func ParseSeconds(s string) (n uint32, ok bool) {
	if v, good := Digits(s); good {
		return uint32(min(v, 1<<32-1)), true
	}
	if isDigits(s) {
		return 1<<32 - 1, true
	}
	return 0, false
}
