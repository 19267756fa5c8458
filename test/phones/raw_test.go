package phones

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
)

// A rawPhone is a few lines of SIP and RTP over UDP that write what they are told, right or wrong: here the addresses of
// a phone that does not know of the NAT before it.
type rawPhone struct {
	t        *testing.T
	user     string
	server   *net.UDPAddr
	sip, rtp *net.UDPConn
	claims   string // the IP that it believes to have
	seq      int
	callID   string
	tag      string
}

// message is a SIP message as text.
type message string

// header is the value of the first header of that name.
func (m message) header(name string) string {
	for line := range strings.SplitSeq(string(m), "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (m message) body() string {
	_, body, _ := strings.Cut(string(m), "\r\n\r\n")
	return body
}

// status is that of a response, 0 for a request.
func (m message) status() int {
	rest, ok := strings.CutPrefix(string(m), "SIP/2.0 ")
	if !ok || len(rest) < 3 {
		return 0
	}
	n, _ := strconv.Atoi(rest[:3])
	return n
}

// media is where a session description wants RTP.
func (m message) media(t *testing.T) *net.UDPAddr {
	t.Helper()
	var ip net.IP
	port := 0
	for line := range strings.SplitSeq(m.body(), "\r\n") {
		if address, ok := strings.CutPrefix(line, "c=IN IP4 "); ok {
			ip = net.ParseIP(address)
		}
		if _, err := fmt.Sscanf(line, "m=audio %d ", &port); err == nil && ip != nil {
			return &net.UDPAddr{IP: ip, Port: port}
		}
	}
	t.Fatalf("no address for media in %s", m)
	return nil
}

func (o *office) raw(t *testing.T, claims string) *rawPhone {
	t.Helper()
	p := &rawPhone{t: t, user: o.extension(t), claims: claims, callID: random(), tag: random()}
	var err error
	p.server, err = net.ResolveUDPAddr("udp", o.Addr(5060))
	must(t, "server", err)
	for _, conn := range []**net.UDPConn{&p.sip, &p.rtp} {
		*conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, "listen", err)
		t.Cleanup(func() { _ = (*conn).Close() })
	}
	return p
}

func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (p *rawPhone) write(text string) {
	p.t.Helper()
	_, err := p.sip.WriteToUDP([]byte(text), p.server)
	must(p.t, "send", err)
}

// read is the next message; keepalives are passed over.
func (p *rawPhone) read() message {
	p.t.Helper()
	buf := make([]byte, 65535)
	for {
		must(p.t, "deadline", p.sip.SetReadDeadline(time.Now().Add(patience)))
		n, err := p.sip.Read(buf)
		must(p.t, "receive", err)
		if text := strings.TrimSpace(string(buf[:n])); text != "" {
			return message(buf[:n])
		}
	}
}

// request writes one with our beliefs in Via and Contact; target is a user part.
func (p *rawPhone) request(method, target, to, extra, body string) string {
	p.seq++
	at := fmt.Sprintf("%s:%d", p.claims, p.sip.LocalAddr().(*net.UDPAddr).Port)
	uri := "sip:" + p.server.IP.String()
	if target != "" {
		uri = "sip:" + target + "@" + p.server.IP.String()
	}
	if body != "" {
		extra += "Content-Type: application/sdp\r\n"
	}
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%s\r\n"+
		"To: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, uri, at, random(), p.user, p.server.IP, p.tag, to, p.callID, p.seq, method, p.user, at, extra, len(body), body)
}

// final sends a request, answers the challenge, acknowledges a refusal, and gives the last answer.
func (p *rawPhone) final(method, target, to, body string) message {
	p.t.Helper()
	extra := ""
	for range 2 {
		p.write(p.request(method, target, to, extra, body))
		m := p.read()
		for m.status() < 200 {
			m = p.read()
		}
		if m.status() != 401 {
			return m
		}
		if method == "INVITE" {
			p.ack(m, target)
		}
		extra = p.credentials(m, method, target)
	}
	p.t.Fatal("challenged twice")
	return ""
}

