package call

import (
	"testing"
	"time"

	"tandem/sip"
)

// The caller refreshes; when it stops, both sides get their BYE at the time of RFC 4028 §10.
func TestSessionTimerOfTheCaller(t *testing.T) {
	for _, method := range []string{sip.UPDATE, sip.INVITE} {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("1002", "offer of alice", "Supported: timer", "Session-Expires: 120;refresher=uac")
			b := bob.rung()
			b.says(200, "answer of bob")
			bob.hears(sip.ACK)
			ok := a.hears("200")
			if ok.Header(sip.HeaderSessionExpires) != "120;refresher=uac" || !ok.Lists(sip.HeaderRequire, "timer") {
				o.Errorf("200:\n%s", ok.Raw())
			}
			a.acks("")
			o.until(60 * time.Second)
			body := ""
			if method == sip.INVITE {
				body = "offer of alice"
			}
			a.asks(method, body, "Supported: timer", "Session-Expires: 120;refresher=uac")
			if r := a.phone.hears("200 " + method); r.Header(sip.HeaderSessionExpires) != "120;refresher=uac" {
				o.Errorf("refreshed:\n%s", r.Raw())
			}
			if method == sip.INVITE {
				a.acks("")
			}
			o.pass(30 * time.Second)
			a.asks(sip.UPDATE, "", "Supported: timer") // says nothing of it: it goes on as it is
			a.phone.hears("200 UPDATE")
			alice.hearsNothing(38 * time.Second)
			alice.hearsNothing(38 * time.Second)
			if bye := alice.oks(sip.BYE); bye.At != (90+120-32)*time.Second || bye.Cause() != sip.CauseTimerExpired {
				o.Errorf("BYE at %v", bye.At)
			}
			bob.oks(sip.BYE)
			if r := o.record(); r.EndedBy != "a" || r.Cause != sip.CauseTimerExpired {
				o.Errorf("record %+v", r)
			}
		})
	}
}

// We refresh where we are asked to: by UPDATE where the phone takes it, else by re-INVITE with what is agreed.
func TestWeRefresh(t *testing.T) {
	for _, x := range []struct{ name, allow, method, body string }{
		{"by UPDATE", "Allow: INVITE, ACK, BYE, UPDATE", sip.UPDATE, ""},
		{"by re-INVITE", "Allow: INVITE, ACK, BYE", sip.INVITE, "offer 1 of a: sendrecv"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice", "Supported: timer", "Session-Expires: 100;refresher=uas", x.allow)
				b := bob.rung()
				b.says(200, "answer of bob")
				bob.hears(sip.ACK)
				if ok := a.hears("200"); ok.Header(sip.HeaderSessionExpires) != "100;refresher=uas" || ok.Has(sip.HeaderRequire) {
					o.Errorf("200:\n%s", ok.Raw())
				}
				a.acks("")
				for i := 1; i <= 2; i++ {
					alice.hearsNothing(25 * time.Second)
					r := alice.hears(x.method)
					if r.At != time.Duration(i)*50*time.Second || x.body != "" && i == 1 && r.Body() != x.body || r.Header(sip.HeaderSessionExpires) != "100;refresher=uac" {
						o.Errorf("refresh at %v:\n%s", r.At, r.Raw())
					}
					a.replies(r, 200, map[bool]string{true: "answer of alice"}[r.Body() != ""], []string{a.contact(), "Session-Expires: 100;refresher=uac"}, "")
					if x.method == sip.INVITE {
						alice.hears(sip.ACK)
					}
				}
				bob.hearsNothing(time.Second)
				// One that meets another request is tried again soon; one refused with 481 ends the call.
				alice.hearsNothing(20 * time.Second)
				r := alice.hears(x.method)
				a.replies(r, 491, "", nil, "")
				if x.method == sip.INVITE {
					alice.hears(sip.ACK)
				}
				again := alice.hears(x.method)
				if pause := again.At - r.At; pause > 2*time.Second {
					o.Errorf("again after %v", pause)
				}
				a.replies(again, 422, "", []string{"Min-SE: 400"}, "")
				if x.method == sip.INVITE {
					alice.hears(sip.ACK)
				}
				longer := alice.hears(x.method)
				if longer.Header(sip.HeaderSessionExpires) != "400;refresher=uac" || longer.At != again.At {
					o.Errorf("after a 422 at %v:\n%s", longer.At, longer.Raw())
				}
				a.replies(longer, 481, "", nil, "")
				if x.method == sip.INVITE {
					alice.hears(sip.ACK)
				}
				a.replies(alice.hears(sip.BYE), 481, "", nil, "")
				bob.oks(sip.BYE)
			})
		})
	}
}

