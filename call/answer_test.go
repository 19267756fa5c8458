package call

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

// each hang-up: the Reason of one side's BYE reaches the other as a Q.850 cause (RFC 3326).
func TestCallAndHangUp(t *testing.T) {
	for _, x := range []struct {
		name, reason string
		cause        sip.Cause
		want         string
	}{
		{"no reason", "", 16, "Q.850;cause=16"},
		{"Q.850", `Q.850;cause=31;text="whatever"`, 31, "Q.850;cause=31"},
		{"SIP", "SIP;cause=486", 17, "Q.850;cause=17"},
		{"both", "SIP;cause=600, Q.850 ; cause=38", 38, "Q.850;cause=38"},
		{"nonsense", "Q.850;cause=900", 16, "Q.850;cause=16"},
	} {
		for _, caller := range []bool{true, false} {
			t.Run(x.name+map[bool]string{true: " by the caller", false: " by the callee"}[caller], func(t *testing.T) {
				inOffice(t, func(o *office) {
					a, b := o.talk(o.alice(), o.bob())
					if o.board.Live() != 1 || o.board.Dialogs() != 2 || o.media.open() != 2 {
						o.Errorf("%d calls, %d dialogs, %d sessions", o.board.Live(), o.board.Dialogs(), o.media.open())
					}
					if s := o.media.of("a"); s.joined != o.media.of("b1") {
						o.Error("the legs do not hear each other")
					}
					o.pass(61500 * time.Millisecond)
					from, to, by := a, b, "a"
					if !caller {
						from, to, by = b, a, "b1"
					}
					var lines []string
					if x.reason != "" {
						lines = []string{"Reason: " + x.reason}
					}
					from.asks(sip.BYE, "", lines...)
					from.hears("200 BYE")
					if o.media.open() != 0 {
						o.Error("ports are kept until the other side has answered its BYE")
					}
					bye := to.oks(sip.BYE)
					if got := bye.Header(sip.HeaderReason); got != x.want {
						o.Errorf("Reason %q, want %q", got, x.want)
					}
					r := o.record()
					if r.EndedBy != by || r.Cause != x.cause || r.Status != 200 || r.Duration != 61.5 {
						o.Errorf("record: by %s cause %d status %d for %v s", r.EndedBy, r.Cause, r.Status, r.Duration)
					}
				})
			})
		}
	}
}

// The 200 leaves at 0.5, 1.5, 3.5, 7.5 s and then each 4 s until its ACK (RFC 3261 §13.3.1.4).
func TestAnswerRepeatedUntilAck(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		first := a.hears("200")
		for _, at := range seconds(0.5, 1.5, 3.5, 7.5, 11.5, 15.5) {
			if r := a.hears("200"); r.At != at || r.Raw() != first.Raw() {
				o.Errorf("repeated at %v, want %v", r.At, at)
			}
		}
		a.acks("")
		alice.hearsNothing(30 * time.Second)
		o.hangsUp(a, b)
	})
}

func TestNoAckEndsTheCall(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		for range 11 {
			a.hears("200")
		}
		bye := alice.oks(sip.BYE)
		if bye.At != 32*time.Second || bob.oks(sip.BYE).At != 32*time.Second {
			o.Errorf("BYE at %v", bye.At)
		}
		equal(t, "200", alice.Times("200"), seconds(0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)...)
		if r := o.record(); r.EndedBy != "a" || r.Cause != sip.CauseTimerExpired {
			o.Errorf("record: by %s cause %d", r.EndedBy, r.Cause)
		}
		_ = b
	})
}

// A callee must not hear BYE, nor the caller, before the ACK of the answer (RFC 3261 §15).
func TestNoByeBeforeAck(t *testing.T) {
	for _, x := range []struct {
		name string
		ack  bool
	}{{"ACK comes", true}, {"ACK never comes", false}} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				b.says(200, "answer of bob")
				bob.hears(sip.ACK)
				a.hears("200")
				b.asks(sip.BYE, "")
				b.hears("200 BYE")
				if o.media.open() != 0 {
					o.Error("ports are kept")
				}
				a.hears("200") // at 0.5 s: it goes on until the ACK
				if x.ack {
					a.acks("")
					if bye := alice.oks(sip.BYE); bye.At != 500*time.Millisecond {
						o.Errorf("BYE at %v", bye.At)
					}
					return
				}
				for range 9 {
					a.hears("200")
				}
				if bye := alice.oks(sip.BYE); bye.At != 32*time.Second {
					o.Errorf("BYE at %v", bye.At)
				}
			})
		})
	}
}