func (p *rawPhone) credentials(m message, method, target string) string {
	p.t.Helper()
	uri := "sip:" + p.server.IP.String()
	if target != "" {
		uri = "sip:" + target + "@" + p.server.IP.String()
	}
	challenge, err := digest.ParseChallenge(m.header("WWW-Authenticate"))
	must(p.t, "challenge", err)
	answer, err := digest.Digest(challenge, digest.Options{Method: method, URI: uri, Username: p.user, Password: password, Count: 1})
	must(p.t, "credentials", err)
	return "Authorization: " + answer.String() + "\r\n"
}

// ack acknowledges an answer to our last INVITE.
func (p *rawPhone) ack(m message, target string) {
	p.t.Helper()
	p.seq-- // request counts on, and the ACK has the number of its INVITE
	text := p.request("ACK", target, m.header("To"), "", "")
	if m.status() >= 300 {
		via := message(text).header("Via")
		text = strings.Replace(text, via, m.header("Via"), 1)
	}
	p.write(text)
}

// offer is a session description that believes in a wrong address too.
func (p *rawPhone) offer() string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 8 101\r\n"+
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n", p.claims, p.rtp.LocalAddr().(*net.UDPAddr).Port)
}

// answer writes a response to a request.
func (p *rawPhone) answer(m message, status, body string) {
	p.t.Helper()
	to := m.header("To")
	if !strings.Contains(to, "tag=") {
		to += ";tag=" + p.tag
	}
	extra := ""
	if body != "" {
		extra = "Content-Type: application/sdp\r\n"
	}
	p.write(fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@%s:%d>\r\n%sContent-Length: %d\r\n\r\n%s",
		status, m.header("Via"), m.header("From"), to, m.header("Call-ID"), m.header("CSeq"), p.user, p.claims,
		p.sip.LocalAddr().(*net.UDPAddr).Port, extra, len(body), body))
}

// heardRTP is what came while packets were sent.
type heardRTP struct {
	audio  int          // packets of audio
	events map[byte]int // packets of each telephone-event
	last   []byte       // payload of the last audio packet
}

// talk sends packets of A-law with the payload given, 20 ms apart, until ok says that enough was heard, or patience ends.
func (p *rawPhone) talk(to *net.UDPAddr, payload byte, ok func(heardRTP) bool) heardRTP {
	p.t.Helper()
	h := heardRTP{events: map[byte]int{}}
	packet := make([]byte, 12+160)
	packet[0], packet[1] = 0x80, 8
	copy(packet[8:12], "nat!")
	for i := range packet[12:] {
		packet[12+i] = payload
	}
	buf := make([]byte, 2048)
	due := time.Now()
	end := due.Add(patience)
	for seq := 0; time.Now().Before(end); seq++ {
		packet[2], packet[3] = byte(seq>>8), byte(seq)
		stamp := seq * 160
		packet[4], packet[5], packet[6], packet[7] = byte(stamp>>24), byte(stamp>>16), byte(stamp>>8), byte(stamp)
		_, err := p.rtp.WriteToUDP(packet, to)
		must(p.t, "send RTP", err)
		due = due.Add(20 * time.Millisecond)
		must(p.t, "deadline", p.rtp.SetReadDeadline(due))
		for {
			n, err := p.rtp.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			must(p.t, "receive RTP", err)
			h.take(buf[:n])
		}
		if ok(h) {
			return h
		}
	}
	p.t.Fatalf("heard %d packets, events %v", h.audio, h.events)
	return h
}

func (h *heardRTP) take(packet []byte) {
	if len(packet) < 13 || packet[0] != 0x80 {
		return
	}
	switch packet[1] & 0x7f {
	case 8:
		h.audio++
		h.last = append(h.last[:0], packet[12:]...)
	case 101:
		h.events[packet[12]]++
	}
}
