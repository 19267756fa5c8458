package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	pion "github.com/pion/sdp/v3"
)

func mustParse(t *testing.T, text string) *Description {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	return d
}

// checkWithPion reads what we wrote with a parser that we did not write.
func checkWithPion(t *testing.T, text []byte) {
	t.Helper()
	var d pion.SessionDescription
	if err := d.Unmarshal(text); err != nil {
		t.Errorf("pion/sdp cannot read it: %v\n%s", err, text)
	}
}

func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.sdp"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in testdata/%s: %v", dir, err)
	}
	out := make(map[string][]byte)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(p), ".sdp")] = b
	}
	return out
}

func TestParseRefusesWrongFiles(t *testing.T) {
	for name, body := range files(t, "wrong") {
		t.Run(name, func(t *testing.T) {
			if d, err := Parse(body); !errors.Is(err, ErrMalformed) {
				t.Errorf("Parse = %+v, %v; want ErrMalformed", d, err)
			}
		})
	}
}

func TestParseTakesOddFiles(t *testing.T) {
	for name, body := range files(t, "odd") {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			for i := range d.Media {
				if m := &d.Media[i]; m.Kind == "audio" {
					if c := m.Codecs[0]; c.String() != "PCMA/8000" || c.PT != 8 {
						t.Errorf("first codec = %d %v, want 8 PCMA/8000", c.PT, c)
					}
				}
			}
		})
	}
}

func TestParseRefusesOversize(t *testing.T) {
	body := []byte("v=0\r\n" + strings.Repeat("a=x\r\n", MaxBody/5))
	if _, err := Parse(body); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d bytes: %v, want ErrMalformed", len(body), err)
	}
	lines := "v=0\no=- 1 1 IN IP4 1.2.3.4\n" + strings.Repeat("a=x\n", maxLines)
	if _, err := Parse([]byte(lines)); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d lines: %v, want ErrMalformed", maxLines+2, err)
	}
}

func TestParseReadsEverything(t *testing.T) {
	d := mustParse(t, strings.Join([]string{
		"v=0", "o=bob 7 9 IN IP6 2001:db8::7", "s=call", "i=about", "u=http://example.com/", "e=b@example.com", "p=+1 555", "c=IN IP6 2001:db8::7",
		"b=AS:64", "t=0 0", "r=604800 3600 0 90000", "z=0 0", "k=prompt", "a=recvonly", "a=group:BUNDLE 0", "a=ice-lite",
		"m=audio 40000 RTP/SAVP 111 9 0 8 101 96", "i=sound", "c=IN IP4 198.51.100.4",
		"a=rtpmap:111 opus/48000/2", "a=fmtp:111 useinbandfec=1; maxplaybackrate=16000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16",
		"a=ptime:20.0", "a=maxptime:60", "a=rtcp:40003 IN IP4 198.51.100.5", "a=rtcp-mux", "a=mid:0",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 WSH=64",
		"m=audio 0 RTP/AVP 0", "a=sendonly", "",
	}, "\r\n"))
	v4, v6 := netip.MustParseAddr("198.51.100.4"), netip.MustParseAddr("2001:db8::7")
	want := &Description{
		Origin:     Origin{User: "bob", Session: 7, Version: 9, Host: "2001:db8::7"},
		Addr:       v6,
		Attributes: []Attribute{{Name: "group", Value: "BUNDLE 0"}, {Name: "ice-lite", Flag: true}},
		Media: []Media{{
			Kind: "audio", Port: 40000, Proto: "RTP/SAVP", Formats: []string{"111", "9", "0", "8", "101", "96"},
			Addr: v4, RTCP: netip.MustParseAddrPort("198.51.100.5:40003"), Mux: true,
			Codecs: []Codec{
				{PT: 111, Name: "opus", Rate: 48000, Channels: 2, Fmtp: "useinbandfec=1; maxplaybackrate=16000"},
				{PT: 9, Name: "G722", Rate: 8000}, {PT: 0, Name: "PCMU", Rate: 8000}, {PT: 8, Name: "PCMA", Rate: 8000},
				{PT: 101, Name: "telephone-event", Rate: 8000, Fmtp: "0-16"}, {PT: 96},
			},
			Direction: RecvOnly, PTime: 20, MaxPTime: 60,
			Crypto:     []Crypto{{1, "AES_CM_128_HMAC_SHA1_80", "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 WSH=64"}},
			Attributes: []Attribute{{Name: "mid", Value: "0"}},
		}, {
			Kind: "audio", Proto: "RTP/AVP", Formats: []string{"0"}, Addr: v6,
			Codecs: []Codec{{PT: 0, Name: "PCMU", Rate: 8000}}, Direction: SendOnly,
		}},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
	checkRoundTrip(t, d)
	checkWithPion(t, d.Bytes())
}

func checkRoundTrip(t *testing.T, d *Description) {
	t.Helper()
	text := d.Bytes()
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("cannot read what we wrote: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(d, again) {
		t.Fatalf("round trip:\n%+v\n%+v\n%s", d, again, text)
	}
}

func TestStaticPayloads(t *testing.T) {
	for pt, want := range map[uint8]string{0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000", 13: "CN/8000", 18: "G729/8000", 10: "L16/44100/2"} {
		if c, ok := Static(pt); !ok || c.String() != want || c.PT != pt {
			t.Errorf("Static(%d) = %d %v, %v; want %s", pt, c.PT, c, ok, want)
		}
	}
	for _, pt := range []uint8{1, 2, 19, 35, 96, 127} {
		if c, ok := Static(pt); ok {
			t.Errorf("Static(%d) = %v", pt, c)
		}
	}
}

func TestCryptoNeverShows(t *testing.T) {
	c := Crypto{1, "AEAD_AES_128_GCM", "inline:SECRETSECRET"}
	m := Media{Crypto: []Crypto{c}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, v := range []any{c, &c, m, &m, Agreed{Local: c, Remote: c}} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "SECRET") || strings.Contains(s, "534543524554") {
				t.Errorf("%s of %T shows the key: %s", verb, v, s)
			}
		}
	}
	if s := c.LogValue().String(); strings.Contains(s, "SECRET") {
		t.Errorf("LogValue shows the key: %s", s)
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"wrong", "odd"} {
		for _, body := range files(f, dir) {
			f.Add(body)
		}
	}
	f.Add([]byte(offerText("0 8 101", "a=rtpmap:101 telephone-event/8000", "a=sendonly", "a=rtcp:5 IN IP6 ::1")))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := Parse(body)
		if err != nil {
			if d != nil || !errors.Is(err, ErrMalformed) {
				t.Fatalf("Parse = %v, %v", d, err)
			}
			return
		}
		checkRoundTrip(t, d)
	})
}
