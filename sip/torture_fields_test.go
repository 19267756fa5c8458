package sip_test

import (
	"slices"
	"strings"
	"testing"

	"tandem/sip"
)

// fields says how the well-formed torture messages must be read.
var fields = map[string]func(*testing.T, *sip.Message){
	"wsinv": func(t *testing.T, m *sip.Message) {
		same(t, "To tag", m.ToTag(), "7711aa")
		same(t, "From tag", m.FromTag(), "k9-ole")
		same(t, "From name", address(t, m, sip.HeaderFrom).Name(), `Ole \ "the" Olsen\`)
		cseq(t, m, 31, sip.INVITE)
		hops, ok := m.MaxForwards()
		same(t, "Max-Forwards", hops, 42)
		same(t, "Max-Forwards is there", ok, true)
		same(t, "Subject", m.Header(sip.HeaderSubject), "")
		same(t, "branches", branches(t, m), "old-style-branch z9hG4bKrelay1 z9hG4bKrelay2")
		same(t, "transports", transports(t, m), "UDP TCP TLS")
		v := vias(t, m)
		same(t, "second sent-by", v[1].SentBy(), "relay-1.fjord.example:5072")
		same(t, "third sent-by", v[2].SentBy(), "[2001:db8::7]")
		c := address(t, m, sip.HeaderContact)
		same(t, "Contact name", c.Name(), `Ole "" O`)
		same(t, "seen", param(c.Params, "seen"), "today")
		same(t, "q", param(c.Params, "q"), "0.75")
		same(t, "flag", c.Params.Has("FLAG"), true)
		r := address(t, m, sip.HeaderRoute)
		same(t, "Route", uri(t, r.URI).Params.Has("lr"), true)
		same(t, "R-URI", param(uri(t, m.RequestURI()).Params, "colour"), "teal")
		odd, _ := m.Named("odd-punctuation")
		same(t, "unknown header", odd, ",,;;,;,,;")
		same(t, "body", strings.HasSuffix(m.Body(), "telephone-event/8000\r\n"), true)
	},
	"intmeth": func(t *testing.T, m *sip.Message) {
		cseq(t, m, 731000001, "Aa0-.!%*_+`'~pickUp")
		same(t, "known", sip.KnownMethod(m.Method()), false)
		u := uri(t, m.RequestURI())
		same(t, "user", u.User, "q_1.a~(b!c)&d'e+f$/g?h,i;;j*")
		same(t, "password", u.Password, "k&l+m=n,o!p*q$r~s_t.(u'v)")
		same(t, "host", u.Host, "fjord.example")
		same(t, "To name", address(t, m, sip.HeaderTo).Name(), "tab:\t nul:\x00 esc:\x1b del:\x7f")
		same(t, "From tag", m.FromTag(), "~t'+`*%!.-_1")
		same(t, "odd parameter", param(address(t, m, sip.HeaderFrom).Params, "odd-!.%*_+`'~"), "смотри, ёж")
		same(t, "branch", branches(t, m), "z9hG4bK~'`+_*%!.-q")
		value, ok := m.Named("X-.!%*_+`'~field")
		same(t, "header name", ok && strings.HasSuffix(value, "電話交換機"), true)
	},
	"esc01": func(t *testing.T, m *sip.Message) {
		u := uri(t, m.RequestURI())
		same(t, "scheme", u.Scheme, "sip")
		same(t, "user", u.Number(), "sips:nora@tandem.example")
		same(t, "host", u.Host, "fjord.example")
		same(t, "To", uri(t, address(t, m, sip.HeaderTo).URI).Number(), "nora")
		same(t, "From", uri(t, address(t, m, sip.HeaderFrom).URI).Number(), "Ole and Ida")
		c := uri(t, address(t, m, sip.HeaderContact).URI)
		same(t, "Contact", c.Number(), "ole")
		once, _ := sip.Unescape(param(c.Params, "%70ath"))
		same(t, "undone once", once, "ab%43")
	},
	"escnull": func(t *testing.T, m *sip.Message) {
		same(t, "AOR", uri(t, address(t, m, sip.HeaderTo).URI).AOR(), "sip:zero-\x00-mid@tandem.example")
		c := contacts(t, m)
		same(t, "Contacts", len(c), 2)
		one, two := uri(t, c[0].URI), uri(t, c[1].URI)
		same(t, "first", one.Number(), "\x00")
		same(t, "second", two.Number(), "\x00\x00")
		same(t, "equal", one.Equal(two), false)
	},
	"esc02": func(t *testing.T, m *sip.Message) {
		same(t, "method", m.Method(), "REGI%53TER")
		same(t, "known", sip.KnownMethod(m.Method()), false)
		same(t, "name", address(t, m, sip.HeaderFrom).Name(), "%Q%41")
		same(t, "Contacts", len(contacts(t, m)), 2)
	},
	"lwsdisp": func(t *testing.T, m *sip.Message) {
		same(t, "name", address(t, m, sip.HeaderFrom).Name(), "Ole")
	},
	"longreq": func(t *testing.T, m *sip.Message) {
		same(t, "Vias", len(vias(t, m)), 31)
		same(t, "last Via", vias(t, m)[30].Host, "hop1.fjord.example")
		same(t, "From tag", m.FromTag(), strings.Repeat("1729", 45))
		same(t, "To port", uri(t, address(t, m, sip.HeaderTo).URI).Port, 5092)
		same(t, "lines", m.Len() > 32, true)
		same(t, "body", strings.HasPrefix(m.Body(), "v=0"), true)
	},
	"dblreq": func(t *testing.T, m *sip.Message) {
		same(t, "method", m.Method(), sip.REGISTER)
		same(t, "body", m.Body(), "")
		same(t, "relayed", strings.Contains(string(m.Splice(nil)), "INVITE"), false)
	},
	"semiuri": func(t *testing.T, m *sip.Message) {
		u := uri(t, m.RequestURI())
		same(t, "user", u.Number(), "nora;ext=7@fjord.example")
		same(t, "parameters", u.Params, "")
		same(t, "Accept", elements(m, sip.HeaderAccept), "application/sdp|text/plain|multipart/mixed|message/sipfrag")
	},
	"transports": func(t *testing.T, m *sip.Message) {
		same(t, "transports", transports(t, m), "UDP SCTP TLS PIGEON TCP")
	},
	"mpart01": func(t *testing.T, m *sip.Message) {
		same(t, "body ends", strings.HasSuffix(m.Body(), "\r\n--knot--\r\n"), true)
		same(t, "NUL in the body", strings.Contains(m.Body(), "\x03\x02\x01\x00\r\n--knot--"), true)
		same(t, "leaves as it came", string(m.Splice(nil)), m.Raw())
	},
	"unreason": func(t *testing.T, m *sip.Message) {
		same(t, "status", m.Status(), 200)
		same(t, "reason", m.Reason(), "= 3**2 + 191, двести: всё хорошо")
	},
	"noreason": func(t *testing.T, m *sip.Message) {
		same(t, "status", m.Status(), 100)
		same(t, "reason", m.Reason(), "")
	},
	"baddate": func(t *testing.T, m *sip.Message) {
		same(t, "Date", m.Header(sip.HeaderDate), "Wed, 04 Mar 2026 10:20:30 CET")
	},
	"unksm2": func(t *testing.T, m *sip.Message) {
		if _, err := sip.ParseURI(address(t, m, sip.HeaderTo).URI); err != sip.ErrURIScheme {
			t.Errorf("To: %v, want %v", err, sip.ErrURIScheme)
		}
	},
	"bext01": func(t *testing.T, m *sip.Message) {
		same(t, "Require", *sip.CheckRequire(m, "timer"), sip.StatusError{Code: 420, Header: "Unsupported: levitation, time-travel"})
		same(t, "Proxy-Require", *sip.CheckProxyRequire(m, "OUIJA"), sip.StatusError{Code: 420, Header: "Unsupported: seance"})
		if err := sip.CheckRequire(m, "levitation", "Time-Travel"); err != nil {
			t.Errorf("all supported: %v", err)
		}
	},
	"invut": func(t *testing.T, m *sip.Message) {
		same(t, "type", m.Header(sip.HeaderContentType), "application/x-semaphore")
	},
	"regaut01": func(t *testing.T, m *sip.Message) {
		same(t, "Authorization", m.Header(sip.HeaderAuthorization), "Handshake grip=firm")
	},
	"bcast": func(t *testing.T, m *sip.Message) { same(t, "Vias", len(vias(t, m)), 2) },
	"zeromf": func(t *testing.T, m *sip.Message) {
		hops, ok := m.MaxForwards()
		same(t, "Max-Forwards", hops, 0)
		same(t, "is there", ok, true)
	},
	"cparam01": func(t *testing.T, m *sip.Message) {
		c := address(t, m, sip.HeaderContact)
		same(t, "of the header", c.Params.Has("mystery"), true)
		same(t, "of the URI", uri(t, c.URI).Params, "")
	},
	"cparam02": func(t *testing.T, m *sip.Message) {
		c := address(t, m, sip.HeaderContact)
		same(t, "of the header", c.Params, "")
		same(t, "of the URI", uri(t, c.URI).Params.Has("mystery"), true)
	},
	"regescrt": func(t *testing.T, m *sip.Message) {
		u := uri(t, address(t, m, sip.HeaderContact).URI)
		same(t, "headers", u.Headers, "Route=%3Csip:hop.fjord.example%3E")
		same(t, "a Route", m.Has(sip.HeaderRoute), false)
		same(t, "written", u.String(), "sip:ida@203.0.113.22?Route=%3Csip:hop.fjord.example%3E")
	},
	"sdp01": func(t *testing.T, m *sip.Message) {
		err := sip.CheckAccept(m)
		same(t, "code", err.Code, 406)
		same(t, "warning", strings.HasPrefix(err.Header, "Warning: 399 "), true)
	},
	"inv2543": func(t *testing.T, m *sip.Message) {
		same(t, "branch", branches(t, m), "")
		same(t, "From tag", m.FromTag(), "")
		same(t, "Max-Forwards", m.Has(sip.HeaderMaxForwards), false)
		same(t, "user=phone", param(address(t, m, sip.HeaderTo).Params, "user"), "phone")
		same(t, "body", strings.HasSuffix(m.Body(), "telephone-event/8000\r\n"), true)
	},
	"v6-good":             v6Contact("[2001:db8:7::10]", "[2001:db8:7::1]"),
	"v6-port-ambiguous":   v6Contact("[2001:db8:7::10:5072]", "[2001:db8:7::1]"),
	"v6-port-unambiguous": v6Contact("[2001:db8:7::10]:5072", "[2001:db8:7::1]"),
	"v6-received-delimited": func(t *testing.T, m *sip.Message) {
		same(t, "received", param(vias(t, m)[0].Params, "received"), "[2001:db8:7::9:fe]")
	},
	"v6-received-bare": func(t *testing.T, m *sip.Message) {
		same(t, "received", param(vias(t, m)[0].Params, "received"), "2001:db8:7::9:fe")
	},
	"v6-in-sdp": v6Contact("[2001:db8:7::10]", "[2001:db8:7::20]"),
	"v6-mixed-vias": func(t *testing.T, m *sip.Message) {
		v := vias(t, m)
		same(t, "first", v[0].SentBy(), "[2001:db8:7::9:1]:6062")
		same(t, "second", v[1].SentBy(), "203.0.113.30")
		same(t, "third", v[2].SentBy(), "[2001:db8:7::9:fe]")
	},
	"v6-mixed-sdp": v6Contact("[2001:db8:7::10]", "[2001:db8:7::20]"),
	"v6-mapped": func(t *testing.T, m *sip.Message) {
		same(t, "sent-by", vias(t, m)[0].SentBy(), "[::ffff:203.0.113.32]:19844")
		a, ok := uri(t, address(t, m, sip.HeaderContact).URI).Addr()
		same(t, "address", a.Unmap().String(), "203.0.113.32")
		same(t, "is one", ok, true)
	},
	"v6-two-colons": func(t *testing.T, m *sip.Message) {
		a, _ := uri(t, m.RequestURI()).Addr()
		same(t, "address", a.String(), "2001:db8:7::cb00:7122")
	},
}

func v6Contact(target, contact string) func(*testing.T, *sip.Message) {
	return func(t *testing.T, m *sip.Message) {
		same(t, "R-URI", uri(t, m.RequestURI()).HostPort(), target)
		same(t, "Contact", uri(t, address(t, m, sip.HeaderContact).URI).HostPort(), contact)
	}
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func cseq(t *testing.T, m *sip.Message, seq uint32, method string) {
	t.Helper()
	n, name, err := m.CSeq()
	if n != seq || name != method || err != nil {
		t.Errorf("CSeq: %d %s %v, want %d %s", n, name, err, seq, method)
	}
}

func address(t *testing.T, m *sip.Message, id sip.HeaderID) sip.NameAddr {
	t.Helper()
	a, err := m.Address(id)
	if err != nil {
		t.Errorf("%s: %v", id.Name(), err)
	}
	return a
}

func uri(t *testing.T, s string) sip.URI {
	t.Helper()
	u, err := sip.ParseURI(s)
	if err != nil {
		t.Errorf("%s: %v", s, err)
	}
	if u.String() != s {
		t.Errorf("%s comes out as %s", s, u)
	}
	return u
}

func param(p sip.Params, name string) string {
	v, _ := p.Get(name)
	return v
}

func vias(t *testing.T, m *sip.Message) (out []sip.Via) {
	t.Helper()
	for e := range m.Elements(sip.HeaderVia) {
		v, err := sip.ParseVia(e)
		if err != nil {
			t.Errorf("Via %q: %v", e, err)
		}
		out = append(out, v)
	}
	return out
}

func branches(t *testing.T, m *sip.Message) string {
	var all []string
	for _, v := range vias(t, m) {
		all = append(all, v.Branch())
	}
	return strings.Join(all, " ")
}

func transports(t *testing.T, m *sip.Message) string {
	var all []string
	for _, v := range vias(t, m) {
		all = append(all, v.Transport)
	}
	return strings.Join(all, " ")
}

func contacts(t *testing.T, m *sip.Message) (out []sip.NameAddr) {
	t.Helper()
	for e := range m.Elements(sip.HeaderContact) {
		a, err := sip.ParseNameAddr(e)
		if err != nil {
			t.Errorf("Contact %q: %v", e, err)
		}
		out = append(out, a)
	}
	return out
}

func elements(m *sip.Message, id sip.HeaderID) string {
	return strings.Join(slices.Collect(m.Elements(id)), "|")
}
