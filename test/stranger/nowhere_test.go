package stranger

import (
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// methods are all that SIP has, and one that it has not.
var methods = []string{
	"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "NOTIFY", "INFO", "UPDATE", "PRACK", "BYE", "CANCEL", "ACK", "FROBNICATE",
}

// refused are what a stranger may hear.
var refused = []int{401, 405, 481, 501}

// What a stranger asks for goes nowhere: the phone that it was meant for receives not one packet.
func TestStrangerGoesNowhere(t *testing.T) {
	t.Parallel()
	o := open(t)
	bob := o.phone("1002")
	heard, _ := bob.Count()
	sdp := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\n"
	ways := map[string]func(p *wire.Phone, r *wire.Request){
		"without credentials": func(*wire.Phone, *wire.Request) {},
		"with a wrong realm": func(p *wire.Phone, r *wire.Request) {
			r.Authority = `Digest username="1001", realm="elsewhere.example", nonce="` + wire.Token() + `", uri="` + r.URI +
				`", response="` + strings.Repeat("0", 32) + `", algorithm=MD5, qop=auth, nc=00000001, cnonce="x"`
		},
		"with another scheme":    func(p *wire.Phone, r *wire.Request) { r.Authority = "Basic MTAwMTpjb3JyZWN0IGhvcnNl" },
		"with a forged To-tag":   func(p *wire.Phone, r *wire.Request) { r.To += ";tag=" + wire.Token() },
		"with an empty To-tag":   func(p *wire.Phone, r *wire.Request) { r.To += ";tag=" },
		"with a line feed in To": func(p *wire.Phone, r *wire.Request) { r.To = "\r\n " + r.To + ";tag=x" },
		"from the switch's own":  func(p *wire.Phone, r *wire.Request) { r.From = "<sip:" + p.Domain + ">;tag=x" },
		"to the phone's contact": func(p *wire.Phone, r *wire.Request) { r.URI = "sip:1002@" + bob.Local.String() },
		"with a Route to phone":  func(p *wire.Phone, r *wire.Request) { r.Extra = []string{"Route: <sip:" + bob.Local.String() + ";lr>"} },
		"with an asserted caller": func(p *wire.Phone, r *wire.Request) {
			r.Extra = []string{"P-Asserted-Identity: <" + p.URI("1001") + ">"}
		},
	}
	for way, change := range ways {
		t.Run(way, func(t *testing.T) {
			for _, proto := range []string{"UDP", "TCP", "WS"} {
				p := wire.NewPhone(o.line(proto, binary.Host()), "1001", "wrong")
				p.T = t
				for _, method := range methods {
					r := p.New(method, "1002")
					r.Body = sdp
					change(p, &r)
					if method == "ACK" {
						p.Send(p.Text(r))
						continue
					}
					codes := refused
					if way == "with an empty To-tag" || way == "with another scheme" {
						codes = append(codes, 400) // may be taken for malformed
					}
					if m := p.Do(r); !among(m.Status(), codes...) {
						t.Errorf("%s over %s: %s", method, proto, m.Raw)
					}
				}
				ping(t, p)
				p.Close()
			}
		})
	}
	bob.Quiet(300 * time.Millisecond)
	if now, _ := bob.Count(); now != heard {
		t.Errorf("the phone received %d packets", now-heard)
	}
	o.Idle(2 * time.Second)
}

// A user with a password may not do everything either.
func TestUserStaysWithinItsOwn(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob, third := o.phone("1001"), o.phone("1002"), o.stranger("1003")
	heard, _ := bob.Count()
	for name, c := range map[string]struct {
		change func(*wire.Request)
		want   []int
	}{
		"From of somebody else":  {func(r *wire.Request) { r.From = "<" + alice.URI("1003") + ">;tag=x" }, []int{403}},
		"From of another domain": {func(r *wire.Request) { r.From = "<sip:1001@elsewhere.example>;tag=x" }, []int{403}},
		"From without a user":    {func(r *wire.Request) { r.From = "<sip:" + alice.Domain + ">;tag=x" }, []int{403}},
		"another domain":         {func(r *wire.Request) { r.URI = "sip:1002@elsewhere.example" }, []int{403, 404}},
		"an address not ours":    {func(r *wire.Request) { r.URI = "sip:1002@" + third.Local.String() }, []int{403, 404}},
		"Route to a third":       {func(r *wire.Request) { r.Extra = []string{"Route: <sip:" + third.Local.String() + ";lr>"} }, []int{403}},
		"our Route, then a third": {func(r *wire.Request) {
			r.Extra = []string{"Route: <sip:" + alice.Domain + ";lr>, <sip:" + third.Local.String() + ";lr>"}
		}, []int{403}},
		"Route of a strict router":  {func(r *wire.Request) { r.Extra = []string{"Route: <sip:" + third.Local.String() + ">"} }, []int{403}},
		"a number that is no route": {func(r *wire.Request) { r.URI = alice.URI("+88213000") }, []int{403, 404}},
		"no hops left":              {func(r *wire.Request) { r.SkipForwards = true; r.Extra = []string{"Max-Forwards: 0"} }, []int{483}},
	} {
		t.Run(name, func(t *testing.T) {
			r := alice.New("INVITE", "1002")
			r.Body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\n"
			c.change(&r)
			if m := alice.Ask(r); !among(m.Status(), c.want...) {
				t.Errorf("want %v, got %s", c.want, m.Raw)
			}
		})
	}
	for _, method := range []string{"REFER", "SUBSCRIBE", "PUBLISH"} {
		r := alice.New(method, "1002")
		r.Extra = []string{"Refer-To: <sip:+88213000@" + third.Local.String() + ">", "Event: presence"}
		if m := alice.Ask(r); !among(m.Status(), 403, 404, 405, 481, 489, 501) {
			t.Errorf("%s of a user: %s", method, m.Raw)
		}
	}
	bob.Quiet(200 * time.Millisecond)
	third.Quiet(10 * time.Millisecond)
	if now, _ := bob.Count(); now != heard {
		t.Errorf("bob's phone received %d packets", now-heard)
	}
	if n, _ := third.Count(); n != 0 {
		t.Errorf("a third address received %d packets", n)
	}
	// With the right password a MESSAGE arrives: the silence above is not that of a switch that passes nothing.
	r := alice.New("MESSAGE", "1002")
	r.Type, r.Body = "text/plain", "hello"
	challenge := alice.Do(r)
	r = alice.Sign(r, challenge)
	alice.Send(alice.Text(r))
	m := bob.Request(5*time.Second, "MESSAGE")
	if m.Body != "hello" {
		t.Errorf("MESSAGE arrived with %q", m.Body)
	}
	bob.Reply(m, 200, wire.Reply{Tag: "x"})
	alice.Await(5*time.Second, "200 to MESSAGE", func(m wire.Message) bool { return m.Status() == 200 })
}
