package sip_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tandem/sip"
	"tandem/sip/siptest/siptorture"
)

// lines collects the header lines of a message as they are indexed.
func lines(m *sip.Message) (out []string) {
	for i := range m.Len() {
		out = append(out, m.Name(i)+":"+m.Value(i))
	}
	return out
}

func FuzzMessage(f *testing.F) {
	for _, m := range siptorture.Messages() {
		f.Add(m.Raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m := sip.Message{}
		if m.Parse(raw) != nil {
			return
		}
		out := string(m.Splice(nil))
		if !strings.HasPrefix(m.Raw(), out) || !strings.HasSuffix(out, m.Body()) {
			t.Fatalf("left as %q", out)
		}
		var again sip.Message
		fault := sip.Validate(&m, nil)
		if err := again.Parse(out); err != nil || !slices.Equal(lines(&m), lines(&again)) || again.Body() != m.Body() {
			t.Fatalf("read again: %v %q", err, lines(&again))
		}
		if f := sip.Validate(&again, nil); (f == nil) != (fault == nil) {
			t.Fatalf("judged again: %v, first %v", f, fault)
		}
		_, _ = sip.CheckRequire(&m), sip.CheckAccept(&m)
		_, _, _ = m.Cause(), m.FromTag(), m.ToTag()
		if fault == nil {
			dependable(t, &m)
		}
		if sip.CanRespond(&m) {
			responds(t, &m, fault == nil)
		}
	})
}

// dependable asserts what Validate promises to every room.
func dependable(t *testing.T, m *sip.Message) {
	_, err1 := m.TopVia()
	_, err2 := m.Address(sip.HeaderFrom)
	_, err3 := m.Address(sip.HeaderTo)
	_, method, err4 := m.CSeq()
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || m.CallID() == "" {
		t.Fatalf("validated, but %v %v %v %v", err1, err2, err3, err4)
	}
	if !m.IsRequest() {
		return
	}
	if u, err := sip.ParseURI(m.RequestURI()); err != nil || u.Headers != "" || method != m.Method() {
		t.Fatalf("validated, but Request-URI %+v %v, method %q", u, err, method)
	}
	for e := range m.Elements(sip.HeaderContact) {
		if _, err := sip.ParseNameAddr(e); err != nil {
			t.Fatalf("validated, but Contact %q", e)
		}
	}
	if n, ok := m.MaxForwards(); ok && n < 0 {
		t.Fatal("validated, but Max-Forwards is no number")
	}
}

// responds asserts that an answer holds the lines that it must and no others: nothing can be smuggled in by
// what is copied.
func responds(t *testing.T, m *sip.Message, valid bool) {
	m.Source = netip.MustParseAddrPort("[2001:db8::9]:40404")
	out := string(sip.AppendResponse(nil, m, 200, "", "ours"))
	var r sip.Message
	if err := r.Parse(out); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	want := []string{}
	for i := range m.Len() {
		if m.ID(i) == sip.HeaderVia {
			want = append(want, "Via")
		}
	}
	for _, id := range []sip.HeaderID{sip.HeaderFrom, sip.HeaderTo, sip.HeaderCallID, sip.HeaderCSeq} {
		if m.Has(id) {
			want = append(want, id.Name())
		}
	}
	want = append(want, "Content-Length")
	var got []string
	for i := range r.Len() {
		got = append(got, r.ID(i).Name())
	}
	if !slices.Equal(got, want) || r.Body() != "" {
		t.Fatalf("answer has %q, want %q: %q", got, want, out)
	}
	if fault := sip.Validate(&r, nil); valid && fault != nil || valid && r.ToTag() == "" {
		t.Fatalf("answer to a valid request: %v %q", fault, out)
	}
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a@b", "sips:a:pw@[2001:db8::1]:5061;transport=tls?x=y", "tel:+47-123;phone-context=x",
		"sip:a;b=%40c@d;lr;maddr=1.2.3.4", "sip:%00@h", "soap.beep://x", "sip:a:@b:05060"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := sip.ParseURI(s)
		if err != nil {
			return
		}
		v, err := sip.ParseURI(u.String())
		if err != nil || v != u || v.String() != u.String() || !u.Equal(v) || u.AOR() != v.AOR() {
			t.Fatalf("%q: %+v comes out as %q: %+v %v", s, u, u, v, err)
		}
		if strings.ContainsAny(u.String(), " \r\n\x00<>\"") {
			t.Fatalf("%q is unsafe", u)
		}
	})
}

