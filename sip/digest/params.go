package digest

import (
	"strings"

	"tandem/sip"
)

// field is a parameter of a challenge or of credentials that we read.
type field uint8

const (
	fUsername field = iota
	fRealm
	fNonce
	fURI
	fResponse
	fAlgorithm
	fCnonce
	fOpaque
	fQop
	fNC
	fStale
	fUserhash
	fUsernameExt
	fieldCount
)

var fieldNames = [fieldCount]string{
	"username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc", "stale",
	"userhash", "username*",
}

// maxParam bounds one value, in bytes: a URI may be longish, nothing else is.
const maxParam = 1024

// params are the parameters of one challenge or one set of credentials. Values are substrings of the header
// without their quotes, escapes left in: the hashes are made over them so (RFC 7616 §3.4.1, "unq").
type params struct {
	value [fieldCount]string
	have  uint16 // bit 1<<field
}

func (p *params) has(f field) bool { return p.have&(1<<f) != 0 }

// isDigest tells whether a header value is of the Digest scheme, and gives what follows it.
func isDigest(value string) (rest string, ok bool) {
	const scheme = "Digest"
	if len(value) <= len(scheme) || !sip.EqualFold(value[:len(scheme)], scheme) || !blank(value[len(scheme)]) {
		return "", false
	}
	return value[len(scheme):], true
}

// parse reads `name=value, name="value", ...` (RFC 3261 §25.1, dig-resp and digest-cln). Each name that we
// know may stand once; others are passed over. It is false for anything that breaks the grammar.
func (p *params) parse(s string) bool {
	*p = params{}
	for {
		s = skipBlanks(s)
		eq := strings.IndexByte(s, '=')
		if eq <= 0 {
			return false
		}
		name := sip.Trim(s[:eq])
		if !sip.IsToken(name) {
			return false
		}
		value, rest, ok := cutValue(skipBlanks(s[eq+1:]))
		if !ok || len(value) > maxParam || !p.set(name, value) {
			return false
		}
		if s = skipBlanks(rest); s == "" {
			return true
		}
		if s[0] != ',' {
			return false
		}
		s = s[1:]
	}
}

// set keeps a value; false when it was there already.
func (p *params) set(name, value string) bool {
	for f, known := range fieldNames {
		if len(name) != len(known) || !sip.EqualFold(name, known) {
			continue
		}
		if p.has(field(f)) {
			return false
		}
		p.have |= 1 << f
		p.value[f] = value
		return true
	}
	return true
}

// cutValue takes a token or a quoted string off the start of s. Line ends and other control characters in
// quotes are refused: they could not be sent on.
func cutValue(s string) (value, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	if s[0] != '"' {
		end := 0
		for end < len(s) && s[end] != ',' && !blank(s[end]) {
			end++
		}
		return s[:end], s[end:], sip.IsToken(s[:end])
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], s[i+1:], true
		case c == '\\':
			if i++; i < len(s) && s[i] < ' ' {
				return "", "", false
			}
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", "", false
		}
	}
	return "", "", false
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func skipBlanks(s string) string {
	for s != "" && blank(s[0]) {
		s = s[1:]
	}
	return s
}

// unescape takes the backslashes of a quoted string's inside away.
func unescape(s string) string {
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

// parseNC reads a nonce count: eight lower-case hexadecimal digits, not zero (RFC 7616 §3.4). Upper case is
// taken too: the hash is over the text as it came.
func parseNC(s string) (nc uint32, ok bool) {
	if len(s) != 8 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		nc = nc<<4 | uint32(c)
	}
	return nc, nc != 0
}
