package stranger

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// Each element of a message too long, over UDP and over TCP, as a request and in a dialog: refused or dropped, never
// passed on, and the switch lives and does not grow.
func TestOversizedElements(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	c := connect(t, alice, bob)
	heard, _ := bob.Count()
	before := o.Process()
	elements := map[string]func(r *wire.Request, x string){
		"method":                  func(r *wire.Request, x string) { r.Method = strings.ToUpper(x) },
		"user":                    func(r *wire.Request, x string) { r.URI = "sip:" + x + "@" + alice.Domain },
		"host":                    func(r *wire.Request, x string) { r.URI = "sip:1002@" + x },
		"URI parameter":           func(r *wire.Request, x string) { r.URI += ";" + x },
		"URI value":               func(r *wire.Request, x string) { r.URI += ";x=" + x },
		"branch":                  func(r *wire.Request, x string) { r.Branch = "z9hG4bK" + x },
		"From tag":                func(r *wire.Request, x string) { r.From += x },
		"From name":               func(r *wire.Request, x string) { r.From = `"` + x + `" ` + r.From },
		"From parameter":          func(r *wire.Request, x string) { r.From += ";" + x },
		"To tag":                  func(r *wire.Request, x string) { r.To += ";tag=" + x },
		"To name":                 func(r *wire.Request, x string) { r.To = `"` + x + `" ` + r.To },
		"Call-ID":                 func(r *wire.Request, x string) { r.CallID = x },
		"Contact":                 func(r *wire.Request, x string) { r.Contact = "<sip:" + x + "@127.0.0.1>" },
		"Authorization":           func(r *wire.Request, x string) { r.Authority = `Digest username="` + x + `"` },
		"scheme of Authorization": func(r *wire.Request, x string) { r.Authority = x },
		"unknown header":          func(r *wire.Request, x string) { r.Extra = []string{"X: " + x} },
		"header name":             func(r *wire.Request, x string) { r.Extra = []string{x + ": x"} },
		"Route":                   func(r *wire.Request, x string) { r.Extra = []string{"Route: <sip:" + x + ";lr>"} },
		"Require":                 func(r *wire.Request, x string) { r.Extra = []string{"Require: " + x} },
		"User-Agent":              func(r *wire.Request, x string) { r.Extra = []string{"User-Agent: " + x} },
		"Expires":                 func(r *wire.Request, x string) { r.Extra = []string{"Expires: " + strings.Repeat("9", len(x))} },
		"Max-Forwards": func(r *wire.Request, x string) {
			r.SkipForwards = true
			r.Extra = []string{"Max-Forwards: " + strings.Repeat("9", len(x))}
		},
		"number of headers": func(r *wire.Request, x string) {
			r.Extra = strings.Split(strings.Repeat("X: y|", len(x)/5)+"X: y", "|")
		},
		"number of Vias": func(r *wire.Request, x string) {
			r.Extra = strings.Split(strings.Repeat("v: SIP/2.0/UDP h|", len(x)/18)+"v: SIP/2.0/UDP h", "|")
		},
		"number of Contacts": func(r *wire.Request, x string) { r.Contact = strings.Repeat("<sip:a@h>,", len(x)/10) + "<sip:a@h>" },
		"folds":              func(r *wire.Request, x string) { r.Extra = []string{"X: y" + strings.Repeat("\r\n z", len(x)/4)} },
		"blanks":             func(r *wire.Request, x string) { r.Extra = []string{"X:" + strings.Repeat(" ", len(x)) + "y"} },
		"SDP line":           func(r *wire.Request, x string) { r.Body = "v=0\r\ns=" + x + "\r\n" },
		"body":               func(r *wire.Request, x string) { r.Body = x },
	}
	for _, proto := range []string{"UDP", "TCP"} {
		for name, change := range elements {
			for _, size := range []int{255, 1024, 8192, 65536} {
				if proto == "UDP" && size == 65536 {
					size = 60000 // what a datagram carries
				}
				p := wire.NewPhone(o.line(proto, binary.Host()), "1003", "wrong")
				for _, method := range []string{"INVITE", "REGISTER", "OPTIONS", "BYE"} {
					r := p.New(method, "1002")
					change(&r, strings.Repeat("x", size))
					if r.Branch == "" {
						r.Branch = "z9hG4bK" + wire.Token()
					}
					p.Send(p.Text(r))
				}
				for {
					m, ok := p.Poll(15*time.Millisecond, func(wire.Message) bool { return true })
					if !ok {
						break
					}
					if s := m.Status(); s < 200 || s >= 300 && s < 400 || s >= 500 && !among(s, 501, 505, 513) || s < 300 && !strings.HasSuffix(m.Get("cseq"), "OPTIONS") {
						t.Errorf("%s of %d over %s: %.300s", name, size, proto, m.Raw)
					}
				}
				p.Close()
			}
			o.alive()
		}
	}
	bob.Quiet(100 * time.Millisecond)
	if now, _ := bob.Count(); now != heard {
		t.Errorf("bob's phone received %d packets", now-heard)
	}
	c.goesOn()
	if got, lost := c.pure(); lost*1000 > got {
		t.Errorf("%d of %d media packets lost", lost, got)
	}
	c.end()
	o.Idle(2 * time.Second)
	if grown := o.Process().RSS - before.RSS; grown > 48<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}

