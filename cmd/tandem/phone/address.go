package phone

import (
	"errors"
	"strings"
)

// sipgo's own reading of header parameters is case-sensitive and loses what follows a quoted value, so the addresses
// this phone acts upon (Contact, Record-Route) are kept as text and read here.

// A uri is a SIP URI taken apart as far as a phone needs it (RFC 3261 §19.1.1).
type uri struct {
	scheme   string // lower case
	user     string // as written
	hostport string
	params   []string // "name" or "name=value", as written
	text     string   // the whole of it
}

func parseURI(text string) (uri, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	u := uri{scheme: strings.ToLower(scheme), text: text}
	if !ok || u.scheme != "sip" && u.scheme != "sips" {
		return u, errors.New("not a SIP URI")
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		u.user, rest = rest[:i], rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	parts := strings.Split(rest, ";")
	u.hostport, u.params = parts[0], parts[1:]
	if u.hostport == "" || strings.ContainsAny(text, " \t\r\n<>\"") {
		return u, errors.New("not a SIP URI")
	}
	return u, nil
}

func (u uri) param(name string) string { v, _ := findParam(u.params, name); return v }

func (u uri) has(name string) bool { _, ok := findParam(u.params, name); return ok }

func findParam(params []string, name string) (string, bool) {
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

// An address is a name-addr or addr-spec with its header parameters.
type address struct {
	display string
	uri     string
	params  []string
}

func (a address) param(name string) string { v, _ := findParam(a.params, name); return v }

func parseAddress(text string) address {
	text = strings.TrimSpace(text)
	parts := splitOutside(text, ';')
	open := strings.IndexByte(parts[0], '<')
	if open < 0 {
		return address{uri: strings.TrimSpace(parts[0]), params: parts[1:]}
	}
	display := strings.Trim(strings.TrimSpace(parts[0][:open]), `"`)
	inside, _, _ := strings.Cut(parts[0][open+1:], ">")
	return address{display: display, uri: inside, params: parts[1:]}
}

// splitOutside cuts s at every sep that stands outside quotes and angle brackets.
func splitOutside(s string, sep byte) []string {
	var parts []string
	quoted, angled, start := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case c == sep && !angled:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// quoteDisplay writes a display name as a quoted string, or nothing.
func quoteDisplay(name string) string {
	if name == "" {
		return ""
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" `
}
