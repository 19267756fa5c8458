package call

import (
	"testing"

	"tandem/sip"
	"tandem/trunk"
)

// A carrier that sends a call elsewhere is followed where its trunk says so, only to numbers, and only as the plan lets the
// caller call them.
func TestRedirectionsOfACarrier(t *testing.T) {
	const inCountry, premium = "+442079460099", "+882123456789"
	for _, x := range []struct {
		name    string
		follow  bool
		contact string
		want    string // Request-URI of the next INVITE; empty: none, and the caller hears 480
	}{
		{"not followed", false, "<sip:" + inCountry + "@192.0.2.200>", ""},
		{"to a number, by the plan's own way", true, "<sip:" + inCountry + "@192.0.2.200>", "sip:" + inCountry + "@carrier.test"},
		{"tel", true, "<tel:+44-20-7946-0099>", "sip:" + inCountry + "@carrier.test"},
		{"the first that may be called", true, "<sip:" + premium + "@192.0.2.200>;q=1, <sip:x@192.0.2.200>, <sip:" + inCountry + "@192.0.2.200>", "sip:" + inCountry + "@carrier.test"},
		{"a number that the caller may not call", true, "<sip:" + premium + "@192.0.2.200>", ""},
		{"a name at a stranger's", true, "<sip:evil@192.0.2.200>", ""},
		{"no Contact", true, "", ""},
		{"a page", true, "<http://192.0.2.200/>", ""},
		{"everything", true, "*", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			inTrade(t, func(o *office, _ wires) {
				alice, first, evil := o.alice(), o.phone(0x1, "first", 71), o.phone(0x1, "evil", 200)
				a := alice.invites(abroad, "offer of alice")
				b := first.rung()
				var lines []string
				if x.contact != "" {
					lines = []string{"Contact: " + x.contact}
				}
				b.replies(b.invite, 302, "", lines, b.Tag())
				first.hears(sip.ACK)
				if x.want != "" {
					b = first.rung()
					if uri := b.invite.RequestURI(); uri != x.want {
						t.Error("goes to", uri)
					}
					b.says(486, "")
					first.hears(sip.ACK)
					a.hears("486")
					equal(t, "tried", o.tries(), "first 302", "first 486")
				} else {
					a.hears("480")
				}
				evil.hearsNothing(0)
			}, func(first, _ *trunk.Config) { first.Redirects = x.follow })
		})
	}
}

// A carrier that sends a call round and round is followed a few times.
func TestRedirectionsComeToAnEnd(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(0x1, "first", 71)
		a := alice.invites(abroad, "offer of alice")
		for range mostRedirects + 1 {
			b := first.rung()
			b.replies(b.invite, 302, "", []string{"Contact: <sip:" + abroad + "@carrier.test>"}, b.Tag())
			first.hears(sip.ACK)
		}
		a.hears("480")
	}, func(first, _ *trunk.Config) { first.Redirects = true })
}
