package call

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/media"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// Nothing outside a dialog goes anywhere without credentials (A1): 401, 481 or 405 for the stranger, and not one
// packet for anybody else.
func TestStranger(t *testing.T) {
	want := map[string]int{
		sip.INVITE: 401, sip.MESSAGE: 401, sip.SUBSCRIBE: 401, sip.REFER: 401, sip.PUBLISH: 401, sip.REGISTER: 401,
		sip.BYE: 481, sip.INFO: 481, sip.UPDATE: 481, sip.PRACK: 481, sip.NOTIFY: 481, sip.CANCEL: 481, sip.OPTIONS: 200,
		sip.ACK: 0, "DANCE": 501,
	}
	credentials := map[string]func(o *office, p *phone, method, uri string) []string{
		"none": func(*office, *phone, string, string) []string { return nil },
		"proxy": func(o *office, p *phone, method, uri string) []string {
			return []string{"Proxy-" + o.authorization("1001", p.flow.Local(), method, uri, "")}
		},
		"another realm": func(o *office, p *phone, method, uri string) []string {
			return []string{strings.Replace(o.authorization("1001", p.flow.Local(), method, uri, ""), `realm="example.com"`, `realm="trunk.example"`, 1)}
		},
		"wrong password": func(o *office, p *phone, method, uri string) []string {
			return []string{strings.Replace(o.authorization("1001", p.flow.Local(), method, uri, ""), `username="1001"`, `username="1002"`, 1)}
		},
		"nobody": func(o *office, p *phone, method, uri string) []string {
			return []string{strings.Replace(o.authorization("1001", p.flow.Local(), method, uri, ""), `username="1001"`, `username="7777"`, 1)}
		},
		"a nonce of another address": func(o *office, p *phone, method, uri string) []string {
			return []string{o.authorization("1001", netip.MustParseAddrPort("192.0.2.200:5060"), method, uri, "")}
		},
	}
	for what, make := range credentials {
		t.Run(what, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				for _, proto := range []transport.Proto{transport.UDP, transport.TCP} {
					mallory := o.phone(proto, "1001", 66)
					for method, status := range want {
						uri := "sip:1002@" + domain
						r := siptest.Request{Method: method, URI: uri, From: alice.from("m"), CallID: "m-" + method + proto.String(), Lines: make(o, mallory, method, uri)}
						mallory.Send(mallory.flow, r)
						if status == 0 {
							mallory.hearsNothing(0)
							continue
						}
						got, ok := mallory.within(0)
						if ok && status == 401 && got.Status() == 403 && got.Has(sip.HeaderRetryAfter) {
							status = 403 // too many wrong passwords by now
						}
						if !ok || got.Status() != status {
							o.Fatalf("%s: %d, want %d", method, got.Status(), status)
						}
						if status == 401 && method != sip.REGISTER && !got.Has(sip.HeaderWWWAuthenticate) {
							o.Error("401 without a challenge")
						}
						if method == sip.INVITE {
							(&dialogue{phone: mallory, request: r}).acksRefusal(got)
						}
						if n := o.board.Live() + o.media.open(); n != 0 {
							o.Errorf("%s leaves something behind", method)
						}
					}
				}
				alice.hearsNothing(0)
				bob.hearsNothing(40 * time.Second)
			})
		})
	}
}

// invitation is an INVITE of a caller with one thing changed; credentials are made for the text as it goes out.
type invitation struct {
	name    string
	request siptest.Request
	from    string // other From
	uri     string // other Request-URI
	edit    func(string) string
	want    string
	header  string // that must be in the answer
}

