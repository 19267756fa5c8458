package sip

import "bytes"

// Frame says what Framer.Next found at the start of a stream's buffer.
type Frame uint8

// What may stand at the start of the buffer.
const (
	FrameNone    Frame = iota // nothing whole yet: read more
	FrameMessage              // one message: headers and body
	FramePing                 // CRLF CRLF, to be answered with one CRLF (RFC 5626 §3.5.1)
	FramePong                 // one CRLF: the answer to a ping, or a line end that means nothing (RFC 3261 §7.5)
)

// Framer finds the messages in a stream (RFC 3261 §18.3): TCP or TLS. It is a value that remembers how far it
// has looked, so bytes that come one at a time cost no more than bytes that come at once. The zero Framer
// is ready. The reader keeps a buffer and goes on like this:
//
//	for {
//		n, kind, err := framer.Next(buf)
//		switch {
//		case err != nil: // buf[:n], where n > 0, is the header section: Parse it, and where CanRespond
//			return   // answer with err; then close. Nothing after it can be found.
//		case kind == sip.FrameNone:
//			read more and append it to buf
//			continue
//		case kind == sip.FramePing:
//			write "\r\n"
//		case kind == sip.FrameMessage:
//			message.Parse(string(buf[:n]))
//		}
//		buf = buf[n:]
//	}
//
// buf always begins with the first byte that no earlier call has taken, and only grows until one does. It need
// not hold more than Max bytes at a time: a larger message is refused by its Content-Length or its headers.
type Framer struct {
	// Max is the size of the largest message in bytes, headers and body; 0 or more than MaxMessage: MaxMessage.
	Max int
	// Pinged is to be set when we have sent a ping: the next lone CRLF is taken for its pong at once, while
	// otherwise it may be half of the peer's ping and waits for the next byte. Next clears it.
	Pinged bool

	scanned int // bytes in which no end of headers was found
	need    int // length of the message once the headers are whole; 0: not known
}

// Next looks at the start of buf. n is the number of bytes that belong to what was found; 0 with FrameNone.
func (f *Framer) Next(buf []byte) (n int, kind Frame, err *StatusError) {
	if f.need == 0 {
		if len(buf) == 0 || !is(buf[0], charToken) {
			return f.between(buf)
		}
		end := f.headersEnd(buf)
		switch {
		case end > f.max() || end == 0 && len(buf) >= f.max():
			return 0, FrameNone, &StatusError{Code: 513}
		case end == 0:
			return 0, FrameNone, nil
		}
		body, err := bodyLength(buf[:end], f.max()-end)
		if err != nil {
			return end, FrameNone, err
		}
		f.need = end + body
	}
	if n = f.need; len(buf) < n {
		return 0, FrameNone, nil
	}
	f.scanned, f.need = 0, 0
	return n, FrameMessage, nil
}

func (f *Framer) max() int {
	if f.Max <= 0 || f.Max > MaxMessage {
		return MaxMessage
	}
	return f.Max
}

// between takes the line ends that stand between messages, and refuses what cannot begin one.
func (f *Framer) between(buf []byte) (n int, kind Frame, err *StatusError) {
	switch {
	case len(buf) == 0:
		return 0, FrameNone, nil
	case buf[0] == '\n':
		return 1, FramePong, nil
	case buf[0] != '\r' || len(buf) > 1 && buf[1] != '\n':
		return 0, FrameNone, bad("No SIP message")
	case len(buf) == 1:
		return 0, FrameNone, nil
	case f.Pinged:
		f.Pinged = false
		return 2, FramePong, nil
	case len(buf) == 2 || len(buf) == 3 && buf[2] == '\r':
		return 0, FrameNone, nil
	case len(buf) >= 4 && buf[2] == '\r' && buf[3] == '\n':
		return 4, FramePing, nil
	}
	return 2, FramePong, nil
}

// headersEnd is the length of the header section with its blank line; 0 while it is not there. It looks for
// what Message.Parse takes for a blank line: a line feed, an optional carriage return, a line feed.
func (f *Framer) headersEnd(buf []byte) int {
	for {
		i := bytes.IndexByte(buf[f.scanned:], '\n')
		if i < 0 {
			f.scanned = len(buf)
			return 0
		}
		at := f.scanned + i + 1
		if at < len(buf) && buf[at] == '\r' {
			at++
		}
		switch {
		case at >= len(buf):
			f.scanned += i // the line feed is looked at again when more has come
			return 0
		case buf[at] == '\n':
			return at + 1
		}
		f.scanned += i + 1
	}
}

// bodyLength reads Content-Length, which a stream cannot do without (RFC 3261 §18.3). Two that differ are
// refused: who believes the other one would see another message (RFC 4475 §3.3.9).
func bodyLength(head []byte, limit int) (int, *StatusError) {
	length := -1
	_, at := cutBytes(head, 0)
	for at < len(head) {
		line, next := cutBytes(head, at)
		for next < len(head) && (head[next] == ' ' || head[next] == '\t') {
			_, next = cutBytes(head, next)
			line = head[at:next]
		}
		at = next
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || !isContentLength(bytes.TrimRight(name, " \t")) {
			continue
		}
		value = bytes.Trim(value, " \t\r\n")
		n, ok := Digits(string(value))
		switch {
		case !ok && isDigits(string(value)) || ok && n > uint64(limit):
			return 0, &StatusError{Code: 413}
		case !ok:
			return 0, malformed(HeaderContentLength)
		case length >= 0 && length != int(n):
			return 0, bad("Repeated Content-Length")
		}
		length = int(n)
	}
	if length < 0 {
		return 0, bad("Missing Content-Length")
	}
	return length, nil
}

func cutBytes(b []byte, at int) (line []byte, next int) {
	i := bytes.IndexByte(b[at:], '\n')
	if i < 0 {
		return b[at:], len(b)
	}
	return b[at : at+i], at + i + 1
}

func isContentLength(name []byte) bool {
	const long = "Content-Length"
	return len(name) == 1 && name[0]|0x20 == 'l' || len(name) == len(long) && EqualFold(string(name), long)
}
