package call

import (
	"strings"

	"tandem/sip"
)

// passNames are the headers that go from the caller's INVITE to the branches. Everything else stays on its leg.
var passNames = []string{"Subject", "Priority", "Accept-Language", "Organization", "User-to-User"}

// maxPassed bounds one such value: what a caller writes must not make our INVITE too long for the callee.
const maxPassed = 512

// passHeaders writes them, each line on one line, compact forms spelt out. What is too long or holds a control
// character is left out.
func passHeaders(w *sip.Writer, m *sip.Message, names []string) {
	for i := range m.Len() {
		name := m.Name(i)
		if m.ID(i) == sip.HeaderSubject {
			name = sip.HeaderSubject.Name()
		}
		for _, known := range names {
			if !sip.EqualFold(name, known) {
				continue
			}
			if value, ok := passable(m.Value(i)); ok {
				w.Add(known, value)
			}
		}
	}
}

// passable is a value as it may be written on another leg.
func passable(value string) (string, bool) {
	value = oneLine(value)
	return value, value != "" && len(value) <= maxPassed && printable(value) == value
}

// passReason is the Reason of a CANCEL for the branches that it cancels (RFC 3326): protocol and cause of each value,
// and its text. Empty: none.
func passReason(m *sip.Message) string {
	var out []string
	for e := range m.Elements(sip.HeaderReason) {
		protocol, rest, _ := strings.Cut(e, ";")
		params := sip.Params(";" + rest)
		cause, _ := params.Get("cause")
		protocol = sip.Trim(protocol)
		if _, ok := sip.Digits(cause); !ok || !sip.IsToken(protocol) || len(out) == 2 {
			continue
		}
		value := protocol + ";cause=" + cause
		if text, ok := params.Get("text"); ok && len(text) <= 128 {
			value += ";text=" + sip.Quote(sip.Unquote(text))
		}
		out = append(out, value)
	}
	return strings.Join(out, ", ")
}

// oneLine puts a folded value on one line.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// printable masks control characters: what a peer wrote must not look like something of ours.
func printable(s string) string {
	for i := range len(s) {
		if s[i] < 0x20 && s[i] != '\t' || s[i] == 0x7f {
			return masked(s)
		}
	}
	return s
}

func masked(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// lists tells whether a token stands in the text of a list header.
func lists(value, token string) bool {
	for e := range sip.List(value) {
		if sip.EqualFold(e, token) {
			return true
		}
	}
	return false
}
