package sip

import (
	"net/netip"
	"testing"
)

const inviteText = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP pc33.example.com:5066 ; Branch = z9hG4bKnashds8 ;RPORT\r\n" +
	"v: SIP/2.0/TCP [2001:db8::9]:5070;branch=z9hG4bK2, SIP/2.0/UDP c.example.com\r\n" +
	"To: Bob <sip:bob@biloxi.example.com>\r\n" +
	"f: \"Alice, \\\"A\\\"\" <sip:alice@atlanta.example.com>;TAG=1928301774\r\n" +
	"Subject: folded\r\n   value\r\n" +
	"i: a84b4c76e66710\r\nCSeq: 314159   INVITE\r\nMax-Forwards : 70\r\n" +
	"X-Odd:  kept As It Is \r\nm: <sip:alice@pc33.example.com;transport=tcp>\r\nl: 4\r\n\r\nbodyEXTRA"

func TestMessageIndexes(t *testing.T) {
	var m Message
	if err := m.Parse("\r\n\r\n" + inviteText); err != nil {
		t.Fatal(err)
	}
	m.Source = netip.MustParseAddrPort("192.0.2.7:5999")
	seq, method, err := m.CSeq()
	if m.Method() != INVITE || m.RequestURI() != "sip:bob@biloxi.example.com" || seq != 314159 || method != INVITE || err != nil {
		t.Fatalf("start line or CSeq: %q %q %d %q %v", m.Method(), m.RequestURI(), seq, method, err)
	}
	v, err := m.TopVia()
	if err != nil || v.Branch() != "z9hG4bKnashds8" || v.SentBy() != "pc33.example.com:5066" || !v.Params.Has("rport") {
		t.Fatalf("top Via: %+v %v", v, err)
	}
	var vias []string
	for e := range m.Elements(HeaderVia) {
		vias = append(vias, e)
	}
	if len(vias) != 3 || m.FromTag() != "1928301774" || m.Body() != "body" || m.CallID() != "a84b4c76e66710" {
		t.Fatalf("vias %q, from tag %q, body %q", vias, m.FromTag(), m.Body())
	}
	if f, _ := m.Address(HeaderFrom); f.Name() != `Alice, "A"` {
		t.Fatalf("display name %q", f.Name())
	}
	if n, ok := m.MaxForwards(); n != 70 || !ok {
		t.Fatalf("Max-Forwards %d %v", n, ok)
	}
}

func TestSpliceKeepsTheRest(t *testing.T) {
	var m Message
	_ = m.Parse(inviteText)
	out := string(m.Splice(nil,
		Edit{Kind: EditStart, Text: "INVITE sip:bob@192.0.2.1 SIP/2.0"},
		Edit{Kind: EditInsert, Line: m.Index(HeaderVia), Text: "Via: SIP/2.0/UDP us.example.com;branch=z9hG4bKx"},
		Edit{Kind: EditReplace, Line: m.Index(HeaderMaxForwards), Text: "Max-Forwards: 69"},
		Edit{Kind: EditRemove, Line: m.Index(HeaderContact)}))
	want := "INVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP us.example.com;branch=z9hG4bKx\r\n" +
		inviteText[len("INVITE sip:bob@biloxi.example.com SIP/2.0\r\n"):]
	want = replaceOnce(want, "Max-Forwards : 70\r\n", "Max-Forwards: 69\r\n")
	want = replaceOnce(want, "m: <sip:alice@pc33.example.com;transport=tcp>\r\n", "")
	want = replaceOnce(want, "EXTRA", "")
	if out != want {
		t.Fatalf("got\n%q\nwant\n%q", out, want)
	}
}

func replaceOnce(s, old, with string) string {
	for i := 0; i+len(old) <= len(s); i++ {
		if s[i:i+len(old)] == old {
			return s[:i] + with + s[i+len(old):]
		}
	}
	panic("not found: " + old)
}

func TestResponseStampsTheTopVia(t *testing.T) {
	var m Message
	_ = m.Parse(inviteText)
	m.Source = netip.MustParseAddrPort("192.0.2.7:5999")
	out := string(AppendResponse(nil, &m, 180, "", "ours"))
	want := "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP pc33.example.com:5066;Branch=z9hG4bKnashds8;rport=5999;received=192.0.2.7\r\n" +
		"v: SIP/2.0/TCP [2001:db8::9]:5070;branch=z9hG4bK2, SIP/2.0/UDP c.example.com\r\n" +
		"f: \"Alice, \\\"A\\\"\" <sip:alice@atlanta.example.com>;TAG=1928301774\r\n" +
		"To: Bob <sip:bob@biloxi.example.com>;tag=ours\r\n" +
		"i: a84b4c76e66710\r\nCSeq: 314159   INVITE\r\nContent-Length: 0\r\n\r\n"
	if out != want {
		t.Fatalf("got\n%q\nwant\n%q", out, want)
	}
}
