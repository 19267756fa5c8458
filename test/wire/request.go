package wire

import (
	"fmt"
	"strings"
	"time"
)

// Request is one request before it becomes text. Values stand in it as they will on the wire.
type Request struct {
	Method, URI  string
	From, To     string // header values with their tags
	CallID       string
	Branch       string // empty: a fresh one each time it is written
	Seq          int
	Contact      string   // header value; empty: none
	Extra        []string // whole header lines
	Type, Body   string
	Authority    string // value of Authorization
	SkipForwards bool   // no Max-Forwards
}

// Text writes a request as it leaves this line.
func (l *Line) Text(r Request) string {
	var b strings.Builder
	if r.Branch == "" {
		r.Branch = "z9hG4bK" + Token()
	}
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\n", r.Method, r.URI, l.Proto, l.Local, r.Branch)
	if !r.SkipForwards {
		b.WriteString("Max-Forwards: 70\r\n")
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", r.From, r.To, r.CallID, r.Seq, r.Method)
	if r.Contact != "" {
		fmt.Fprintf(&b, "Contact: %s\r\n", r.Contact)
	}
	if r.Authority != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", r.Authority)
	}
	for _, line := range r.Extra {
		b.WriteString(line + "\r\n")
	}
	if r.Body != "" {
		if r.Type == "" {
			r.Type = "application/sdp"
		}
		fmt.Fprintf(&b, "Content-Type: %s\r\n", r.Type)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	return b.String()
}

// Try sends a request and waits for its final response, asking again as RFC 3261 §17.1.2 wants it over UDP. A
// failure of an INVITE is acknowledged.
func (l *Line) Try(r Request, limit time.Duration) (Message, bool) {
	if r.Branch == "" {
		r.Branch = "z9hG4bK" + Token()
	}
	text := l.Text(r)
	if r.Method == "BYE" {
		l.hungUp(r.CallID)
	}
	deadline := time.Now().Add(limit)
	sent, heeded := 0, false
	for wait := 500 * time.Millisecond; ; wait = min(2*wait, 4*time.Second) {
		if !heeded {
			l.Send(text)
			sent++
		}
		if l.Proto != "UDP" {
			wait = limit
		}
		m, ok := l.Poll(min(wait, time.Until(deadline)), func(m Message) bool {
			_, method := m.CSeq()
			return m.Status() >= 200 && m.Branch() == r.Branch && method == r.Method
		})
		if ok {
			if r.Method == "INVITE" && m.Status() >= 300 {
				l.acknowledge(r, m)
			}
			l.sentAgain(r.Branch, sent-1)
			return m, true
		}
		select {
		case <-l.ended:
			return m, false
		default:
		}
		if l.Heeds && r.Method == "INVITE" && !heeded {
			_, heeded = l.find(func(m Message) bool { return m.Status()/100 == 1 && m.Branch() == r.Branch })
		}
		if !time.Now().Before(deadline) {
			return m, false
		}
	}
}

// acknowledge sends the ACK of a failure, which belongs to the INVITE's transaction (RFC 3261 §17.1.1.3).
func (l *Line) acknowledge(r Request, answer Message) {
	ack := l.Text(Request{
		Method: "ACK", URI: r.URI, From: r.From, To: answer.Get("to"), CallID: r.CallID, Branch: r.Branch, Seq: r.Seq,
	})
	l.acknowledged(r.CallID, r.Seq, ack)
	l.Send(ack)
}

// Do is Try that must be answered within 5 s.
func (l *Line) Do(r Request) Message {
	l.T.Helper()
	m, ok := l.Try(r, 5*time.Second)
	if !ok {
		l.T.Fatalf("%s %v: no answer to\n%s\nheard instead: %s", l.Proto, l.Local, l.Text(r), l.unheard())
	}
	return m
}

// Reply is what a response has beside what it copies.
type Reply struct {
	Tag, Contact, Body string
	Extra              []string
}

// Reply answers a request and remembers the answer, for the case that the request comes again.
func (l *Line) Reply(m Message, status int, r Reply) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, phrase(status))
	for _, h := range m.Headers {
		switch h.Name {
		case "via", "from", "call-id", "cseq", "record-route":
			fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
		case "to":
			if status > 100 && r.Tag != "" && Tag(h.Value) == "" {
				h.Value += ";tag=" + r.Tag
			}
			fmt.Fprintf(&b, "To: %s\r\n", h.Value)
		}
	}
	if r.Contact != "" {
		fmt.Fprintf(&b, "Contact: %s\r\n", r.Contact)
	}
	for _, line := range r.Extra {
		b.WriteString(line + "\r\n")
	}
	if r.Body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	l.mu.Lock()
	l.replies[m.Branch()+" "+m.Method()] = b.String()
	l.mu.Unlock()
	if m.Method() == "BYE" && status == 200 {
		l.hungUp(m.Get("call-id"))
	}
	l.Send(b.String())
}

func phrase(status int) string {
	switch status {
	case 100:
		return "Trying"
	case 180:
		return "Ringing"
	case 183:
		return "Session Progress"
	case 200:
		return "OK"
	}
	return "No"
}