func FuzzNameAddr(f *testing.F) {
	for _, s := range []string{"<sip:a@b>;tag=x", `"A \" B" <sip:a@b;lr> ; x = "y;z" ;tag=q`, "sip:a@b;tag=1", "A B<sip:c>", "*",
		`sip:a@b;x="<"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := sip.ParseNameAddr(s)
		if err != nil || a.Star {
			return
		}
		text := a.Display + " <" + a.URI + ">" + string(a.Params)
		b, err := sip.ParseNameAddr(text)
		if err != nil || b.Display != a.Display || b.URI != a.URI || b.Tag() != a.Tag() || !samePairs(a.Params, b.Params) {
			t.Fatalf("%q: %+v, written %q: %+v %v", s, a, text, b, err)
		}
	})
}

type pair struct{ name, value string }

func pairs(p sip.Params) (out []pair) {
	for name, value := range p.All() {
		out = append(out, pair{name, value})
	}
	return out
}

func samePairs(p, q sip.Params) bool { return slices.Equal(pairs(p), pairs(q)) }

func FuzzVia(f *testing.F) {
	f.Add("SIP/2.0/UDP host:5060;branch=z9hG4bK1;rport")
	f.Add("SIP / 2.0 / TLS [2001:db8::1] : 5061 ; branch = x ; received=1.2.3.4")
	f.Add("SIP/2.0/UDP h;;")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := sip.ParseVia(s)
		if err != nil {
			return
		}
		text := "SIP/2.0/" + v.Transport + " " + v.SentBy() + string(v.Params)
		w, err := sip.ParseVia(text)
		if err != nil || w != v {
			t.Fatalf("%q: %+v, written %q: %+v %v", s, v, text, w, err)
		}
	})
}

func FuzzParams(f *testing.F) {
	f.Add(`;tag=a;x="b;c";lr`)
	f.Add(` ; Branch = z ; q="\";"`)
	f.Add(`;;=`)
	f.Fuzz(func(t *testing.T, s string) {
		all := pairs(sip.Params(s))
		text := ""
		for _, p := range all {
			text += ";" + p.name
			if p.value != "" {
				text += "=" + p.value
			}
			if _, ok := sip.Params(s).Get(p.name); !ok {
				t.Fatalf("%q: %q is there and is not", s, p.name)
			}
		}
		// What is not well-formed is read leniently, and need not come out the same.
		if _, err := sip.ParseNameAddr("<sip:x>" + s); err == nil && !slices.Equal(pairs(sip.Params(text)), all) {
			t.Fatalf("%q: %q, written %q: %q", s, all, text, pairs(sip.Params(text)))
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add(`<sip:a,b>, "x,y" <sip:c>;q=1 ,d,,`)
	f.Fuzz(func(t *testing.T, s string) {
		all := slices.Collect(sip.List(s))
		if again := slices.Collect(sip.List(strings.Join(all, ","))); !slices.Equal(all, again) {
			t.Fatalf("%q: %q, joined %q", s, all, again)
		}
		if strings.Map(noBlank, strings.Join(all, ",")) != strings.Map(noBlank, s) {
			t.Fatalf("%q loses something: %q", s, all)
		}
		first, rest := s, ""
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			first, rest = s[:i], s[i+1:]
		}
		var m sip.Message
		if m.Parse("OPTIONS sip:x SIP/2.0\r\nContact: "+first+"\r\nm: "+rest+"\r\n\r\n") != nil || m.Len() != 2 {
			return
		}
		want := append(slices.Collect(sip.List(m.Value(0))), slices.Collect(sip.List(m.Value(1)))...)
		if got := slices.Collect(m.Elements(sip.HeaderContact)); !slices.Equal(got, want) {
			t.Fatalf("elements %q, want %q", got, want)
		}
	})
}

func noBlank(r rune) rune {
	if strings.ContainsRune(" \t\r\n", r) {
		return -1
	}
	return r
}

func FuzzFramer(f *testing.F) {
	var all string
	for _, m := range siptorture.Messages() {
		f.Add(m.Raw, []byte{1, 2, 3})
		all += m.Raw + "\r\n\r\n"
	}
	f.Add(all, []byte{200, 1, 90})
	f.Fuzz(func(t *testing.T, stream string, cuts []byte) {
		whole := split(t, stream, nil)
		if got := split(t, stream, cuts); !slices.Equal(got, whole) {
			t.Fatalf("in pieces %q, whole %q", got, whole)
		}
	})
}

// split frames a stream that comes in pieces of the lengths given, over and over; in one piece without them.
func split(t *testing.T, stream string, cuts []byte) (out []string) {
	framer := sip.Framer{Max: 4096}
	var buf []byte
	for i := 0; ; {
		n, kind, err := framer.Next(buf)
		if err != nil {
			return append(out, "error "+err.Error()+string(buf[:n]))
		}
		if kind == sip.FrameMessage {
			agrees(t, string(buf[:n]))
		}
		if kind != sip.FrameNone {
			out = append(out, string(buf[:n]))
			buf = buf[n:]
			continue
		}
		if stream == "" {
			return append(out, string(buf))
		}
		piece := len(stream)
		if len(cuts) > 0 {
			piece = min(piece, int(cuts[i%len(cuts)])+1)
			i++
		}
		buf = append(buf, stream[:piece]...)
		stream = stream[piece:]
	}
}

// agrees asserts that the scanner finds the end of a valid message where the framer did: otherwise one
// request would hide another.
func agrees(t *testing.T, frame string) {
	var m sip.Message
	if m.Parse(frame) != nil || sip.Validate(&m, nil) != nil {
		return
	}
	if string(m.Splice(nil)) != frame {
		t.Fatalf("the scanner sees %q in frame %q", m.Splice(nil), frame)
	}
}

func FuzzWriter(f *testing.F) {
	f.Add("INVITE", "sip:a@b", "Subject", "x\r\nEvil: 1", "t\r\nEvil: 2")
	f.Add("A B", "sip:a b", "X\x00", "\x00", "OK")
	f.Fuzz(func(t *testing.T, method, uri, name, value, reason string) {
		w := sip.NewWriter(nil)
		w.Request(method, uri)
		w.Add(name, value)
		w.Set(sip.HeaderFrom, sip.Quote(value)+" <sip:"+sip.EscapeUser(value)+"@h>")
		w.Finish(value, []byte("b"))
		out, err := w.Bytes()
		head := strings.TrimSuffix(string(out), "\r\n\r\nb")
		for _, line := range strings.Split(head, "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("control character in %q", line)
			}
		}
		var m sip.Message
		if e := m.Parse(string(out)); err == nil && (e != nil || m.Method() != method || m.RequestURI() != uri) {
			t.Fatalf("%v: %q", e, out)
		}
		if n := m.Len(); err == nil && n != 4 && !(n == 3 && value == "") {
			t.Fatalf("%d lines: %q", n, out)
		}
		if sip.LookupHeader(name) == sip.HeaderFrom {
			return
		}
		if a, e := m.Address(sip.HeaderFrom); err == nil && (e != nil || !strings.HasPrefix(a.URI, "sip:")) {
			t.Fatalf("From %+v %v", a, e)
		}
		w = sip.NewWriter(nil)
		w.Status(404, reason)
		if out, _ := w.Bytes(); strings.ContainsAny(strings.TrimSuffix(string(out), "\r\n"), "\r\n\x00") {
			t.Fatalf("status line %q", out)
		}
	})
}