// A refresh that nobody agrees to is tried again until the session has expired.
func TestRefreshRefused(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice", "Supported: timer", "Session-Expires: 100;refresher=uas", "Allow: UPDATE")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		alice.hearsNothing(25 * time.Second)
		for _, at := range seconds(50, 60) {
			r := alice.hears(sip.UPDATE)
			if r.At != at {
				o.Errorf("refresh at %v, want %v", r.At, at)
			}
			a.replies(r, 500, "", nil, "")
		}
		if bye := alice.oks(sip.BYE); bye.At != 68*time.Second {
			o.Errorf("BYE at %v", bye.At)
		}
		bob.oks(sip.BYE)
	})
}

// We ask callees for a session timer; one who wants a longer interval gets it.
func TestSessionTimerOfTheCallee(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		if b.invite.Header(sip.HeaderSessionExpires) != "200" || b.invite.Header(sip.HeaderMinSE) != "90" {
			o.Errorf("INVITE:\n%s", b.invite.Raw())
		}
		b.says(180, "")
		a.hears("180")
		b.says(422, "", "Min-SE: 300")
		bob.hears(sip.ACK)
		again := bob.rung()
		if again.callID != b.callID || again.invite.FromTag() != b.invite.FromTag() || again.invite.ToTag() != "" ||
			again.invite.Header(sip.HeaderCSeq) != "2 INVITE" || again.invite.Body() != b.invite.Body() ||
			again.invite.Header(sip.HeaderSessionExpires) != "300" || again.invite.Header(sip.HeaderMinSE) != "300" {
			o.Errorf("INVITE again:\n%s", again.invite.Raw())
		}
		again.says(200, "answer of bob", "Require: timer", "Session-Expires: 300;refresher=uas")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		for range 7 {
			bob.hearsNothing(38 * time.Second)
		}
		if bye := bob.oks(sip.BYE); bye.At != (300-32)*time.Second {
			o.Errorf("BYE at %v", bye.At)
		}
		alice.oks(sip.BYE)
		if r := o.record(); r.EndedBy != "b1" {
			o.Errorf("ended by %s", r.EndedBy)
		}
	}, func(cfg *Config, _ *Settings) { cfg.SessionInterval = 200 * time.Second })
	t.Run("422 without an end", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("1002", "offer of alice")
			for _, minSE := range []string{"300", "300"} { // the second time it asks for what it has
				b := bob.rung()
				b.says(422, "", "Min-SE: "+minSE)
				bob.hears(sip.ACK)
			}
			a.hears("422")
		}, func(cfg *Config, _ *Settings) { cfg.SessionInterval = 200 * time.Second })
	})
	t.Run("we refresh the callee", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			b.says(200, "answer of bob", "Session-Expires: 200;refresher=uac", "Allow: UPDATE")
			bob.hears(sip.ACK)
			a.hears("200")
			a.acks("")
			for range 3 {
				bob.hearsNothing(30 * time.Second)
			}
			r := bob.hears(sip.UPDATE)
			if r.At != 100*time.Second {
				o.Errorf("refresh at %v", r.At)
			}
			b.replies(r, 200, "", []string{b.contact(), "Session-Expires: 200;refresher=uac"}, "")
			o.hangsUp(a, b)
		}, func(cfg *Config, _ *Settings) { cfg.SessionInterval = 200 * time.Second })
	})
}

