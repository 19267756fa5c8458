package sip

import (
	"errors"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for text, want := range map[string]URI{
		"sip:a@b":                         {Scheme: "sip", User: "a", Host: "b"},
		"SIPS:a:pw@B.example:5061;lr":     {Scheme: "sips", User: "a", Password: "pw", Host: "B.example", Port: 5061, Params: ";lr"},
		"sip:[2001:db8::1]:5070":          {Scheme: "sip", Host: "2001:db8::1", Port: 5070, V6: true},
		"sip:a;b?c@d;e=f?g=h&i=j":         {Scheme: "sip", User: "a;b?c", Host: "d", Params: ";e=f", Headers: "g=h&i=j"},
		"sip:d?g=h;x":                     {Scheme: "sip", Host: "d", Headers: "g=h;x"},
		"sip:*73%23@h_1.example":          {Scheme: "sip", User: "*73%23", Host: "h_1.example"},
		"sip:a#b@h":                       {Scheme: "sip", User: "a#b", Host: "h"},
		"tel:+47-22.33(44);ext=5":         {Scheme: "tel", User: "+47-22.33(44)", Params: ";ext=5"},
		"tel:*21#;phone-context=pbx.test": {Scheme: "tel", User: "*21#", Params: ";phone-context=pbx.test"},
		"sip:192.0.2.1:65535":             {Scheme: "sip", Host: "192.0.2.1", Port: 65535},
		"sip:+1;phone-context=x@h":        {Scheme: "sip", User: "+1;phone-context=x", Host: "h"},
		"sip:a@h;transport=UDP;x=[y]:&+$": {Scheme: "sip", User: "a", Host: "h", Params: ";transport=UDP;x=[y]:&+$"},
	} {
		got, err := ParseURI(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"": ErrURI, ":": ErrURI, "sip": ErrURI, "sip:": ErrURI, "sip:@b": ErrURI, "sip:a@": ErrURI, "sip:a@b:0": ErrURI,
		"sip:a@b:": ErrURI, "sip:a@b:5060x": ErrURI, "sip:a@b:65536": ErrURI, "sip:a b@c": ErrURI, "sip:a@b c": ErrURI,
		"<sip:a@b>": ErrURI, "sip:a@[::1": ErrURI, "sip:a@::1": ErrURI, "sip:a@[1.2.3.4]": ErrURI, "sip:a@[fe80::1%25eth0]": ErrURI,
		"sip:a%2@b": ErrURI, "sip:a@b;%zz": ErrURI, "sip:a@b;": ErrURI, "sip:a@b;;lr": ErrURI, "sip:a@b;=x": ErrURI, "sip:a@b?": ErrURI,
		"sip:a\x00@b": ErrURI, "sip:a@b\r\n": ErrURI, "sip:\"a\"@b": ErrURI, "tel:": ErrURI, "tel:-": ErrURI, "tel:+47x": ErrURI,
		"tel:47+1": ErrURI, "tel:1;a b": ErrURI, "a b:c": ErrURI, "sip:" + strings.Repeat("h", 256): ErrURI,
		"mailto:a@b": ErrURIScheme, "http://a": ErrURIScheme, "im:a@b": ErrURIScheme,
	} {
		if _, err := ParseURI(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// The examples of RFC 3261 §19.1.4 in other words, and those of RFC 5954 and RFC 3966.
func TestURIEqual(t *testing.T) {
	crowd := strings.Repeat(";a", 1000)
	tests := []struct {
		a, b string
		want bool
	}{
		{"sip:%6Eora@fjord.example;transport=TCP", "sip:nora@FJORD.example;Transport=tcp", true},
		{"sip:nora@fjord.example", "sip:nora@fjord.example;newparam=5", true},
		{"sip:nora@fjord.example;newparam=5", "sip:nora@fjord.example;security=on", true},
		{"sip:fjord.example;x=1?to=a%40b&subject=s", "sip:fjord.example;x=1?Subject=s&To=a%40b", true},
		{"SIP:nora@fjord.example", "sip:NORA@fjord.example", false},
		{"sip:nora@fjord.example", "sip:nora@fjord.example:5060", false},
		{"sip:nora@fjord.example", "sip:nora@fjord.example;transport=udp", false},
		{"sip:nora@fjord.example", "sip:nora@fjord.example;user=phone", false},
		{"sip:nora@fjord.example", "sip:nora@fjord.example;maddr=192.0.2.1", false},
		{"sip:nora@fjord.example;security=on", "sip:nora@fjord.example;security=off", false},
		{"sip:nora@fjord.example", "sips:nora@fjord.example", false},
		{"sip:nora@fjord.example", "sip:fjord.example", false},
		{"sip:nora@fjord.example?a=b", "sip:nora@fjord.example", false},
		{"sip:nora:x@fjord.example", "sip:nora:y@fjord.example", false},
		{"sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::1]", true},
		{"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]", false},
		{"tel:+47-22-33", "tel:+472233", true},
		{"tel:+472233", "tel:472233", false},
		{"sip:a" + crowd, "sip:a" + crowd, true},
		{"sip:a" + crowd + ";b", "sip:a;b" + crowd, false}, // too many to be compared one by one
	}
	for _, tc := range tests {
		a, err1 := ParseURI(tc.a)
		b, err2 := ParseURI(tc.b)
		if err1 != nil || err2 != nil || a.Equal(b) != tc.want || b.Equal(a) != tc.want {
			t.Errorf("%s and %s: %v %v, want %v (%v %v)", tc.a, tc.b, a.Equal(b), b.Equal(a), tc.want, err1, err2)
		}
	}
}

func TestAOR(t *testing.T) {
	for text, want := range map[string]string{
		"sip:%6eora:pw@Fjord.EXAMPLE:5070;x?y=z": "sip:nora@fjord.example",
		"sips:Nora@[2001:DB8:0::1]":              "sips:Nora@[2001:db8::1]",
		"tel:+47-22-33":                          "tel:+472233",
		"sip:fjord.example":                      "sip:@fjord.example",
	} {
		if u, err := ParseURI(text); err != nil || u.AOR() != want {
			t.Errorf("%s: %q %v, want %q", text, u.AOR(), err, want)
		}
	}
}

func TestNameAddr(t *testing.T) {
	for text, want := range map[string]NameAddr{
		"sip:a@b;tag=x":                       {URI: "sip:a@b", Params: ";tag=x"},
		"  A  B\r\n <sip:a@b;lr>;tag=x  ":     {Display: "A  B", URI: "sip:a@b;lr", Params: ";tag=x"},
		`"A \"<x>\", B"<sip:a@b>`:             {Display: `"A \"<x>\", B"`, URI: "sip:a@b"},
		"<sip:a@b?x=y>":                       {URI: "sip:a@b?x=y"},
		`sip:a@b;x="<y>"`:                     {URI: "sip:a@b", Params: `;x="<y>"`},
		"*":                                   {Star: true},
		"<tel:+47>;q=0.5":                     {URI: "tel:+47", Params: ";q=0.5"},
		`<sip:a@b> ; +sip.instance="<urn:x>"`: {URI: "sip:a@b", Params: `; +sip.instance="<urn:x>"`},
	} {
		if got, err := ParseNameAddr(text); err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "<>", "<sip:a", `"A <sip:a@b>`, `"A" sip:a@b`, "A, B <sip:a@b>", "sip:a@b?x=y", "sip:a@b,sip:c@d",
		"<sip:a@b>x", "<sip:a@b>;", "<sip:a@b>;;x", "<sip:a@b>;x=\"", "<sip:a@b>;=x", "<sip:a@b>;x=a b", "A;B <sip:a@b>", "sip:a b"} {
		if got, err := ParseNameAddr(text); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

func TestVia(t *testing.T) {
	for text, want := range map[string]Via{
		"SIP/2.0/UDP a": {Transport: "UDP", Host: "a"},
		"sip / 2.0 / ws  A.example : 4000 ;rport":      {Transport: "ws", Host: "A.example", Port: 4000, Params: ";rport"},
		"SIP/2.0/TLS [2001:db8::1]:5061;branch=x":      {Transport: "TLS", Host: "2001:db8::1", Port: 5061, V6: true, Params: ";branch=x"},
		"SIP/2.0/UDP\r\n\t192.0.2.1;x=\"a;b\" ; y = z": {Transport: "UDP", Host: "192.0.2.1", Params: ";x=\"a;b\" ; y = z"},
	} {
		if got, err := ParseVia(text); err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "SIP/2.0/UDP", "SIP/2.0/UDPa", "SIP/2.0 UDP a", "SIP/3.0/UDP a", "HTTP/2.0/UDP a", "SIP/2.0/ a",
		"SIP/2.0/U(P a", "SIP/2.0/UDP a b", "SIP/2.0/UDP a:0", "SIP/2.0/UDP a:x", "SIP/2.0/UDP [::1", "SIP/2.0/UDP a;;b", "SIP/2.0/UDP a;b=\"c"} {
		if got, err := ParseVia(text); !errors.Is(err, ErrVia) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}
