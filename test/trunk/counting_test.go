package trunk

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/test/binary"
)

// counting is a carrier that answers every call at once, and counts: calls at the same time, and when each began.
type counting struct {
	host string
	conn net.PacketConn
	tele *tally

	mu    sync.Mutex
	calls map[string]bool // by Call-ID: true while it goes on
}

// tally is the counts of one carrier, or of several together.
type tally struct {
	mu        sync.Mutex
	now, most int
	began     []time.Time
}

func (c *tally) begin(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now++
	c.most = max(c.most, c.now)
	c.began = append(c.began, at)
}

func (c *tally) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
}

// counter starts a carrier that counts into a tally.
func counter(t testing.TB, into *tally) *counting {
	t.Helper()
	c := &counting{host: binary.Host(), tele: into, calls: map[string]bool{}}
	var err error
	if c.conn, err = net.ListenPacket("udp", c.host+":5060"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.serve()
	}()
	t.Cleanup(func() {
		_ = c.conn.Close()
		<-done
	})
	return c
}

func (c *counting) serve() {
	buf := make([]byte, 8192)
	for {
		n, from, err := c.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := c.answer(string(buf[:n]), time.Now()); reply != "" {
			_, _ = c.conn.WriteTo([]byte(reply), from)
		}
	}
}

// answer is the response to a request; "" for none.
func (c *counting) answer(request string, at time.Time) string {
	method, _, _ := strings.Cut(request, " ")
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	id, out := "", "SIP/2.0 200 OK\r\n"
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "via", "from", "cseq":
			out += line + "\r\n"
		case "call-id":
			id = strings.TrimSpace(value)
			out += line + "\r\n"
		case "to":
			if !strings.Contains(line, "tag=") {
				line += ";tag=c"
			}
			out += line + "\r\n"
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch method {
	case "INVITE":
		if _, again := c.calls[id]; !again {
			c.calls[id] = true
			c.tele.begin(at)
		}
		sdp := fmt.Sprintf("v=0\r\no=c 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8\r\n", c.host)
		return out + fmt.Sprintf("Contact: <sip:c@%s:5060>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", c.host, len(sdp), sdp)
	case "BYE":
		if c.calls[id] {
			c.calls[id] = false
			c.tele.end()
		}
	case "ACK":
		return ""
	}
	return out + "Content-Length: 0\r\n\r\n"
}
