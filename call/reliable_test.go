package call

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/trunk"
)

// pracks acknowledges a reliable response.
func (d *dialogue) pracks(r siptest.Received, body string) {
	d.o.Helper()
	seq, _, _ := r.CSeq()
	d.asks(sip.PRACK, body, fmt.Sprintf("RAck: %s %d INVITE", r.Header(sip.HeaderRSeq), seq))
}

// What a callee says reliably is acknowledged once, in its order, and heard by the caller as ever.
func TestReliableResponsesAreAcknowledged(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(0x1, "first", 71)
		a := alice.invites(abroad, "offer of alice")
		b := first.rung()
		if s := b.invite.Header(sip.HeaderSupported); s != "timer, 100rel" || b.invite.Has(sip.HeaderRequire) {
			t.Error("Supported:", s)
		}
		reliably := func(rseq int, status int, body string) {
			b.says(status, body, "Require: 100rel", fmt.Sprintf("RSeq: %d", rseq))
		}
		reliably(7, 183, "answer of first")
		prack := first.oks(sip.PRACK)
		if h := prack.Header(sip.HeaderRAck); h != "7 1 INVITE" || prack.ToTag() != b.Tag() || prack.RequestURI() != first.contactURI() {
			t.Error("RAck:", h, prack.Raw())
		}
		if seq, _, _ := prack.CSeq(); seq != 2 {
			t.Error("CSeq", seq)
		}
		a.hears("183")
		reliably(7, 183, "answer of first") // again: its PRACK may be on the way
		reliably(9, 180, "")                // early: 8 is missing
		first.hearsNothing(time.Second)
		alice.hearsNothing(0)
		reliably(8, 180, "")
		if h := first.oks(sip.PRACK).Header(sip.HeaderRAck); h != "8 1 INVITE" {
			t.Error("RAck:", h)
		}
		a.hears("180")
		b.says(200, "")
		if ack := first.hears(sip.ACK); ack.CSeqMethod() != sip.ACK {
			t.Error(ack.Raw())
		}
		a.hears("200")
		a.acks("")
		o.settle()
		o.leaves(a, b)
	})
}

// A PRACK that a carrier challenges goes again with credentials; one that nobody answers ends nothing.
func TestAPRACKIsChallengedOrLost(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(0x1, "first", 71)
		a := alice.invites(abroad, "offer of alice")
		b := first.rung()
		b.says(183, "answer of first", "Require: 100rel", "RSeq: 1")
		first.hears(sip.PRACK)
		a.hears("183")
		b.says(200, "answer of first")
		for range 3 { // retransmissions of the PRACK stand between
			if r, _ := first.within(time.Second); r.Method() == sip.ACK {
				break
			}
		}
		a.hears("200")
		a.acks("")
		o.settle()
		first.deaf = true
		o.pass(33 * time.Second)
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
	})
}

// What a trunk's setting makes of 100rel, in both directions.
func TestReliabilityByTheTrunk(t *testing.T) {
	for _, x := range []struct {
		policy    trunk.Reliability
		supported string // of our INVITE
		require   string
		wish      string // a line of the carrier's INVITE
		status    string // that it hears first
		header    string // of that
	}{
		{trunk.ReliableOff, "timer", "", "Supported: 100rel", "180", ""},
		{trunk.ReliableOff, "timer", "", "Require: 100rel", "420", "Unsupported: 100rel"},
		{trunk.ReliableSupported, "timer, 100rel", "", "Supported: 100rel", "180", ""},
		{trunk.ReliableSupported, "timer, 100rel", "", "Require: 100rel", "180", "Require: 100rel"},
		{trunk.ReliableRequired, "timer, 100rel", "100rel", "Supported: timer", "421", "Require: 100rel"},
		{trunk.ReliableRequired, "timer, 100rel", "100rel", "Supported: 100rel", "180", "Require: 100rel"},
	} {
		inTrade(t, func(o *office, _ wires) {
			alice, first, bob := o.alice(), o.phone(0x1, "first", 71), o.bob()
			a := alice.invites(abroad, "offer of alice")
			b := first.rung()
			if s, r := b.invite.Header(sip.HeaderSupported), b.invite.Header(sip.HeaderRequire); s != x.supported || r != x.require {
				t.Errorf("%s: Supported %q, Require %q", x.policy, s, r)
			}
			b.says(486, "")
			first.hears(sip.ACK)
			a.hears("486")
			a = first.offers("+442079460018", "offer", x.wish)
			if x.status == "180" {
				b = bob.rung()
				b.says(180, "")
			}
			r := a.hears(x.status)
			if x.header == "" && r.Has(sip.HeaderRSeq) || !strings.Contains(r.Raw(), x.header) {
				t.Errorf("%s, %s: hears\n%s", x.policy, x.wish, r.Raw())
			}
			if x.status == "180" {
				if x.header != "" {
					a.pracks(r, "")
					first.hears("200 PRACK")
				}
				b.says(486, "")
				bob.hears(sip.ACK)
				a.hears("486")
			}
		}, func(first, _ *trunk.Config) { first.PRACK = x.policy })
	}
}

// relying makes alice call bob and demand reliable responses.
func relying(o *office, body string) (a, b *dialogue) {
	alice, bob := o.alice(), o.bob()
	a = alice.invites("1002", body, "Require: 100rel")
	return a, bob.rung()
}

