package sdp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

var (
	pcmu  = Codec{PT: 0, Name: "PCMU", Rate: 8000}
	pcma  = Codec{PT: 8, Name: "PCMA", Rate: 8000}
	g722  = Codec{PT: 9, Name: "G722", Rate: 8000}
	opus  = Codec{PT: 111, Name: "opus", Rate: 48000, Channels: 2}
	event = Codec{PT: 101, Name: TelephoneEvent, Rate: 8000, Fmtp: "0-16"}
	wide  = Codec{PT: 110, Name: TelephoneEvent, Rate: 48000, Fmtp: "0-16"}

	own80  = Crypto{1, "AES_CM_128_HMAC_SHA1_80", "inline:own80"}
	ownGCM = Crypto{2, "AEAD_AES_128_GCM", "inline:ownGCM"}
)

func capabilities() Capabilities {
	return Capabilities{Codecs: []Codec{pcma, pcmu, g722, opus, event, wide}, RTP: netip.MustParseAddrPort("192.0.2.10:20000")}
}

func secured(s Security) Capabilities {
	c := capabilities()
	c.Security, c.Crypto = s, []Crypto{ownGCM, own80}
	return c
}

func begin() Negotiation { return NewNegotiation(4711, netip.MustParseAddr("192.0.2.10")) }

const offerHead = "v=0\r\no=bob 1 1 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n"

// offerText is an offer or answer of a peer with one RTP/AVP section at 203.0.113.7:5004.
func offerText(formats string, attributes ...string) string {
	return mSection("audio 5004 RTP/AVP "+formats, attributes...)
}

func mSection(m string, attributes ...string) string {
	return offerHead + more(m, attributes...)
}

func more(m string, attributes ...string) string {
	text := "m=" + m + "\r\n"
	for _, a := range attributes {
		text += a + "\r\n"
	}
	return text
}

const eventMap = "a=rtpmap:96 telephone-event/8000"

func names(list []Codec) string {
	var s []string
	for _, c := range list {
		s = append(s, c.Name)
	}
	return strings.Join(s, " ")
}

func TestAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		offer     string
		caps      func(*Capabilities)
		preferred Codec
		want      []string // lines of the answer, in order
		not       string
		check     func(*testing.T, Agreed)
		err       error
	}{
		"our order, the offer's numbers": {
			offer: offerText("0 8 96", eventMap),
			want:  []string{"m=audio 20000 RTP/AVP 8 0 96", "a=rtpmap:8 PCMA/8000", "a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-16", "a=ptime:20", "a=sendrecv"},
			check: func(t *testing.T, a Agreed) {
				if a.Codec.PT != 8 || a.SendEvent.PT != 96 || a.ReceiveEvent.PT != 96 || !a.Sends || !a.Receives || a.Held {
					t.Errorf("agreed %+v", a)
				}
				if a.RTP.String() != "203.0.113.7:5004" || a.RTCP.String() != "203.0.113.7:5005" || a.PTime != 20 {
					t.Errorf("agreed %+v", a)
				}
			},
		},
		"preferred first":                       {offer: offerText("8 0 9"), preferred: g722, want: []string{"m=audio 20000 RTP/AVP 9 8 0"}},
		"preferred that is not offered":         {offer: offerText("0 8"), preferred: opus, want: []string{"m=audio 20000 RTP/AVP 8 0"}},
		"one codec only":                        {offer: offerText("0 8 9 96", eventMap), caps: func(c *Capabilities) { c.One = true }, want: []string{"m=audio 20000 RTP/AVP 8 96"}},
		"case of names does not matter":         {offer: offerText("97 98", "a=rtpmap:97 pcma/8000/1", "a=rtpmap:98 Telephone-Event/8000"), want: []string{"m=audio 20000 RTP/AVP 97 98"}},
		"unknown codecs fall away":              {offer: offerText("18 3 99 0"), want: []string{"m=audio 20000 RTP/AVP 0"}},
		"same codec under two numbers":          {offer: offerText("96 97", "a=rtpmap:96 PCMA/8000", "a=rtpmap:97 PCMA/8000"), want: []string{"m=audio 20000 RTP/AVP 96"}},
		"telephone-event of the codec's clock":  {offer: offerText("8 110 126", "a=rtpmap:110 telephone-event/48000", "a=rtpmap:126 telephone-event/8000"), want: []string{"m=audio 20000 RTP/AVP 8 126"}},
		"telephone-event of another clock only": {offer: offerText("8 110", "a=rtpmap:110 telephone-event/48000"), want: []string{"m=audio 20000 RTP/AVP 8 110"}},
		"both clocks beside opus and PCMA": {
			offer: offerText("111 8 110 126", "a=rtpmap:111 opus/48000/2", "a=rtpmap:110 telephone-event/48000", "a=rtpmap:126 telephone-event/8000"), preferred: opus,
			want: []string{"m=audio 20000 RTP/AVP 111 8 126 110"},
			check: func(t *testing.T, a Agreed) {
				if a.SendEvent.PT != 110 {
					t.Errorf("event beside opus = %+v", a.SendEvent)
				}
			},
		},
		"telephone-event alone is no audio": {offer: offerText("96", eventMap), err: ErrNoCodec},
		"no codec in common":                {offer: offerText("3 4 18"), err: ErrNoCodec},
		"feedback profile":                  {offer: mSection("audio 5004 RTP/AVPF 8"), want: []string{"m=audio 20000 RTP/AVPF 8"}},
		"fax and video refused in place": {
			offer: mSection("image 4000 udptl t38", "a=T38FaxVersion:0") + more("audio 5004 RTP/AVP 8") + more("video 5006 RTP/AVP 99", "a=rtpmap:99 H264/90000"),
			want:  []string{"m=image 0 udptl t38", "m=audio 20000 RTP/AVP 8", "m=video 0 RTP/AVP 99"}, not: "H264",
			check: func(t *testing.T, a Agreed) {
				if a.Section != 1 {
					t.Errorf("section = %d, want 1", a.Section)
				}
			},
		},
		"second audio refused":             {offer: offerText("8") + more("audio 5008 RTP/AVP 0"), want: []string{"m=audio 20000 RTP/AVP 8", "m=audio 0 RTP/AVP 0"}},
		"first audio of no use":            {offer: offerText("18") + more("audio 5008 RTP/AVP 0"), want: []string{"m=audio 0 RTP/AVP 18", "m=audio 20000 RTP/AVP 0"}},
		"video only":                       {offer: mSection("video 5004 RTP/AVP 31"), err: ErrNoAudio},
		"no section at all":                {offer: offerHead, err: ErrNoAudio},
		"audio disabled":                   {offer: mSection("audio 0 RTP/AVP 8"), err: ErrNoAudio},
		"multicast":                        {offer: offerText("8", "c=IN IP4 224.2.1.1/127"), err: ErrAddress},
		"host name":                        {offer: offerText("8", "c=IN IP4 phone.example.com"), err: ErrAddress},
		"browser's profile":                {offer: mSection("audio 5004 UDP/TLS/RTP/SAVPF 8"), err: ErrSecurity},
		"address of the section":           {offer: offerText("8", "c=IN IP4 203.0.113.8"), check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTP, "203.0.113.8:5004") }},
		"a=rtcp with port":                 {offer: offerText("8", "a=rtcp:6000"), check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "203.0.113.7:6000") }},
		"a=rtcp with address":              {offer: offerText("8", "a=rtcp:6000 IN IP4 203.0.113.9"), check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "203.0.113.9:6000") }},
		"own RTCP elsewhere":               {offer: offerText("8"), caps: func(c *Capabilities) { c.RTCP = 30001 }, want: []string{"a=rtcp:30001"}},
		"mux taken":                        {offer: offerText("8", "a=rtcp-mux"), caps: func(c *Capabilities) { c.Mux = true }, want: []string{"a=rtcp-mux"}, check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "203.0.113.7:5004") }},
		"mux not wanted":                   {offer: offerText("8", "a=rtcp-mux"), not: "rtcp-mux", check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "203.0.113.7:5005") }},
		"mux not offered":                  {offer: offerText("8"), caps: func(c *Capabilities) { c.Mux = true }, not: "rtcp-mux"},
		"ptime":                            {offer: offerText("8", "a=ptime:30"), check: func(t *testing.T, a Agreed) { wantInt(t, a.PTime, 30) }},
		"maxptime below the usual":         {offer: offerText("8", "a=maxptime:10"), check: func(t *testing.T, a Agreed) { wantInt(t, a.PTime, 10) }},
		"hold by sendonly":                 {offer: offerText("8", "a=sendonly"), want: []string{"a=recvonly"}, check: wantHeld(true)},
		"hold by inactive":                 {offer: offerText("8", "a=inactive"), want: []string{"a=inactive"}, check: wantHeld(false)},
		"hold by session attribute":        {offer: strings.Replace(offerText("8"), "t=0 0\r\n", "t=0 0\r\na=inactive\r\n", 1), want: []string{"a=inactive"}, check: wantHeld(false)},
		"hold by 0.0.0.0":                  {offer: offerText("8", "c=IN IP4 0.0.0.0"), want: []string{"a=recvonly"}, check: wantHeld(true)},
		"hold by 0.0.0.0 and inactive":     {offer: offerText("8", "c=IN IP4 0.0.0.0", "a=inactive"), want: []string{"a=inactive"}, check: wantHeld(false)},
		"hold by discard port":             {offer: mSection("audio 9 RTP/AVP 8"), want: []string{"a=recvonly"}, check: wantHeld(true)},
		"peer only listens":                {offer: offerText("8", "a=recvonly"), want: []string{"a=sendonly"}, check: func(t *testing.T, a Agreed) { wantFlow(t, a, true, false) }},
		"we hold":                          {offer: offerText("8"), caps: func(c *Capabilities) { c.Direction = SendOnly }, want: []string{"a=sendonly"}},
		"both hold":                        {offer: offerText("8", "a=sendonly"), caps: func(c *Capabilities) { c.Direction = SendOnly }, want: []string{"a=inactive"}},
		"port 65535 has no port above":     {offer: mSection("audio 65535 RTP/AVP 8"), check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "invalid AddrPort") }},
		"keys in the clear are left alone": {offer: offerText("8", "a=crypto:1 AEAD_AES_128_GCM inline:x"), not: "crypto"},
	} {
		t.Run(name, func(t *testing.T) {
			n, c := begin(), capabilities()
			if test.caps != nil {
				test.caps(&c)
			}
			text, a, err := n.Answer(mustParse(t, test.offer), c, test.preferred)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if test.err != nil {
				if text != nil || n.Said() != nil {
					t.Errorf("something was said: %s", text)
				}
				return
			}
			checkWritten(t, text, test.want, test.not)
			if test.check != nil {
				test.check(t, a)
			}
		})
	}
}

