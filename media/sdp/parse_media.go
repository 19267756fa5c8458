package sdp

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

func (p *parser) takeMedia(value string) error {
	f := strings.Fields(value)
	if len(f) < 4 || len(f) > 3+MaxFormats {
		return errors.New("m= line: want kind, port, protocol and 1 to 64 formats")
	}
	if len(p.sections) == MaxMedia {
		return errors.New("too many m= sections")
	}
	port, count, ranged := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return errors.New("m= line: port")
	}
	if ranged {
		if c, err := strconv.ParseUint(count, 10, 16); err != nil || c == 0 {
			return errors.New("m= line: number of ports")
		}
	}
	s := &section{Media: Media{Kind: f[0], Port: uint16(n), Proto: f[2]}}
	for _, format := range f[3:] {
		if err := s.addFormat(format); err != nil {
			return err
		}
	}
	p.m = s
	p.sections = append(p.sections, s)
	return nil
}

// addFormat takes one format. Some phones list a number twice; once is enough.
func (s *section) addFormat(format string) error {
	if s.IsRTP() {
		pt, err := payloadType(format)
		if err != nil {
			return err
		}
		format = strconv.Itoa(int(pt))
		for _, have := range s.Formats {
			if have == format {
				return nil
			}
		}
		s.Codecs = append(s.Codecs, Codec{PT: pt})
	}
	s.Formats = append(s.Formats, format)
	return nil
}

func payloadType(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > 127 {
		return 0, errors.New("payload type is not 0 to 127")
	}
	return uint8(n), nil
}

func (p *parser) takeAttribute(line string) error {
	name, value, colon := strings.Cut(line, ":")
	if !isToken(name) {
		return errors.New("attribute name")
	}
	for d := SendRecv; d <= Inactive; d++ {
		if name == d.String() && !colon {
			if p.m == nil {
				p.direction = d
			} else {
				p.m.Direction, p.m.direction = d, true
			}
			return nil
		}
	}
	if err := checkICE(name, value); err != nil {
		return err
	}
	if p.m == nil {
		p.d.Attributes = append(p.d.Attributes, Attribute{name, value, !colon})
		return nil
	}
	return p.m.takeAttribute(name, value, colon)
}

func (s *section) takeAttribute(name, value string, colon bool) error {
	switch name {
	case "rtpmap":
		return s.takeRtpmap(value)
	case "fmtp":
		return s.takeFmtp(value)
	case "rtcp":
		return s.takeRTCP(value)
	case "crypto":
		return s.takeCrypto(value)
	case "ptime":
		s.PTime = milliseconds(value)
	case "maxptime":
		s.MaxPTime = milliseconds(value)
	case "rtcp-mux":
		s.Mux = true
	default:
		s.Attributes = append(s.Attributes, Attribute{name, value, !colon})
	}
	return nil
}

// isToken is RFC 8866 §9's token.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// takeRtpmap reads "PT name/rate[/channels]".
func (s *section) takeRtpmap(value string) error {
	f := strings.Fields(value)
	if len(f) != 2 {
		return errors.New("a=rtpmap")
	}
	pt, err := payloadType(f[0])
	if err != nil {
		return err
	}
	parts := strings.Split(f[1], "/")
	if len(parts) < 2 || len(parts) > 3 || !isToken(parts[0]) || len(parts[0]) > 64 {
		return errors.New("a=rtpmap: encoding")
	}
	c := Codec{PT: pt, Name: parts[0]}
	if c.Rate, err = strconv.Atoi(parts[1]); err != nil || c.Rate < 1 || c.Rate > 1_000_000 {
		return errors.New("a=rtpmap: clock rate")
	}
	if len(parts) == 3 {
		if c.Channels, err = strconv.Atoi(parts[2]); err != nil || c.Channels < 1 || c.Channels > 255 {
			return errors.New("a=rtpmap: channels")
		}
	}
	if known, ok := numbered(s.rtpmap, pt); !ok {
		s.rtpmap = append(s.rtpmap, c)
	} else if !known.Same(c) {
		return errors.New("a=rtpmap: one payload type, two codecs")
	}
	return nil
}

