package call

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// sends is a request inside the dialog with a body of any type.
func (d *dialogue) sends(method, kind, body string, lines ...string) {
	d.cseq++
	d.Send(d.flow, siptest.Request{
		Method: method, URI: d.target, From: d.local, To: d.remote, CallID: d.callID, CSeq: d.cseq, Type: kind, Body: body, Lines: lines,
	})
}

// DTMF in INFO is heard as telephone-events on the other leg.
func TestInfoDTMF(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.sends(sip.INFO, "application/dtmf-relay", "Signal=5\r\nDuration=240\r\n")
		a.phone.hears("200 INFO")
		a.sends(sip.INFO, "Application/DTMF; charset=x", "#")
		a.phone.hears("200 INFO")
		b.sends(sip.INFO, "application/dtmf-relay", "Signal=*\r\n")
		b.phone.hears("200 INFO")
		a.sends(sip.INFO, "application/dtmf-relay", "Signal=nothing\r\n")
		a.phone.hears("400 INFO")
		if got := o.media.of("b1").digits; got != "5(240ms)#(160ms)" {
			o.Errorf("Bob hears %s", got)
		}
		if got := o.media.of("a").digits; got != "*(160ms)" {
			o.Errorf("Alice hears %s", got)
		}
		b.phone.hearsNothing(time.Second)
		// A phone without telephone-events gets the INFO itself.
		o.media.of("b1").noEvents = true
		a.sends(sip.INFO, "application/dtmf-relay", "Signal=7\r\n")
		info := b.phone.hears(sip.INFO)
		if info.Body() != "Signal=7\r\n" || info.Header(sip.HeaderContentType) != "application/dtmf-relay" {
			o.Errorf("Bob hears %s", info.Raw())
		}
		b.replies(info, 200, "", nil, "")
		a.phone.hears("200 INFO")
		o.hangsUp(a, b)
	})
}

// Any other INFO, and MESSAGE, pass with their body, and the answer comes back with its own.
func TestInfoAndMessagePass(t *testing.T) {
	for _, method := range []string{sip.INFO, sip.MESSAGE} {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			for _, from := range []*dialogue{a, b} {
				to := map[bool]*dialogue{true: b, false: a}[from == a]
				from.sends(method, "text/plain", "hello", "Info-Package: x", "X-Secret: y", "User-Agent: SecretPhone", "Max-Forwards: 12")
				got := to.phone.hears(method)
				if got.Body() != "hello" || got.Header(sip.HeaderContentType) != "text/plain" || strings.Contains(got.Raw(), "ecret") {
					o.Errorf("passed on as\n%s", got.Raw())
				}
				to.replies(got, 200, "hello yourself", []string{"X-Secret: y"}, "")
				if r := from.phone.hears("200 " + method); r.Body() != "hello yourself" || strings.Contains(r.Raw(), "ecret") {
					o.Errorf("answered\n%s", r.Raw())
				}
			}
			for _, x := range []struct {
				status int
				want   string
			}{{469, "469"}, {404, "404"}, {401, "488"}, {407, "488"}, {503, "500"}} {
				a.sends(method, "text/plain", "hello")
				got := b.phone.hears(method)
				b.replies(got, x.status, "", []string{`WWW-Authenticate: Digest realm="example.com", nonce="n", qop="auth"`}, "")
				if r := a.phone.hears(x.want); r.Has(sip.HeaderWWWAuthenticate) {
					o.Error("a challenge is passed on")
				}
			}
			o.hangsUp(a, b)
		})
	}
	t.Run("to a peer that knows no call", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.sends(sip.INFO, "text/plain", "hello")
			b.replies(b.phone.hears(sip.INFO), 481, "", nil, "")
			a.phone.hearsAll("481 INFO", sip.BYE)
			a.replies(a.lastBye(), 200, "", nil, "")
			b.oks(sip.BYE)
		})
	})
	t.Run("to a peer that is gone", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			b.phone.Close()
			b.deaf = true
			a.sends(sip.INFO, "text/plain", "hello")
			o.pass(31 * time.Second)
			a.asks(sip.BYE, "")
			a.phone.hears("200 BYE")
			a.deaf = true // the INFO times out at both ends in the same instant: a 500 or nothing
			o.pass(32 * time.Second)
		})
	})
	t.Run("more than the other side can answer", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			b.deaf = true
			for range maxPending + 10 {
				a.sends(sip.INFO, "text/plain", "hello")
				o.settle()
			}
			for range 10 {
				a.phone.hears("500 INFO")
			}
			b.read = len(b.phone.All())
			a.asks(sip.BYE, "")
			a.phone.hears("200 BYE")
			a.deaf = true // as above
			o.pass(40 * time.Second)
		})
	})
	t.Run("no hops left", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.cseq++
			r := siptest.Request{Method: sip.INFO, URI: a.target, From: a.local, To: a.remote, CallID: a.callID, CSeq: a.cseq, Type: "text/plain", Body: "x"}
			a.SendText(a.flow, strings.Replace(string(r.Bytes(a.flow)), "Max-Forwards: 70", "Max-Forwards: 0", 1))
			a.phone.hears("483 INFO")
			a.cseq++
			r.CSeq, r.Branch = a.cseq, ""
			a.SendText(a.flow, strings.Replace(string(r.Bytes(a.flow)), "Max-Forwards: 70", "Max-Forwards: 7", 1))
			info := b.phone.hears(sip.INFO)
			if n, _ := info.MaxForwards(); n != 6 {
				o.Errorf("%d hops left", n)
			}
			b.replies(info, 200, "", nil, "")
			a.phone.hears("200 INFO")
			o.hangsUp(a, b)
		})
	})
}

