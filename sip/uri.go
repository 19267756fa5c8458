package sip

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Errors of ParseURI.
var (
	ErrURI       = errors.New("sip: malformed URI")
	ErrURIScheme = errors.New("sip: unknown URI scheme")
)

// URI is a sip, sips or tel URI taken apart (RFC 3261 §19.1, RFC 3966). Texts stand as they came, escapes
// included.
type URI struct {
	Scheme   string // "sip", "sips" or "tel", in lower case
	User     string // user part, or a tel URI's number; escaped as it came
	Password string
	Host     string // lower or upper case as it came; IPv6 without its brackets
	Port     uint16 // 0: none given
	Params   Params // from the first ";" on
	Headers  string // what follows "?"
	V6       bool   // the host is an IPv6 reference
}

// ParseURI takes a URI apart. It returns ErrURIScheme for schemes other than sip, sips and tel, and ErrURI
// for what breaks the grammar.
func ParseURI(s string) (u URI, err error) {
	colon := strings.IndexByte(s, ':')
	if colon <= 0 {
		return URI{}, ErrURI
	}
	rest := s[colon+1:]
	switch scheme := s[:colon]; {
	case EqualFold(scheme, "sip"):
		u.Scheme = "sip"
	case EqualFold(scheme, "sips"):
		u.Scheme = "sips"
	case EqualFold(scheme, "tel"):
		return parseTel(rest)
	default:
		if !IsToken(scheme) {
			return URI{}, ErrURI
		}
		return URI{}, ErrURIScheme
	}
	at, ok := scanURI(rest)
	if !ok {
		return URI{}, ErrURI
	}
	// The user part may hold ";" and "?", so the "@" is found first (RFC 4475 §3.1.1.9).
	if at >= 0 {
		u.User, rest = rest[:at], rest[at+1:]
		if c := strings.IndexByte(u.User, ':'); c >= 0 {
			u.User, u.Password = u.User[:c], u.User[c+1:]
		}
		if u.User == "" {
			return URI{}, ErrURI
		}
	}
	end := skip(rest, 0, charHost)
	if end < len(rest) {
		if rest, ok = u.tail(rest); !ok {
			return URI{}, ErrURI
		}
	}
	if u.Host, u.Port, u.V6, ok = splitHostPort(rest); !ok {
		return URI{}, ErrURI
	}
	return u, nil
}

// scanURI looks at every character once: none may be foreign to URIs, escapes must be whole, and at is the
// place of the only "@", or -1.
func scanURI(s string) (at int, ok bool) {
	at = -1
	for i := 0; i < len(s); i++ {
		c := s[i]
		if chars[c]&charURIStop == 0 {
			continue
		}
		switch {
		case c == '@' && at < 0:
			at = i
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			i += 2
		default:
			return -1, false
		}
	}
	return at, true
}

// tail takes parameters and headers off and returns host and port.
func (u *URI) tail(s string) (hostport string, ok bool) {
	if q := strings.IndexByte(s, '?'); q >= 0 {
		s, u.Headers = s[:q], s[q+1:]
		if u.Headers == "" {
			return "", false
		}
	}
	if semi := strings.IndexByte(s, ';'); semi >= 0 {
		s, u.Params = s[:semi], Params(s[semi:])
		if !namedParams(u.Params) {
			return "", false
		}
	}
	return s, true
}

// namedParams tells whether each parameter of a URI has a name.
func namedParams(p Params) bool {
	for i := 0; i < len(p); i++ {
		if p[i] == ';' && (i+1 == len(p) || p[i+1] == ';' || p[i+1] == '=') {
			return false
		}
	}
	return true
}

func parseTel(rest string) (URI, error) {
	u := URI{Scheme: "tel"}
	if semi := strings.IndexByte(rest, ';'); semi >= 0 {
		rest, u.Params = rest[:semi], Params(rest[semi:])
	}
	u.User = rest
	digits := 0
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case '0' <= c && c <= '9', unhex(c) < 16, c == '*', c == '#':
			digits++
		case c == '+' && i == 0:
		case c == '-' || c == '.' || c == '(' || c == ')':
		default:
			return URI{}, ErrURI
		}
	}
	if _, ok := scanURI(string(u.Params)); digits == 0 || !ok || !namedParams(u.Params) {
		return URI{}, ErrURI
	}
	return u, nil
}

// Number is a tel URI's number without its visual separators, or the unescaped user part of a sip URI.
func (u URI) Number() string {
	if u.Scheme != "tel" {
		text, ok := Unescape(u.User)
		if !ok {
			return u.User
		}
		return text
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.()", r) {
			return -1
		}
		return r
	}, u.User)
}