// takeFmtp reads "PT parameters"; the first line for a number counts.
func (s *section) takeFmtp(value string) error {
	format, params, _ := strings.Cut(value, " ")
	if !s.IsRTP() {
		return nil
	}
	pt, err := payloadType(format)
	if err != nil {
		return errors.New("a=fmtp: format")
	}
	params = strings.TrimSpace(params)
	if params == "" || len(params) > 512 {
		return errors.New("a=fmtp: parameters")
	}
	if _, ok := numbered(s.fmtp, pt); !ok {
		s.fmtp = append(s.fmtp, Codec{PT: pt, Fmtp: params})
	}
	return nil
}

// takeRTCP reads "port [IN IP4 address]" (RFC 3605 §2.1).
func (s *section) takeRTCP(value string) error {
	f := strings.Fields(value)
	if len(f) != 1 && len(f) != 4 {
		return errors.New("a=rtcp")
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return errors.New("a=rtcp: port")
	}
	var addr netip.Addr
	if len(f) == 4 {
		if f[1] != "IN" || f[2] != "IP4" && f[2] != "IP6" {
			return errors.New("a=rtcp: network")
		}
		if addr, _, err = address(f[2], f[3]); err != nil {
			return err
		}
	}
	if port == 0 || port == 9 || addr.IsUnspecified() {
		return nil // says "not yet", as browsers do before ICE
	}
	s.RTCP = netip.AddrPortFrom(addr, uint16(port))
	return nil
}

// maxCrypto bounds the lines and maxCryptoLine the bytes of one: the longest sensible one has 250.
const (
	maxCrypto     = 16
	maxCryptoLine = 512
)

func (s *section) takeCrypto(value string) error {
	f := strings.Fields(value)
	if len(f) < 3 || len(value) > maxCryptoLine || len(s.Crypto) == maxCrypto {
		return errors.New("a=crypto")
	}
	tag, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil || tag == 0 || len(f[0]) > 9 || !isToken(f[1]) {
		return errors.New("a=crypto: tag or suite")
	}
	for _, c := range s.Crypto {
		if c.Tag == int(tag) {
			return errors.New("a=crypto: same tag twice")
		}
	}
	s.Crypto = append(s.Crypto, Crypto{Tag: int(tag), Suite: f[1], Params: strings.Join(f[2:], " ")})
	return nil
}

// milliseconds reads 1 to 1000, also as "20.0"; anything else counts as not said.
func milliseconds(s string) int {
	whole, _, _ := strings.Cut(strings.TrimSpace(s), ".")
	n, err := strconv.Atoi(whole)
	if err != nil || n < 1 || n > 1000 {
		return 0
	}
	return n
}

// checkICE keeps the lengths and numbers of RFC 8839 §5 although we leave the attributes alone: those who come after us should not meet them.
func checkICE(name, value string) error {
	switch name {
	case "ice-ufrag", "ice-pwd":
		if len(value) > 256 || name == "ice-pwd" && len(value) < 22 || len(value) < 4 {
			return errors.New("a=" + name + ": length")
		}
	case "candidate":
		f := strings.Fields(value)
		if len(f) < 8 {
			return errors.New("a=candidate")
		}
		if n, err := strconv.ParseUint(f[1], 10, 16); err != nil || n < 1 || n > 256 {
			return errors.New("a=candidate: component")
		}
		if _, err := strconv.ParseUint(f[5], 10, 16); err != nil {
			return errors.New("a=candidate: port")
		}
	}
	return nil
}

// settleCodecs joins formats, a=rtpmap and a=fmtp. A line for a number that m= does not list is without effect.
func (s *section) settleCodecs() {
	for i := range s.Codecs {
		pt := s.Codecs[i].PT
		if c, ok := numbered(s.rtpmap, pt); ok {
			s.Codecs[i] = c
		} else if c, ok := Static(pt); ok {
			s.Codecs[i] = c
		}
		if c, ok := numbered(s.fmtp, pt); ok {
			s.Codecs[i].Fmtp = c.Fmtp
		}
	}
}