// What an authenticated caller may not say either.
func TestAdmission(t *testing.T) {
	replace := func(old, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, to, 1) }
	}
	for _, x := range []invitation{
		{name: "From of somebody else", from: "<sip:1002@example.com>;tag=x", want: "403"},
		{name: "From of another domain", from: "<sip:1001@elsewhere.example>;tag=x", want: "403"},
		{name: "anonymous", from: "<sip:anonymous@anonymous.invalid>;tag=x", want: "403"},
		{name: "foreign domain", uri: "sip:1002@elsewhere.example", want: "403"},
		{name: "foreign address", uri: "sip:1002@192.0.2.200", want: "403"},
		{name: "premium number abroad", uri: "sip:+882123456@elsewhere.example", want: "403"},
		{name: "premium number here", uri: "sip:+882123456@example.com", want: "403"},
		{name: "foreign Route", request: siptest.Request{Lines: []string{"Route: <sip:192.0.2.200;lr>"}}, want: "403"},
		{name: "foreign Route behind ours", request: siptest.Request{Lines: []string{"Route: <sip:192.0.2.9;lr>, <sip:evil.example;lr>"}}, want: "403"},
		{name: "Route that is none", request: siptest.Request{Lines: []string{"Route: ;;"}}, want: "400"},
		{name: "no hops left", edit: replace("Max-Forwards: 70", "Max-Forwards: 0"), want: "483"},
		{name: "100rel", request: siptest.Request{Lines: []string{"Require: 100rel, timer"}}, want: "420", header: "Unsupported: 100rel"},
		{name: "does not read SDP", request: siptest.Request{Lines: []string{"Accept: text/plain"}}, want: "406"},
		{name: "another body", request: siptest.Request{Type: "text/plain", Body: "hello"}, want: "415", header: "Accept: application/sdp"},
		{name: "packed", request: siptest.Request{Body: "offer", Lines: []string{"Content-Encoding: gzip"}}, want: "415", header: "Accept-Encoding: identity"},
		{name: "multipart", request: siptest.Request{Type: "multipart/mixed;boundary=b", Body: "--b--"}, want: "415"},
		{name: "broken description", request: siptest.Request{Body: "broken"}, want: "400"},
		{name: "nothing in common", request: siptest.Request{Body: "unknown-codec"}, want: "488"},
		{name: "no Contact", edit: replace("\r\nContact:", "\r\nX-Contact:"), want: "400"},
		{name: "interval too short", request: siptest.Request{Lines: []string{"Supported: timer", "Session-Expires: 60"}}, want: "422", header: "Min-SE: 90"},
		{name: "our own address", uri: "sip:1002@192.0.2.9", want: "180"},
		{name: "Route of ours", request: siptest.Request{Lines: []string{"Route: <sip:192.0.2.9;lr>"}}, want: "180"},
		{name: "tel", uri: "tel:1002", want: "180"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob, evil := o.alice(), o.bob(), o.phone(transport.UDP, "evil", 200)
				r := x.request
				r.Method, r.URI, r.From, r.CallID, r.Branch = sip.INVITE, "sip:1002@"+domain, alice.from("x"), "admission", sip.NewBranch()
				if x.uri != "" {
					r.URI = x.uri
				}
				if x.from != "" {
					r.From = x.from
				}
				r.Lines = append(r.Lines, alice.contact(), o.authorization("1001", alice.flow.Local(), sip.INVITE, r.URI, r.Body))
				text := string(r.Bytes(alice.flow))
				if x.edit != nil {
					text = x.edit(text)
				}
				alice.SendText(alice.flow, text)
				d := &dialogue{phone: alice, request: r, callID: r.CallID, local: r.From, cseq: 1}
				d.request.To = "<sip:bob@example.com>"
				if x.want == "180" {
					b := bob.rung()
					b.says(180, "")
					d.phone.hears("180")
					b.says(486, "")
					bob.hears(sip.ACK)
					d.acksRefusal(d.phone.hears("486"))
				} else {
					got := d.phone.hears(x.want)
					if x.header != "" && !strings.Contains(got.Raw(), "\r\n"+x.header+"\r\n") {
						o.Errorf("no %q in\n%s", x.header, got.Raw())
					}
					d.acksRefusal(got)
				}
				bob.hearsNothing(time.Second)
				evil.hearsNothing(0)
			})
		})
	}
}

// A proof is good once: the INVITE of another branch with the same credentials is challenged.
func TestReplayedInvite(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
		r := a.request
		r.Branch, r.CallID = sip.NewBranch(), "replayed"
		alice.Send(alice.flow, r)
		got := alice.hears("401")
		if !strings.Contains(got.Header(sip.HeaderWWWAuthenticate), "stale=true") {
			o.Error("not stale")
		}
		(&dialogue{phone: alice, request: r}).acksRefusal(got)
		bob.hearsNothing(time.Second)
	})
}

