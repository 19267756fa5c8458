package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Limits of what Parse takes. A browser's offer with every codec and candidate has some 200 lines; nobody sends more by accident.
const (
	MaxBody    = 64 << 10 // bytes
	MaxMedia   = 16       // m= sections
	MaxFormats = 64       // in one m= section
	maxLine    = 2048     // bytes
	maxLines   = 2000
)

// ErrMalformed is wrapped by all errors of Parse.
var ErrMalformed = errors.New("sdp: malformed")

// Parse reads a session description. It forgives what phones get wrong without harm (bare LF, no final newline, missing s= or t=, lines in another
// order within their section) and refuses all else.
func Parse(body []byte) (*Description, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	p := parser{d: new(Description)}
	for line := range strings.Lines(string(body)) {
		p.line++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			p.blank = true // only at the end, which the next line would disprove
			continue
		}
		if err := p.take(line); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrMalformed, p.line, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p.d, nil
}

type parser struct {
	d         *Description
	line      int
	blank     bool
	version   bool
	origin    bool
	direction Direction // session level
	m         *section  // nil before the first m=
	sections  []*section
}

// A section is a Media with what is only known once it has ended.
type section struct {
	Media
	conn      bool
	direction bool
	rtpmap    []Codec // one for a number at most
	fmtp      []Codec // the same; only PT and Fmtp
}

func (p *parser) take(line string) error {
	if p.blank {
		return errors.New("empty line before it")
	}
	if p.line > maxLines || len(line) > maxLine {
		return errors.New("too long")
	}
	if len(line) < 2 || line[1] != '=' {
		return errors.New("not type=value")
	}
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return errors.New("control character")
		}
	}
	kind, value := line[0], line[2:]
	if !p.version {
		if kind != 'v' || strings.TrimSpace(value) != "0" {
			return errors.New("not v=0")
		}
		p.version = true
		return nil
	}
	switch kind {
	case 'o':
		return p.takeOrigin(value)
	case 'c':
		return p.takeConnection(value)
	case 'm':
		return p.takeMedia(value)
	case 'a':
		return p.takeAttribute(value)
	case 'b':
		return checkBandwidth(value)
	case 't':
		return checkTime(value)
	case 's', 'i', 'u', 'e', 'p', 'r', 'z', 'k':
		return nil
	}
	// RFC 8866 §5: a description with an unknown type letter is to be discarded.
	return fmt.Errorf("unknown type %q", kind)
}

func (p *parser) takeOrigin(value string) error {
	f := strings.Fields(value)
	if p.origin || p.m != nil {
		return errors.New("second o=")
	}
	if len(f) != 6 || f[3] != "IN" || f[4] != "IP4" && f[4] != "IP6" {
		return errors.New("o= line")
	}
	session, err1 := digits(f[1])
	version, err2 := digits(f[2])
	if err1 != nil || err2 != nil {
		return errors.New("o= line: not a number")
	}
	p.origin = true
	p.d.Origin = Origin{User: f[0], Session: session, Version: version, Host: f[5]}
	return nil
}

// digits reads a decimal number of up to 40 digits modulo 2^64: RFC 8866 sets no limit, and we only compare.
func digits(s string) (uint64, error) {
	var n uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i == 40 {
			return 0, errors.New("not a number")
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, nil
}

func (p *parser) takeConnection(value string) error {
	f := strings.Fields(value)
	if len(f) != 3 || f[0] != "IN" || f[1] != "IP4" && f[1] != "IP6" {
		return errors.New("c= line")
	}
	addr, host, err := address(f[1], f[2])
	if err != nil {
		return err
	}
	if p.m == nil {
		if p.d.Addr.IsValid() || p.d.Host != "" {
			return errors.New("second c=")
		}
		p.d.Addr, p.d.Host = addr, host
		return nil
	}
	// Several c= lines in a section are a multicast layering (RFC 8866 §5.7) that nobody uses in a call.
	if p.m.conn {
		return errors.New("second c=")
	}
	p.m.conn, p.m.Addr, p.m.Host = true, addr, host
	return nil
}

// address reads an address of family IP4 or IP6, or a host name.
func address(family, s string) (netip.Addr, string, error) {
	s, _, _ = strings.Cut(s, "/") // TTL or number of addresses of a multicast group
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" || a.Is4() != (family == "IP4") {
			return a, "", errors.New("address of another family")
		}
		return a, "", nil
	}
	if !isHostName(s) {
		return netip.Addr{}, "", errors.New("neither address nor host name")
	}
	return netip.Addr{}, s, nil
}

// isHostName wants letters, digits, dots and dashes and at least one letter: 1.2.3.999 is an address gone wrong.
func isHostName(s string) bool {
	letter := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letter = true
		case c >= '0' && c <= '9', c == '.', c == '-':
		default:
			return false
		}
	}
	return letter && len(s) <= 253
}

func checkBandwidth(value string) error {
	kind, n, ok := strings.Cut(value, ":")
	if _, err := strconv.ParseUint(strings.TrimSpace(n), 10, 64); !ok || kind == "" || err != nil {
		return errors.New("b= line")
	}
	return nil
}

func checkTime(value string) error {
	f := strings.Fields(value)
	if len(f) != 2 {
		return errors.New("t= line")
	}
	for _, n := range f {
		if _, err := digits(n); err != nil {
			return errors.New("t= line: not a number")
		}
	}
	return nil
}

// finish settles what the sections inherit.
func (p *parser) finish() error {
	if !p.version || !p.origin {
		return errors.New("no v= or no o= line")
	}
	for _, s := range p.sections {
		if !s.conn {
			s.Addr, s.Host = p.d.Addr, p.d.Host
			if s.Port != 0 && !s.Addr.IsValid() && s.Host == "" {
				return errors.New("section without c= line")
			}
		}
		if !s.direction {
			s.Direction = p.direction
		}
		s.settleCodecs()
		p.d.Media = append(p.d.Media, s.Media)
	}
	return nil
}
