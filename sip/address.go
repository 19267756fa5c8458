package sip

import (
	"errors"
	"strings"
)

// ErrAddress means that a From, To, Contact, Route or the like breaks the grammar.
var ErrAddress = errors.New("sip: malformed address")

// NameAddr is the value of From, To, Contact, Route and their like: name-addr or addr-spec with
// parameters (RFC 3261 §20.10, §25.1).
type NameAddr struct {
	Display string // as it stands, quotes included; Unquote gives the name
	URI     string // text between < and >, or the bare addr-spec
	Params  Params // header parameters, from the first ";" on
	Star    bool   // Contact: *
}

// ParseNameAddr takes one value apart (not a list). In a bare addr-spec everything after ";" belongs to the
// header, and a "?" or "," must not occur (RFC 3261 §20). The URI is not looked into: see ParseURI.
func ParseNameAddr(s string) (NameAddr, error) {
	a, ok := splitAddress(s)
	if !ok || !a.Params.wellFormed() {
		return NameAddr{}, ErrAddress
	}
	return a, nil
}

// splitAddress is ParseNameAddr before the parameters are looked into.
func splitAddress(s string) (a NameAddr, ok bool) {
	s = Trim(s)
	rest := s
	switch {
	case s == "":
		return a, false
	case s == "*":
		return NameAddr{Star: true}, true
	case s[0] == '"':
		n := cutQuoted(s)
		if n < 0 {
			return a, false
		}
		a.Display, rest = s[:n], s[skip(s, n, charBlank):]
		if rest == "" || rest[0] != '<' {
			return a, false
		}
	case s[0] != '<':
		// An unquoted display name is tokens and blanks; the ":" of a bare address comes before any "<". UTF-8
		// belongs in quotes, but many a phone leaves them out, and nobody can take it for anything else.
		open := skip(s, 0, charToken|charBlank)
		for open < len(s) && s[open] >= 0x80 {
			open = skip(s, open+1, charToken|charBlank)
		}
		if open == len(s) || s[open] != '<' {
			return bareAddress(s)
		}
		a.Display, rest = Trim(s[:open]), s[open:]
	}
	shut := strings.IndexByte(rest, '>')
	if shut < 2 {
		return a, false
	}
	a.URI, a.Params = rest[1:shut], Params(Trim(rest[shut+1:]))
	return a, true
}

func bareAddress(s string) (a NameAddr, ok bool) {
	a.URI = s
	if semi := strings.IndexByte(s, ';'); semi >= 0 {
		a.URI, a.Params = Trim(s[:semi]), Params(s[semi:])
	}
	ok = a.URI != "" && skip(a.URI, 0, charURI) == len(a.URI) && strings.IndexByte(a.URI, '?') < 0 &&
		strings.IndexByte(a.URI, ',') < 0
	return a, ok
}

// Tag is the tag parameter; empty if there is none.
func (a NameAddr) Tag() string {
	tag, _ := a.Params.Get("tag")
	return tag
}

// Name is the display name without quotes and escapes.
func (a NameAddr) Name() string { return Unquote(a.Display) }

// Address reads From, To or another header that holds one address.
func (m *Message) Address(id HeaderID) (NameAddr, error) { return ParseNameAddr(m.Header(id)) }

// FromTag is the From tag; empty if there is none (RFC 2543 peers).
func (m *Message) FromTag() string { return m.tagOf(HeaderFrom) }

// ToTag is the To tag; empty if there is none.
func (m *Message) ToTag() string { return m.tagOf(HeaderTo) }

func (m *Message) tagOf(id HeaderID) string {
	a, err := m.Address(id)
	if err != nil {
		return ""
	}
	return a.Tag()
}

// CallID is the Call-ID.
func (m *Message) CallID() string { return m.Header(HeaderCallID) }
