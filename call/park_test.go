package call

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// What is said to a phone whose connection is gone waits for it, and reaches it when it is back: registered, or speaking in
// the call.
func TestRequestsWaitForAPhone(t *testing.T) {
	for _, x := range []struct {
		name, method, body string
		back               func(o *office, b *dialogue)
		at                 time.Duration // when it is delivered
	}{
		{"INFO, registers", sip.INFO, "", func(_ *office, b *dialogue) { b.phone.register("urn:uuid:1") }, 7*time.Second + 750*time.Millisecond},
		{"re-INVITE, registers", sip.INVITE, "offer sendonly", func(_ *office, b *dialogue) { b.phone.register("urn:uuid:1") }, 7*time.Second + 750*time.Millisecond},
		{"BYE, registers", sip.BYE, "", func(_ *office, b *dialogue) { b.phone.register("urn:uuid:1") }, 7*time.Second + 750*time.Millisecond},
		{"INFO, speaks", sip.INFO, "", func(_ *office, b *dialogue) {
			b.asks(sip.OPTIONS, "")
			b.phone.hears("200 OPTIONS")
		}, 7*time.Second + 600*time.Millisecond},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.phone(transport.TCP, "1002", 3)
				bob.register("urn:uuid:1")
				a, b := o.talk(alice, bob)
				began := o.net.Since()
				o.net.Break(bob.flow)
				o.locator.drop("1002")
				if x.method == sip.INFO {
					a.sends(x.method, "text/plain", "are you there?")
				} else {
					a.asks(x.method, x.body)
				}
				if x.method == sip.BYE { // nobody waits for the other side's
					alice.hears("200 BYE")
				}
				o.until(began + 7*time.Second + 600*time.Millisecond)
				bob.connect()
				x.back(o, b)
				r := bob.hears(x.method)
				if at := r.At - began; at != x.at || r.Flow != bob.flow || r.ToTag() != bob.Tag() {
					o.Errorf("delivered after %v:\n%s", at, r.Raw())
				}
				switch x.method {
				case sip.BYE:
					bob.replies(r, 200, "", nil, "")
					return
				case sip.INVITE:
					bob.replies(r, 200, "answer recvonly", []string{bob.contact()}, "")
					bob.hears(sip.ACK)
					a.hears("200")
					a.acks("")
				default:
					bob.replies(r, 200, "", nil, "")
					alice.hears("200 INFO")
				}
				o.hangsUp(a, b)
			})
		})
	}
}

// A connection closes under a request: the phone gets it once more, as the same transaction, when it is back.
func TestConnectionClosesUnderARequest(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.phone(transport.TCP, "1002", 3)
		bob.register("urn:uuid:1")
		a, b := o.talk(alice, bob)
		a.sends(sip.INFO, "text/plain", "are you there?")
		first := bob.hears(sip.INFO)
		o.net.Break(bob.flow)
		o.locator.drop("1002")
		o.pass(time.Second)
		bob.connect()
		bob.register("urn:uuid:1")
		again := bob.hears(sip.INFO)
		if v, w := viaBranch(first.Raw()), viaBranch(again.Raw()); v != w || v == "" {
			o.Errorf("branch %q, then %q", v, w)
		}
		bob.replies(again, 200, "", nil, "")
		alice.hears("200 INFO")
		o.hangsUp(a, b)
	})
}

func viaBranch(raw string) string {
	_, after, _ := strings.Cut(raw, ";branch=")
	branch, _, _ := strings.Cut(after, ";")
	return branch
}

// It comes back by another transport: Via and Contact are those of the new connection.
func TestPhoneComesBackElsewhere(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.phone(transport.TCP, "1002", 3)
		bob.register("urn:uuid:1")
		a, _ := o.talk(alice, bob)
		o.net.Break(bob.flow)
		o.locator.drop("1002")
		a.asks(sip.INVITE, "offer sendonly")
		o.pass(time.Second)
		other := o.phone(transport.UDP, "1002", 4)
		other.register("urn:uuid:1")
		r := other.hears(sip.INVITE)
		if !strings.Contains(r.Raw(), "Via: SIP/2.0/UDP ") || strings.Contains(r.Raw(), "transport=tcp") {
			o.Errorf("as for the old connection:\n%s", r.Raw())
		}
		other.replies(r, 488, "", nil, "")
		other.hears(sip.ACK)
		a.refused("488")
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
		other.oks(sip.BYE)
	})
}

// A phone with two flows is rung over one, the newest, and over the other when that one fails (RFC 5626 §5.3).
func TestFlowsOfOnePhone(t *testing.T) {
	flows := func(o *office) (newest, other *phone) {
		for i, p := range []*phone{o.phone(transport.TCP, "1002", 3), o.phone(transport.TCP, "1002", 4)} {
			p.register("urn:uuid:1")
			o.locator.mu.Lock()
			o.locator.bindings["1002"][i].RegID = uint32(i + 1)
			o.locator.mu.Unlock()
			if i == 0 {
				newest = p
			} else {
				other = p
			}
		}
		return newest, other
	}
	for name, fails := range map[string]func(o *office, d *dialogue){
		"its connection closes": func(o *office, d *dialogue) { o.net.Break(d.phone.flow) },
		"430":                   func(_ *office, d *dialogue) { d.says(430, ""); d.phone.hears(sip.ACK) },
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice := o.alice()
				newest, other := flows(o)
				a := alice.invites("1002", "offer of alice")
				first := newest.rung()
				o.settle()
				if len(other.left()) > 0 {
					o.Error("it is rung over both flows")
				}
				fails(o, first)
				b := other.rung()
				b.says(200, "answer of bob")
				other.hears(sip.ACK)
				a.hears("200")
				a.acks("")
				o.hangsUp(a, b)
			})
		})
	}
}
