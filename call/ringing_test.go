package call

import (
	"context"
	"strings"
	"testing"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
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

// What becomes of a single callee's answer.
func TestRefusals(t *testing.T) {
	for _, x := range []struct {
		status int
		want   string
		cause  sip.Cause
		by     string
	}{
		{486, "486", 17, "callee"}, {600, "600", 17, "callee"}, {603, "603", 21, "callee"}, {404, "404", 1, "callee"},
		{480, "480", 18, "callee"}, {488, "488", 65, "callee"}, {302, "480", 16, "callee"}, {503, "480", 41, "callee"},
		{500, "500", 41, "callee"}, {408, "480", 19, "switch"}, {401, "480", 21, "callee"}, {407, "480", 21, "callee"},
		{481, "480", 41, "callee"}, {420, "480", 127, "callee"}, {606, "606", 65, "callee"},
	} {
		t.Run(x.want+" for "+sip.ReasonPhrase(x.status), func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a := alice.invites("1002", "offer of alice")
				b := bob.rung()
				b.says(x.status, "", `WWW-Authenticate: Digest realm="example.com", nonce="n", qop="auth"`,
					`Proxy-Authenticate: Digest realm="example.com", nonce="n", qop="auth"`, "Contact: <sip:evil@192.0.2.66>")
				bob.hears(sip.ACK)
				r := a.hears(x.want)
				if r.Cause() != x.cause || r.Has(sip.HeaderWWWAuthenticate) || r.Has(sip.HeaderProxyAuthenticate) || r.Has(sip.HeaderContact) {
					o.Errorf("caller hears\n%s", r.Raw())
				}
				if rec := o.record(); rec.Cause != x.cause || rec.Attempts[0].Status != x.status || rec.EndedBy != x.by {
					o.Errorf("record: by %s, cause %d, attempts %+v", rec.EndedBy, rec.Cause, rec.Attempts)
				}
			})
		})
	}
}

// The callee's own Reason counts for more than its status.
func TestReasonOfARefusal(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(480, "", "Reason: Q.850;cause=20")
		bob.hears(sip.ACK)
		if r := a.hears("480"); r.Header(sip.HeaderReason) != "Q.850;cause=20" {
			o.Errorf("Reason %q", r.Header(sip.HeaderReason))
		}
	})
}

// A 6xx speaks for everybody: the other branches are cancelled. A 486 of one of them does not.
func TestDeclinedByOne(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, one, two := o.alice(), o.registered("1002", 2), o.registered("1002", 3)
		a := alice.invites("1002", "offer of alice")
		x, y := one.rung(), two.rung()
		y.says(180, "")
		a.hears("180")
		x.says(603, "")
		one.hears(sip.ACK)
		a.hears("603")
		y.hearsCancelled()
		o.idle()
	})
	inOffice(t, func(o *office) {
		alice, one, two := o.alice(), o.registered("1002", 2), o.registered("1002", 3)
		a := alice.invites("1002", "offer of alice")
		x, y := one.rung(), two.rung()
		x.says(486, "")
		one.hears(sip.ACK)
		alice.hearsNothing(time.Second)
		two.hears(sip.INVITE)
		y.says(480, "")
		two.hears(sip.ACK)
		a.hears("486") // busy tells more than away
	})
}

func TestNobodyThere(t *testing.T) {
	for _, x := range []struct{ to, want string }{{"1002", "480"}, {"1999", "404"}, {"555", "404"}, {"402", "603"}} {
		t.Run("dial "+x.to, func(t *testing.T) {
			inOffice(t, func(o *office) {
				a := o.alice().invites(x.to, "offer of alice")
				a.hears(x.want)
				if r := o.record(); r.EndedBy != "switch" || r.Dialled != x.to {
					o.Errorf("record %+v", r)
				}
			})
		})
	}
}

func TestRedirect(t *testing.T) {
	inOffice(t, func(o *office) {
		a := o.alice().invites("403", "offer of alice")
		if r := a.hears("302"); r.Header(sip.HeaderContact) != "<sip:1005@example.com>" {
			o.Errorf("Contact %q", r.Header(sip.HeaderContact))
		}
	})
}

