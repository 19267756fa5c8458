package call

import (
	"testing"
	"time"

	"tandem/sip"
)

// each direction, by re-INVITE and by UPDATE: hold and resume reach the other side, and its answer comes back.
func TestHoldAndResume(t *testing.T) {
	for _, method := range []string{sip.INVITE, sip.UPDATE} {
		for _, caller := range []bool{true, false} {
			t.Run(method+map[bool]string{true: " by the caller", false: " by the callee"}[caller], func(t *testing.T) {
				inOffice(t, func(o *office) {
					alice, bob := o.alice(), o.bob()
					a := alice.invites("1002", "offer of alice", "Allow: INVITE, ACK, BYE, UPDATE")
					b := bob.rung()
					b.says(200, "answer of bob", "Allow: INVITE, ACK, BYE, UPDATE")
					bob.hears(sip.ACK)
					a.hears("200")
					a.acks("")
					from, to, leg, other := a, b, "a", "b1"
					if !caller {
						from, to, leg, other = b, a, "b1", "a"
					}
					for i, x := range []struct{ offer, passed, answer, back string }{
						{"offer sendonly", "sendonly", "answer recvonly", "recvonly"},
						{"offer sendrecv", "sendrecv", "answer sendrecv", "sendrecv"},
						{"offer inactive", "inactive", "answer inactive", "inactive"},
						{"offer back", "sendrecv", "answer", "sendrecv"},
					} {
						from.asks(method, x.offer, "User-Agent: SecretPhone")
						got := to.phone.hears(method)
						if n := i + 1 + map[bool]int{true: 1}[caller]; got.Body() != "offer "+string(rune('0'+n))+" of "+other+": "+x.passed {
							o.Errorf("%s is passed on as %q", x.offer, got.Body())
						}
						to.replies(got, 200, x.answer, []string{to.contact()}, "")
						if method == sip.INVITE {
							to.phone.hears(sip.ACK)
						}
						if r := from.phone.hears("200 " + method); r.Body() != "answer of "+leg+": "+x.back || !r.Has(sip.HeaderContact) {
							o.Errorf("%s is answered %q", x.offer, r.Body())
						}
						if method == sip.INVITE {
							from.acks("")
						}
						o.settle()
					}
					o.hangsUp(from, to)
				})
			})
		}
	}
}

// An UPDATE becomes a re-INVITE where the other phone does not take UPDATE.
func TestUpdateToAPhoneWithout(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.UPDATE, "offer sendonly")
		re := b.phone.hears(sip.INVITE)
		b.replies(re, 200, "answer recvonly", []string{b.contact()}, "")
		b.phone.hears(sip.ACK)
		a.phone.hears("200 UPDATE")
		o.hangsUp(a, b)
	})
}

// What changes no direction is answered at once: another address or codec of the peer is its leg's own affair.
func TestReInviteAnsweredHere(t *testing.T) {
	for _, method := range []string{sip.INVITE, sip.UPDATE} {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(method, "offer of alice from elsewhere")
			if r := a.phone.hears("200"); r.Body() != "answer of a: sendrecv" {
				o.Errorf("answered %q", r.Body())
			}
			b.phone.hearsNothing(400 * time.Millisecond)
			if method == sip.INVITE {
				a.phone.hears("200") // it is repeated
				a.acks("")
			}
			a.phone.hearsNothing(5 * time.Second)
			o.hangsUp(b, a)
		})
	}
}

// A re-INVITE whose ACK was lost is followed by another one: the 2xx before it is repeated no more.
func TestReInviteAfterALostAck(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.INVITE, "offer one")
		a.phone.hears("200")
		a.asks(sip.INVITE, "offer two")
		a.phone.hears("200")
		a.acks("")
		a.phone.hearsNothing(10 * time.Second)
		o.hangsUp(a, b)
	})
}

// Both phones ask at once: each hears 491 where an offer is open (RFC 3261 §14.2).
func TestGlare(t *testing.T) {
	for _, caller := range []bool{true, false} {
		for _, method := range []string{sip.INVITE, sip.UPDATE} {
			inOffice(t, func(o *office) {
				a, b := o.talk(o.alice(), o.bob())
				from, to := a, b
				if !caller {
					from, to = b, a
				}
				from.asks(sip.INVITE, "offer sendonly")
				re := to.phone.hears(sip.INVITE)
				to.asks(method, "offer inactive")
				to.refused("491")
				from.asks(method, "offer inactive") // it has one open itself
				from.refused("500")
				from.cseq--
				to.replies(re, 200, "answer recvonly", []string{to.contact()}, "")
				to.phone.hears(sip.ACK)
				from.phone.hears("200")
				from.acks("")
				from.cseq++
				o.hangsUp(to, from)
			})
		}
	}
}

// A hold cannot be passed to a caller that has not acknowledged its answer (RFC 3261 §14.1).
func TestHoldBeforeTheAck(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		b.asks(sip.INVITE, "offer sendonly")
		b.refused("491")
		a.acks("")
		b.asks(sip.INVITE, "offer sendonly")
		a.replies(a.phone.hears(sip.INVITE), 200, "answer recvonly", []string{a.contact()}, "")
		a.phone.hears(sip.ACK)
		b.phone.hears("200")
		b.acks("")
		o.hangsUp(b, a)
	})
}

// An UPDATE that only refreshes does not mind an open offer.
func TestUpdateWithoutAnOffer(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.INVITE, "offer sendonly")
		re := b.phone.hears(sip.INVITE)
		b.asks(sip.UPDATE, "")
		b.phone.hears("200 UPDATE")
		b.replies(re, 200, "answer recvonly", []string{b.contact()}, "")
		b.phone.hears(sip.ACK)
		a.phone.hears("200")
		a.acks("")
		o.hangsUp(a, b)
	})
}
