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
// header, and a "?" or "," must not occur (RFC 3261 §20).
func ParseNameAddr(s string) (NameAddr, error) {
	s = Trim(s)
	if s == "*" {
		return NameAddr{Star: true}, nil
	}
	display := ""
	rest := s
	if s != "" && s[0] == '"' {
		n := cutQuoted(s)
		if n < 0 {
			return NameAddr{}, ErrAddress
		}
		display, rest = s[:n], Trim(s[n:])
		if rest == "" || rest[0] != '<' {
			return NameAddr{}, ErrAddress
		}
	}
	open := strings.IndexByte(rest, '<')
	if open < 0 {
		return bareAddress(rest)
	}
	if display == "" {
		if display = Trim(rest[:open]); !isDisplayTokens(display) {
			return NameAddr{}, ErrAddress
		}
	}
	shut := strings.IndexByte(rest[open:], '>')
	if shut < 0 {
		return NameAddr{}, ErrAddress
	}
	a := NameAddr{Display: display, URI: rest[open+1 : open+shut], Params: Params(Trim(rest[open+shut+1:]))}
	if a.URI == "" || !a.Params.wellFormed() {
		return NameAddr{}, ErrAddress
	}
	return a, nil
}

func bareAddress(s string) (NameAddr, error) {
	a := NameAddr{URI: s}
	if semi := strings.IndexByte(s, ';'); semi >= 0 {
		a.URI, a.Params = Trim(s[:semi]), Params(s[semi:])
	}
	if a.URI == "" || strings.ContainsAny(a.URI, " \t\r\n?,\"<>") || !a.Params.wellFormed() {
		return NameAddr{}, ErrAddress
	}
	return a, nil
}

// isDisplayTokens tells whether an unquoted display name is tokens and blanks only.
func isDisplayTokens(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokenChars[s[i]] && !isBlank(s[i]) {
			return false
		}
	}
	return true
}

// wellFormed tells whether the text is ";name[=value]" over and over: no stray separators, no open quotes.
func (p Params) wellFormed() bool {
	s := Trim(string(p))
	for s != "" {
		if s[0] != ';' {
			return false
		}
		name, value, rest := Params(s).cut()
		if !IsToken(name) || !isParamValue(value) {
			return false
		}
		s = Trim(string(rest))
	}
	return true
}

func isParamValue(v string) bool {
	if v == "" {
		return true
	}
	if v[0] == '"' {
		return cutQuoted(v) == len(v)
	}
	return !strings.ContainsAny(v, "\"<>, \t\r\n")
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
