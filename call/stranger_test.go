package call

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

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
		{name: "what we do not know", request: siptest.Request{Lines: []string{"Require: teleport, timer"}}, want: "420", header: "Unsupported: teleport"},
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
