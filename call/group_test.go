package call

import (
	"testing"
	"time"

	"tandem/sip"
)

// The handlers of a dial step.
func TestOn(t *testing.T) {
	t.Run("busy", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.alice().invites("300", "offer of alice").hears("404") // Bob is not registered: unreachable
		})
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("300", "offer of alice")
			b := bob.rung()
			b.says(486, "")
			bob.hears(sip.ACK)
			a.hears("200")
			a.acks("")
			o.settle()
			if s := o.media.of("a"); s.doing != "play" {
				o.Fatalf("the caller hears %q", s.doing)
			}
			o.media.of("a").finished()
			if bye := alice.oks(sip.BYE); bye.Cause() != sip.CauseNormal {
				o.Errorf("cause %d", bye.Cause())
			}
			if r := o.record(); r.EndedBy != "switch" || r.Answered == nil || r.Attempts[0].Status != 486 {
				o.Errorf("record %+v", r)
			}
		})
	})
	t.Run("no answer, then another", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 3)
			a := alice.invites("300", "offer of alice")
			b := bob.rung()
			b.says(180, "")
			a.hears("180")
			o.until(20 * time.Second)
			c := carol.rung()
			b.hearsCancelled()
			c.says(180, "")
			a.hears("180")
			if r := a.hears("480"); r.At != 30*time.Second {
				o.Errorf("given up at %v", r.At)
			}
			c.hearsCancelled()
		})
	})
	// What follows is judged by its own failure, not by the one before it.
	t.Run("declined, then unreachable", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("300", "offer of alice")
			b := bob.rung()
			b.says(603, "")
			bob.hears(sip.ACK)
			if r := a.hears("183"); r.Body() != "answer of a: sendrecv" {
				o.Errorf("early media %q", r.Body())
			}
			o.pass(5 * time.Second)
			o.media.of("a").finished()
			if r := a.hears("480"); r.At != 5*time.Second {
				o.Errorf("refused at %v", r.At)
			}
		})
	})
	t.Run("declined, then busy", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 3)
			a := alice.invites("300", "offer of alice")
			b := bob.rung()
			b.says(403, "")
			bob.hears(sip.ACK)
			c := carol.rung()
			c.says(486, "")
			carol.hears(sip.ACK)
			a.hears("404")
		})
	})
}

func TestRingGroupAll(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 3)
		a := alice.invites("200", "offer of alice")
		b, c := bob.rung(), carol.rung()
		b.says(180, "")
		a.hears("180")
		c.says(200, "answer of carol")
		carol.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		b.hearsCancelled()
		if o.board.busy["1002"] != 0 || o.board.busy["1003"] != 1 {
			o.Errorf("limits count %v", o.board.busy)
		}
		o.hangsUp(a, c)
	})
}

func TestRingGroupInOrder(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, dave := o.alice(), o.bob(), o.registered("1004", 4)
		a := alice.invites("201", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		dave.hearsNothing(10*time.Second - 1)
		o.pass(1)
		b.hearsCancelled() // 1003 is not registered: at once the one after it
		d := dave.rung()
		if d.invite.At != 10*time.Second {
			o.Errorf("1004 rings at %v", d.invite.At)
		}
		d.says(486, "")
		dave.hears(sip.ACK)
		a.hears("486")
		o.at(10 * time.Second)
		if r := o.record(); len(r.Attempts) != 3 || r.Attempts[1].Contact != "" || r.Attempts[1].Status != 480 {
			o.Errorf("attempts %+v", r.Attempts)
		}
	})
}

// Nobody of a whole group can be reached: each failure at once, and the caller hears one answer.
func TestRingGroupOfNobody(t *testing.T) {
	for _, to := range []string{"200", "201"} {
		inOffice(t, func(o *office) {
			o.alice().invites(to, "offer of alice").hears("480")
			o.idle()
		})
	}
}
