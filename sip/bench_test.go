package sip

import "testing"

// benchInvite is an INVITE as a desk phone sends it through one proxy: 1.3 KB, 16 header lines.
const benchInvite = "INVITE sip:+4930901820@pbx.example.com;transport=udp;user=phone SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK0d8f36b2a99d1c7e;rport\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.27:49213;branch=z9hG4bK-524287-1---4f2a1c0d9e8b;received=198.51.100.27;rport=49213\r\n" +
	"Record-Route: <sip:192.0.2.10;lr;ftag=7f31c2ab;did=4ad.91b2>\r\n" +
	"Max-Forwards: 69\r\n" +
	"From: \"Reception, North\" <sip:201@pbx.example.com>;tag=7f31c2ab\r\n" +
	"To: <sip:+4930901820@pbx.example.com;user=phone>\r\n" +
	"Call-ID: 5c1e6f0a4b7d43e29a0f8b17@198.51.100.27\r\n" +
	"CSeq: 102 INVITE\r\n" +
	"Contact: <sip:201@198.51.100.27:49213;transport=udp>;+sip.instance=\"<urn:uuid:8d3f0c52-91e7-4b1a-a1cb-0c5c2b7d1f08>\"\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY, PRACK\r\n" +
	"Supported: replaces, 100rel, timer, outbound, path\r\n" +
	"User-Agent: DeskPhone/4.2.11 (build 7702; hw 3)\r\n" +
	"Session-Expires: 1800;refresher=uac\r\n" +
	"P-Preferred-Identity: <sip:201@pbx.example.com>\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 360\r\n\r\n" +
	"v=0\r\no=- 1717171717 1717171717 IN IP4 198.51.100.27\r\ns=call\r\nc=IN IP4 198.51.100.27\r\nt=0 0\r\n" +
	"m=audio 16384 RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n" +
	"a=ptime:20\r\na=sendrecv\r\na=rtcp:16385 IN IP4 198.51.100.27\r\na=label:1\r\n"

// benchRegister is a REGISTER with an answer to our challenge: 0.8 KB, 14 header lines.
const benchRegister = "REGISTER sip:pbx.example.com SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.27:49213;branch=z9hG4bK-524287-1---77aa01c09d2e;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: <sip:201@pbx.example.com>;tag=91aa23fe\r\n" +
	"To: <sip:201@pbx.example.com>\r\n" +
	"Call-ID: 1f2e3d4c5b6a79880102030405060708\r\n" +
	"CSeq: 44 REGISTER\r\n" +
	"Contact: <sip:201@198.51.100.27:49213;ob>;reg-id=1;+sip.instance=\"<urn:uuid:8d3f0c52-91e7-4b1a-a1cb-0c5c2b7d1f08>\"\r\n" +
	"Expires: 300\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY, PRACK\r\n" +
	"Supported: path, outbound\r\n" +
	"User-Agent: DeskPhone/4.2.11 (build 7702; hw 3)\r\n" +
	"Authorization: Digest username=\"201\", realm=\"pbx.example.com\", nonce=\"zJ7i0m6A0kqU1lXqk2yIhA\", uri=\"sip:pbx.example.com\", " +
	"response=\"8ca523f5e9506fed4657c9700eebdbec8ca523f5e9506fed4657c9700eebdbec\", algorithm=SHA-256, cnonce=\"0a4f113b\", qop=auth, nc=00000001\r\n" +
	"Content-Length: 0\r\n\r\n"

var ordinary = map[string]string{"INVITE": benchInvite, "REGISTER": benchRegister}

func BenchmarkParse(b *testing.B) {
	for name, text := range ordinary {
		b.Run(name, func(b *testing.B) {
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				_ = m.Parse(text)
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	for name, text := range ordinary {
		b.Run(name, func(b *testing.B) {
			var m Message
			_ = m.Parse(text)
			b.ReportAllocs()
			for b.Loop() {
				_ = Validate(&m, nil)
			}
		})
	}
}

func BenchmarkParseValidate(b *testing.B) {
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Parse(benchInvite)
		_ = Validate(&m, nil)
	}
}

func BenchmarkTopVia(b *testing.B) {
	var m Message
	_ = m.Parse(benchInvite)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.TopVia()
	}
}

func BenchmarkRespond(b *testing.B) {
	var m Message
	_ = m.Parse(benchRegister)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendResponse(buf[:0], &m, 200, "", "tag")
	}
}

// The views of an ordinary message are substrings of it.
func TestOrdinaryMessagesDoNotAllocate(t *testing.T) {
	for name, text := range ordinary {
		var m Message
		if err := m.Parse(text); err != nil || Validate(&m, nil) != nil {
			t.Fatalf("%s: %v %v", name, err, Validate(&m, nil))
		}
		buf := make([]byte, 0, 4096)
		steps := map[string]func(){
			"Parse":    func() { _ = m.Parse(text) },
			"Validate": func() { _ = Validate(&m, nil) },
			"TopVia": func() {
				if v, err := m.TopVia(); err != nil || v.Branch() == "" {
					t.Error(err)
				}
			},
			"Elements": func() {
				for e := range m.Elements(HeaderVia) {
					_ = e
				}
				if !m.Lists(HeaderSupported, "PATH") {
					t.Error("path is not listed")
				}
			},
			"List": func() {
				for e := range List(m.Header(HeaderAllow)) {
					_ = e
				}
			},
			"Address": func() {
				a, err := m.Address(HeaderContact)
				if err != nil || !a.Params.Has("+sip.instance") {
					t.Error(err)
				}
				if u, err := ParseURI(a.URI); err != nil || u.Port != 49213 {
					t.Error(err)
				}
			},
			"tags":    func() { _, _, _ = m.FromTag(), m.ToTag(), m.CallID() },
			"CSeq":    func() { _, _, _ = m.CSeq() },
			"Respond": func() { buf = AppendResponse(buf[:0], &m, 200, "", "tag") },
			"Splice":  func() { buf = m.Splice(buf[:0], Edit{Kind: EditRemove, Line: m.Index(HeaderContact)}) },
			"checks": func() {
				if CheckRequire(&m) != nil || CheckAccept(&m) != nil || !CanRespond(&m) {
					t.Error("an ordinary message is refused")
				}
			},
		}
		for step, run := range steps {
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%s of %s: %v allocations, want 0", step, name, n)
			}
		}
	}
}