// The caller may hang up although its ACK was lost.
func TestByeInsteadOfAck(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		o.hangsUp(a, b)
		alice.hearsNothing(time.Minute)
	})
}

// Both sides hang up at once, or one of them does twice: every BYE is answered.
func TestByesCross(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		b.asks(sip.BYE, "")
		b.hears("200 BYE")
		bye := a.phone.hears(sip.BYE)
		a.asks(sip.BYE, "") // before it has answered ours: our dialog is gone
		a.hears("481 BYE")
		a.replies(bye, 481, "", nil, "")
	})
}

func TestRepeatedAnswerIsAcknowledgedAgain(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		first := b.phone.All()[1]
		for range 3 {
			o.pass(time.Second)
			b.says(200, "answer of bob")
			if ack := b.phone.hears(sip.ACK); ack.Raw() != first.Raw() {
				o.Errorf("another ACK:\n%s\nthan\n%s", ack.Raw(), first.Raw())
			}
		}
		o.pass(40 * time.Second) // the transaction is gone by now
		b.says(200, "answer of bob")
		b.phone.hears(sip.ACK)
		o.hangsUp(a, b)
	})
}

// Two phones behind one contact answer: the second dialog is acknowledged and ended, once (RFC 3261 §13.2.2.4).
func TestSecondAnswerOfAFork(t *testing.T) {
	for _, x := range []struct {
		name string
		over bool // the call is over when it comes
	}{{"in the call", false}, {"after the call", true}} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				a, b := o.talk(o.alice(), o.bob())
				if x.over {
					o.hangsUp(b, a)
				}
				b.saysAs("second", 200, "answer of bob's other phone")
				got := b.phone.hearsAll(sip.ACK, sip.BYE)
				if ack, bye := got[sip.ACK], got[sip.BYE]; ack.ToTag() != "second" || bye.ToTag() != "second" ||
					ack.FromTag() != b.invite.FromTag() || !strings.HasPrefix(ack.Header(sip.HeaderCSeq), "1 ") {
					o.Errorf("the fork hears\n%s%s", ack.Raw(), bye.Raw())
				}
				b.replies(got[sip.BYE], 200, "", nil, "")
				b.saysAs("second", 200, "answer of bob's other phone") // its ACK was lost
				b.phone.hears(sip.ACK)
				if !x.over {
					if o.media.of("a").joined != o.media.of("b1") || o.board.Live() != 1 {
						o.Error("the call was disturbed")
					}
					o.hangsUp(b, a)
				}
			})
		})
	}
}

// An answer that crosses our CANCEL is acknowledged and ended.
func TestAnswerCrossesCancel(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		a.cancels()
		cancel := bob.hears(sip.CANCEL)
		b.says(200, "answer of bob")
		bob.replies(cancel, 200, "", nil, bob.Tag())
		got := bob.hearsAll(sip.ACK, sip.BYE)
		bob.replies(got[sip.BYE], 200, "", nil, "")
		a.hears("200 CANCEL")
		a.hears("487")
		if r := o.record(); r.EndedBy != "caller" || r.Status != 487 || r.Answered != nil {
			o.Errorf("record: %+v", r)
		}
	})
}

// What the callee writes in its answer that cannot be lived with ends its leg and the attempt, not more.
func TestUnusableAnswer(t *testing.T) {
	for _, body := range []string{"broken", "unknown-codec", ""} {
		t.Run("answer "+body, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				b.says(200, body)
				got := bob.hearsAll(sip.ACK, sip.BYE)
				bob.replies(got[sip.BYE], 200, "", nil, "")
				if c := got[sip.BYE].Cause(); c != sip.CauseIncompatible {
					o.Errorf("cause %d", c)
				}
				a.hears("488")
			})
		})
	}
}
