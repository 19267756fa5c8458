package call

import (
	"testing"
	"time"

	"tandem/sip"
)

// A step before the answer plays early media, and the answered notice goes before the dialling.
func TestPlayThenDial(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("301", "offer of alice")
		a.hears("200")
		a.acks("")
		o.settle()
		if o.media.of("a").doing != "play" || o.board.Calls()[0].State != "up" {
			o.Errorf("%q, %+v", o.media.of("a").doing, o.board.Calls())
		}
		bob.hearsNothing(3 * time.Second)
		o.media.of("a").finished()
		b := bob.rung()
		b.says(180, "")
		alice.hearsNothing(time.Second) // answered already
		b.says(183, "early answer of bob")
		o.settle()
		if o.media.of("a").joined != o.media.of("b1") {
			o.Error("early media is not heard")
		}
		b.says(200, "early answer of bob")
		bob.hears(sip.ACK)
		o.settle()
		if o.media.of("a").joined != o.media.of("b1") {
			o.Error("not joined")
		}
		o.hangsUp(b, a)
		if r := o.record(); r.EndedBy != "b1" || r.Duration != 4 {
			o.Errorf("record %+v", r)
		}
	})
	t.Run("and nobody answers", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("301", "offer of alice")
			a.hears("200")
			a.acks("")
			o.settle()
			o.media.of("a").finished()
			b := bob.rung()
			b.says(486, "")
			bob.hears(sip.ACK)
			if bye := alice.oks(sip.BYE); bye.Cause() != sip.CauseBusy {
				o.Errorf("cause %d", bye.Cause())
			}
		})
	})
	t.Run("and the caller hangs up meanwhile", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("301", "offer of alice")
			a.hears("200")
			a.acks("")
			o.settle()
			o.media.of("a").finished()
			b := bob.rung()
			b.says(180, "")
			a.asks(sip.BYE, "")
			a.hears("200 BYE")
			b.hearsCancelled()
			o.idle()
		})
	})
	t.Run("the file is not loaded", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("301", "offer of alice")
			b := bob.rung()
			b.says(200, "answer of bob")
			bob.hears(sip.ACK)
			a.hears("200")
			a.acks("")
			o.hangsUp(a, b)
		}, func(_ *Config, s *Settings) { s.Clips = nil })
	})
}

func TestEchoAndTone(t *testing.T) {
	for to, doing := range map[string]string{"400": "echo", "401": "play"} {
		for _, late := range []bool{false, true} {
			inOffice(t, func(o *office) {
				alice, body, ack := o.alice(), "offer of alice", ""
				if late {
					body, ack = "", "answer of alice"
				}
				a := alice.invites(to, body)
				a.hears("200")
				if was := o.media.of("a").doing; late && was != "" {
					o.Errorf("%s begins before the answer", was)
				}
				a.acks(ack)
				o.settle()
				if got := o.media.of("a").doing; got != doing {
					o.Errorf("%s: %q", to, got)
				}
				o.media.of("a").doing = ""
				// A re-INVITE without an offer later must not start it over.
				a.asks(sip.INVITE, "")
				a.hears("200")
				a.acks("answer of alice")
				o.settle()
				if got := o.media.of("a").doing; got != "" {
					o.Errorf("%s begins anew", got)
				}
				o.pass(time.Hour)
				a.asks(sip.BYE, "")
				a.hears("200 BYE")
				o.idle()
			})
		}
	}
}