// splitHostPort reads host, host:port, [v6] or [v6]:port; blanks round ":" are taken (RFC 3261 §7.3.1).
func splitHostPort(s string) (host string, port uint16, v6, ok bool) {
	end := 0
	if s != "" && s[0] == '[' {
		end = strings.IndexByte(s, ']') + 1
		if end == 0 {
			return "", 0, false, false
		}
		host, v6 = s[1:end-1], true
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() || a.Zone() != "" {
			return "", 0, false, false
		}
	} else {
		end = skip(s, 0, charHost)
		if host = s[:end]; host == "" || len(host) > 255 {
			return "", 0, false, false
		}
	}
	if end = skip(s, end, charBlank); end == len(s) {
		return host, 0, v6, true
	}
	n, ok := Digits(Trim(s[end+1:]))
	if s[end] != ':' || !ok || n == 0 || n > 65535 {
		return "", 0, false, false
	}
	return host, uint16(n), v6, true
}

// HostPort writes host[:port], an IPv6 host in brackets.
func (u URI) HostPort() string {
	h := u.Host
	if u.V6 {
		h = "[" + h + "]"
	}
	if u.Port != 0 {
		h += ":" + strconv.Itoa(int(u.Port))
	}
	return h
}

// String writes the URI. What was parsed comes out as it went in, but for the scheme's case, leading zeros of
// the port and the colon of an empty password.
func (u URI) String() string {
	var b strings.Builder
	b.WriteString(u.Scheme)
	b.WriteByte(':')
	b.WriteString(u.User)
	if u.Scheme == "tel" {
		b.WriteString(string(u.Params))
		return b.String()
	}
	if u.Password != "" {
		b.WriteByte(':')
		b.WriteString(u.Password)
	}
	if u.User != "" {
		b.WriteByte('@')
	}
	b.WriteString(u.HostPort())
	b.WriteString(string(u.Params))
	if u.Headers != "" {
		b.WriteByte('?')
		b.WriteString(u.Headers)
	}
	return b.String()
}

// AOR is the address of record as a key: scheme, unescaped user and lower-case host; no port, parameters
// or headers (RFC 3261 §10.3 step 5). It is no URI: the user part may hold any octet.
func (u URI) AOR() string {
	if u.Scheme == "tel" {
		return "tel:" + u.Number()
	}
	return u.Scheme + ":" + u.Number() + "@" + u.hostKey()
}

// hostKey is one spelling of the host: lower case, an IPv6 address by RFC 5952 in brackets.
func (u URI) hostKey() string {
	if u.V6 {
		if a, err := netip.ParseAddr(u.Host); err == nil {
			return "[" + a.String() + "]"
		}
	}
	return strings.ToLower(u.Host)
}

// Addr is the host as an address, where it is one.
func (u URI) Addr() (netip.Addr, bool) {
	a, err := netip.ParseAddr(u.Host)
	return a, err == nil
}

// Equal compares two URIs by RFC 3261 §19.1.4: case matters in the user part only, escapes do not, and
// user, ttl, method, maddr and transport count even when only one side has them. IPv6 addresses compare as
// addresses (RFC 5954 §4.2), telephone numbers without their separators (RFC 3966 §4).
func (u URI) Equal(v URI) bool {
	if u.Scheme != v.Scheme || u.Port != v.Port || !equalHost(u, v) ||
		!equalUser(u, v) || !equalEscaped(u.Password, v.Password) {
		return false
	}
	if crowded(u) || crowded(v) { // comparing them all would cost the square of their number
		return u.Params == v.Params && u.Headers == v.Headers
	}
	return paramsAgree(u.Params, v.Params) && paramsAgree(v.Params, u.Params) && sameHeaders(u.Headers, v.Headers)
}

// crowded tells whether a URI has more parameters or headers than anybody needs.
func crowded(u URI) bool {
	const enough = 32
	return strings.Count(string(u.Params), ";") > enough || strings.Count(u.Headers, "&") > enough
}

func equalHost(u, v URI) bool {
	return EqualFold(u.Host, v.Host) || u.V6 && v.V6 && u.hostKey() == v.hostKey()
}

func equalUser(u, v URI) bool {
	if u.Scheme == "tel" {
		return EqualFold(u.Number(), v.Number())
	}
	return equalEscaped(u.User, v.User)
}

func equalEscaped(a, b string) bool {
	if a == b {
		return true
	}
	x, ok1 := Unescape(a)
	y, ok2 := Unescape(b)
	return ok1 && ok2 && x == y
}

func paramsAgree(p, q Params) bool {
	for name := range p.All() {
		value, _ := p.Get(name) // the first one, where it is repeated
		other, ok := q.Get(name)
		if ok && !EqualFold(value, other) {
			return false
		}
		if !ok {
			switch strings.ToLower(name) {
			case "user", "ttl", "method", "maddr", "transport":
				return false
			}
		}
	}
	return true
}

func sameHeaders(a, b string) bool {
	if a == "" && b == "" {
		return true
	}
	x, y := strings.Split(a, "&"), strings.Split(b, "&")
	if len(x) != len(y) {
		return false
	}
	for _, h := range x {
		found := false
		for _, g := range y {
			found = found || EqualFold(h, g)
		}
		if !found {
			return false
		}
	}
	return true
}
