package call

import (
	"testing"
	"time"

	"tandem/sip"
)

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