// Packets that are shorter or other than they say, to the ports of a call and from the address of its own phone, so
// that the check of the source lets them in.
func TestBrokenMediaPackets(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"UDP", "TLS"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			alice, bob := o.over(proto, "1001"), o.over(proto, "1002")
			c := connect(t, alice, bob)
			to := c.am.Destination()
			rtcp := net.UDPAddrFromAddrPort(to)
			rtcp.Port++
			var packets [][]byte
			rtp := wire.Packet("EVIL", 1, 1)
			for n := range 24 {
				packets = append(packets, rtp[:n])
			}
			for _, first := range []byte{0x8f, 0x90, 0xa0, 0xbf, 0x00, 0x40, 0xc0, 20, 22, 63, 64, 127} { // CSRCs, extension, padding, others
				p := append([]byte(nil), rtp...)
				p[0] = first
				packets = append(packets, p, p[:12], p[:16])
				p = append([]byte(nil), p...)
				p[len(p)-1] = 255 // padding longer than the packet
				packets = append(packets, p)
			}
			for _, kind := range []byte{192, 200, 201, 202, 203, 204, 205, 206, 207, 223, 255} {
				for _, length := range []byte{0, 1, 6, 255} {
					p := append([]byte{0x81, kind, 0, length}, rtp[4:28]...)
					packets = append(packets, p[:4], p[:8], p, append(p, p[:4]...))
				}
			}
			pace := time.NewTicker(25 * time.Millisecond) // 400 a second to each port: below the cap of a leg
			defer pace.Stop()
			for n := range 3 * len(packets) {
				// From the phone's own socket: only its contents can give the packet away.
				c.am.Write(packets[n%len(packets)], to)
				c.am.Write(packets[n%len(packets)], rtcp.AddrPort())
				if n%10 == 0 {
					<-pace.C
				}
			}
			c.goesOn()
			if proto == "TLS" {
				if marks := c.bm.Marks(); len(marks) != 1 {
					t.Errorf("bob heard %q", marks)
				}
			}
			if got, lost := c.bm.Heard("ALIC"); lost*1000 > got {
				t.Errorf("%d of %d packets lost: %v", lost, got, c.bm.Missing("ALIC"))
			}
			c.end()
			o.Idle(2 * time.Second)
			o.alive()
		})
	}
}

