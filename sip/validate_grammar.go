package sip

// via checks one Via line: every value, and the branch of the top one.
func (c *check) via(value string) bool {
	for e := range List(value) {
		v, version, ok := splitVia(e)
		c.vias++
		if !ok || version != "2.0" || c.vias > c.lim.Vias {
			return false
		}
		// RFC 2543 has no branch; the bare cookie is unique to nothing (RFC 4475 §3.2.1).
		branch, count, ok := v.Params.scan("branch")
		if !ok || count > 1 || count == 1 && !isID(branch, c.lim.Branch) || EqualFold(branch, MagicCookie) {
			return false
		}
	}
	return true
}

// party checks From or To.
func (c *check) party(value string) bool {
	a, ok := splitAddress(value)
	if !ok || a.Star || !c.uri(a.URI) {
		return false
	}
	tag, count, ok := a.Params.scan("tag")
	return ok && (count == 0 || count == 1 && isID(tag, c.lim.Tag))
}

// isID admits a tag or a branch. A quoted one would leave its quotes on the way into a dialog or a key, and
// with them its shelter.
func isID(s string, limit int) bool { return s != "" && s[0] != '"' && len(s) <= limit }

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
	return skip(s, 0, charURI) == len(s) && s[len(s)-1] != ':'
}

// isCallID admits word ["@" word] (RFC 3261 §25.1) and what phones make of it, such as base64 with its padding:
// anything without blanks and without what separates it in Replaces.
func isCallID(s string) bool { return s != "" && skip(s, 0, charWord|charValue) == len(s) }

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
	if len(s) < 8 {
		return isTextSlow(s)
	}
	for i := 0; i+8 < len(s); i += 8 {
		if hasControl(load8(s[i:])) {
			return isTextSlow(s)
		}
	}
	return !hasControl(load8(s[len(s)-8:])) || isTextSlow(s)
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
