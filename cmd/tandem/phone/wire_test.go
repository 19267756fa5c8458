package phone

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// A wire is a peer by hand: it reads and writes datagrams.
type wire struct {
	t    *testing.T
	conn net.PacketConn
	from net.Addr
}

func newWire(t *testing.T) *wire {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t: t, conn: conn}
}

// next returns the next message that starts like that; others are passed over.
func (w *wire) next(start string) string {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 65536)
	for {
		n, from, err := w.conn.ReadFrom(buf)
		if err != nil {
			w.t.Fatalf("no %q: %v", start, err)
		}
		w.from = from
		if message := string(buf[:n]); strings.HasPrefix(message, start) {
			return message
		}
	}
}

func (w *wire) send(message string) {
	w.t.Helper()
	if _, err := w.conn.WriteTo([]byte(message), w.from); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) answer(request, status, tag, body string) {
	w.t.Helper()
	to := header(request, "To")
	if tag != "" {
		to += ";tag=" + tag
	}
	kind := ""
	if body != "" {
		kind = "Content-Type: application/sdp\r\n"
	}
	w.send(fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		status, header(request, "Via"), header(request, "From"), to, header(request, "Call-ID"), header(request, "CSeq"), tag, w.conn.LocalAddr(), kind, len(body), body))
}

const wireSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\na=inactive\r\n"

// A repeated 2xx gets its ACK again; one from another branch of a fork gets an ACK and a BYE of its own; and fourteen
// 180s before do no harm.
func TestRepeatedAndForked2xx(t *testing.T) {
	leaks(t)
	w := newWire(t)
	p := newPhone(t, Config{User: "alice"})
	call, err := p.Dial(within(t), "sip:bob@"+w.conn.LocalAddr().String(), CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	invite := w.next("INVITE ")
	for range 14 {
		w.answer(invite, "180 Ringing", "one", "")
	}
	w.answer(invite, "200 OK", "one", wireSDP)
	first := w.next("ACK sip:one@")
	w.answer(invite, "200 OK", "one", wireSDP)
	if again := w.next("ACK sip:one@"); again != first {
		t.Errorf("the ACK changed:\n%s\n%s", first, again)
	}
	w.answer(invite, "200 OK", "two", wireSDP)
	if ack := w.next("ACK sip:two@"); !strings.HasSuffix(header(ack, "To"), ";tag=two") {
		t.Errorf("To: %s", header(ack, "To"))
	}
	bye := w.next("BYE sip:two@")
	if !strings.HasSuffix(header(bye, "To"), ";tag=two") {
		t.Errorf("To: %s", header(bye, "To"))
	}
	w.answer(bye, "200 OK", "", "")
	if err := call.WaitAnswered(within(t)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- call.Hangup(within(t)) }()
	w.answer(w.next("BYE sip:one@"), "200 OK", "", "")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A repeated refusal is acknowledged at once; sipgo alone would sleep four seconds.
func TestRepeatedRefusalIsAcknowledgedAtOnce(t *testing.T) {
	leaks(t)
	w := newWire(t)
	p := newPhone(t, Config{User: "alice"})
	call, err := p.Dial(within(t), "sip:bob@"+w.conn.LocalAddr().String(), CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	invite := w.next("INVITE ")
	w.answer(invite, "486 Busy Here", "one", "")
	w.next("ACK ")
	over(t, call)
	began := time.Now()
	for range 3 {
		w.answer(invite, "486 Busy Here", "one", "")
		ack := w.next("ACK ")
		if header(ack, "Via") != header(invite, "Via") || header(ack, "CSeq") != strings.Replace(header(invite, "CSeq"), "INVITE", "ACK", 1) {
			t.Errorf("not the ACK of this INVITE:\n%s", ack)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("three ACKs took %v", took)
	}
}

func (w *wire) request(p *Phone, method, branch, to, callID string, cseq int, extra, body string) string {
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=x\r\nTo: <sip:bob@127.0.0.1>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:x@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, p.URI(), w.conn.LocalAddr(), branch, to, callID, cseq, method, w.conn.LocalAddr(), extra, len(body), body)
}

func TestRequestsByHand(t *testing.T) {
	leaks(t)
	w := newWire(t)
	p := newPhone(t, Config{User: "bob", Answer: Answer{Auto: true, After: 10 * time.Millisecond}})
	address, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(p.URI(), "sip:bob@"))
	if err != nil {
		t.Fatal(err)
	}
	w.from = address
	sdp := "Content-Type: application/sdp\r\n"
	w.send(w.request(p, "INVITE", "1", "", "c", 5, sdp, wireSDP))
	ringing := w.next("SIP/2.0 180")
	ok := w.next("SIP/2.0 200")
	if header(ringing, "To") != header(ok, "To") {
		t.Errorf("the To of the 180 is %s, that of the 200 %s", header(ringing, "To"), header(ok, "To"))
	}
	// Without an ACK the 200 comes again.
	began := time.Now()
	if again := w.next("SIP/2.0 200"); again != ok {
		t.Errorf("the 200 changed:\n%s", again)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("the 200 was repeated after %v", took)
	}
	tag := strings.TrimPrefix(header(ok, "To"), "<sip:bob@127.0.0.1>")
	w.send(w.request(p, "ACK", "2", tag, "c", 5, "", ""))
	for i, c := range []struct {
		method, to string
		cseq       int
		extra      string
		want       string
	}{
		{"BYE", ";tag=forged", 6, "", "SIP/2.0 481"},
		{"INFO", tag, 4, "", "SIP/2.0 500"}, // older than the INVITE
		{"INFO", tag, 7, "Require: 100rel\r\n", "SIP/2.0 420"},
		{"OPTIONS", "", 8, "", "SIP/2.0 200"},
		{"SUBSCRIBE", "", 9, "", "SIP/2.0 405"},
		{"UPDATE", tag, 10, "", "SIP/2.0 200"},
		{"BYE", "", 11, "", "SIP/2.0 481"},
		{"BYE", tag, 12, "Reason: Q.850;cause=16\r\n", "SIP/2.0 200"},
		{"BYE", tag, 13, "", "SIP/2.0 481"},
	} {
		w.send(w.request(p, c.method, fmt.Sprintf("r%d", i), c.to, "c", c.cseq, c.extra, ""))
		got := w.next("SIP/2.0 ")
		for strings.Contains(header(got, "CSeq"), "INVITE") { // a last repetition of the 200
			got = w.next("SIP/2.0 ")
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s CSeq %d: got %.40q, want %s", c.method, c.to, c.cseq, got, c.want)
		}
	}
	in, err := p.WaitIncoming(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if e := over(t, in); e.By != ByRemote || e.Cause != 16 {
		t.Errorf("ended %+v", e)
	}
}