func TestInDialogOptions(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		for _, d := range []*dialogue{a, b} {
			d.asks(sip.OPTIONS, "")
			if r := d.phone.hears("200 OPTIONS"); !r.Lists(sip.HeaderAllow, sip.UPDATE) {
				o.Error("no Allow")
			}
		}
		o.hangsUp(a, b)
	})
}

// A request with an older CSeq is 500, and nothing comes of it (RFC 3261 §12.2.2).
func TestCSeqOutOfOrder(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.cseq = 50
		a.asks(sip.OPTIONS, "")
		a.phone.hears("200 OPTIONS")
		for _, method := range []string{sip.BYE, sip.INFO, sip.UPDATE, sip.INVITE} {
			a.cseq = 20
			a.asks(method, "")
			a.refused("500")
		}
		a.cseq = 60
		o.hangsUp(a, b)
	})
}

// A dialog is its Call-ID and both tags: with one of them wrong it is 481, whatever the method.
func TestForgedDialogs(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		mallory := o.phone(transport.UDP, "1006", 66)
		good := siptest.Request{URI: "sip:1002@" + domain, From: a.local, To: a.remote, CallID: a.callID, Body: "offer sendonly"}
		wrong := map[string]siptest.Request{}
		r := good
		r.CallID = "another"
		wrong["Call-ID"] = r
		r = good
		r.From = strings.Replace(good.From, "tag=", "tag=x", 1)
		wrong["From tag"] = r
		r = good
		r.To = good.To + "x"
		wrong["To tag"] = r
		r = good
		r.To, r.ToTag = "<sip:1002@"+domain+">", "forged"
		wrong["another To tag"] = r
		for what, r := range wrong {
			for i, method := range allMethods {
				for _, p := range []*phone{alice, mallory} {
					r.Method, r.CSeq, r.Branch = method, 1000+i, ""
					p.Send(p.flow, r)
					if method == sip.ACK {
						p.hearsNothing(0)
						continue
					}
					got, ok := p.within(0)
					if !ok || got.Status() != 481 {
						o.Fatalf("%s with a wrong %s: %d", method, what, got.Status())
					}
					if method == sip.INVITE {
						(&dialogue{phone: p, request: r}).acksRefusal(got)
					}
				}
			}
		}
		bob.hearsNothing(time.Second)
		o.hangsUp(a, b)
	})
}

// allMethods are those of RFC 3261 and its extensions.
var allMethods = []string{
	sip.INVITE, sip.ACK, sip.BYE, sip.CANCEL, sip.REGISTER, sip.OPTIONS, sip.INFO, sip.UPDATE, sip.PRACK, sip.MESSAGE,
	sip.SUBSCRIBE, sip.NOTIFY, sip.PUBLISH, sip.REFER,
}

// Who knows even the tags, because UDP can be listened to, and speaks from elsewhere must prove who it is.
func TestRightTagsFromElsewhere(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		mallory := o.phone(transport.UDP, "1006", 66)
		spy := *a
		spy.phone = mallory
		for i, method := range []string{sip.BYE, sip.INVITE, sip.UPDATE, sip.INFO, sip.OPTIONS, sip.MESSAGE} {
			spy.cseq = 10 * (i + 1)
			spy.asks(method, "offer sendonly")
			spy.refused("401")
			spy.asks(method, "offer sendonly", o.authorization("1006", mallory.flow.Local(), method, spy.target, "offer sendonly"))
			spy.refused("403")
		}
		bob.hearsNothing(time.Second)
		// The phone itself may move: with its credentials,
		spy.asks(sip.OPTIONS, "", o.authorization("1001", mallory.flow.Local(), sip.OPTIONS, spy.target, ""))
		spy.phone.hears("200 OPTIONS")
		// or when it has registered from there.
		other := o.phone(transport.UDP, "1002", 77)
		other.register("")
		roaming := *b
		roaming.phone = other
		roaming.asks(sip.BYE, "")
		roaming.phone.hears("200 BYE")
		spy.oks(sip.BYE)
	})
}

// What a dialog may demand and be asked.
func TestRefusedInTheDialog(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.INVITE, "offer sendonly", "Require: teleport")
		if r := a.refused("420"); r.Header(sip.HeaderUnsupported) != "teleport" {
			o.Errorf("Unsupported %q", r.Header(sip.HeaderUnsupported))
		}
		a.asks("DANCE", "")
		a.phone.hears("501 DANCE")
		for _, method := range []string{sip.SUBSCRIBE, sip.NOTIFY, sip.PUBLISH, sip.REGISTER} {
			a.asks(method, "")
			if r := a.phone.hears("405 " + method); !r.Lists(sip.HeaderAllow, sip.BYE) {
				o.Error("405 without Allow")
			}
		}
		b.phone.hearsNothing(time.Second)
		o.hangsUp(a, b)
	})
}
