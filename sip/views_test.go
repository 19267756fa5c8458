package sip

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLookupHeader(t *testing.T) {
	for id := HeaderOther + 1; id < headerCount; id++ {
		name := id.Name()
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := LookupHeader(spelled); got != id {
				t.Errorf("%s: %d, want %d", spelled, got, id)
			}
		}
		if got := LookupHeader(name + "x"); got != HeaderOther {
			t.Errorf("%sx: %s", name, got.Name())
		}
		changed := []byte(name)
		changed[len(changed)/3] ^= 1
		if got := LookupHeader(string(changed)); got == id {
			t.Errorf("%s is taken for %s", changed, name)
		}
	}
	for compact, name := range map[string]string{"v": "Via", "F": "From", "t": "To", "I": "Call-ID", "m": "Contact", "L": "Content-Length",
		"c": "Content-Type", "e": "Content-Encoding", "s": "Subject", "K": "Supported", "o": "Event", "r": "Refer-To", "b": "Referred-By",
		"x": "Session-Expires", "y": "Identity", "": "", "q": "", "-": "", "6": "", "\x16": ""} {
		if got := LookupHeader(compact); got.Name() != name {
			t.Errorf("%q: %q, want %q", compact, got.Name(), name)
		}
	}
}

func TestList(t *testing.T) {
	for text, want := range map[string][]string{
		"":                               {""},
		"a":                              {"a"},
		" a , b ":                        {"a", "b"},
		"a,,b,":                          {"a", "", "b", ""},
		`"a,\",b" <sip:c,d>, e;f="g,h"`:  {`"a,\",b" <sip:c,d>`, `e;f="g,h"`},
		"<sip:a,b\"c>,\r\n\t<sip:d>;q=1": {"<sip:a,b\"c>", "<sip:d>;q=1"},
		`"open, <sip:a>`:                 {`"open, <sip:a>`},
	} {
		if got := slices.Collect(List(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParams(t *testing.T) {
	p := Params(` ; Tag = "a\"b;c" ; lr;q=0.5;x=;Q=0.7`)
	for name, want := range map[string]string{"tag": `a"b;c`, "LR": "", "q": "0.5", "X": ""} {
		if got, ok := p.Get(name); !ok || got != want {
			t.Errorf("%s: %q %v, want %q", name, got, ok, want)
		}
	}
	if p.Has("ta") || Params("").Has("tag") || Params(";;").Has("x") {
		t.Error("a parameter is there that is not")
	}
	var names []string
	for name := range p.All() {
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"Tag", "lr", "q", "x", "Q"}) {
		t.Errorf("all: %q", names)
	}
}

func TestNumbers(t *testing.T) {
	for line, want := range map[string][2]uint32{
		"Max-Forwards: 0070": {70, 1}, "Max-Forwards: 256": {0, 0}, "Max-Forwards: 1" + strings.Repeat("0", 40): {0, 0}, "Subject: x": {0, 0},
	} {
		var m Message
		_ = m.Parse("OPTIONS sip:a SIP/2.0\r\n" + line + "\r\n\r\n")
		if n, ok := m.MaxForwards(); uint32(n) != want[0] || ok != (want[1] == 1) {
			t.Errorf("%s: %d %v", line, n, ok)
		}
	}
	for value, want := range map[string]int64{"60": 60, "60;x=y": 60, "120 (busy)": 120, "4294967296": 1<<32 - 1, "1" + strings.Repeat("0", 99): 1<<32 - 1,
		"": -1, "x": -1, "-1": -1, "6 0": -1} {
		var m Message
		_ = m.Parse("OPTIONS sip:a SIP/2.0\r\nRetry-After: " + value + "\r\n\r\n")
		n, ok := m.Seconds(HeaderRetryAfter)
		if got := int64(n); ok && got != want || ok != (want >= 0) {
			t.Errorf("%q: %d %v, want %d", value, n, ok, want)
		}
	}
}

func TestUnescapeAndQuote(t *testing.T) {
	for text, want := range map[string]string{"a%20b%2f": "a b/", "%2541": "%41", "%00": "\x00", "": "", "a": "a"} {
		if got, ok := Unescape(text); !ok || got != want {
			t.Errorf("%q: %q %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"%", "%4", "%4g", "a%"} {
		if got, ok := Unescape(text); ok {
			t.Errorf("%q: %q", text, got)
		}
	}
	for text, want := range map[string]string{`a"b\c`: `"a\"b\\c"`, "x\r\nEvil: 1": `"x  Evil: 1"`, "\x00\x7f": `"  "`, "é": `"é"`} {
		if got := Quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{`"a\"b"`: `a"b`, `"`: `"`, "a": "a", `""`: ""} {
		if got := Unquote(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := EscapeUser("a b@c:%<\r\n>\x00+é;1"); got != "a%20b%40c%3A%25%3C%0D%0A%3E%00+%C3%A9;1" {
		t.Errorf("user part %q", got)
	}
}

// RFC 3261 §18.2.1 and RFC 3581 §4: what the top Via says of the source is ours to say.
func TestStampedVias(t *testing.T) {
	for via, want := range map[string]string{
		"SIP/2.0/UDP 192.0.2.7;branch=b":                                    "SIP/2.0/UDP 192.0.2.7;branch=b",
		"SIP/2.0/UDP h.example;branch=b":                                    "SIP/2.0/UDP h.example;branch=b;received=192.0.2.7",
		"SIP/2.0/UDP 10.0.0.1;rport;branch=b":                               "SIP/2.0/UDP 10.0.0.1;branch=b;rport=999;received=192.0.2.7",
		"SIP/2.0/UDP 192.0.2.7;rport=1;received=6.6.6.6;branch=b":           "SIP/2.0/UDP 192.0.2.7;branch=b;rport=999;received=192.0.2.7",
		"SIP/2.0/UDP 192.0.2.7;received=6.6.6.6;branch=b":                   "SIP/2.0/UDP 192.0.2.7;branch=b",
		"SIP/2.0/UDP h;branch=b;x=\"a,b\" , SIP/2.0/TCP g;received=1.1.1.1": "SIP/2.0/UDP h;branch=b;x=\"a,b\";received=192.0.2.7, SIP/2.0/TCP g;received=1.1.1.1",
		"SIP/2.0/UDP [::ffff:192.0.2.7];branch=b":                           "SIP/2.0/UDP [::ffff:192.0.2.7];branch=b",
		"SIP/2.0/UDP h;;broken":                                             "SIP/2.0/UDP h;;broken",
		"SIP/7.0/UDP h;rport":                                               "SIP/7.0/UDP h;rport=999;received=192.0.2.7",
	} {
		var m Message
		_ = m.Parse("OPTIONS sip:a SIP/2.0\r\nVia: " + via + "\r\n\r\n")
		m.Source = netip.MustParseAddrPort("[::ffff:192.0.2.7]:999")
		w := NewWriter(nil)
		w.StampedVias(&m)
		if out, err := w.Bytes(); err != nil || string(out) != "Via: "+want+"\r\n" {
			t.Errorf("%s\n got %q %v\nwant %q", via, out, err, want)
		}
	}
	var m Message
	_ = m.Parse("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;rport\r\n\r\n")
	m.Source = netip.MustParseAddrPort("[fe80::1%eth0]:5060")
	w := NewWriter(nil)
	w.StampedVias(&m)
	if out, _ := w.Bytes(); string(out) != "Via: SIP/2.0/UDP h;rport=5060;received=fe80::1\r\n" {
		t.Errorf("zone: %q", out)
	}
}

func TestResponseAddr(t *testing.T) {
	source := netip.MustParseAddrPort("192.0.2.7:999")
	for via, want := range map[string]string{
		"SIP/2.0/UDP h;rport": "192.0.2.7:999", "SIP/2.0/UDP h": "192.0.2.7:5060", "SIP/2.0/UDP h:5080;maddr=6.6.6.6": "192.0.2.7:5080",
	} {
		v, err := ParseVia(via)
		if got := v.ResponseAddr(source); err != nil || got.String() != want {
			t.Errorf("%s: %s %v, want %s", via, got, err, want)
		}
	}
}

// A writer leaves out what would become a line of its own, and says so.
func TestWriterRefusesControls(t *testing.T) {
	for name, write := range map[string]func(*Writer){
		"value":        func(w *Writer) { w.Set(HeaderSubject, "x\r\nEvil: 1") },
		"NUL":          func(w *Writer) { w.Set(HeaderSubject, "x\x00") },
		"return":       func(w *Writer) { w.Set(HeaderSubject, "x\rEvil: 1") },
		"name":         func(w *Writer) { w.Add("Evil: 1\r\nX", "y") },
		"URI":          func(w *Writer) { w.Request(INVITE, "sip:a@b SIP/2.0\r\nEvil: 1\r\nX:") },
		"URI blank":    func(w *Writer) { w.Request(INVITE, "sip:a b") },
		"method":       func(w *Writer) { w.Request("IN VITE", "sip:a") },
		"To tag":       func(w *Writer) { var m Message; _ = m.Parse(plain); w.Respond(&m, 200, "", "x\r\nEvil: 1") },
		"after others": func(w *Writer) { w.Set(HeaderSubject, "good"); w.Set(HeaderDate, "\n"); w.Set(HeaderServer, "good") },
	} {
		w := NewWriter(nil)
		write(w)
		out, err := w.Bytes()
		if err == nil || strings.Contains(string(out), "Evil") || strings.Contains(string(out), "Date") {
			t.Errorf("%s: %q %v", name, out, err)
		}
	}
	w := NewWriter(nil)
	w.Status(486, "Busy\r\nEvil: 1")
	if out, err := w.Bytes(); err != nil || string(out) != "SIP/2.0 486 Busy Here\r\n" {
		t.Errorf("reason: %q %v", out, err)
	}
}

func TestCause(t *testing.T) {
	for value, want := range map[string]Cause{
		"Q.850;cause=17;text=\"Busy\"": 17, "SIP;cause=486": 17, "SIP ;cause=200, q.850 ; cause = 31": 31, "Q.850;cause=0": 0,
		"Q.850;cause=128": 0, "X;cause=5": 0, "": 0, "Q.850": 0,
	} {
		var m Message
		_ = m.Parse("BYE sip:a SIP/2.0\r\nReason: " + value + "\r\n\r\n")
		if got := m.Cause(); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
	for status := range statusCause {
		if back := StatusOf(CauseOf(status)); back < 400 || back > 699 {
			t.Errorf("%d goes to cause %d and comes back as %d", status, CauseOf(status), back)
		}
	}
}

// Hostile messages of 64 KB must cost about as much as their length: a square of it would take minutes here.
func TestHostileMessagesAreCheap(t *testing.T) {
	fill := func(piece string, size int) string { return strings.Repeat(piece, size/len(piece)) }
	const head = "OPTIONS sip:a SIP/2.0\r\n"
	for name, text := range map[string]string{
		"lines":      head + fill("v:\r\n", 65000) + "\r\n",
		"folds":      head + "v:" + fill("\r\n ", 65000) + "\r\n\r\n",
		"commas":     head + "Contact: " + fill(",", 65000) + "\r\n\r\n",
		"quotes":     head + "Contact: " + fill("\",", 65000) + "\r\n\r\n",
		"angles":     head + "Contact: " + fill("<,", 65000) + "\r\n\r\n",
		"parameters": head + "Via: SIP/2.0/UDP a" + fill(";a", 65000) + "\r\n\r\n",
		"open quote": head + "Via: SIP/2.0/UDP a" + fill(";a=\"", 65000) + "\r\n\r\n",
		"escapes":    head + "To: \"" + fill("\\\"", 65000) + "\" <sip:a>\r\n\r\n",
		"blanks":     head + "To:" + fill(" ", 65000) + "<sip:a>\r\n\r\n",
		"URI":        "OPTIONS sip:" + fill("a;", 65000) + " SIP/2.0\r\n\r\n",
	} {
		var m Message
		best := time.Hour
		for range 3 {
			start := time.Now()
			_ = m.Parse(text)
			_ = Validate(&m, &Limits{HeaderLine: MaxMessage, URI: MaxMessage, Vias: MaxMessage})
			_, _ = m.TopVia()
			for range m.Elements(HeaderContact) {
			}
			if CanRespond(&m) {
				AppendResponse(nil, &m, 400, "", "t")
			}
			best = min(best, time.Since(start))
		}
		if best > 50*time.Millisecond {
			t.Errorf("%s: %v", name, best)
		}
	}
}
