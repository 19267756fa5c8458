package sip

// via checks one Via line: every value, and the branch of the top one.
func (c *check) via(value string) bool {
	for e := range List(value) {
		v, err := ParseVia(e)
		c.vias++
		if err != nil || c.vias > c.lim.Vias {
			return false
		}
		branch, there := v.Params.Get("branch")
		if !there { // RFC 2543
			continue
		}
		// The bare cookie is unique to nothing (RFC 4475 §3.2.1).
		if len(branch) > c.lim.Branch || !isParamValue(branch) || len(branch) == 0 || EqualFold(branch, MagicCookie) {
			return false
		}
	}
	return true
}

// party checks From or To.
func (c *check) party(value string) bool {
	a, err := ParseNameAddr(value)
	if err != nil || a.Star || !c.uri(a.URI) {
		return false
	}
	tags := 0
	for name, tag := range a.Params.All() {
		if !EqualFold(name, "tag") {
			continue
		}
		// A quoted tag would leave its quotes on the way into a dialog, and with them its shelter.
		if tags++; tags > 1 || tag == "" || tag[0] == '"' || len(tag) > c.lim.Tag {
			return false
		}
	}
	return true
}

// addresses checks a list of addresses; a Contact may be "*" without parameters.
func (c *check) addresses(value string, star bool) bool {
	for e := range List(value) {
		a, err := ParseNameAddr(e)
		if err != nil || a.Star && !star || !a.Star && !c.uri(a.URI) {
			return false
		}
	}
	return true
}

// uri admits sip, sips and tel URIs and anything else that looks like a URI.
func (c *check) uri(s string) bool {
	if len(s) > c.lim.URI {
		return false
	}
	_, err := ParseURI(s)
	return err == nil || err == ErrURIScheme && isAbsoluteURI(s)
}

// isAbsoluteURI admits any scheme's URI (RFC 3986 §4.3) by its characters.
func isAbsoluteURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == '<' || c == '>' || c == '"' || c >= 0x7f {
			return false
		}
	}
	return s[len(s)-1] != ':'
}

// isCallID is word ["@" word] (RFC 3261 §25.1).
func isCallID(s string) bool {
	at := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case wordChars[c]:
		case c == '@' && at == 0 && i > 0 && i < len(s)-1:
			at++
		default:
			return false
		}
	}
	return s != ""
}

// wordChars marks the characters of a word (RFC 3261 §25.1).
var wordChars = func() (t [256]bool) {
	t = tokenChars
	for _, c := range `()<>:\"/[]?{}` {
		t[c] = true
	}
	return t
}()

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isText tells whether a header value is free of control characters, but for tabs, folds, and what a
// quoted-pair protects (RFC 4475 §3.1.1.2 has a NUL there).
func isText(s string) bool {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if w := load8(s[i:]); hasControl(w) {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return isTextSlow(s)
		}
	}
	return true
}

func load8(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// hasControl tells whether one of eight octets is below 0x20 or is 0x7f.
func hasControl(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	del := w ^ ones*0x7f
	return ((w-ones*0x20)&^w|(del-ones)&^del)&highs != 0
}

func isTextSlow(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(s) && s[i+1] != '\r' && s[i+1] != '\n':
			i++
		case c == '\r' && i+1 < len(s) && s[i+1] == '\n':
		case c == '\n' && i+1 < len(s) && (s[i+1] == ' ' || s[i+1] == '\t'):
		case c < ' ' && c != '\t' || c == 0x7f:
			return false
		}
	}
	return true
}
