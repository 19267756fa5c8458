package sdp

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// chrome is what Chrome offers for sound, picture and data, as far as it matters: candidates by mDNS, port 9, BUNDLE.
const chrome = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=extmap-allow-mixed\r\n" +
	"a=msid-semantic: WMS 7f3b\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n" +
	"a=candidate:1 1 udp 2113937151 0a1b2c3d-0000-4000-8000-000000000000.local 51234 typ host generation 0 network-cost 999\r\n" +
	"a=ice-ufrag:dFq7\r\na=ice-pwd:IgsUhcJRKWc4sgPOwFXnMQ4J\r\na=ice-options:trickle\r\n" +
	"a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n" +
	"a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" +
	"a=sendrecv\r\na=msid:7f3b 9c1e\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n" +
	"a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n" +
	"a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r\na=ssrc:3570614608 msid:7f3b 9c1e\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:dFq7\r\na=ice-pwd:IgsUhcJRKWc4sgPOwFXnMQ4J\r\n" +
	"a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n" +
	"a=setup:actpass\r\na=mid:1\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n" +
	"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:dFq7\r\na=ice-pwd:IgsUhcJRKWc4sgPOwFXnMQ4J\r\n" +
	"a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n" +
	"a=setup:actpass\r\na=mid:2\r\na=sctp-port:5000\r\n"

func webCapabilities() Capabilities {
	return Capabilities{
		Codecs: []Codec{
			{PT: 8, Name: "PCMA", Rate: 8000}, {PT: 0, Name: "PCMU", Rate: 8000}, {PT: 9, Name: "G722", Rate: 8000},
			{PT: 111, Name: "opus", Rate: 48000, Channels: 2, Fmtp: "useinbandfec=1"},
			{PT: 101, Name: TelephoneEvent, Rate: 8000, Fmtp: "0-16"}, {PT: 101, Name: TelephoneEvent, Rate: 48000, Fmtp: "0-16"},
		},
		RTP: netip.MustParseAddrPort("192.0.2.1:40000"), Mux: true, One: true,
		Web: &Web{
			Ufrag: "ours", Pwd: "ourPasswordOfTwentyTwo", Fingerprints: []string{"sha-256 AA:BB"}, SSRC: 7, CNAME: "c",
			Candidates: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("[2001:db8::1]:40000")},
		},
	}
}

