package transport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tandem/sip"
	"tandem/sip/siptest/siptorture"
)

// tortures are messages that carry the transports' own traps, and the raw ones of RFC 4475 and RFC 5118 where
// they lie beside the project.
func tortures(t *testing.T) map[string]string {
	good := options("UDP", "h", "1", "c", 1)
	all := map[string]string{
		"octets after Content-Length (RFC 4475 §3.1.1.8)": good + strings.Replace(good, "OPTIONS", "INVITE", 2),
		"body cut short (§3.1.2.2)":                       strings.Replace(good, "Content-Length: 0", "Content-Length: 9999", 1),
		"negative Content-Length (§3.1.2.3)":              strings.Replace(good, "Content-Length: 0", "Content-Length: -999", 1),
		"spaces before the line end (§3.1.2.10)":          strings.Replace(good, "SIP/2.0\r", "SIP/2.0  \r", 1),
		"two Content-Lengths (§3.3.9)":                    strings.Replace(good, "Content-Length: 0", "Content-Length: 5\r\nl: 0", 1),
		"another version (§3.1.2.16)":                     strings.Replace(good, "SIP/2.0\r", "SIP/7.0\r", 1),
		"no top Via":                                      strings.Replace(good, "Via:", "X-Via:", 1),
		"broken response":                                 "SIP/2.0 200 \xff\r\nVia: SIP/2.0/UDP h\r\n\r\n",
		"no SIP":                                          "GET / HTTP/1.0\r\n\r\n",
		"NULs":                                            "OPTIONS sip:a\x00b SIP/2.0\r\n\x00: \x00\r\n\r\n\x00",
	}
	for _, m := range siptorture.Messages() {
		all[m.Name] = m.Raw
	}
	for _, pattern := range []string{"*.dat", "*/*.dat"} {
		files, err := filepath.Glob(filepath.Join("../../../shared/sip-torture", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(f)] = string(raw)
		}
	}
	return all
}

// fate is what must become of a message that comes whole: heard, answered, or neither.
func fate(text string) (heard, answered bool) {
	var m sip.Message
	if m.Parse(text) != nil {
		return false, false
	}
	fault := sip.Validate(&m, nil)
	return fault == nil, fault != nil && sip.CanRespond(&m)
}

func TestTortureOverUDPAndWebSocket(t *testing.T) {
	for name, text := range tortures(t) {
		heard, answered := fate(text)
		for _, over := range []Proto{UDP, WS} {
			t.Run(over.String()+" "+name, func(t *testing.T) {
				e := newEar()
				var l *Layer
				if over == UDP {
					l = run(t, udpConfig("127.0.0.1:0"), e)
					write(t, udpClient(t, l.testAddr(0)), text)
				} else {
					l = run(t, wsConfig(), e)
					write(t, wsDial(t, l), string(wsFrame(ws.OpBinary, true, text)))
				}
				eventually(t, "it is dealt with", func() bool {
					s := l.Stats()[0]
					return len(e.got)+int(s.Dropped[DropInvalid]+s.Dropped[DropGarbage]) == 1
				})
				if (len(e.got) == 1) != heard {
					t.Errorf("heard %v, want %v", len(e.got) == 1, heard)
				}
				want := uint64(0)
				if answered {
					want = 1
				}
				eventually(t, "the answer is out", func() bool { return l.Stats()[0].Out == want })
				if n := l.drops(0, DropPanic); n != 0 {
					t.Errorf("%d panics", n)
				}
			})
		}
	}
}

// The status that a refused message gets on the wire.
func TestTortureStatus(t *testing.T) {
	for _, m := range siptorture.Messages() {
		if m.Verdict != siptorture.Refuse || m.Name == "inv2543" {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			l := run(t, wsConfig(), newEar())
			c := wsDial(t, l)
			write(t, c, string(wsFrame(ws.OpBinary, true, m.Raw)))
			got, err := wsutil.ReadServerBinary(c)
			var answer sip.Message
			if err != nil || answer.Parse(string(got)) != nil || answer.Status() != m.Code {
				t.Errorf("%q %v, want %d", got, err, m.Code)
			}
		})
	}
}

// On a stream a message may run on into the next, or never end; the connection pays for it and nobody else.
func TestTortureOverTCP(t *testing.T) {
	e := newEar()
	l := run(t, tcpConfig(), e)
	for name, text := range tortures(t) {
		t.Run(name, func(t *testing.T) {
			c := tcpClient(t, l.testAddr(0))
			write(t, c, text)
			c.Close()
			await(t, e.closed, "Closed")
			for len(e.got) > 0 {
				h := e.next(t)
				if fault := sip.Validate(&h.msg, nil); fault != nil {
					t.Errorf("heard what does not validate: %v", fault)
				}
			}
		})
	}
	write(t, tcpClient(t, l.testAddr(0)), options("TCP", "h", "1", "after-all", 1))
	if h := e.next(t); h.msg.Header(sip.HeaderCallID) != "after-all" || l.drops(0, DropPanic) != 0 {
		t.Errorf("heard %q, %d panics", h.msg.Raw(), l.drops(0, DropPanic))
	}
}
