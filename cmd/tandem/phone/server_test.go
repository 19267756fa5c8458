package phone

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A textServer is a registrar that knows SIP only as text: it asks for a password, keeps no bindings, and answers what
// it is told to.
type textServer struct {
	algorithm string // MD5 or SHA-256
	password  string
	granted   int
	minimum   int // answers 423 below it

	mu       sync.Mutex
	nonces   int
	seen     []string // every request, in order
	arrived  chan struct{}
	failures []string
}

func header(message, name string) string {
	m := regexp.MustCompile(`(?im)^` + name + `: *(.*?)\r?$`).FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	return m[1]
}

func quoted(value, name string) string {
	m := regexp.MustCompile(name + `="?([^",]*)"?`).FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	return m[1]
}

func (s *textServer) answer(message string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, message)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	status, extra := "200 OK", ""
	expires, _ := strconv.Atoi(header(message, "Expires"))
	challenge := func(stale bool) {
		s.nonces++
		status = "401 Unauthorized"
		// Two challenges, the weaker one first: the phone must take the stronger.
		extra = fmt.Sprintf("WWW-Authenticate: Digest realm=\"test\", nonce=\"w%d\", algorithm=SHA-512-256, qop=\"auth\"\r\n"+
			"WWW-Authenticate: Digest realm=\"test\", nonce=\"n%d\", algorithm=%s, qop=\"auth\", stale=%v\r\n", s.nonces, s.nonces, s.algorithm, stale)
		if s.algorithm == "MD5" {
			extra = extra[strings.Index(extra, "\n")+1:]
		}
	}
	authorization := header(message, "Authorization")
	switch {
	case s.password != "" && authorization == "":
		challenge(false)
	case s.password != "" && quoted(authorization, "nonce") != fmt.Sprintf("n%d", s.nonces):
		challenge(true)
	case s.password != "" && !s.right(message, authorization):
		challenge(false)
	case expires > 0 && expires < s.minimum:
		status, extra = "423 Interval Too Brief", fmt.Sprintf("Min-Expires: %d\r\n", s.minimum)
	case expires > 0:
		// Another phone's contact first, and a quoted parameter before ours: sipgo alone would lose the expiry.
		contact := parseAddress(header(message, "Contact"))
		extra = fmt.Sprintf("Contact: \"A, B\" <sip:other@192.0.2.9>;expires=9, <%s>;+sip.instance=\"<urn:uuid:x;y>\";expires=%d\r\n", contact.uri, s.granted)
	}
	return fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=s\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: 0\r\n\r\n",
		status, header(message, "Via"), header(message, "From"), header(message, "To"), header(message, "Call-ID"), header(message, "CSeq"), extra)
}

// right computes the digest of RFC 7616 by hand.
func (s *textServer) right(message, a string) bool {
	h := func(text string) string {
		var d hash.Hash = md5.New()
		if s.algorithm == "SHA-256" {
			d = sha256.New()
		}
		d.Write([]byte(text))
		return hex.EncodeToString(d.Sum(nil))
	}
	line := strings.Fields(message)
	ha1 := h(quoted(a, "username") + ":test:" + s.password)
	want := h(strings.Join([]string{ha1, quoted(a, "nonce"), quoted(a, "nc"), quoted(a, "cnonce"), "auth", h(line[0] + ":" + line[1])}, ":"))
	if quoted(a, "uri") != line[1] {
		s.failures = append(s.failures, "digest uri "+quoted(a, "uri")+" for "+line[1])
	}
	return quoted(a, "response") == want
}

func (s *textServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

// udp serves until the test ends.
func (s *textServer) udp(t *testing.T) string {
	t.Helper()
	s.arrived = make(chan struct{}, 100)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(s.answer(string(buf[:n]))), from)
		}
	})
	t.Cleanup(func() { conn.Close(); running.Wait() })
	return conn.LocalAddr().String()
}

func TestRegister(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		t.Run(algorithm, func(t *testing.T) {
			leaks(t)
			s := &textServer{algorithm: algorithm, password: "secret", granted: 60, minimum: 30}
			p := newPhone(t, Config{Server: s.udp(t), User: "alice", Domain: "example.test", Password: "secret", Display: `A "B"`})
			if err := p.Register(within(t), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			if r := p.Registration(); !r.Active || r.Granted != time.Minute || r.Count != 1 {
				t.Errorf("registration %+v", r)
			}
			if err := p.Unregister(within(t)); err != nil {
				t.Fatal(err)
			}
			if r := p.Registration(); r.Active {
				t.Errorf("still registered: %+v", r)
			}
			all := s.requests()
			var numbers, counts []string
			for _, m := range all {
				numbers = append(numbers, header(m, "CSeq"))
				counts = append(counts, quoted(header(m, "Authorization"), "nc"))
			}
			// plain, with the password (423), with Expires 30, and the removal: one nonce, nc going up.
			if got := strings.Join(numbers, ","); got != "1 REGISTER,2 REGISTER,3 REGISTER,4 REGISTER" {
				t.Errorf("CSeq %s", got)
			}
			if got := strings.Join(counts, ","); got != ",00000001,00000002,00000003" {
				t.Errorf("nc %s", got)
			}
			if !strings.Contains(all[3], ";expires=0") || !strings.HasPrefix(all[0], "REGISTER sip:example.test SIP/2.0") {
				t.Errorf("first %q, last %q", all[0], all[3])
			}
			if len(s.failures) > 0 {
				t.Error(s.failures)
			}
		})
	}
}