func TestLongestDuration(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		for range 59 {
			a.phone.hearsNothing(time.Minute)
		}
		a.phone.hearsNothing(time.Minute - 1)
		if bye := a.oks(sip.BYE); bye.At != time.Hour {
			o.Errorf("BYE at %v", bye.At)
		}
		b.oks(sip.BYE)
		if r := o.record(); r.Duration != 3600 || r.EndedBy != "switch" {
			o.Errorf("record %+v", r)
		}
	}, func(cfg *Config, _ *Settings) { cfg.MaxDuration = time.Hour })
}

// Both sides silent: the call is over. One of them: it is asked whether it lives, and again while it is silent.
func TestSilence(t *testing.T) {
	t.Run("both", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			o.pass(30 * time.Second)
			o.media.of("a").silence()
			probe := a.phone.hears(sip.OPTIONS)
			a.replies(probe, 200, "", nil, "")
			o.pass(5 * time.Second)
			o.media.of("b1").silence()
			if bye := a.oks(sip.BYE); bye.At != 35*time.Second {
				o.Errorf("BYE at %v", bye.At)
			}
			b.oks(sip.BYE)
			if r := o.record(); r.EndedBy != "switch" || r.Cause != sip.CauseOutOfOrder {
				o.Errorf("record %+v", r)
			}
		})
	})
	t.Run("one, alive", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			o.media.of("b1").silence()
			for _, at := range seconds(0, 60, 120) {
				probe := b.phone.hears(sip.OPTIONS)
				if probe.At != at || probe.ToTag() != b.Tag() {
					o.Errorf("asked at %v", probe.At)
				}
				b.replies(probe, 405, "", nil, "") // any answer is a sign of life
				b.phone.hearsNothing(30 * time.Second)
			}
			o.media.of("b1").packets.Add(1) // it speaks
			for range 4 {
				b.phone.hearsNothing(30 * time.Second)
			}
			o.media.of("a").silence() // Bob's silence is over: only Alice is asked
			a.replies(a.phone.hears(sip.OPTIONS), 200, "", nil, "")
			o.hangsUp(a, b)
		})
	})
	t.Run("one, gone", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			b.phone.Close()
			b.deaf = true
			o.media.of("b1").silence()
			if bye := a.oks(sip.BYE); bye.At != 32*time.Second {
				o.Errorf("BYE at %v", bye.At)
			}
			o.pass(32 * time.Second)
			if r := o.record(); r.EndedBy != "b1" || r.Cause != sip.CauseOutOfOrder {
				o.Errorf("record %+v", r)
			}
		})
	})
	t.Run("knows the call no more", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			o.media.of("b1").silence()
			b.replies(b.phone.hears(sip.OPTIONS), 481, "", nil, "")
			b.replies(b.phone.hears(sip.BYE), 481, "", nil, "")
			a.oks(sip.BYE)
		})
	})
	t.Run("both hold", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "offer inactive")
			b.replies(b.phone.hears(sip.INVITE), 200, "answer inactive", []string{b.contact()}, "")
			b.phone.hears(sip.ACK)
			a.phone.hears("200")
			a.acks("")
			o.settle()
			o.media.of("a").silence()
			a.replies(a.phone.hears(sip.OPTIONS), 200, "", nil, "")
			o.media.of("b1").silence()
			b.replies(b.phone.hears(sip.OPTIONS), 200, "", nil, "")
			o.hangsUp(a, b)
		})
	})
	t.Run("in a call with the switch", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice := o.alice()
			a := alice.invites("400", "offer of alice")
			a.hears("200")
			a.acks("")
			o.settle()
			alice.Close()
			alice.deaf = true
			o.media.of("a").silence()
			o.pass(65 * time.Second)
			o.idle()
		})
	})
}
