package sip

import (
	"errors"
	"net/netip"
	"strings"
)

// MaxMessage is the largest message in bytes that can be indexed: what a UDP datagram can carry.
const MaxMessage = 65535

// maxHeaders bounds the header lines of one message.
const maxHeaders = 255

// ErrNotSIP means that the text has no start line of any version of SIP: there is nobody to answer.
var ErrNotSIP = errors.New("sip: no SIP start line")

// span is one header line. Offsets count bytes from the start of Message.raw.
type span struct {
	id       HeaderID
	name     uint16 // start of the name, and of the line
	nameEnd  uint16
	value    uint16 // first byte of the value, blanks skipped
	valueEnd uint16
	end      uint16 // start of the next line
}

// Message is one request or response, indexed over its text. The zero Message is empty and ready for
// Parse. A Message may be copied; it holds no pooled memory.
type Message struct {
	// Source is where the message came from; the transport fills it in. The top Via of a request is
	// stamped with it in every response and forwarded copy (RFC 3261 §18.2.1, RFC 3581 §4).
	Source netip.AddrPort

	raw                 string
	method, uri, reason string // a request has method and uri, a response reason
	version             string
	status              int
	fault               string // what the scanner could not index; Validate turns it into a 400
	n                   int    // number of header lines
	headersEnd          int    // offset of the blank line
	body                string
	first               [HeaderExpires + 1]uint8 // 1 + index of the first line of the commonest ids; 0: none
	inline              [32]span
	more                []span // lines 32 and on
}

// Parse indexes the text of one message: a datagram, or what a stream's framing cut out. It returns
// ErrNotSIP when there is no start line; any other fault is kept for Validate, so that it can be answered.
// Octets after Content-Length are ignored (RFC 3261 §18.3). It does not allocate up to 32 header lines.
func (m *Message) Parse(raw string) error {
	*m = Message{}
	for len(raw) > 0 && (raw[0] == '\r' || raw[0] == '\n') { // RFC 3261 §7.5
		raw = raw[1:]
	}
	if len(raw) > MaxMessage {
		return ErrNotSIP
	}
	m.raw = raw
	line, next := cutLine(raw, 0)
	if !m.startLine(line) {
		return ErrNotSIP
	}
	m.scanHeaders(next)
	return nil
}

// cutLine returns the line at offset at without its line end, and the offset of the next one.
func cutLine(raw string, at int) (line string, next int) {
	i := strings.IndexByte(raw[at:], '\n')
	if i < 0 {
		return raw[at:], len(raw)
	}
	next = at + i + 1
	if i > 0 && raw[at+i-1] == '\r' {
		i--
	}
	return raw[at : at+i], next
}

// startLine reads "METHOD uri SIP/2.0" or "SIP/2.0 200 reason" (RFC 3261 §7.1, §7.2).
func (m *Message) startLine(line string) bool {
	if len(line) > 4 && EqualFold(line[:4], "SIP/") {
		return m.statusLine(line)
	}
	sp := strings.IndexByte(line, ' ')
	last := strings.LastIndexByte(strings.TrimRight(line, " \t"), ' ')
	if sp <= 0 || last <= sp {
		return false
	}
	m.method, m.version = line[:sp], strings.TrimRight(line[last+1:], " \t")
	if len(m.version) < 5 || !EqualFold(m.version[:4], "SIP/") {
		return false
	}
	m.uri = line[sp+1 : last]
	if trimmed := strings.Trim(m.uri, " \t"); trimmed != m.uri || last+1+len(m.version) != len(line) {
		m.uri = trimmed
		m.fault = "Extra white space in request line"
	}
	return true
}

func (m *Message) statusLine(line string) bool {
	sp := strings.IndexByte(line, ' ')
	if sp < 0 {
		return false
	}
	m.version = line[:sp]
	code := line[sp+1:]
	if i := strings.IndexByte(code, ' '); i >= 0 {
		m.reason, code = code[i+1:], code[:i]
	}
	if len(code) != 3 || code[0] < '1' || code[0] > '6' {
		return false
	}
	n, ok := Digits(code)
	m.status = int(n)
	return ok
}

func (m *Message) scanHeaders(at int) {
	raw := m.raw
	for at < len(raw) {
		start := at
		next := lineEnd(raw, at)
		if raw[at] == '\n' || raw[at] == '\r' && next == at+2 && raw[at+1] == '\n' {
			m.headersEnd = start
			m.cutBody(next)
			return
		}
		for next < len(raw) && (raw[next] == ' ' || raw[next] == '\t') { // folding, RFC 3261 §7.3.1
			next = lineEnd(raw, next)
		}
		at = next
		if m.n >= maxHeaders { // no work after a limit: what follows is not looked at
			m.headersEnd = len(raw)
			m.setFault("Too many headers")
			return
		}
		m.addLine(start, next)
	}
	m.headersEnd = len(raw)
	m.setFault("Missing blank line after headers")
}