func TestRegisterWithWrongOrNoPassword(t *testing.T) {
	leaks(t)
	s := &textServer{algorithm: "SHA-256", password: "secret", granted: 60}
	server := s.udp(t)
	for _, password := range []string{"guess", ""} {
		p := newPhone(t, Config{Server: server, User: "alice", Password: password})
		err := p.Register(within(t), 0)
		if err == nil || !strings.Contains(err.Error(), "REGISTER was answered 401") {
			t.Errorf("password %q: %v", password, err)
		}
	}
	if n := len(s.requests()); n != 3 { // challenge and one answer; challenge
		t.Errorf("%d requests, want 3", n)
	}
}

func TestRefreshBeforeExpiry(t *testing.T) {
	leaks(t)
	s := &textServer{granted: 1}
	p := newPhone(t, Config{Server: s.udp(t)})
	began := time.Now()
	if err := p.Register(within(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		select {
		case <-s.arrived:
		case <-time.After(patience):
			t.Fatal("no refresh")
		}
	}
	if took := time.Since(began); took < 1500*time.Millisecond || took > 8*time.Second {
		t.Errorf("two refreshes of a one-second registration came after %v", took)
	}
}

// webSocketPeer speaks as rudely as RFC 6455 lets it: answers come as a ping with a payload, then one binary message in
// three fragments with another ping between them.
func webSocketPeer(t *testing.T, s *textServer, config *tls.Config, pongs chan<- string) string {
	t.Helper()
	s.arrived = make(chan struct{}, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serveWebSocket(conn, s, pongs) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

func serveWebSocket(conn net.Conn, s *textServer, pongs chan<- string) {
	defer conn.Close()
	request := new(bytes.Buffer)
	upgrader := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "sip" },
		OnHeader: func(k, v []byte) error { fmt.Fprintf(request, "%s: %s\r\n", k, v); return nil }}
	if _, err := upgrader.Upgrade(conn); err != nil {
		return
	}
	if origin := header(request.String(), "Origin"); origin != "https://phone.test" {
		return
	}
	in := bufio.NewReader(conn)
	for {
		frame, err := ws.ReadHeader(in)
		if err != nil || frame.Length > maxWebSocketMessage {
			return
		}
		payload := make([]byte, frame.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		ws.Cipher(payload, frame.Mask, 0)
		switch {
		case frame.OpCode == ws.OpPong:
			pongs <- string(payload)
		case frame.OpCode == ws.OpClose:
			return
		case string(payload) == "\r\n\r\n":
			_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte("\r\n")))
		default:
			answer := []byte(s.answer(string(payload)))
			third := len(answer) / 3
			for _, f := range []ws.Frame{
				ws.NewPingFrame([]byte("are you there?")),
				ws.NewFrame(ws.OpBinary, false, answer[:third]),
				ws.NewPingFrame([]byte("still?")),
				ws.NewFrame(ws.OpContinuation, false, answer[third:2*third]),
				ws.NewFrame(ws.OpContinuation, true, answer[2*third:]),
			} {
				if err := ws.WriteFrame(conn, f); err != nil {
					return
				}
			}
		}
	}
}

func TestWebSocket(t *testing.T) {
	certificate, ca := selfSigned(t)
	for _, c := range []struct {
		transport string
		config    *tls.Config
	}{
		{"ws", nil},
		{"wss", &tls.Config{Certificates: []tls.Certificate{certificate}}},
	} {
		t.Run(c.transport, func(t *testing.T) {
			leaks(t)
			s := &textServer{algorithm: "SHA-256", password: "secret", granted: 600}
			pongs := make(chan string, 100)
			p := newPhone(t, Config{Server: webSocketPeer(t, s, c.config, pongs), Transport: c.transport, User: "alice", Password: "secret",
				CAFile: ca, Origin: "https://phone.test", Outbound: true, KeepAlive: 50 * time.Millisecond})
			if err := p.Register(within(t), 0); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"are you there?", "still?"} {
				select {
				case got := <-pongs:
					if got != want {
						t.Errorf("pong %q, want %q", got, want)
					}
				case <-time.After(patience):
					t.Fatal("no pong")
				}
			}
			first := s.requests()[0]
			if via := header(first, "Via"); !strings.HasPrefix(via, "SIP/2.0/"+strings.ToUpper(c.transport)+" ") {
				t.Errorf("Via: %s", via)
			}
			if contact := header(first, "Contact"); !strings.Contains(contact, ".invalid;transport="+c.transport) || !strings.Contains(contact, `;reg-id=1;+sip.instance="<urn:uuid:`) {
				t.Errorf("Contact: %s", contact)
			}
		})
	}
}

// A server that cuts the connection gets the registration again, on a new one.
func TestRegistersAgainAfterConnectionLoss(t *testing.T) {
	leaks(t)
	s := &textServer{granted: 600, arrived: make(chan struct{}, 100)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	cut := make(chan struct{})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				var message strings.Builder
				for in := bufio.NewReader(conn); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					message.WriteString(line)
					if line == "\r\n" && message.Len() > 4 {
						_, _ = conn.Write([]byte(s.answer(message.String())))
						<-cut // the first close cuts this connection, and every later one at once
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	p := newPhone(t, Config{Server: l.Addr().String(), Transport: "tcp", KeepAlive: 20 * time.Millisecond})
	if err := p.Register(within(t), 0); err != nil {
		t.Fatal(err)
	}
	<-s.arrived
	close(cut)
	select {
	case <-s.arrived:
	case <-time.After(patience):
		t.Fatal("not registered again")
	}
}