// A phone that rings until the route's time is over, and one that never says a word.
func TestNoAnswer(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		if r := a.hears("480"); r.At != 20*time.Second || r.Cause() != sip.CauseNoAnswer {
			o.Errorf("%v %s", r.At, r.Raw())
		}
		b.hearsCancelled()
		if r := o.record(); r.EndedBy != "switch" || r.Attempts[0].Status != 408 {
			o.Errorf("record %+v", r)
		}
	})
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		bob.Close() // powered off
		bob.deaf = true
		a := alice.invites("1002", "offer of alice")
		a.hears("480")
		o.at(20 * time.Second)
		o.pass(12 * time.Second) // Timer B
	})
}

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

// A branch whose contact cannot even be sent to does not end the step while the others are being started.
func TestDeadContactAmongOthers(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		dead := o.phone(transport.TCP, "1002", 5)
		dead.register("")
		bob := o.bob()
		o.net.Break(dead.flow) // the registrar has not heard of it yet
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(a, b)
		if r := o.record(); len(r.Attempts) != 2 || r.Attempts[0].Status != 480 || r.Attempts[0].Reason != "unreachable" {
			o.Errorf("attempts %+v", r.Attempts)
		}
	})
}

// Contacts behind a Path, and INVITEs too long for UDP, go where the look-up says (RFC 3327, RFC 3261 §18.1.1).
func TestLookedUpFlows(t *testing.T) {
	t.Run("path", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, edge := o.alice(), o.phone(transport.UDP, "edge", 7)
			o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
			o.router.reach = func(_ context.Context, uri sip.URI, _ int) (transport.Flow, error) {
				if uri.Host != "192.0.2.7" {
					o.Errorf("looks for %s", uri.Host)
				}
				return o.udp.Flow(edge.Addr().String()), nil
			}
			a := alice.invites("1002", "offer of alice")
			b := edge.rung()
			if b.invite.RequestURI() != "sip:bob@10.0.0.2" || b.invite.Header(sip.HeaderRoute) != "<sip:192.0.2.7;lr>" {
				o.Errorf("INVITE %s by %s", b.invite.RequestURI(), b.invite.Header(sip.HeaderRoute))
			}
			b.says(200, "answer of bob", "Record-Route: <sip:192.0.2.7;lr;id=1>")
			if ack := edge.hears(sip.ACK); ack.Header(sip.HeaderRoute) != "<sip:192.0.2.7;lr;id=1>" {
				o.Errorf("ACK by %q", ack.Header(sip.HeaderRoute))
			}
			a.hears("200")
			a.acks("")
			o.hangsUp(b, a)
		})
	})
	t.Run("no way", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
			o.alice().invites("1002", "offer of alice").hears("480")
		})
	})
	t.Run("the look-up panics", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.panics = 1
			o.router.reach = func(context.Context, sip.URI, int) (transport.Flow, error) { panic("bug") }
			o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
			o.alice().invites("1002", "offer of alice").hears("480")
		})
	})
	t.Run("cancelled while it is looked up", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.hangingLookup()
			a := o.alice().invites("1002", "offer of alice")
			o.pass(time.Second)
			a.cancels()
			a.hears("200 CANCEL")
			a.hears("487")
			o.idle()
			if r := o.record(); r.Legs[1].Peer != "" {
				o.Errorf("peer of a leg that was never reached: %q", r.Legs[1].Peer)
			}
		})
	})
	t.Run("too long for UDP", func(t *testing.T) {
		for _, tcp := range []bool{true, false} {
			inOffice(t, func(o *office) {
				alice, bob, size := o.alice(), o.bob(), 0
				bobTCP := o.phone(transport.TCP, "1002", 2)
				o.router.reach = func(_ context.Context, uri sip.URI, n int) (transport.Flow, error) {
					size = n
					if !tcp {
						return transport.Flow{}, transport.ErrNoRoute
					}
					return o.tcp.Connect(uri.Host + ":5060")
				}
				a := alice.invites("1002", "offer of alice "+strings.Repeat("x", 800))
				phone := bobTCP
				if !tcp {
					phone = bob
				}
				b := phone.rung()
				if size < 1300 {
					o.Errorf("size %d", size)
				}
				b.says(486, "")
				phone.hears(sip.ACK)
				a.hears("486")
			})
		}
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

// hangingLookup makes 1002 a phone whose edge is looked up until the look-up is given up.
func (o *office) hangingLookup() {
	o.router.reach = func(ctx context.Context, _ sip.URI, _ int) (transport.Flow, error) {
		<-ctx.Done()
		return transport.Flow{}, ctx.Err()
	}
	o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
}
