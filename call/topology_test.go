package call

import (
	"fmt"
	"strings"
	"testing"

	"tandem/media"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// Nothing of one leg is seen on the other but the caller's number and name, and the headers of the list.
func TestTopology(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		pass := []string{
			"s: about lunch", "Priority: urgent", "Accept-Language: en;q=1,\r\n de", "Organization: Office", "User-to-User: 56a3;encoding=hex",
		}
		secret := []string{
			"P-Asserted-Identity: <sip:boss@example.com>", "p-asserted-identity : <sip:boss@example.com>", "Remote-Party-ID: <sip:boss@example.com>",
			"Diversion: <sip:boss@example.com>", "History-Info: <sip:boss@example.com>;index=1", "P-Charge-Info: <sip:boss@example.com>",
			"X-Secret: boss", "Call-Info: <http://192.0.2.1/boss>", "Alert-Info: <http://192.0.2.1/boss>", "Referred-By: <sip:boss@example.com>",
			"P-Preferred-Identity: <sip:boss@example.com>", "Identity: boss", "Privacy: id", "Supported: boss",
			"Subject: " + strings.Repeat("boss", 300), "Organization: a\x01boss",
		}
		d := alice.invites("1002", "", "X-Place: here")
		b := bob.rung()
		b.says(486, "", "X-Secret: bob", "Warning: 399 bob \"secret\"", "Server: BobPhone")
		bob.hears(sip.ACK)
		if r := d.hears("486"); strings.Contains(r.Raw(), "ecret") || strings.Contains(r.Raw(), "BobPhone") {
			o.Errorf("caller hears\n%s", r.Raw())
		}

		r := siptest.Request{Body: "offer of alice: c=192.0.2.1"}
		uri := "sip:1002@" + domain
		r.Method, r.URI, r.From, r.CallID, r.Branch = sip.INVITE, uri, "\"Not Alice\" <sip:1001@example.com;x=boss>;tag=ft", "secret-call-id@192.0.2.1", sip.NewBranch()
		r.Lines = []string{alice.contact(), o.authorization("1001", alice.flow.Local(), sip.INVITE, uri, r.Body), "User-Agent: AlicePhone"}
		raw := string(r.Bytes(alice.flow))
		raw = strings.Replace(raw, "\r\nContact:", "\r\n"+strings.Join(append(pass, secret...), "\r\n")+"\r\nContact:", 1)
		raw = strings.Replace(raw, "Max-Forwards: 70", "Max-Forwards: 23", 1)
		alice.SendText(alice.flow, raw)
		a := &dialogue{phone: alice, request: r, callID: r.CallID, local: r.From, cseq: 1}
		b = bob.rung()
		got := b.invite
		for _, hidden := range []string{"secret-call-id", "ft", r.Branch, "192.0.2.1:", "192.0.2.1>", "AlicePhone", "c=192.0.2.1", "boss", "Not Alice", "Authorization", "nonce"} {
			if strings.Contains(got.Raw(), hidden) {
				o.Errorf("Bob sees %q", hidden)
			}
		}
		for _, line := range []string{
			"Subject: about lunch", "Priority: urgent", "Accept-Language: en;q=1, de", "Organization: Office", "User-to-User: 56a3;encoding=hex",
			"Max-Forwards: 22", "Contact: <sip:192.0.2.9:5060>", "To: <sip:1002@example.com>",
		} {
			if !strings.Contains(got.Raw(), "\r\n"+line+"\r\n") {
				o.Errorf("Bob does not see %q", line)
			}
		}
		if from, _ := got.Address(sip.HeaderFrom); from.Name() != "Alice" || from.URI != "sip:1001@example.com" {
			o.Errorf("From %q", got.Header(sip.HeaderFrom))
		}
		b.says(183, "answer of bob: c=192.0.2.2", "Server: BobPhone", "X-Secret: y")
		a.hears("183")
		b.says(200, "answer of bob: c=192.0.2.2", "Server: BobPhone", "X-Secret: y", "P-Asserted-Identity: <sip:1@2>")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(b, a)
		for _, m := range alice.All() {
			for _, hidden := range []string{b.callID, b.Tag(), b.invite.FromTag(), "192.0.2.2", "BobPhone", "X-Secret", "phone1002"} {
				if strings.Contains(m.Raw(), hidden) {
					o.Errorf("Alice sees %q", hidden)
				}
			}
		}
	})
}

