package transport

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Opcodes of WebSocket frames (RFC 6455 §5.2).
const (
	opContinue byte = 0x0
	opText     byte = 0x1
	opBinary   byte = 0x2
	opClose    byte = 0x8
	opPing     byte = 0x9
	opPong     byte = 0xA
)

// Status codes of Close frames (RFC 6455 §7.4.1).
const (
	closeNormal    = 1000
	closeGoingAway = 1001
	closeProtocol  = 1002
	closeNotUTF8   = 1007
	closeTooBig    = 1009
)

// webSocket cuts frames out of what a client sends, and puts fragments together. It is a machine without a
// socket; a length is checked before anything is kept for it.
type webSocket struct {
	max     int    // octets of one message
	message []byte // fragments so far
	op      byte   // of the message in fragments; 0: none
}

// webFrame is what next found.
type webFrame struct {
	op      byte   // opText and opBinary: a whole message; opContinue: a fragment, nothing to be done
	payload []byte // unmasked, valid until the next call
}

// open tells whether a message has begun and not ended.
func (w *webSocket) open() bool { return w.op != 0 }

// next takes one frame from the start of buf and unmasks it there. n is 0 while it is not whole; code is the
// status of a Close frame where the client broke the protocol.
func (w *webSocket) next(buf []byte) (n int, f webFrame, code int) {
	head, length, code := w.header(buf)
	if code != 0 || head == 0 || len(buf)-head < length {
		return 0, webFrame{}, code
	}
	f.op, f.payload = buf[0]&0x0f, buf[head:head+length]
	ws.Cipher(f.payload, [4]byte(buf[head-4:head]), 0)
	n = head + length
	final := buf[0]&0x80 != 0
	if f.op >= opClose {
		return n, f, 0
	}
	whole, code := w.assemble(f, final)
	return n, whole, code
}

// header reads the frame's header; head is 0 while it is not whole.
func (w *webSocket) header(buf []byte) (head, length, code int) {
	if len(buf) < 2 {
		return 0, 0, 0
	}
	op, control := buf[0]&0x0f, buf[0]&0x08 != 0
	switch {
	case buf[0]&0x70 != 0, // no extension was agreed on
		buf[1]&0x80 == 0, // a client masks (RFC 6455 §5.1)
		op > opBinary && op < opClose, op > opPong,
		control && (buf[0]&0x80 == 0 || buf[1]&0x7f > 125),
		op == opContinue && w.op == 0,
		(op == opText || op == opBinary) && w.op != 0:
		return 0, 0, closeProtocol
	}
	size, head := uint64(buf[1]&0x7f), 2
	switch size {
	case 126:
		if head = 4; len(buf) < head {
			return 0, 0, 0
		}
		size = uint64(binary.BigEndian.Uint16(buf[2:]))
	case 127:
		if head = 10; len(buf) < head {
			return 0, 0, 0
		}
		size = binary.BigEndian.Uint64(buf[2:])
	}
	if !control && size > uint64(w.max-len(w.message)) {
		return 0, 0, closeTooBig
	}
	if head += 4; len(buf) < head {
		return 0, 0, 0
	}
	return head, int(size), 0
}

// assemble adds a data frame to its message.
func (w *webSocket) assemble(f webFrame, final bool) (webFrame, int) {
	if f.op != opContinue && final {
		return w.checked(f)
	}
	if f.op != opContinue {
		w.op = f.op
	}
	w.message = append(w.message, f.payload...)
	if !final {
		return webFrame{op: opContinue}, 0
	}
	f = webFrame{w.op, w.message}
	w.op, w.message = 0, nil
	return w.checked(f)
}

func (w *webSocket) checked(f webFrame) (webFrame, int) {
	if f.op == opText && !utf8.Valid(f.payload) {
		return f, closeNotUTF8
	}
	return f, 0
}

// appendFrameHeader writes the header of a server's frame: whole, not masked.
func appendFrameHeader(dst []byte, op byte, length int) []byte {
	dst = append(dst, 0x80|op)
	switch {
	case length <= 125:
		return append(dst, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}

// cutWeb takes one frame from a WebSocket connection.
func (c *conn) cutWeb(in *inbox, buf []byte) (n int, ok bool) {
	n, f, code := c.web.next(buf)
	if code != 0 {
		c.count.drop(DropFraming)
		c.leaveFor(code)
		return n, false
	}
	if n == 0 {
		return 0, true
	}
	switch f.op {
	case opText, opBinary:
		c.kind.Store(int32(f.op))
		c.pulse.message()
		if isKeepalive(f.payload) {
			c.count.keepalives.Add(1)
			if len(f.payload) >= 4 {
				_ = c.push([]byte("\r\n"), f.op) // a full queue has closed the connection
			}
			break
		}
		return n, c.hear(in, f.payload)
	case opPing:
		c.count.keepalives.Add(1)
		_ = c.control(opPong, f.payload)
	case opClose:
		c.leaveFor(closeAnswer(f.payload))
		return n, false
	}
	return n, true
}

// control sends a control frame.
func (c *conn) control(op byte, payload []byte) error { return c.push(payload, op) }

// closeAnswer is the status that answers a Close frame: the client's own, where it is one (RFC 6455 §5.5.1).
func closeAnswer(payload []byte) int {
	switch {
	case len(payload) == 0:
		return closeNormal
	case len(payload) == 1:
		return closeProtocol
	}
	code := int(binary.BigEndian.Uint16(payload))
	if code < 1000 || code == 1004 || code == 1005 || code == 1006 || code > 1014 && code < 3000 || code > 4999 {
		return closeProtocol
	}
	return code
}
