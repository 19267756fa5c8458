package call

import (
	"strings"
	"testing"
	"time"

	"tandem/record"
	"tandem/sip"
)

// The process dies while a phone rings. Who goes on asks it again, in the same words; caller and callee notice nothing, and the answer reaches
// the caller by the INVITE that it sent to the dead process.
func TestKilledWhileItRings(t *testing.T) {
	for name, rang := range map[string]bool{"rung already": true, "not yet": false} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				if rang {
					b.says(180, "")
					a.hears("180")
				}
				o.revive()
				if o.revived.Calls != 1 || len(o.revived.Failed) != 0 {
					t.Fatalf("revived %+v", o.revived)
				}
				again := bob.hears(sip.INVITE)
				if again.Raw() != b.invite.Raw() {
					t.Errorf("asked again with\n%s\nafter\n%s", again.Raw(), b.invite.Raw())
				}
				b.says(180, "")
				if r := a.hears("180"); r.ToTag() == "" {
					t.Errorf("no tag in\n%s", r.Raw())
				}
				b.says(200, "answer of bob")
				bob.hears(sip.ACK)
				a.hears("200")
				a.acks("")
				o.settle()
				if !o.joined("a", "b1") {
					t.Error("the two are not joined")
				}
				o.hangsUp(a, b)
				if r := o.record(); r.EndedBy != "a" || len(r.Legs) != 2 || len(r.Attempts) != 1 {
					t.Errorf("record %+v", r)
				}
				if o.journal.size() != 0 {
					t.Error("the call is still in the journal")
				}
			})
		})
	}
}

// The caller gives up while nobody serves, and again when somebody does.
func TestCancelAfterAKill(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		o.revive()
		bob.hears(sip.INVITE)
		b.says(180, "")
		a.hears("180")
		a.cancels()
		alice.hearsAll("200 CANCEL", "487 INVITE")
		b.hearsCancelled()
		o.idle()
		if r := o.record(); r.EndedBy != "caller" || r.Status != 487 || r.Answered != nil {
			t.Errorf("record %+v", r)
		}
		if o.journal.size() != 0 {
			t.Error("the call is still in the journal")
		}
	})
}

// The phone that rings refuses, or nobody answers in the time that is left: what the plan says then is done.
func TestNobodyAnswersAfterAKill(t *testing.T) {
	for status, ends := range map[string]func(b *dialogue){
		"486": func(b *dialogue) { b.says(486, ""); b.phone.hears(sip.ACK) },
		"480": func(b *dialogue) { b.hearsCancelled() },
	} {
		t.Run(status, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				b.says(180, "")
				a.hears("180")
				o.revive()
				bob.hears(sip.INVITE)
				b.says(180, "")
				a.hears("180")
				ends(b)
				a.hears(status)
				if o.idle(); o.journal.size() != 0 {
					t.Error("the call is still in the journal")
				}
			})
		})
	}
}

// What rings and is refused, cancelled or answered before the process dies is not rung again.
func TestRingingIsForgotten(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		o.settle()
		if o.journal.size() != 1 {
			t.Fatal("a call that rings is not kept")
		}
		if n := o.journal.puts; n != 1 {
			t.Errorf("%d writes", n)
		}
		b.says(180, "")
		a.hears("180")
		if n := o.journal.puts; n != 1 {
			t.Errorf("%d writes after it has rung", n)
		}
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
		o.settle()
		if o.journal.size() != 0 {
			t.Error("and still is when it is over")
		}
		o.revive()
		if o.revived.Calls != 0 {
			t.Errorf("revived %+v", o.revived)
		}
	})
}

// A call that rings and cannot be gone on with, since its INVITE cannot be read or there is no port, ends: the phone is told to ring no more,
// the record is written, and others live on.
func TestRingingThatCannotGoOn(t *testing.T) {
	for name, spoil := range map[string]func(o *office, st *State){
		"unreadable":          func(_ *office, st *State) { st.Ringing.Invite = "INVITE" },
		"no port for a phone": func(o *office, _ *State) { o.media.full = func(leg string) bool { return leg == "b1" } },
		"no port for us":      func(o *office, _ *State) { o.media.full = func(leg string) bool { return leg == "a" } },
		"no media":            func(_ *office, st *State) { st.Ringing.Branches[0].Leg.Media = nil },
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				b.says(180, "")
				a.hears("180")
				o.killed(2 * time.Second)
				for id, raw := range o.journal.states {
					st, err := stateOf(raw)
					if err != nil {
						t.Fatal(err)
					}
					spoil(o, st)
					if o.journal.states[id], err = record.Marshal(st); err != nil {
						t.Fatal(err)
					}
				}
				o.start()
				o.settle()
				o.media.full = nil
				if len(o.revived.Failed) != 1 {
					t.Errorf("revived %+v", o.revived)
				}
				bob.hears(sip.INVITE)
				b.says(180, "")
				b.hearsCancelled()
				if name != "unreadable" {
					a.hears("480")
				}
				o.idle()
				if r := o.record(); r.Status != 480 || r.Answered != nil {
					t.Errorf("record %+v", r)
				}
				if o.journal.size() != 0 {
					t.Error("the call is still in the journal")
				}
			})
		})
	}
}

// An INVITE as large as a datagram is answered, and not kept while it rings.
func TestHugeInviteIsNotKept(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice", "Subject: "+strings.Repeat("x", mostInvite))
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		o.settle()
		if n := o.journal.size(); n != 0 {
			t.Errorf("%d calls are kept", n)
		}
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
	})
}