// Escapes are not undone into headers, and control characters go neither into the other leg, the log nor the records.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	m := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC")
	arrived := 0
	try := func(name string, change func(*wire.Request)) {
		t.Helper()
		r := alice.New("INVITE", "1002")
		r.Body = m.SDP()
		change(&r)
		challenge := alice.Do(r)
		if challenge.Status() != 401 {
			if challenge.Status() != 400 && challenge.Status() != 404 && challenge.Status() != 403 {
				t.Errorf("%s: %s", name, challenge.Raw)
			}
			return
		}
		r = alice.Sign(r, challenge)
		r.Branch = "z9hG4bK" + wire.Token()
		out := &wire.Call{Phone: alice, From: r.From, To: r.To, ID: r.CallID, Seq: r.Seq, Peer: r.URI, Invite: r}
		alice.Send(alice.Text(r))
		var invite wire.Message
		for end, rung := time.Now().Add(5*time.Second), false; !rung; {
			if answer, ok := alice.Poll(50*time.Millisecond, func(m wire.Message) bool { return m.Status() >= 300 && m.Get("call-id") == out.ID }); ok {
				out.Acknowledge(answer)
				return
			}
			if invite, rung = bob.Poll(time.Millisecond, func(m wire.Message) bool { return m.Method() == "INVITE" }); !rung && time.Now().After(end) {
				t.Fatalf("%s: neither refused nor rung", name)
			}
		}
		in := bob.RungBy(invite)
		arrived++
		if bad := injected(in.Asked); bad != "" {
			t.Errorf("%s: %s arrived in\n%q", name, bad, in.Asked.Raw)
		}
		in.Respond(486, "")
		out.Final(5 * time.Second)
	}
	evil := "%0d%0aP-Asserted-Identity:%20<sip:boss@evil>%0d%0aX-Injected:%201"
	raw := "\x01\x1b[31m\x7f"
	try("escapes in the caller's name", func(r *wire.Request) { r.From = `"` + evil + `" ` + r.From })
	try("escapes in the callee's name", func(r *wire.Request) { r.To = `"` + evil + `" ` + r.To })
	try("escapes in the number", func(r *wire.Request) { r.URI = "sip:1002" + evil[:6] + "@" + alice.Domain })
	try("escaped headers of the URI", func(r *wire.Request) { r.URI += "?P-Asserted-Identity=evil" })
	try("a parameter of the URI", func(r *wire.Request) { r.URI += ";x=%0d%0aX-Injected:1" })
	try("control characters in the name", func(r *wire.Request) { r.From = `"` + raw + `" ` + r.From })
	try("a line end in the name", func(r *wire.Request) { r.From = "\"a\rX-Injected: 1\" " + r.From })
	try("a line feed in the name", func(r *wire.Request) { r.From = "\"a\nX-Injected: 1\" " + r.From })
	try("a fold in the name", func(r *wire.Request) { r.From = "\"a\r\n X-Injected: 1\" " + r.From })
	try("headers that nobody may set", func(r *wire.Request) {
		for _, name := range []string{"P-Asserted-Identity", "p-asserted-identity", "P-Asserted-Identity ", "Remote-Party-ID", "Diversion", "History-Info", "P-Charge-Info", "X-Injected", "Privacy", "Proxy-Authorization", "Alert-Info"} {
			r.Extra = append(r.Extra, name+": <sip:boss@evil>;x=X-Injected")
		}
	})
	try("a Subject with a control character", func(r *wire.Request) { r.Extra = []string{"Subject: a" + raw + "b"} })
	try("an agent that writes the log", func(r *wire.Request) {
		r.Extra = []string{"User-Agent: x\" level=ERROR msg=\"forged" + raw}
	})

	if arrived < 4 {
		t.Errorf("%d of the calls arrived: the others prove nothing", arrived)
	}
	// A name that a phone registers with is shown and logged as well.
	carol := o.stranger("1003")
	carol.Ask(carol.Registration(carol.Contact(), "Expires: 60", "User-Agent: \x1b[2J\x07forged"))
	if out, err := o.Run("registrations"); err != nil || strings.ContainsAny(out, "\x1b\x07\x01\x7f") {
		t.Errorf("registrations: %v\n%q", err, out)
	}
	o.Idle(2 * time.Second)
	for line := range strings.Lines(o.Log()) {
		if strings.ContainsAny(strings.TrimRight(line, "\n"), "\x00\x01\x07\x1b\x7f\r") || !strings.HasPrefix(line, "time=") {
			t.Errorf("log line %q", line)
		}
	}
	records, err := os.ReadFile(filepath.Join(o.Dir, "state", "cdr.jsonl"))
	if err != nil || strings.ContainsAny(string(records), "\x00\x01\x07\x1b\x7f\r") {
		t.Errorf("call records: %v\n%q", err, records)
	}
}

// injected is what a message from the switch must not hold: a header of the attack, or a control character.
func injected(m wire.Message) string {
	for _, h := range m.Headers {
		switch h.Name {
		case "x-injected", "p-asserted-identity", "remote-party-id", "diversion", "history-info", "p-charge-info", "proxy-authorization", "authorization", "privacy", "alert-info":
			return h.Name
		}
	}
	head, _, _ := strings.Cut(m.Raw, "\r\n\r\n")
	for i := range len(head) {
		if b := head[i]; b < ' ' && b != '\r' && b != '\n' && b != '\t' || b == 0x7f {
			return fmt.Sprintf("octet %#x", b)
		}
	}
	if strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n") {
		return "a bare line end"
	}
	return ""
}