func checkWritten(t *testing.T, text []byte, want []string, not string) {
	t.Helper()
	rest := string(text)
	for _, line := range want {
		_, after, ok := strings.Cut(rest, "\r\n"+line+"\r\n")
		if !ok {
			t.Errorf("no line %q (in this place) in\n%s", line, text)
			break
		}
		rest = "\r\n" + after
	}
	if not != "" && strings.Contains(string(text), not) {
		t.Errorf("%q should not be in\n%s", not, text)
	}
	if !strings.Contains(string(text), "udptl") { // which pion/sdp does not know
		checkWithPion(t, text)
	}
	mustParse(t, string(text))
}

func wantAddr(t *testing.T, got netip.AddrPort, want string) {
	t.Helper()
	if got.String() != want {
		t.Errorf("address %v, want %s", got, want)
	}
}

func wantInt(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func wantFlow(t *testing.T, a Agreed, sends, receives bool) {
	t.Helper()
	if a.Sends != sends || a.Receives != receives {
		t.Errorf("sends %v, receives %v; want %v, %v", a.Sends, a.Receives, sends, receives)
	}
}

func wantHeld(receives bool) func(*testing.T, Agreed) {
	return func(t *testing.T, a Agreed) {
		t.Helper()
		if !a.Held {
			t.Error("not held")
		}
		wantFlow(t, a, false, receives)
	}
}

// The examples of RFC 3264 §10, with addresses in place of the host names.
func TestExamplesOfRFC3264(t *testing.T) {
	t.Run("10.1 basic exchange", func(t *testing.T) {
		offer := mSection("audio 49170 RTP/AVP 0", "a=rtpmap:0 PCMU/8000") + more("video 51372 RTP/AVP 31", "a=rtpmap:31 H261/90000") +
			more("video 53000 RTP/AVP 32", "a=rtpmap:32 MPV/90000")
		n := begin()
		text, _, err := n.Answer(mustParse(t, offer), capabilities(), Codec{})
		if err != nil {
			t.Fatal(err)
		}
		checkWritten(t, text, []string{"m=audio 20000 RTP/AVP 0", "m=video 0 RTP/AVP 31", "m=video 0 RTP/AVP 32"}, "")
		// Bob changes his port and adds a telephone-event stream of its own: sections stay in order, the new one is refused.
		second := mSection("audio 65422 RTP/AVP 0") + more("video 0 RTP/AVP 31") + more("video 53000 RTP/AVP 32") +
			more("audio 51434 RTP/AVP 110", "a=rtpmap:110 telephone-event/8000", "a=recvonly")
		text, a, err := n.Answer(mustParse(t, second), capabilities(), Codec{})
		if err != nil {
			t.Fatal(err)
		}
		checkWritten(t, text, []string{"m=audio 20000 RTP/AVP 0", "m=video 0 RTP/AVP 31", "m=video 0 RTP/AVP 32", "m=audio 0 RTP/AVP 110"}, "")
		wantAddr(t, a.RTP, "203.0.113.7:65422")
	})
	t.Run("10.2 one of N codecs", func(t *testing.T) {
		n := begin()
		c := capabilities()
		c.One = true
		c.Codecs = []Codec{{PT: 18, Name: "G729", Rate: 8000}, pcmu, {PT: 4, Name: "G723", Rate: 8000}}
		text, a, err := n.Answer(mustParse(t, offerText("0 4 18", "a=rtpmap:4 G723/8000", "a=rtpmap:18 G729/8000", "a=inactive")), c, Codec{Name: "G723", Rate: 8000})
		if err != nil {
			t.Fatal(err)
		}
		checkWritten(t, text, []string{"m=audio 20000 RTP/AVP 4", "a=inactive"}, "")
		wantFlow(t, a, false, false)
	})
}

func TestOffer(t *testing.T) {
	n, c := begin(), capabilities()
	text := n.Offer(c)
	checkWritten(t, text, []string{
		"o=- 4711 1 IN IP4 192.0.2.10", "c=IN IP4 192.0.2.10", "m=audio 20000 RTP/AVP 8 0 9 111 101 110",
		"a=rtpmap:111 opus/48000/2", "a=fmtp:101 0-16", "a=ptime:20", "a=sendrecv",
	}, "crypto")

	c = secured(Required)
	c.Mux, c.RTCP, c.Direction, c.PTime = true, 20007, RecvOnly, 30
	n = begin()
	checkWritten(t, n.Offer(c), []string{"m=audio 20000 RTP/SAVP 8 0 9 111 101 110", "a=ptime:30", "a=recvonly", "a=rtcp:20007", "a=rtcp-mux",
		"a=crypto:2 AEAD_AES_128_GCM inline:ownGCM", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:own80"}, "")

	n = begin()
	checkWritten(t, n.Offer(secured(Optional)), []string{"m=audio 20000 RTP/AVP 8 0 9 111 101 110", "a=crypto:2 AEAD_AES_128_GCM inline:ownGCM"}, "SAVP")

	n = NewNegotiation(1, netip.MustParseAddr("2001:db8::1"))
	c = capabilities()
	c.RTP = netip.MustParseAddrPort("[2001:db8::1]:20000")
	checkWritten(t, n.Offer(c), []string{"o=- 1 1 IN IP6 2001:db8::1", "c=IN IP6 2001:db8::1"}, "IP4")
}

func TestAccept(t *testing.T) {
	for name, test := range map[string]struct {
		caps   Capabilities
		answer string
		check  func(*testing.T, Agreed)
		err    error
	}{
		"codecs by number both ways": {
			caps:   capabilities(),
			answer: offerText("0 100", "a=rtpmap:100 telephone-event/8000"),
			check: func(t *testing.T, a Agreed) {
				if a.Codec.PT != 0 || names(a.Send) != "PCMU telephone-event" || a.SendEvent.PT != 100 || a.ReceiveEvent.PT != 101 {
					t.Errorf("agreed %+v", a)
				}
				if c, ok := a.Receiving(101); !ok || !c.IsEvent() {
					t.Errorf("Receiving(101) = %v, %v", c, ok)
				}
				if c, ok := a.Sending(event); !ok || c.PT != 100 {
					t.Errorf("Sending(event) = %v, %v", c, ok)
				}
				if _, ok := a.Receiving(8); ok {
					t.Error("PCMA was not agreed to")
				}
			},
		},
		"the answer's first codec is sent":      {caps: capabilities(), answer: offerText("9 8"), check: func(t *testing.T, a Agreed) { wantInt(t, int(a.Codec.PT), 9) }},
		"a codec that was not offered is extra": {caps: capabilities(), answer: offerText("18 8"), check: func(t *testing.T, a Agreed) { wantInt(t, len(a.Send), 1) }},
		"number without rtpmap is ours":         {caps: capabilities(), answer: offerText("8 101"), check: func(t *testing.T, a Agreed) { wantInt(t, int(a.SendEvent.PT), 101) }},
		"numbers that mean nothing":             {caps: capabilities(), answer: offerText("99"), err: ErrNoCodec},
		"no codec in common":                    {caps: capabilities(), answer: offerText("18"), err: ErrNoCodec},
		"only events":                           {caps: capabilities(), answer: offerText("101"), err: ErrNoCodec},
		"refused":                               {caps: capabilities(), answer: mSection("audio 0 RTP/AVP 8"), err: ErrNoAudio},
		"a section too many":                    {caps: capabilities(), answer: offerText("8") + more("video 0 RTP/AVP 31"), err: ErrSections},
		"no section":                            {caps: capabilities(), answer: offerHead, err: ErrSections},
		"another kind":                          {caps: capabilities(), answer: mSection("video 5004 RTP/AVP 31"), err: ErrProfile},
		"another profile":                       {caps: capabilities(), answer: mSection("audio 5004 RTP/AVPF 8"), err: ErrProfile},
		"secured answer to a plain offer":       {caps: capabilities(), answer: mSection("audio 5004 RTP/SAVP 8", "a=crypto:1 AEAD_AES_128_GCM inline:x"), err: ErrProfile},
		"plain answer to a secured offer":       {caps: secured(Required), answer: offerText("8"), err: ErrProfile},
		"secured answer without key":            {caps: secured(Required), answer: mSection("audio 5004 RTP/SAVP 8"), err: ErrSecurity},
		"two keys":                              {caps: secured(Required), answer: mSection("audio 5004 RTP/SAVP 8", "a=crypto:2 AEAD_AES_128_GCM inline:x", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:y"), err: ErrSecurity},
		"a tag that was not offered":            {caps: secured(Required), answer: mSection("audio 5004 RTP/SAVP 8", "a=crypto:3 AEAD_AES_128_GCM inline:x"), err: ErrSecurity},
		"tag of another suite":                  {caps: secured(Required), answer: mSection("audio 5004 RTP/SAVP 8", "a=crypto:1 AEAD_AES_128_GCM inline:x"), err: ErrSecurity},
		"secured": {
			caps: secured(Required), answer: mSection("audio 5004 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:theirs"),
			check: func(t *testing.T, a Agreed) {
				if !a.Secured || a.Local != own80 || a.Remote.Params != "inline:theirs" {
					t.Errorf("secured %v with %s and %s", a.Secured, a.Local.Value(), a.Remote.Value())
				}
			},
		},
		"optional, taken":      {caps: secured(Optional), answer: offerText("8", "a=crypto:2 AEAD_AES_128_GCM inline:theirs"), check: func(t *testing.T, a Agreed) { wantSecured(t, a, true) }},
		"optional, not taken":  {caps: secured(Optional), answer: offerText("8"), check: func(t *testing.T, a Agreed) { wantSecured(t, a, false) }},
		"optional, wrong key":  {caps: secured(Optional), answer: offerText("8", "a=crypto:7 AEAD_AES_128_GCM inline:theirs"), err: ErrSecurity},
		"unwanted key":         {caps: capabilities(), answer: offerText("8", "a=crypto:2 AEAD_AES_128_GCM inline:theirs"), check: func(t *testing.T, a Agreed) { wantSecured(t, a, false) }},
		"answer that holds":    {caps: capabilities(), answer: offerText("8", "a=inactive"), check: wantHeld(false)},
		"answer that listens":  {caps: capabilities(), answer: offerText("8", "a=recvonly"), check: func(t *testing.T, a Agreed) { wantFlow(t, a, true, false) }},
		"answer to 0.0.0.0":    {caps: capabilities(), answer: offerText("8", "c=IN IP4 0.0.0.0"), check: wantHeld(true)},
		"answer by host name":  {caps: capabilities(), answer: offerText("8", "c=IN IP4 a.example.com"), err: ErrAddress},
		"mux that we offered":  {caps: muxed(), answer: offerText("8", "a=rtcp-mux"), check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "203.0.113.7:5004") }},
		"mux that was refused": {caps: muxed(), answer: offerText("8"), check: func(t *testing.T, a Agreed) { wantAddr(t, a.RTCP, "203.0.113.7:5005") }},
	} {
		t.Run(name, func(t *testing.T) {
			n := begin()
			n.Offer(test.caps)
			a, err := n.Accept(mustParse(t, test.answer))
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if n.Pending() != (err != nil) {
				t.Errorf("pending %v after %v", n.Pending(), err)
			}
			if test.check != nil {
				test.check(t, a)
			}
		})
	}
}

func muxed() Capabilities {
	c := capabilities()
	c.Mux = true
	return c
}

func wantSecured(t *testing.T, a Agreed, want bool) {
	t.Helper()
	if a.Secured != want || (a.Local != Crypto{}) != want || (a.Remote != Crypto{}) != want {
		t.Errorf("secured %v, want %v", a.Secured, want)
	}
}

func TestAnswerSecurity(t *testing.T) {
	gcm, cm := "a=crypto:4 AEAD_AES_128_GCM inline:x", "a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:y"
	for name, test := range map[string]struct {
		caps  Capabilities
		offer string
		want  []string
		not   string
		err   error
	}{
		"our preference, the offer's tag": {secured(Required), mSection("audio 5004 RTP/SAVP 8", cm, gcm), []string{"m=audio 20000 RTP/SAVP 8", "a=crypto:4 AEAD_AES_128_GCM inline:ownGCM"}, "own80", nil},
		"the one in common":               {secured(Required), mSection("audio 5004 RTP/SAVP 8", cm), []string{"a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:own80"}, "", nil},
		"optional takes SAVP":             {secured(Optional), mSection("audio 5004 RTP/SAVPF 8", gcm), []string{"m=audio 20000 RTP/SAVPF 8", "a=crypto:4 AEAD_AES_128_GCM inline:ownGCM"}, "", nil},
		"optional takes keys over AVP":    {secured(Optional), offerText("8", gcm), []string{"m=audio 20000 RTP/AVP 8", "a=crypto:4 AEAD_AES_128_GCM inline:ownGCM"}, "", nil},
		"optional goes without":           {secured(Optional), offerText("8"), []string{"m=audio 20000 RTP/AVP 8"}, "crypto", nil},
		"required takes keys over AVP":    {secured(Required), offerText("8", gcm), []string{"a=crypto:4 AEAD_AES_128_GCM inline:ownGCM"}, "", nil},
		"required refuses plain":          {secured(Required), offerText("8"), nil, "", ErrSecurity},
		"plain refuses SAVP":              {secured(Plain), mSection("audio 5004 RTP/SAVP 8", gcm), nil, "", ErrSecurity},
		"no suite in common":              {secured(Optional), mSection("audio 5004 RTP/SAVP 8", "a=crypto:1 F8_128_HMAC_SHA1_80 inline:x"), nil, "", ErrSecurity},
		"SAVP without any key":            {secured(Optional), mSection("audio 5004 RTP/SAVP 8"), nil, "", ErrSecurity},
	} {
		t.Run(name, func(t *testing.T) {
			n := begin()
			text, _, err := n.Answer(mustParse(t, test.offer), test.caps, Codec{})
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil {
				checkWritten(t, text, test.want, test.not)
			}
		})
	}
	c := secured(Required)
	c.Usable = func(line Crypto) bool { return line.Tag != 4 }
	n := begin()
	text, _, err := n.Answer(mustParse(t, mSection("audio 5004 RTP/SAVP 8", gcm, cm)), c, Codec{})
	if err != nil {
		t.Fatal(err)
	}
	checkWritten(t, text, []string{"a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:own80"}, "")
}

func TestVersionRisesOnlyWithAChange(t *testing.T) {
	n, c := begin(), capabilities()
	version := func(text []byte) uint64 { return mustParse(t, string(text)).Origin.Version }
	answer := mustParse(t, offerText("8"))
	steps := []struct {
		what      string
		direction Direction
		want      uint64
	}{
		{"first", SendRecv, 1}, {"refresh", SendRecv, 1}, {"hold", SendOnly, 2}, {"hold again", SendOnly, 2}, {"resume", SendRecv, 3},
	}
	for _, s := range steps {
		c.Direction = s.direction
		text := n.Offer(c)
		if v := version(text); v != s.want {
			t.Errorf("%s: version %d, want %d", s.what, v, s.want)
		}
		if _, err := n.Accept(answer); err != nil {
			t.Fatal(err)
		}
	}
	// An answer that says what the offer said does not raise it, whatever the peer's own version does.
	offer := mustParse(t, strings.Replace(offerText("8 0 9 111 101 110", "a=rtpmap:111 opus/48000/2", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:110 telephone-event/48000"), "bob 1 1", "bob 1 77", 1))
	text, _, err := n.Answer(offer, c, Codec{})
	if err != nil {
		t.Fatal(err)
	}
	if v := version(text); v != 3 {
		t.Errorf("unchanged answer: version %d, want 3\n%s", v, text)
	}
	c.Direction = SendOnly
	n.Offer(c)
	n.Withdraw()
	c.Direction = SendRecv
	if v := version(n.Offer(c)); v != 5 {
		t.Errorf("after a withdrawn offer: version %d, want 5", v)
	}
}

func TestHoldAndResume(t *testing.T) {
	n, c := begin(), capabilities()
	for _, step := range []struct {
		offer           string
		want            string
		sends, receives bool
	}{
		{offerText("8"), "a=sendrecv", true, true},
		{offerText("8", "a=sendonly"), "a=recvonly", false, true},
		{offerText("8", "c=IN IP4 0.0.0.0", "a=inactive"), "a=inactive", false, false},
		{offerText("8", "a=sendrecv"), "a=sendrecv", true, true},
	} {
		text, a, err := n.Answer(mustParse(t, step.offer), c, Codec{})
		if err != nil {
			t.Fatal(err)
		}
		checkWritten(t, text, []string{step.want}, "0.0.0.0")
		wantFlow(t, a, step.sends, step.receives)
		if a.Sends != a.RTP.IsValid() && !a.Held {
			t.Errorf("sends %v to %v", a.Sends, a.RTP)
		}
	}
}

// A call that came without an offer: ours goes in the 200, the answer comes in the ACK.
func TestLateOffer(t *testing.T) {
	n := begin()
	if _, err := n.Accept(mustParse(t, offerText("8"))); !errors.Is(err, ErrNoOffer) {
		t.Errorf("answer before any offer: %v, want ErrNoOffer", err)
	}
	offer := n.Offer(capabilities())
	if !n.Pending() || string(n.Said()) != string(offer) {
		t.Error("the offer is not pending")
	}
	a, err := n.Accept(mustParse(t, offerText("8 101")))
	if err != nil || a.Codec.PT != 8 {
		t.Errorf("agreed %+v, %v", a, err)
	}
}

// The 200 of a fork brings another answer than its 183 did, and each fork works on a copy.
func TestAcceptAgain(t *testing.T) {
	n := begin()
	n.Offer(capabilities())
	fork := n
	if _, err := n.Accept(mustParse(t, offerText("8"))); err != nil {
		t.Fatal(err)
	}
	a, err := n.Accept(mustParse(t, offerText("0")))
	if err != nil || a.Codec.PT != 0 {
		t.Errorf("second answer: %+v, %v", a, err)
	}
	if a, err = fork.Accept(mustParse(t, offerText("9"))); err != nil || a.Codec.PT != 9 {
		t.Errorf("answer of the fork: %+v, %v", a, err)
	}
}

func TestReofferKeepsSectionsAndNumbers(t *testing.T) {
	n, c := begin(), capabilities()
	offer := mSection("video 5002 RTP/AVP 99", "a=rtpmap:99 H264/90000") +
		more("audio 5004 RTP/AVPF 8 101 96", "a=rtpmap:101 opus/48000/2", "a=rtpmap:96 telephone-event/8000")
	if _, _, err := n.Answer(mustParse(t, offer), c, Codec{}); err != nil {
		t.Fatal(err)
	}
	// opus is 101 and telephone-event 96 in this call; 101 must not come back as telephone-event.
	text := n.Offer(c)
	checkWritten(t, text, []string{"m=video 0 RTP/AVP 99", "m=audio 20000 RTP/AVPF 8 0 9 101 96 110", "a=rtpmap:101 opus/48000/2", "a=rtpmap:96 telephone-event/8000"}, "H264")
	if _, err := n.Accept(mustParse(t, mSection("video 5002 RTP/AVP 99")+more("audio 5004 RTP/AVPF 8"))); !errors.Is(err, ErrSections) {
		t.Errorf("answer that wakes a refused section: %v, want ErrSections", err)
	}
	if _, err := n.Accept(mustParse(t, mSection("video 0 RTP/AVP 99")+more("audio 5004 RTP/AVPF 8"))); err != nil {
		t.Error(err)
	}
}

func TestNumbersThatCollide(t *testing.T) {
	n, c := begin(), capabilities()
	c.Codecs = []Codec{pcma, event}
	if _, _, err := n.Answer(mustParse(t, offerText("101 102", "a=rtpmap:101 PCMA/8000", "a=rtpmap:102 telephone-event/8000")), c, Codec{}); err != nil {
		t.Fatal(err)
	}
	c.Codecs = []Codec{pcma, {PT: 101, Name: "iLBC", Rate: 8000}, event}
	checkWritten(t, n.Offer(c), []string{"m=audio 20000 RTP/AVP 101 96 102", "a=rtpmap:96 iLBC/8000"}, "")
}

func TestSecuredSessionStaysSecured(t *testing.T) {
	n, c := begin(), secured(Optional)
	if _, _, err := n.Answer(mustParse(t, mSection("audio 5004 RTP/SAVPF 8", "a=crypto:1 AEAD_AES_128_GCM inline:x")), c, Codec{}); err != nil {
		t.Fatal(err)
	}
	checkWritten(t, n.Offer(c), []string{"m=audio 20000 RTP/SAVPF 8 0 9 111 101 110", "a=crypto:2 AEAD_AES_128_GCM inline:ownGCM"}, "")
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(offerText("0 8 101", "a=rtpmap:101 telephone-event/8000")), true)
	f.Add([]byte(mSection("audio 5004 RTP/SAVP 8", "a=crypto:1 AEAD_AES_128_GCM inline:x")), false)
	for _, body := range files(f, "odd") {
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, one bool) {
		d, err := Parse(body)
		if err != nil {
			return
		}
		n, c := begin(), secured(Optional)
		c.One, c.Mux = one, true
		text, a, err := n.Answer(d, c, opus)
		if err == nil {
			ours, err := Parse(text)
			if err != nil {
				t.Fatalf("%v in our answer\n%s", err, text)
			}
			if len(ours.Media) != len(d.Media) || ours.Media[a.Section].Port != 20000 || !a.Codec.IsAudio() {
				t.Fatalf("answer does not fit\n%s\n%s", body, text)
			}
			if a.Sends && (!a.RTP.IsValid() || a.RTP.Addr().IsUnspecified() || a.RTP.Addr().IsMulticast()) {
				t.Fatalf("would send to %v", a.RTP)
			}
		}
		n = begin()
		n.Offer(c)
		if a, err := n.Accept(d); err == nil && !a.Codec.IsAudio() {
			t.Fatalf("agreed to no codec: %+v", a)
		}
	})
}

// One leg's part of setting up a call: read an offer, write the answer.
func BenchmarkParseAndAnswer(b *testing.B) {
	offer := []byte(offerText("8 0 9 96", eventMap, "a=fmtp:96 0-16", "a=ptime:20", "a=sendrecv"))
	c := capabilities()
	b.ReportAllocs()
	for b.Loop() {
		d, err := Parse(offer)
		if err != nil {
			b.Fatal(err)
		}
		n := begin()
		if _, _, err := n.Answer(d, c, Codec{}); err != nil {
			b.Fatal(err)
		}
	}
}
