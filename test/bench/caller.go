//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// progress is how far a line has come with its call.
type progress int

const (
	idle progress = iota
	inviting
	talking
	ending
)

// line is a caller with one call at a time, always to the same desk.
type line struct {
	credentials *credentials
	desk        string // number called
	port        int    // of its media
	state       progress
	serial      int // of its call
	cseq        int
	since       time.Time
	// Of the dialog, kept for ACK and BYE.
	to, target, route []byte
	relay             int // port that the answer names
}

// callers are the calling side: lines that call, are answered, and hang up at once or hold.
type callers struct {
	socket *socket
	domain string
	secure bool // credentials with each INVITE
	hold   bool // calls stay up until hangUp
	lines  []*line
	err    error

	Done   int // calls that were answered and ended, or are held
	Rang   int
	Stale  int // cached nonces that the server did not take any more
	Failed int // calls that got stuck and were given up
}

// newCallers makes lines that call the desks from first on.
func newCallers(s *socket, domain string, secure bool, first, count int) *callers {
	c := &callers{socket: s, domain: domain, secure: secure}
	for i := range count {
		desk := strconv.Itoa(first + i)
		c.lines = append(c.lines, &line{
			credentials: newCredentials(strconv.Itoa(firstPhone+i), "MD5", "sip:"+desk+"@"+domain), desk: desk, port: 40000,
		})
	}
	return c
}

// begin starts the next call of a line.
func (c *callers) begin(i int) {
	l := c.lines[i]
	l.serial++
	l.cseq = 0
	l.state, l.since = inviting, time.Now()
	l.to, l.route = nil, nil
	c.invite(i)
}

// open writes the head of a request: all that INVITE, ACK and BYE have in common.
func (c *callers) open(b []byte, i int, method, uri string, to []byte) []byte {
	l, at := c.lines[i], c.socket.addr.String()
	user, serial, cseq := l.credentials.user, strconv.Itoa(l.serial), strconv.Itoa(l.cseq)
	mine := strconv.Itoa(int(c.socket.addr.Port())) // parts these calls from those of other callers
	b = append(append(append(append(b, method...), ' '), uri...), " SIP/2.0\r\nVia: SIP/2.0/UDP "...)
	b = append(append(append(b, at...), ";branch=z9hG4bK"...), mine+"x"+user...)
	b = append(append(append(append(append(append(b, 'x'), serial...), 'x'), cseq...), method...), ";rport\r\nMax-Forwards: 70\r\n"...)
	b = append(append(append(append(b, "From: \"Caller\" <sip:"...), user...), '@'), c.domain...)
	b = append(append(append(append(b, ">;tag=c"+mine+"x"...), user...), 'x'), serial...)
	if to != nil {
		b = append(append(b, "\r\nTo: "...), to...)
	} else {
		b = append(append(append(append(append(b, "\r\nTo: <sip:"...), l.desk...), '@'), c.domain...), '>')
	}
	b = append(append(append(append(append(b, "\r\nCall-ID: "...), strconv.Itoa(i)...), '.'), serial...), "."+mine+"@"...)
	b = append(append(append(b, c.socket.addr.Addr().String()...), "\r\nCSeq: "...), cseq...)
	return append(append(append(b, ' '), method...), "\r\n"...)
}

func (c *callers) invite(i int) {
	l := c.lines[i]
	l.cseq++
	b := c.open(c.socket.room(), i, "INVITE", "sip:"+l.desk+"@"+c.domain, nil)
	b = append(append(append(append(b, "Contact: <sip:"...), l.credentials.user...), '@'), c.socket.addr.String()...)
	b = append(b, ">\r\n"...)
	if c.secure && l.credentials.nonce != "" {
		b = l.credentials.appendHeader(b, "INVITE")
	}
	b = append(b, "User-Agent: ExamplePhone 5.4.1\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\n"...)
	c.socket.queue(appendBody(b, c.socket.addr.Addr(), l.port))
}