// lineEnd is the offset of the line behind the one at offset at.
func lineEnd(raw string, at int) int {
	if i := strings.IndexByte(raw[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(raw)
}

func (m *Message) addLine(start, next int) {
	raw := m.raw
	nameEnd := skip(raw[:next], start, charToken)
	colon := nameEnd
	for colon < next && (raw[colon] == ' ' || raw[colon] == '\t') {
		colon++
	}
	switch {
	case nameEnd == start:
		m.setFault("Header line without a name")
		return
	case colon == next || raw[colon] != ':':
		m.setFault("Malformed header name")
		return
	}
	end := next
	for isBlank(raw[end-1]) { // the colon ends it
		end--
	}
	value := skip(raw[:end], colon+1, charBlank)
	id := LookupHeader(raw[start:nameEnd])
	if m.n >= len(m.inline) {
		m.more = append(m.more, span{})
	}
	// Field by field: a span put together elsewhere and copied would wait for its own narrow stores.
	s := m.at(m.n)
	s.id, s.name, s.nameEnd = id, uint16(start), uint16(nameEnd)
	s.value, s.valueEnd, s.end = uint16(value), uint16(end), uint16(next)
	m.n++
	if int(id) < len(m.first) && m.first[id] == 0 {
		m.first[id] = uint8(m.n)
	}
}

// cutBody takes what follows the blank line, up to Content-Length where there is one.
func (m *Message) cutBody(at int) {
	m.body = m.raw[at:]
	i := m.Index(HeaderContentLength)
	if i < 0 {
		return
	}
	n, ok := Digits(m.Value(i))
	switch {
	case !ok:
		m.setFault("Malformed Content-Length")
	case n > uint64(len(m.body)):
		m.setFault("Content-Length larger than the body")
	default:
		m.body = m.body[:n]
	}
}

func (m *Message) setFault(reason string) {
	if m.fault == "" {
		m.fault = reason
	}
}

func (m *Message) at(i int) *span {
	if i < len(m.inline) {
		return &m.inline[i]
	}
	return &m.more[i-len(m.inline)]
}

// Raw is the text as it came, without leading line ends.
func (m *Message) Raw() string { return m.raw }

// IsRequest tells a request from a response.
func (m *Message) IsRequest() bool { return m.status == 0 }

// Method is the method of a request as it stands (methods are case-sensitive); empty for a response.
func (m *Message) Method() string { return m.method }

// RequestURI is the text of the Request-URI.
func (m *Message) RequestURI() string { return m.uri }

// Version is the version as it stands: "SIP/2.0", in any case, in everything that Validate lets through.
func (m *Message) Version() string { return m.version }

// Status is the code of a response, 100 to 699; 0 for a request.
func (m *Message) Status() int { return m.status }

// Reason is the reason phrase of a response; it may be empty.
func (m *Message) Reason() string { return m.reason }

// Body is the body, cut at Content-Length.
func (m *Message) Body() string { return m.body }

// Len is the number of header lines.
func (m *Message) Len() int { return m.n }

// ID tells which header line i is.
func (m *Message) ID(i int) HeaderID { return m.at(i).id }

// Name is the name of line i as it came, long or compact.
func (m *Message) Name(i int) string { s := m.at(i); return m.raw[s.name:s.nameEnd] }

// Value is the value of line i without the blanks round it. It may be folded: typed readers take line
// ends for blanks.
func (m *Message) Value(i int) string { s := m.at(i); return m.raw[s.value:s.valueEnd] }

// Index is the place of the first line with that id; -1 if there is none.
func (m *Message) Index(id HeaderID) int {
	if int(id) < len(m.first) {
		return int(m.first[id]) - 1
	}
	return m.Next(id, -1)
}

// Next is the place of the first line with that id after place i; -1 if there is none.
func (m *Message) Next(id HeaderID, i int) int {
	for i++; i < m.n; i++ {
		if m.at(i).id == id {
			return i
		}
	}
	return -1
}

// Header is the value of the first line with that id; empty if there is none.
func (m *Message) Header(id HeaderID) string {
	if i := m.Index(id); i >= 0 {
		return m.Value(i)
	}
	return ""
}

// Has tells whether a line with that id is there.
func (m *Message) Has(id HeaderID) bool { return m.Index(id) >= 0 }

// Named is the value of the first line with that name in any case, for headers that have no HeaderID.
func (m *Message) Named(name string) (value string, ok bool) {
	for i := 0; i < m.n; i++ {
		if EqualFold(m.Name(i), name) {
			return m.Value(i), true
		}
	}
	return "", false
}
