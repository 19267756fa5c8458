package stranger

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// What a stranger gets back over UDP for what it sends: a switch is no amplifier. The figures are logged.
func TestAmplification(t *testing.T) {
	t.Parallel()
	o := open(t)
	sdp := wire.NewMedia(t, binary.Host(), "EVIL").SDP()
	for _, method := range []string{"REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "BYE", "CANCEL", "FROBNICATE"} {
		p := wire.NewPhone(wire.UDP(t, binary.Host(), 0, o.Addr(5060)), "1001", "")
		r := p.New(method, "1002")
		if method == "INVITE" {
			r.Body = sdp
		}
		text := p.Text(r)
		p.Send(text)
		p.Await(patience, "answer", func(m wire.Message) bool { return m.Status() >= 200 })
		// The answer is not repeated: nobody acknowledges it, and it was sent without state.
		p.Quiet(700 * time.Millisecond)
		packets, bytes := p.Count()
		ratio := float64(bytes) / float64(len(text))
		t.Logf("%-10s %d bytes, answered by %d packets of %d bytes: %.2f", method, len(text), packets, bytes, ratio)
		if packets != 1 {
			t.Errorf("%s: %d packets back", method, packets)
		}
		// What is around a request costs at least this much: a shorter one than a phone's only looks worse.
		if limit := 1.5 * max(float64(len(text)), 400); float64(bytes) > limit {
			t.Errorf("%s: %d bytes back for %d", method, bytes, len(text))
		}
	}
}

// Content-Length of every kind on a stream: bounded memory, an answer or the end of the connection.
func TestStreamFraming(t *testing.T) {
	t.Parallel()
	o := open(t)
	before := o.Process()
	head := "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
	host := binary.Host()
	for _, length := range []string{"2000000000", "99999999999999999999", "-1", "five", "0\r\nContent-Length: 5", "65536", "", "0x10", "1e3"} {
		for range 20 {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
			c, err := d.Dial("tcp", o.Addr(5060))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(c, "%sContent-Length: %s\r\n\r\n", head, length)
			_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil && !strings.HasPrefix(line, "SIP/2.0 4") && !strings.HasPrefix(line, "SIP/2.0 513") {
				t.Errorf("Content-Length %q: %q", length, line)
			}
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("Content-Length %q: neither answered nor closed", length)
			}
			_ = c.Close()
		}
		o.alive()
	}
	// A message cut at every place is one message all the same.
	whole := head + "Content-Length: 0\r\n\r\n"
	want := ""
	for at := 1; at < len(whole); at += 7 {
		c, err := net.Dial("tcp", o.Addr(5060))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).SetNoDelay(true)
		_, _ = c.Write([]byte(whole[:at]))
		_, _ = c.Write([]byte(whole[at:]))
		_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
		line, err := bufio.NewReader(c).ReadString('\n')
		if want == "" {
			want = line
		}
		if err != nil || line != want || !strings.HasPrefix(line, "SIP/2.0 200") {
			t.Errorf("cut at %d: %q, %v", at, line, err)
		}
		_ = c.Close()
	}
	if grown := o.Process().RSS - before.RSS; grown > 16<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}
