package sip

import (
	"iter"
	"strings"
)

// IsToken tells whether s is a token of one or more characters.
func IsToken(s string) bool {
	return s != "" && skip(s, 0, charToken) == len(s)
}

// Digits reads an unsigned decimal number of digits only. It fails on anything else and over 2^63.
func Digits(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, n < 1<<63
}

// Trim removes blanks and folded line ends from both ends.
func Trim(s string) string {
	if s == "" || !isBlank(s[0]) && !isBlank(s[len(s)-1]) {
		return s
	}
	s = s[skip(s, 0, charBlank):]
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// cutQuoted returns the length of the quoted string at the start of s, quotes and all; -1 if it is not closed.
func cutQuoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// indexOutside finds the first separator, one of "," ";" "=", in s that stands neither in quotes nor between
// < and >; -1 if there is none, or if a quote is not closed.
func indexOutside(s string, separator byte) int {
	angle := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if chars[c]&charSplits == 0 {
			continue
		}
		switch {
		case c == separator && !angle:
			return i
		case c == '"' && !angle:
			n := cutQuoted(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		}
	}
	return -1
}

// List yields the elements of a comma-separated value, blanks trimmed; commas in quotes and between < and >
// do not separate. An empty element is yielded as "".
func List(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			i := -1
			if strings.IndexByte(value, ',') >= 0 {
				i = indexOutside(value, ',')
			}
			if i < 0 {
				yield(Trim(value))
				return
			}
			if !yield(Trim(value[:i])) {
				return
			}
			value = value[i+1:]
		}
	}
}

// Elements yields the elements of all lines with that id, in order, as one list (RFC 3261 §7.3.1).
func (m *Message) Elements(id HeaderID) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := m.Index(id); i >= 0; i = m.Next(id, i) {
			for e := range List(m.Value(i)) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Lists tells whether a token stands in the list header id, in any case: an option tag in Supported, say.
func (m *Message) Lists(id HeaderID, token string) bool {
	for e := range m.Elements(id) {
		if EqualFold(e, token) {
			return true
		}
	}
	return false
}

// Unquote gives the text of a quoted string without its quotes and escapes; other text is returned as it is.
func Unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Quote makes a quoted string of any text (RFC 3261 §25.1). Control characters, line ends among them, become blanks.
func Quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Unescape turns %HH into octets, once. It fails on a % without two hexadecimal digits.
func Unescape(s string) (text string, ok bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi > 15 || lo > 15 {
			return "", false
		}
		b = append(b, hi<<4|lo)
		i += 2
	}
	return string(b), true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// userMarks are the marks of unreserved and user-unreserved (RFC 3261 §25.1).
const userMarks = "-_.!~*'()&=+$,;?/"

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= lower(c) && lower(c) <= 'z'
}

// EscapeUser writes text as the user part of a URI (RFC 3261 §25.1): what may not stand there becomes %HH.
func EscapeUser(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if alphanumeric(c) || strings.IndexByte(userMarks, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