// After too many failures nothing is computed, and the source is told to wait.
func TestGuesser(t *testing.T) {
	inOffice(t, func(o *office) {
		mallory, last := o.phone(transport.UDP, "1001", 66), siptest.Received{}
		for i := range 40 {
			uri := "sip:1002@" + domain
			auth := o.authorization("1001", mallory.flow.Local(), sip.MESSAGE, uri, "")
			auth = strings.Replace(auth, `response="`, `response="0`, 1)
			i, j := strings.Index(auth, `response="`)+10, strconv.Itoa(i)
			auth = auth[:i] + strings.Repeat("0", 64) + auth[i+65:]
			mallory.Send(mallory.flow, siptest.Request{Method: sip.MESSAGE, URI: uri, From: mallory.from("g"), CallID: "guess" + j, Lines: []string{auth}})
			last, _ = mallory.within(0)
		}
		if last.Status() != 403 || !last.Has(sip.HeaderRetryAfter) || o.board.Stats().AuthFailures.Load() == 0 || o.board.Stats().Throttled.Load() == 0 {
			o.Errorf("at last %d, %d failures, %d throttled", last.Status(), o.board.Stats().AuthFailures.Load(), o.board.Stats().Throttled.Load())
		}
	})
}

// What is authenticated and no call: the proxy has MESSAGE, where there is one; the rest is 405.
func TestNotACall(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		for i, method := range []string{sip.MESSAGE, sip.SUBSCRIBE, sip.REFER, sip.PUBLISH} {
			uri := "sip:1002@" + domain
			alice.Send(alice.flow, siptest.Request{Method: method, URI: uri, From: alice.from("n"), CallID: "n" + strconv.Itoa(i),
				Lines: []string{o.authorization("1001", alice.flow.Local(), method, uri, "")}})
			if r := alice.hears("405"); !r.Lists(sip.HeaderAllow, sip.INVITE) || r.Lists(sip.HeaderAllow, method) {
				o.Errorf("%s: Allow %s", method, r.Header(sip.HeaderAllow))
			}
		}
		bob.hearsNothing(time.Second)
	})
}

// The callee that challenges our INVITE, BYE, re-INVITE or INFO with any realm never sees credentials (A3); clean
// looks for them in all that every phone heard.
func TestRogueCallee(t *testing.T) {
	challenges := []string{
		`WWW-Authenticate: Digest realm="example.com", nonce="abc", qop="auth", algorithm=MD5`,
		`Proxy-Authenticate: Digest realm="carrier.example", nonce="abc", qop="auth"`,
	}
	for _, status := range []int{401, 407} {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "offer sendonly")
			b.replies(b.phone.hears(sip.INVITE), status, "", challenges, "")
			b.phone.hears(sip.ACK)
			a.refused("488")
			a.sends(sip.INFO, "text/plain", "x")
			b.replies(b.phone.hears(sip.INFO), status, "", challenges, "")
			a.phone.hears("488")
			o.media.of("b1").silence()
			b.replies(b.phone.hears(sip.OPTIONS), status, "", challenges, "")
			a.asks(sip.BYE, "")
			a.phone.hears("200 BYE")
			b.replies(b.phone.hears(sip.BYE), status, "", challenges, "")
			o.idle()
		})
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			b.says(status, "", challenges...)
			bob.hears(sip.ACK)
			a.hears("480")
		})
	}
}

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
			"P-Preferred-Identity: <sip:boss@example.com>", "Identity: boss", "Privacy: id", "Replaces: boss;to-tag=1;from-tag=2", "Supported: boss",
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

// Credentials that changed by a reload count from the next request on; a call in progress does not mind.
func TestReloadedCredentials(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		next := *o.board.Settings()
		next.Credentials = map[string]digest.Credential{}
		o.board.Update(&next)
		d := a.phone.invites("1002", "offer")
		d.acksRefusal(d.phone.hears("401"))
		o.hangsUp(b, a)
	})
}
