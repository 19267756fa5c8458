package call

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
)

// hearsCancelled takes note of a CANCEL, answers it, and ends the INVITE with 487.
func (d *dialogue) hearsCancelled() siptest.Received {
	d.o.Helper()
	r := d.phone.hears(sip.CANCEL)
	d.replies(r, 200, "", nil, d.Tag())
	d.says(487, "")
	d.phone.hears(sip.ACK)
	return r
}

// All contacts of the callee ring, the first answer wins and the others hear that the call was completed elsewhere.
func TestAllContactsRing(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, desk, cordless, soft := o.alice(), o.registered("1002", 2), o.registered("1002", 3), o.registered("1002", 4)
		a := alice.invites("1002", "offer of alice")
		d, c, s := desk.rung(), cordless.rung(), soft.rung()
		if d.callID == c.callID || c.callID == s.callID || d.invite.FromTag() == c.invite.FromTag() {
			o.Error("branches share their Call-ID or tag")
		}
		if n := o.media.open(); n != 4 {
			o.Errorf("%d sessions", n)
		}
		d.says(180, "")
		a.hears("180")
		c.says(180, "")
		a.hears("180")
		o.pass(2 * time.Second) // soft says nothing at all: its CANCEL must wait for its first word
		for range 2 {
			soft.hears(sip.INVITE)
		}
		c.says(200, "answer of the cordless one")
		cordless.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		cancel := d.hearsCancelled()
		if got := cancel.Header(sip.HeaderReason); got != `SIP;cause=200;text="Call completed elsewhere"` {
			o.Errorf("Reason %q", got)
		}
		soft.hearsNothing(time.Second)
		s.says(180, "")
		s.hearsCancelled()
		if n := o.media.open(); n != 2 {
			o.Errorf("%d sessions", n)
		}
		o.hangsUp(c, a)
		r := o.record()
		if len(r.Attempts) != 3 || r.Attempts[0].Status != 487 || r.Attempts[1].Status != 200 || r.Attempts[2].Status != 487 ||
			r.Attempts[1].Rang == nil || r.Attempts[2].Rang != nil {
			o.Errorf("attempts %+v", r.Attempts)
		}
	})
}

func TestCallerCancels(t *testing.T) {
	for _, x := range []struct {
		name   string
		ring   func(b *dialogue)
		lines  []string
		reason string
	}{
		{"before any reply", func(*dialogue) {}, nil, ""},
		{"after 100", func(b *dialogue) { b.says(100, "") }, nil, ""},
		{"while it rings", func(b *dialogue) { b.says(180, "") }, nil, ""},
		{"with early media", func(b *dialogue) { b.says(183, "early answer") }, nil, ""},
		{"answered elsewhere", func(b *dialogue) { b.says(180, "") },
			[]string{`Reason: SIP;cause=200;text="Call completed elsewhere"`}, `SIP;cause=200;text="Call completed elsewhere"`},
		{"with a Reason that is none", func(b *dialogue) { b.says(180, "") },
			[]string{`Reason: SIP;cause=2x0, <evil>;cause=3, Q.850;cause=16`}, "Q.850;cause=16"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				x.ring(b)
				o.settle()
				for len(alice.left()) > 0 && alice.left()[0].Status() < 200 {
					if a.phone.read++; alice.All()[a.phone.read-1].ToTag() != "" {
						a.takes(alice.All()[a.phone.read-1])
					}
				}
				rang := a.remote
				a.cancels(x.lines...)
				ok := a.hears("200 CANCEL")
				refused := a.hears("487")
				if rang != "" && (refused.Header(sip.HeaderTo) != rang || ok.ToTag() != refused.ToTag()) {
					o.Errorf("To %q in the 18x, %q in the 487, tag %q in the 200", rang, refused.Header(sip.HeaderTo), ok.ToTag())
				}
				if o.media.open() != 0 {
					o.Error("ports are kept")
				}
				if x.name == "before any reply" {
					bob.hearsNothing(400 * time.Millisecond)
					b.says(100, "") // now a CANCEL may leave
				}
				if c := b.hearsCancelled(); c.Header(sip.HeaderReason) != x.reason {
					o.Errorf("Reason %q, want %q", c.Header(sip.HeaderReason), x.reason)
				}
				o.idle()
				if r := o.record(); r.EndedBy != "caller" || r.Status != 487 || r.Duration != 0 || r.Answered != nil {
					o.Errorf("record %+v", r)
				}
			})
		})
	}
}

// A CANCEL that comes after the answer changes nothing (RFC 3261 §9.2).
func TestCancelTooLate(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.cancels()
		a.hears("200 CANCEL")
		b.phone.hearsNothing(time.Second)
		o.hangsUp(a, b)
	})
}

// The caller is told once a minute that it still rings (RFC 3261 §13.3.1.1).
func TestRingingRepeatedEachMinute(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		for i := range 2 {
			alice.hearsNothing(time.Minute - 1)
			if r := a.hears("180"); r.At != time.Duration(i+1)*time.Minute {
				o.Errorf("180 at %v", r.At)
			}
		}
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
	}, func(cfg *Config, s *Settings) {
		s.Plan = planOf(t, strings.Replace(officePlan, "dial {\n    extension = call.to\n    timeout   = \"20s\"", "dial {\n    extension = call.to\n    timeout   = \"170s\"", 1))
	})
}

// An INVITE of the same caller that comes again while the call rings is the transaction's affair.
func TestInviteComesAgain(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		a.again()
		a.hears("180")
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
		if n := o.board.Stats().Started.Load(); n != 1 {
			o.Errorf("%d calls", n)
		}
	})
}

// 199 ends one of the callee's early dialogs and is nothing for the caller (RFC 6228).
func Test199(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(199, "")
		b.says(182, "")
		a.hears("182")
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
	})
}
