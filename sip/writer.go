package sip

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrUnsafe means that a value to be written held a line end or another control character: it might have
// become a header of its own.
var ErrUnsafe = errors.New("sip: control character in a value to be written")

// Writer makes a message of our own, line by line, into one buffer. The zero Writer is ready. A line with an
// unsafe value is left out and reported by Bytes.
type Writer struct {
	buf []byte
	err error
}

// NewWriter appends to buf, which may be nil or taken from a pool.
func NewWriter(buf []byte) *Writer { return &Writer{buf: buf} }

// Request writes a request line.
func (w *Writer) Request(method, uri string) {
	if !IsToken(method) || uri == "" || skip(uri, 0, charURI) < len(uri) {
		w.refuse("request line")
		return
	}
	w.buf = append(append(append(append(w.buf, method...), ' '), uri...), " SIP/2.0\r\n"...)
}

// Status writes a status line. An empty or unsafe reason becomes the usual phrase of the code.
func (w *Writer) Status(code int, reason string) {
	if reason == "" || !clean(reason) {
		reason = ReasonPhrase(code)
	}
	w.buf = strconv.AppendInt(append(w.buf, "SIP/2.0 "...), int64(code), 10)
	w.buf = append(append(append(w.buf, ' '), reason...), "\r\n"...)
}

// Add writes one header line.
func (w *Writer) Add(name, value string) {
	if !clean(value) || !IsToken(name) {
		w.refuse(name)
		return
	}
	w.buf = append(append(append(append(w.buf, name...), ": "...), value...), "\r\n"...)
}

// Set writes one header line by id.
func (w *Writer) Set(id HeaderID, value string) { w.Add(id.Name(), value) }

// SetInt writes one header line with a number.
func (w *Writer) SetInt(id HeaderID, n int) {
	w.buf = strconv.AppendInt(append(append(w.buf, id.Name()...), ": "...), int64(n), 10)
	w.buf = append(w.buf, "\r\n"...)
}

// Copy writes all lines of m with that id as they came; a top Via is stamped by StampedVias instead.
func (w *Writer) Copy(m *Message, id HeaderID) {
	for i := m.Index(id); i >= 0; i = m.Next(id, i) {
		w.CopyLine(m, i)
	}
}

// CopyLine writes line i of m as it came, folds and all. Of a line that Validate would refuse the control
// characters become blanks: they must not be told on.
func (w *Writer) CopyLine(m *Message, i int) {
	w.copyLine(m, i)
	w.buf = append(w.buf, "\r\n"...)
}

func (w *Writer) copyLine(m *Message, i int) {
	s, start := m.at(i), len(w.buf)
	w.buf = append(w.buf, m.raw[s.name:s.valueEnd]...)
	if !isText(m.raw[s.value:s.valueEnd]) {
		blankControls(w.buf[start:])
	}
}

func blankControls(b []byte) {
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = ' '
		}
	}
}

// StampedVias writes all Via lines of the request m, the top one with received and rport.
func (w *Writer) StampedVias(m *Message) {
	first := true
	for i := m.Index(HeaderVia); i >= 0; i = m.Next(HeaderVia, i) {
		if !first {
			w.CopyLine(m, i)
			continue
		}
		first = false
		start := len(w.buf)
		w.buf = appendStamped(append(w.buf, "Via: "...), m.Value(i), m.Source)
		if !isText(m.Value(i)) {
			blankControls(w.buf[start:])
		}
		w.buf = append(w.buf, "\r\n"...)
	}
}

// Finish writes Content-Type where there is a body, Content-Length, the blank line and the body.
func (w *Writer) Finish(contentType string, body []byte) {
	if len(body) > 0 && contentType != "" {
		w.Set(HeaderContentType, contentType)
	}
	w.SetInt(HeaderContentLength, len(body))
	w.buf = append(append(w.buf, "\r\n"...), body...)
}

// Bytes is the message so far, and the first unsafe value that was refused.
func (w *Writer) Bytes() ([]byte, error) { return w.buf, w.err }

// Respond begins a response to req (RFC 3261 §8.2.6): status line, stamped Vias, From, To with toTag added
// where it has none (100 Trying is sent with an empty toTag), Call-ID, CSeq. The caller adds what else belongs
// there and calls Finish.
func (w *Writer) Respond(req *Message, code int, reason, toTag string) {
	w.Status(code, reason)
	w.StampedVias(req)
	w.copyFirst(req, HeaderFrom)
	if i := req.Index(HeaderTo); i >= 0 {
		w.copyLine(req, i)
		if toTag != "" && !IsToken(toTag) {
			w.refuse("To tag")
		} else if toTag != "" && req.ToTag() == "" {
			w.buf = append(append(w.buf, ";tag="...), toTag...)
		}
		w.buf = append(w.buf, "\r\n"...)
	}
	w.copyFirst(req, HeaderCallID)
	w.copyFirst(req, HeaderCSeq)
}

func (w *Writer) copyFirst(m *Message, id HeaderID) {
	if i := m.Index(id); i >= 0 {
		w.CopyLine(m, i)
	}
}

// AppendResponse writes a whole response without a body: what a stateless answer needs.
func AppendResponse(dst []byte, req *Message, code int, reason, toTag string) []byte {
	w := Writer{buf: dst}
	w.Respond(req, code, reason, toTag)
	w.Finish("", nil)
	return w.buf
}

// refuse keeps the first thing that was unsafe.
func (w *Writer) refuse(what string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %q", ErrUnsafe, what)
	}
}

// clean tells whether a value of ours may be written: no control characters but tabs, not even where a
// quoted-pair would shelter them.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
