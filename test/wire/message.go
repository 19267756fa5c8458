// Package wire is a phone made of sockets and text, for tests that must say things which no stack would let them
// say, and must see every packet that comes back. It shares no code with the switch. Digest answers are computed
// by icholy/digest, SRTP by pion/srtp, WebSocket frames by gobwas/ws.
package wire

import (
	"net/netip"
	"strconv"
	"strings"
)

// Message is what came in, cut into lines and not interpreted further.
type Message struct {
	Raw     string
	Start   string
	Headers []Header
	Body    string
	From    netip.AddrPort // who sent it
}

// Header is one header line, unfolded; Name is the long form in lower case.
type Header struct{ Name, Value string }

var compact = map[string]string{
	"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type",
	"k": "supported", "s": "subject", "e": "content-encoding",
}

// Parse cuts a message. It is false for what does not look like SIP.
func Parse(raw string) (Message, bool) {
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		return Message{Raw: raw}, false
	}
	lines := strings.Split(head, "\r\n")
	m := Message{Raw: raw, Start: lines[0], Body: body}
	for _, line := range lines[1:] {
		if n := len(m.Headers); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			m.Headers[n-1].Value += " " + strings.TrimSpace(line)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if long, ok := compact[name]; ok {
			name = long
		}
		m.Headers = append(m.Headers, Header{name, strings.TrimSpace(value)})
	}
	return m, strings.HasPrefix(m.Start, "SIP/2.0 ") || strings.HasSuffix(m.Start, " SIP/2.0")
}

// Status is the code of a response; 0 for a request.
func (m Message) Status() int {
	if !strings.HasPrefix(m.Start, "SIP/2.0 ") || len(m.Start) < 11 {
		return 0
	}
	n, _ := strconv.Atoi(m.Start[8:11])
	return n
}

// Method is that of a request; empty for a response.
func (m Message) Method() string {
	if m.Status() != 0 {
		return ""
	}
	method, _, _ := strings.Cut(m.Start, " ")
	return method
}

// URI is the Request-URI.
func (m Message) URI() string {
	f := strings.Fields(m.Start)
	if m.Method() == "" || len(f) < 2 {
		return ""
	}
	return f[1]
}

// Get is the first value of a header, by its long name in lower case.
func (m Message) Get(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// All are all values of a header.
func (m Message) All(name string) (values []string) {
	for _, h := range m.Headers {
		if h.Name == name {
			values = append(values, h.Value)
		}
	}
	return values
}

// CSeq is the number and the method.
func (m Message) CSeq() (int, string) {
	f := strings.Fields(m.Get("cseq"))
	if len(f) != 2 {
		return 0, ""
	}
	n, _ := strconv.Atoi(f[0])
	return n, f[1]
}

// Branch is that of the top Via.
func (m Message) Branch() string { return Param(m.Get("via"), "branch") }

// Param is a parameter of a header value.
func Param(value, name string) string {
	for _, p := range strings.Split(value, ";")[1:] {
		key, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			v, _, _ = strings.Cut(v, ",")
			return strings.Trim(strings.TrimSpace(v), ">")
		}
	}
	return ""
}

// Tag is the tag of a From or To value.
func Tag(value string) string {
	if _, after, ok := strings.Cut(value, ">"); ok {
		value = after
	}
	return Param(value, "tag")
}

// Target is the URI between < and > of a Contact value.
func Target(value string) string {
	_, after, ok := strings.Cut(value, "<")
	if !ok {
		uri, _, _ := strings.Cut(value, ";")
		return uri
	}
	uri, _, _ := strings.Cut(after, ">")
	return uri
}