// Line ends smuggled into what we write again become no header of their own.
func TestInjection(t *testing.T) {
	for _, x := range []struct{ name, uri, from, line, want string }{
		{"user part", "sip:1002%0d%0aX-Evil:%20yes@example.com", "", "", "404"},
		{"user part of From", "", "<sip:1001%0d%0aX-Evil:yes@example.com>;tag=i", "", "403"},
		{"display name", "", "\"x%0d%0aX-Evil: yes\" <sip:1001@example.com>;tag=i", "", "rings"},
		{"folded display name", "", "\"x\r\n X-Evil: yes\" <sip:1001@example.com>;tag=i", "", "rings"},
		{"folded Subject", "", "", "Subject: hello\r\n X-Evil: yes", "rings"},
		{"bare CR in Subject", "", "", "Subject: hello\rX-Evil: yes", "rings"},
		{"NUL in Subject", "", "", "Subject: hello\x00X-Evil: yes", "rings"},
		{"escaped Subject", "", "", "Subject: hello%0d%0aX-Evil: yes", "rings"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				r := siptest.Request{Method: sip.INVITE, URI: "sip:1002@" + domain, From: alice.from("i"), CallID: "injection", Branch: sip.NewBranch(), Body: "offer"}
				if x.uri != "" {
					r.URI = x.uri
				}
				r.Lines = []string{alice.contact(), o.authorization("1001", alice.flow.Local(), sip.INVITE, r.URI, r.Body)}
				text := string(r.Bytes(alice.flow))
				if x.from != "" {
					text = strings.Replace(text, r.From, x.from, 1)
				}
				if x.line != "" {
					text = strings.Replace(text, "\r\nContact:", "\r\n"+x.line+"\r\nContact:", 1)
				}
				alice.SendText(alice.flow, text)
				a := &dialogue{phone: alice, request: r, callID: r.CallID, local: r.From, cseq: 1}
				if x.want == "rings" {
					b := bob.rung()
					b.says(486, "")
					bob.hears(sip.ACK)
					x.want = "486"
				}
				a.hears(x.want)
				for _, p := range o.phones {
					for _, m := range p.All() {
						if _, evil := m.Named("X-Evil"); evil {
							o.Errorf("injected:\n%s", m.Raw())
						}
					}
				}
				if bytes := fmt.Sprintf("%+v", o.ledger.all()); strings.ContainsAny(bytes, "\r\n") {
					o.Errorf("line end in the record: %q", bytes)
				}
			})
		})
	}
}

// What comes from callees lands in logs and records masked.
func TestCalleeWritesStrangeThings(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		w := sip.NewWriter(nil)
		w.Respond(b.invite.Message, 480, "", "t")
		w.Finish("", nil)
		raw, _ := w.Bytes()
		bob.SendText(b.invite.Flow, strings.Replace(string(raw), "Temporarily Unavailable", "a\x1b[31mb\x00c", 1))
		bob.hears(sip.ACK)
		a.hears("480")
		if got := o.record().Attempts[0].Reason; got != "a?[31mb?c" {
			o.Errorf("reason %q", got)
		}
	})
}

// Signalling over TLS may carry SRTP keys; extensions without a policy get what the plan says.
func TestMediaOptions(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		bob := o.phone(transport.UDP, "1002", 2)
		o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.9.9.9", Flow: bob.back(), Source: bob.Addr(), NAT: true})
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
		x, y := o.media.of("a").options, o.media.of("b1").options
		if x.Call != y.Call || x.Call == "" || x.Advertise != "203.0.113.5" || x.SignallingSource != alice.Addr().Addr() || !x.NAT || x.Secure ||
			x.Local.String() != "192.0.2.9" || !y.NAT || y.SRTP != media.SRTPRequired || x.SRTP != media.SRTPOff {
			o.Errorf("options\n%+v\n%+v", x, y)
		}
	}, func(_ *Config, s *Settings) {
		s.PublicAddress = "203.0.113.5"
		text := strings.Replace(officePlan, "name  = \"Alice\"", "name  = \"Alice\"\n  srtp = \"off\"", 1)
		s.Plan = planOf(t, strings.Replace(text, "name  = \"Bob\"", "name  = \"Bob\"\n  srtp = \"required\"", 1))
	})
}