// appendBody ends a message with a session description of two codecs and telephone-event.
func appendBody(b []byte, host netip.Addr, port int) []byte {
	var room [512]byte
	ip := host.String()
	body := append(append(room[:0], "v=0\r\no=- 53655765 2353687637 IN IP4 "...), ip...)
	body = append(append(body, "\r\ns=-\r\nc=IN IP4 "...), ip...)
	body = strconv.AppendInt(append(body, "\r\nt=0 0\r\nm=audio "...), int64(port), 10)
	body = append(body, " RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"+
		"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"...)
	b = strconv.AppendInt(append(b, "Content-Type: application/sdp\r\nContent-Length: "...), int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

// within sends a request inside the dialog.
func (c *callers) within(i int, method string) {
	l := c.lines[i]
	b := c.open(c.socket.room(), i, method, string(l.target), l.to)
	c.socket.queue(append(append(b, l.route...), "Content-Length: 0\r\n\r\n"...))
}

// take reads what reaches the calling side.
func (c *callers) take(m []byte) {
	code := status(m)
	if code == 0 {
		c.err = fmt.Errorf("a request to the caller: %.120q", m)
		return
	}
	id := header(m, "Call-ID")
	i := number(id)
	_, serial, _ := bytes.Cut(id, []byte("."))
	if i >= len(c.lines) || number(serial) != c.lines[i].serial {
		return
	}
	l := c.lines[i]
	cseq := header(m, "CSeq")
	method := cseq[bytes.IndexByte(cseq, ' ')+1:]
	switch {
	case code < 200:
		if code == 180 && number(cseq) == l.cseq {
			c.Rang++
		}
	case string(method) == "BYE":
		if l.state == ending {
			l.state = idle
			c.Done++
		}
	case l.state != inviting || number(cseq) != l.cseq:
	case code == 200:
		c.answered(i, m)
	case code == 401 && c.secure:
		c.prove(i, m)
	default:
		c.err = fmt.Errorf("call refused: %.200q", m)
	}
}

// prove acknowledges a challenge and sends the INVITE with credentials.
func (c *callers) prove(i int, m []byte) {
	l := c.lines[i]
	if l.credentials.nonce != "" {
		c.Stale++
	}
	if c.err = l.credentials.challenged(m); c.err != nil {
		return
	}
	// The ACK to a failure has the branch of its INVITE (RFC 3261 §17.1.1.3).
	b := c.open(c.socket.room(), i, "ACK", "sip:"+l.desk+"@"+c.domain, header(m, "To"))
	b = bytes.Replace(b, []byte("ACK;rport"), []byte("INVITE;rport"), 1)
	c.socket.queue(append(b, "Content-Length: 0\r\n\r\n"...))
	c.invite(i)
}

// answered acknowledges a 200, and hangs up unless the calls are to be held.
func (c *callers) answered(i int, m []byte) {
	l := c.lines[i]
	l.to = bytes.Clone(header(m, "To"))
	l.target = bytes.Clone(target(header(m, "Contact")))
	l.relay = mediaPort(m)
	var route []byte
	for h := range lines(m) {
		if hasName(h, "Record-Route") { // the caller's route set is the recorded one backwards (RFC 3261 §12.1.2)
			value := bytes.TrimSpace(h[len("Record-Route:"):])
			route = append(append(append([]byte("Route: "), value...), "\r\n"...), route...)
		}
	}
	l.route = route
	c.within(i, "ACK")
	if c.hold {
		l.state = talking
		c.Done++
		return
	}
	c.hangUp(i)
}

func (c *callers) hangUp(i int) {
	l := c.lines[i]
	l.cseq++
	l.state = ending
	c.within(i, "BYE")
}

// busy is how many lines have a call that is on its way up or down.
func (c *callers) busy() (n int) {
	for _, l := range c.lines {
		if l.state == inviting || l.state == ending {
			n++
		}
	}
	return n
}

// patience is how long a call may stand still before it is given up: longer than any server repeats a message.
const patience = 2 * time.Second

// giveUp drops calls that stand still.
func (c *callers) giveUp(now time.Time) {
	for _, l := range c.lines {
		if (l.state == inviting || l.state == ending) && now.Sub(l.since) > patience {
			l.state = idle
			c.Failed++
		}
	}
}
