package call

import (
	"testing"
	"time"

	"tandem/sip"
)

// An INVITE without an offer: ours is in the 200, the answer in the ACK.
func TestLateOffer(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "")
		b := bob.rung()
		if b.invite.Body() != "offer 1 of b1: sendrecv" {
			o.Errorf("offered %q", b.invite.Body())
		}
		b.says(183, "early answer of bob") // cannot reach a caller who has offered nothing
		if r := a.hears("183"); r.Body() != "" {
			o.Errorf("183 with %q", r.Body())
		}
		b.says(200, "early answer of bob")
		bob.hears(sip.ACK)
		ok := a.hears("200")
		if ok.Body() != "offer 1 of a: sendrecv" || o.media.of("a").agreed {
			o.Errorf("200 with %q", ok.Body())
		}
		a.acks("answer of alice")
		o.settle()
		if s := o.media.of("a"); !s.agreed || s.joined != o.media.of("b1") {
			o.Error("not joined")
		}
		alice.hearsNothing(time.Second)
		o.hangsUp(a, b)
	})
}

func TestLateOfferWithoutAnAnswer(t *testing.T) {
	for _, answer := range []string{"", "broken", "unknown-codec"} {
		t.Run("ACK with "+answer, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "")
				b := bob.rung()
				b.says(200, "answer of bob")
				bob.hears(sip.ACK)
				a.hears("200")
				a.acks(answer)
				if bye := alice.oks(sip.BYE); bye.Cause() != sip.CauseIncompatible {
					o.Errorf("cause %d", bye.Cause())
				}
				bob.oks(sip.BYE)
				if r := o.record(); r.EndedBy != "switch" || r.Cause != sip.CauseIncompatible {
					o.Errorf("record %+v", r)
				}
			})
		})
	}
}

// A caller who holds with its late answer: the callee, who has agreed to talk, is told.
func TestLateAnswerThatHolds(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("answer sendonly")
		re := bob.hears(sip.INVITE)
		if re.Body() != "offer 2 of b1: sendonly" {
			o.Errorf("offered %q", re.Body())
		}
		bob.replies(re, 200, "answer recvonly", []string{bob.contact()}, "")
		bob.hears(sip.ACK)
		o.hangsUp(a, b)
	})
}

// A re-INVITE without an offer gets ours, made after what the other side has; its ACK has the answer.
func TestLateReInvite(t *testing.T) {
	for _, x := range []struct {
		name, answer, tells string
	}{{"goes on", "answer of alice", ""}, {"holds", "answer sendonly", "offer 2 of b1: sendonly"}} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				a, b := o.talk(o.alice(), o.bob())
				a.asks(sip.INVITE, "")
				if r := a.hears("200"); r.Body() != "offer 1 of a: sendrecv" {
					o.Errorf("200 with %q", r.Body())
				}
				b.asks(sip.INVITE, "offer sendonly") // our offer is open on the other leg
				b.phone.hears("491 INVITE")
				b.acksLast("491")
				a.hears("200") // repeated at 0.5 s
				a.acks(x.answer)
				if x.tells == "" {
					b.phone.hearsNothing(10 * time.Second)
				} else {
					re := b.phone.hears(sip.INVITE)
					if re.Body() != x.tells {
						o.Errorf("Bob is offered %q", re.Body())
					}
					b.replies(re, 200, "answer recvonly", []string{b.contact()}, "")
					b.phone.hears(sip.ACK)
				}
				o.hangsUp(b, a)
			})
		})
	}
	t.Run("ACK without an answer", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "")
			a.hears("200")
			a.acks("")
			a.oks(sip.BYE)
			b.oks(sip.BYE)
		})
	})
	t.Run("no ACK", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "")
			for range 11 {
				a.hears("200")
			}
			a.oks(sip.BYE)
			o.at(32 * time.Second)
			b.oks(sip.BYE)
		})
	})
}

// acksLast acknowledges a refusal of the last re-INVITE.
func (d *dialogue) acksLast(status string) {
	d.o.Helper()
	all := d.phone.All()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].CSeqMethod() == sip.INVITE && !all[i].IsRequest() {
			d.acksRefusal(all[i])
			return
		}
	}
	d.o.Fatalf("no %s to acknowledge", status)
}
