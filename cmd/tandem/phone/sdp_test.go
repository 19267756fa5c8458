package phone

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func testNegotiator(t *testing.T, policy SRTP, codecs ...uint8) *negotiator {
	t.Helper()
	n, err := newNegotiator(policy, codecs, netip.MustParseAddr("127.0.0.1"), 4000)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOfferAnswer(t *testing.T) {
	both := []uint8{payloadPCMA, payloadPCMU}
	for _, c := range []struct {
		name     string
		from, to SRTP
		codecs   []uint8
		answer   string // what the answerer says
		accept   string // what the offerer says
		secure   bool
	}{
		{name: "plain", from: SRTPOff, to: SRTPOff, codecs: both},
		{name: "optional to off", from: SRTPOptional, to: SRTPOff, codecs: both},
		{name: "off to optional", from: SRTPOff, to: SRTPOptional, codecs: both},
		{name: "optional both", from: SRTPOptional, to: SRTPOptional, codecs: both, secure: true},
		{name: "required both", from: SRTPRequired, to: SRTPRequired, codecs: both, secure: true},
		{name: "required to optional", from: SRTPRequired, to: SRTPOptional, codecs: both, secure: true},
		{name: "required to off", from: SRTPRequired, to: SRTPOff, codecs: both, answer: errNoSRTP.Error()},
		{name: "off to required", from: SRTPOff, to: SRTPRequired, codecs: both, answer: errNeedSRTP.Error()},
		{name: "no codec", from: SRTPOff, to: SRTPOff, codecs: nil, answer: errNoCodec.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := testNegotiator(t, c.from, both...), testNegotiator(t, c.to, c.codecs...)
			answer, err := b.answer(offerOf(t, a))
			if c.answer != "" {
				if err == nil || err.Error() != c.answer {
					t.Fatalf("answer said %v, want %q", err, c.answer)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := a.accept(answer); err != nil {
				t.Fatal(err)
			}
			if a.agreed.secure != c.secure || b.agreed.secure != c.secure {
				t.Fatalf("secure: %v and %v, want %v", a.agreed.secure, b.agreed.secure, c.secure)
			}
			if c.secure && (!a.agreed.localKey.same(b.agreed.remoteKey) || !b.agreed.localKey.same(a.agreed.remoteKey)) {
				t.Error("the two sides hold different keys")
			}
			if !a.agreed.send || !a.agreed.receive || a.agreed.payload != payloadPCMA || a.agreed.event != payloadEvent {
				t.Errorf("agreed %+v", a.agreed)
			}
		})
	}
}

func TestHoldDirections(t *testing.T) {
	a, b := testNegotiator(t, SRTPOptional, payloadPCMU), testNegotiator(t, SRTPOptional, payloadPCMU)
	exchange := func(from, to *negotiator) {
		t.Helper()
		answer, err := to.answer(offerOf(t, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := from.accept(answer); err != nil {
			t.Fatal(err)
		}
	}
	exchange(a, b)
	key := a.agreed.localKey
	steps := []struct {
		name         string
		actor        *negotiator
		peer         *negotiator
		want         Direction
		black        bool
		aWrote       Direction
		aSend, aRecv bool
		bSend, bRecv bool
	}{
		{"a holds", a, b, SendOnly, false, SendOnly, true, false, false, true},
		{"b holds too", b, a, SendOnly, false, Inactive, false, false, false, false},
		{"b resumes, a still holds", b, a, SendRecv, false, SendOnly, true, false, false, true},
		{"a resumes", a, b, SendRecv, false, SendRecv, true, true, true, true},
		{"a is inactive", a, b, Inactive, false, Inactive, false, false, false, false},
		{"a holds the old way", a, b, SendOnly, true, SendOnly, true, false, false, true},
		{"a resumes again", a, b, SendRecv, false, SendRecv, true, true, true, true},
	}
	for _, s := range steps {
		s.actor.want, s.actor.blackhole = s.want, s.black
		exchange(s.actor, s.peer)
		if a.local != s.aWrote || a.agreed.send != s.aSend || a.agreed.receive != s.aRecv || b.agreed.send != s.bSend || b.agreed.receive != s.bRecv {
			t.Errorf("%s: a wrote %s, a %+v, b %+v", s.name, a.local, a.agreed, b.agreed)
		}
	}
	if !a.agreed.localKey.same(key) {
		t.Error("the key changed with a re-INVITE")
	}
}

func TestAnswerRefusesOtherStreamsInOrder(t *testing.T) {
	n := testNegotiator(t, SRTPOff, payloadPCMA)
	offer := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" +
		"m=video 6000 RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 VP8/90000\r\n" +
		"m=audio 5000 RTP/AVP 97 8 98\r\nc=IN IP4 127.0.0.9\r\na=rtpmap:97 PCMA/8000\r\na=rtpmap:98 telephone-event/8000\r\na=rtcp:5009\r\na=sendonly\r\n"
	answer, err := n.answer([]byte(offer))
	if err != nil {
		t.Fatal(err)
	}
	text := string(answer)
	if video, audio := strings.Index(text, "m=video 0 RTP/AVP 96"), strings.Index(text, "m=audio 4000 RTP/AVP 97 8 98\r\n"); video < 0 || audio < video {
		t.Errorf("answer: %s", text)
	}
	if !strings.Contains(text, "a=recvonly") || n.agreed.rtp.String() != "127.0.0.9:5000" || n.agreed.rtcp.String() != "127.0.0.9:5009" || n.agreed.payload != 97 {
		t.Errorf("agreed %+v from %s", n.agreed, text)
	}
}

func TestParseCryptoLine(t *testing.T) {
	const key = "inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm"
	for value, ok := range map[string]bool{
		"1 AES_CM_128_HMAC_SHA1_80 " + key:                       true,
		"1 AES_CM_128_HMAC_SHA1_80 " + key + "|2^20":             true,
		"1 AES_CM_128_HMAC_SHA1_80 " + key + "|2^20|1:4":         false, // MKI
		"1 AES_CM_128_HMAC_SHA1_80 " + key + " UNENCRYPTED_SRTP": false,
		"1 AES_CM_128_HMAC_SHA1_32 " + key:                       false,
		"1 AEAD_AES_128_GCM " + key:                              false, // 30 bytes where 28 belong
		"x AES_CM_128_HMAC_SHA1_80 " + key:                       false,
		"1 AES_CM_128_HMAC_SHA1_80":                              false,
	} {
		if _, err := parseCryptoLine(value); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// A description that parses must also be answered without a panic, and the answer must parse again.
func FuzzAnswer(f *testing.F) {
	n, _ := newNegotiator(SRTPOptional, []uint8{payloadPCMA}, netip.MustParseAddr("127.0.0.1"), 4000)
	f.Add(offerOf(f, n))
	f.Add([]byte("v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 5000 RTP/SAVP 0\r\n"))
	f.Fuzz(func(t *testing.T, offer []byte) {
		n, _ := newNegotiator(SRTPOptional, []uint8{payloadPCMA, payloadPCMU}, netip.MustParseAddr("127.0.0.1"), 4000)
		answer, err := n.answer(offer)
		if err != nil {
			return
		}
		if _, err := parseDescription(answer); err != nil && !bytes.ContainsAny(offer, "\x00") {
			t.Errorf("%v in our own answer %q", err, answer)
		}
	})
}

func offerOf(t testing.TB, n *negotiator) []byte {
	t.Helper()
	body, err := n.offer()
	if err != nil {
		t.Fatal(err)
	}
	return body
}