func parsed(t testing.TB, body string) *Description {
	t.Helper()
	d, err := Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The answer to Chrome, whole: one section taken, the others refused in place, nothing negotiated that is not carried.
func TestAnswerToChrome(t *testing.T) {
	n := NewNegotiation(1, netip.MustParseAddr("192.0.2.1"))
	body, a, err := n.Answer(parsed(t, chrome), webCapabilities(), Codec{Name: "PCMA", Rate: 8000})
	if err != nil {
		t.Fatal(err)
	}
	const want = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\n" +
		"m=audio 40000 UDP/TLS/RTP/SAVPF 8 126\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:126 telephone-event/8000\r\na=fmtp:126 0-16\r\na=ptime:20\r\n" +
		"a=sendrecv\r\na=rtcp-mux\r\na=mid:0\r\na=msid:tandem audio\r\na=ssrc:7 cname:c\r\na=ice-ufrag:ours\r\na=ice-pwd:ourPasswordOfTwentyTwo\r\n" +
		"a=fingerprint:sha-256 AA:BB\r\na=setup:passive\r\na=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host\r\n" +
		"a=candidate:2 1 udp 2130706175 2001:db8::1 40000 typ host\r\na=end-of-candidates\r\n" +
		"m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n"
	if string(body) != want {
		t.Errorf("answer\n%s\nwant\n%s", body, want)
	}
	if a.Held || !a.Sends || !a.Receives || !a.Mux || a.RTP.IsValid() || a.Setup != "passive" || a.Web.Ufrag != "dFq7" || len(a.Web.Fingerprints) != 1 {
		t.Errorf("agreed %+v", a)
	}
	if a.SendEvent.PT != 126 || a.SendEvent.Rate != 8000 {
		t.Errorf("event %+v", a.SendEvent)
	}
	n.caps.Web = nil
	opus := NewNegotiation(1, netip.MustParseAddr("192.0.2.1"))
	if _, a, err = opus.Answer(parsed(t, chrome), webCapabilities(), Codec{Name: "opus", Rate: 48000, Channels: 2}); err != nil || a.Codec.PT != 111 || a.SendEvent.Rate != 48000 {
		t.Errorf("%v, codec %v, event %v", err, a.Codec, a.SendEvent)
	}
}

func TestWebRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change, to string
		want       error
	}{
		"no fingerprint": {"a=fingerprint:", "a=x-fingerprint:", ErrWeb},
		"no ICE":         {"a=ice-ufrag:", "a=x-ufrag:", ErrWeb},
		"no mux":         {"a=rtcp-mux\r\n", "", ErrWeb},
		"holdconn":       {"a=setup:actpass", "a=setup:holdconn", ErrWeb},
		"plain RTP":      {"m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 4000 RTP/AVP", ErrSecurity},
		"SDES":           {"m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 4000 RTP/SAVPF", ErrSecurity},
		"no codec":       {"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "m=audio 9 UDP/TLS/RTP/SAVPF 63", ErrNoCodec},
		"no audio":       {"m=audio 9", "m=audio 0", ErrNoAudio},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewNegotiation(1, netip.MustParseAddr("192.0.2.1"))
			_, _, err := n.Answer(parsed(t, strings.ReplaceAll(chrome, c.change, c.to)), webCapabilities(), Codec{})
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	// A phone's leg takes no browser's offer.
	phone := webCapabilities()
	phone.Web = nil
	n := NewNegotiation(1, netip.MustParseAddr("192.0.2.1"))
	if _, _, err := n.Answer(parsed(t, chrome), phone, Codec{}); !errors.Is(err, ErrSecurity) {
		t.Error(err)
	}
}

// Our offer, its answer, and the offer after that: profile, section and identification stay.
func TestOfferToBrowser(t *testing.T) {
	n := NewNegotiation(1, netip.MustParseAddr("192.0.2.1"))
	c := webCapabilities()
	offer := string(n.Offer(c))
	for _, line := range []string{"m=audio 40000 UDP/TLS/RTP/SAVPF 8 0 9 111 101", "a=setup:actpass", "a=mid:0", "a=group:BUNDLE 0", "a=rtcp-mux", "a=ice-lite"} {
		if !strings.Contains(offer, line) {
			t.Errorf("no %s in\n%s", line, offer)
		}
	}
	answer := func(setup string) string {
		return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\n" +
			"a=fingerprint:SHA-256 AA\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:8 PCMA/8000\r\na=mid:0\r\na=rtcp-mux\r\na=setup:" + setup + "\r\n"
	}
	if _, err := n.Accept(parsed(t, answer("actpass"))); !errors.Is(err, ErrWeb) {
		t.Errorf("an answer with actpass: %v", err)
	}
	for setup, ours := range map[string]string{"active": "passive", "passive": "active"} {
		again := n
		a, err := again.Accept(parsed(t, answer(setup)))
		if err != nil || a.Setup != ours || a.Held || a.Web.Ufrag != "abcd" {
			t.Errorf("%s: %v %+v", setup, err, a)
		}
	}
	if _, err := n.Accept(parsed(t, answer("active"))); err != nil {
		t.Fatal(err)
	}
	next := string(n.Offer(c))
	if !strings.Contains(next, "UDP/TLS/RTP/SAVPF 8 0 9 111 101") || !strings.Contains(next, "a=mid:0\r\n") {
		t.Errorf("next offer\n%s", next)
	}
}

func TestIsWeb(t *testing.T) {
	for body, want := range map[string]bool{
		chrome: true, strings.Replace(chrome, "m=audio 9 ", "m=audio 0 ", 1): false, "": false,
		"m=audio 4000 RTP/AVP 8\r\n": false, "m=audio 4000 RTP/SAVP 8\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n": false,
	} {
		if IsWeb([]byte(body)) != want {
			t.Errorf("%.60q: %v", body, !want)
		}
	}
}

// Whatever a page offers: no panic, as many sections as it had, and an answer that is well formed.
func FuzzWebAnswer(f *testing.F) {
	f.Add([]byte(chrome))
	f.Add([]byte(strings.ReplaceAll(chrome, "a=setup:actpass", "a=setup:passive")))
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = IsWeb(body)
		d, err := Parse(body)
		if err != nil {
			return
		}
		n := NewNegotiation(1, netip.MustParseAddr("192.0.2.1"))
		answer, a, err := n.Answer(d, webCapabilities(), Codec{})
		if err != nil {
			return
		}
		back, err := Parse(answer)
		if err != nil || len(back.Media) != len(d.Media) {
			t.Fatalf("%v: %d sections of %d\n%s", err, len(back.Media), len(d.Media), answer)
		}
		if !slices.Contains([]string{"active", "passive"}, a.Setup) || a.Web == nil {
			t.Fatalf("agreed %+v", a)
		}
		if _, err := back.Web(&back.Media[a.Section]); err != nil {
			t.Fatalf("%v\n%s", err, answer)
		}
	})
}
