package trunk

import "testing"

func TestPortability(t *testing.T) {
	const number = "+12025550111"
	for _, x := range []struct{ uri, want string }{
		{"sip:+12025550111;npdi;rn=+12025550000@c.test;user=phone", ";npdi;rn=+12025550000"},
		{"tel:+1-202-555-0111;npdi;rn=+12025550000", ";npdi;rn=+12025550000"},
		{"tel:+12025550111;npdi", ";npdi"},
		{"sip:+12025550111;rn=2025550000;rn-context=+1@c.test", ";rn=2025550000;rn-context=+1"},
		{"sip:+12025550111;rn=2025550000;rn-context=c.test@c.test", ";rn=2025550000;rn-context=c.test"},
		{"sip:+12025550111;npdi;rn=2025550000@c.test", ";npdi"}, // a local one without its context
		{"sip:+12025550111;rn=evil%40x@c.test", ""},
		{"sip:+12025550111;rn=+1202555000012025550000120255500001@c.test", ""},
		{"sip:+12025550112;npdi;rn=+12025550000@c.test", ""}, // of another number
		{"sip:+12025550111@c.test;npdi;rn=+12025550000", ""}, // of the URI, not of the number
		{"sip:+12025550111@c.test", ""},
		{"x", ""},
	} {
		c := Config{}
		if got := c.Ported(x.uri, number, britain{}); got != x.want {
			t.Errorf("%s: %q, want %q", x.uri, got, x.want)
		}
	}
	for _, x := range []struct{ uri, want string }{
		{"sip:+12025550111@c.test;user=phone", "sip:+12025550111;npdi;rn=+1@c.test;user=phone"}, {"tel:+12025550111", "tel:+12025550111;npdi;rn=+1"},
	} {
		if got := WithPorted(x.uri, ";npdi;rn=+1"); got != x.want {
			t.Errorf("%s: %s", x.uri, got)
		}
	}
}