// A reliable response goes again until it is acknowledged, the next one waits for that, and RSeq rises by one.
func TestReliableResponsesAreRepeated(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := relying(o, "offer of alice")
		b.says(180, "")
		ringing := a.hears("180")
		b.says(183, "answer of bob")
		for _, at := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond} {
			if again := a.hears("180"); again.At != at || again.Raw() != ringing.Raw() {
				t.Errorf("again at %v, want %v:\n%s", again.At, at, again.Raw())
			}
		}
		a.asks(sip.PRACK, "", "RAck: 1 1 INVITE")
		a.phone.hears("481 PRACK")
		a.asks(sip.PRACK, "", "RAck: "+ringing.Header(sip.HeaderRSeq)+" 2 INVITE")
		a.phone.hears("481 PRACK")
		a.pracks(ringing, "")
		heard := a.phone.hearsAll("200 PRACK", "183 INVITE")
		early := heard["183 INVITE"]
		was, _ := sip.Digits(ringing.Header(sip.HeaderRSeq))
		if is, _ := sip.Digits(early.Header(sip.HeaderRSeq)); is != was+1 || early.Body() == "" {
			t.Errorf("RSeq %d after %d", is, was)
		}
		a.pracks(early, "")
		a.phone.hears("200 PRACK")
		b.says(200, "answer of bob")
		b.phone.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		o.hangsUp(a, b)
	})
}

// A refusal need not wait for a PRACK, and ends the repetition of what nobody acknowledged.
func TestARefusalDoesNotWaitForAPRACK(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := relying(o, "offer of alice")
		b.says(180, "")
		for {
			r := a.phone.hearsAny()
			if r.Status() == 480 {
				a.takes(r)
				a.acksRefusal(r)
				if r.At != 20*time.Second {
					t.Error("refused at", r.At)
				}
				break
			}
		}
		b.phone.oks(sip.CANCEL)
		b.says(487, "")
		b.phone.hears(sip.ACK)
		a.phone.hearsNothing(40 * time.Second)
	})
}

// hearsAny takes note of the next message, whatever it is.
func (p *phone) hearsAny() siptest.Received {
	p.o.Helper()
	r, ok := p.within(40 * time.Second)
	if !ok {
		p.o.Fatal("nothing is heard")
	}
	return r
}

// A 2xx waits for the PRACK of the session description before it; whoever gives up meanwhile is not answered.
func TestAnAnswerWaitsForItsPRACK(t *testing.T) {
	setUp := func(o *office) (a, b *dialogue, early siptest.Received) {
		a, b = relying(o, "offer of alice")
		b.says(183, "answer of bob")
		early = a.hears("183")
		b.says(200, "answer of bob")
		b.phone.hears(sip.ACK)
		o.settle()
		if n := len(a.phone.left()); n != 0 {
			o.Fatalf("%d messages before the PRACK", n)
		}
		return a, b, early
	}
	t.Run("acknowledged", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b, early := setUp(o)
			a.pracks(early, "")
			heard := a.phone.hearsAll("200 PRACK", "200 INVITE")
			a.takes(heard["200 INVITE"])
			a.cseq = 1
			a.acks("")
			a.cseq = 2
			o.settle()
			o.hangsUp(a, b)
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b, _ := setUp(o)
			a.cancels()
			heard := a.phone.hearsAll("200 CANCEL", "487 INVITE")
			a.acksRefusal(heard["487 INVITE"])
			b.oks(sip.BYE)
		})
	})
	t.Run("callee hangs up", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b, _ := setUp(o)
			b.asks(sip.BYE, "")
			b.phone.hears("200 BYE")
			a.hears("487")
		})
	})
	t.Run("never", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b, _ := setUp(o)
			for {
				if r := a.phone.hearsAny(); r.Status() == 504 {
					if r.At != 32*time.Second {
						t.Error("refused at", r.At)
					}
					a.takes(r)
					a.acksRefusal(r)
					break
				}
			}
			b.oks(sip.BYE)
		})
	})
}

// An answer that comes before the PRACK of the ringing does not wait for it, and the PRACK is taken all the same.
func TestAnAnswerOvertakesThePRACKOfRinging(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := relying(o, "offer of alice")
		b.says(180, "")
		ringing := a.hears("180")
		b.says(200, "answer of bob")
		b.phone.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		a.pracks(ringing, "")
		a.phone.hears("200 PRACK")
		a.pracks(ringing, "")
		a.phone.hears("481 PRACK")
		o.settle()
		o.hangsUp(a, b)
	})
}

// An offer in a PRACK is answered in its 200; a caller without an offer hears nothing before the answer.
func TestOffersAndPRACK(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := relying(o, "offer of alice")
		b.says(183, "answer of bob")
		early := a.hears("183")
		a.pracks(early, "offer again")
		if ok := a.phone.hears("200 PRACK"); !strings.HasPrefix(ok.Body(), "answer of a") {
			t.Error("answer:", ok.Body())
		}
		b.says(486, "")
		b.phone.hears(sip.ACK)
		a.hears("486")
	})
	inOffice(t, func(o *office) {
		a, b := relying(o, "")
		b.says(180, "")
		a.phone.hearsNothing(5 * time.Second)
		b.says(200, "answer of bob")
		b.phone.hears(sip.ACK)
		a.hears("200")
		a.acks("answer of alice")
		o.settle()
		o.hangsUp(a, b)
	})
}
