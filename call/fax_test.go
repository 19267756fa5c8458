package call

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

// A fax machine's re-INVITE reaches the other side, whoever begins, and so does the way back to speech.
func TestFaxPasses(t *testing.T) {
	for _, caller := range []bool{true, false} {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			from, to := a, b
			if !caller {
				from, to = b, a
			}
			for _, what := range []string{"fax", ""} {
				from.asks(sip.INVITE, "offer "+what)
				re := to.phone.hears(sip.INVITE)
				if fax := strings.Contains(re.Body(), "fax"); fax != (what == "fax") {
					o.Errorf("%q is passed on as %q", what, re.Body())
				}
				to.replies(re, 200, "answer "+what, []string{to.contact()}, "")
				to.phone.hears(sip.ACK)
				ok := from.hears("200")
				if fax := strings.Contains(ok.Body(), "fax"); fax != (what == "fax") {
					o.Errorf("%q is answered %q", what, ok.Body())
				}
				from.acks("")
				o.settle()
			}
			o.hangsUp(from, to)
		})
	}
}

// One that the other side cannot take is refused, and the call goes on.
func TestFaxIsRefused(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.INVITE, "offer fax")
		re := b.phone.hears(sip.INVITE)
		b.replies(re, 488, "", nil, "")
		b.phone.hears(sip.ACK)
		a.refused("488")
		if x, y := o.media.of("a"), o.media.of("b1"); x.rollbacks != 1 || y.rollbacks != 1 {
			o.Error("not put back to speech")
		}
		a.asks(sip.INVITE, "offer sendonly") // a hold is still a hold
		re = b.phone.hears(sip.INVITE)
		b.replies(re, 200, "answer recvonly", []string{b.contact()}, "")
		b.phone.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		o.hangsUp(a, b)
	})
	inOffice(t, func(o *office) { // the switch itself is no fax machine
		alice := o.alice()
		a := alice.invites("400", "offer of alice")
		a.hears("200")
		a.acks("")
		o.settle()
		a.asks(sip.INVITE, "offer fax")
		a.refused("488")
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
	})
}

// A phone that takes RTP/SAVP only answers 488 to both ways in one offer; it is asked once more with that alone, and no more.
func TestAPhoneThatTakesSAVPOnly(t *testing.T) {
	for _, takes := range []bool{true, false} {
		inOffice(t, func(o *office) {
			o.media.keys = true
			alice, bob := o.alice(), o.bob()
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			if strings.Contains(b.invite.Body(), "SAVP") {
				o.Error("first offer:", b.invite.Body())
			}
			b.says(488, "")
			bob.hears(sip.ACK)
			callID, first := b.callID, b.invite
			b = bob.rung()
			seq, _, _ := b.invite.CSeq()
			if !strings.Contains(b.invite.Body(), "SAVP") || b.callID != callID || seq != 2 || b.invite.FromTag() != first.FromTag() {
				o.Errorf("second INVITE:\n%s", b.invite.Raw())
			}
			if !takes {
				b.says(488, "")
				bob.hears(sip.ACK)
				a.hears("488")
				bob.hearsNothing(5 * time.Second)
				return
			}
			b.says(200, "answer of bob")
			bob.hears(sip.ACK)
			a.hears("200")
			a.acks("")
			o.settle()
			o.hangsUp(a, b)
		})
	}
}
