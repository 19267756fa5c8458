package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// plain is a request with nothing wrong; the tests change one line of it.
const plain = "OPTIONS sip:nora@tandem.example SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: <sip:ole@fjord.example>;tag=f\r\n" +
	"To: <sip:nora@tandem.example>\r\n" +
	"Call-ID: c@1\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"Contact: <sip:ole@192.0.2.1>\r\n" +
	"Expires: 60\r\n" +
	"Content-Length: 0\r\n\r\n"

// withLine puts line in the place of the one that begins with its name and colon; line may be several.
func withLine(text, line string) string {
	name, _, _ := strings.Cut(line, ":")
	start := strings.Index(text, "\r\n"+name+":") + 2
	end := start + strings.Index(text[start:], "\r\n")
	return text[:start] + line + text[end:]
}

func TestValidate(t *testing.T) {
	start := func(line string) string { return line + plain[strings.Index(plain, "\r\n"):] }
	tests := map[string]struct {
		text   string
		code   int
		reason string
	}{
		"plain":                   {plain, 0, ""},
		"lower-case version":      {start("OPTIONS sip:a@b sip/2.0"), 0, ""},
		"other version":           {start("OPTIONS sip:a@b SIP/2.1"), 505, ""},
		"method not a token":      {start("OPT(ONS sip:a@b SIP/2.0"), 400, "Malformed method"},
		"method too long":         {withLine(start(strings.Repeat("M", 65)+" sip:a@b SIP/2.0"), "CSeq: 1 "+strings.Repeat("M", 65)), 400, "Malformed method"},
		"no Request-URI":          {start("OPTIONS  SIP/2.0"), 400, "Malformed Request-URI"},
		"no scheme":               {start("OPTIONS nora SIP/2.0"), 400, "Malformed Request-URI"},
		"bad escape":              {start("OPTIONS sip:n%6@b SIP/2.0"), 400, "Malformed Request-URI"},
		"bad port":                {start("OPTIONS sip:a@b:70000 SIP/2.0"), 400, "Malformed Request-URI"},
		"two ats":                 {start("OPTIONS sip:a@b@c SIP/2.0"), 400, "Malformed Request-URI"},
		"nameless parameter":      {start("OPTIONS sip:a@b;;lr SIP/2.0"), 400, "Malformed Request-URI"},
		"tel":                     {start("OPTIONS tel:+4712345678 SIP/2.0"), 0, ""},
		"sips":                    {start("OPTIONS sips:a@b SIP/2.0"), 0, ""},
		"mailto":                  {start("OPTIONS mailto:a@b SIP/2.0"), 416, ""},
		"URI too long":            {start("OPTIONS sip:" + strings.Repeat("a", 2048) + "@b SIP/2.0"), 414, ""},
		"fold in front":           {strings.Replace(plain, "\r\nVia", "\r\n Via", 1), 400, "Header line without a name"},
		"blank in a name":         {strings.Replace(plain, "Max-Forwards", "Max Forwards", 1), 400, "Malformed header name"},
		"NUL in a name":           {strings.Replace(plain, "Max-Forwards", "Max\x00Forwards", 1), 400, "Malformed header name"},
		"no colon":                {strings.Replace(plain, "Max-Forwards:", "Max-Forwards", 1), 400, "Malformed header name"},
		"no blank line":           {strings.TrimSuffix(plain, "\r\n"), 400, "Missing blank line after headers"},
		"NUL in a value":          {withLine(plain, "To: <sip:a@b>\r\nSubject: a\x00b"), 400, "Malformed Subject"},
		"return in a value":       {withLine(plain, "To: <sip:a@b>\r\nX-A: a\rVia: b"), 400, "Malformed header"},
		"return before a fold":    {withLine(plain, "To: <sip:a@b>\r\nX-A: a\r\r\n b"), 400, "Malformed header"},
		"return in a quoted-pair": {withLine(plain, "To: \"a\\\r\" <sip:a@b>"), 400, "Malformed To"},
		"NUL in quotes":           {withLine(plain, "To: \"a\x00\" <sip:a@b>"), 400, "Malformed To"},
		"NUL in a quoted-pair":    {withLine(plain, "To: \"a\\\x00\" <sip:a@b>"), 0, ""},
		"escape out of quotes":    {withLine(plain, "To: <sip:a@b>\r\nX-A: longer than eight \\\x01"), 400, "Malformed header"},
		"fold":                    {withLine(plain, "To: <sip:a@b>\r\nX-A: a\r\n\tb"), 0, ""},
		"no Via":                  {withLine(plain, "Via: x\r\n")[:41] + plain[strings.Index(plain, "Max-"):], 400, "Missing Via"},
		"Via of SIP/1":            {withLine(plain, "Via: SIP/1.0/UDP a"), 400, "Malformed Via"},
		"Via without host":        {withLine(plain, "Via: SIP/2.0/UDP ;branch=z9hG4bK1"), 400, "Malformed Via"},
		"Via with bare v6":        {withLine(plain, "Via: SIP/2.0/UDP 2001:db8::1"), 400, "Malformed Via"},
		"second Via bad":          {withLine(plain, "Via: SIP/2.0/UDP a, SIP/2.0/UDP"), 400, "Malformed Via"},
		"empty branch":            {withLine(plain, "Via: SIP/2.0/UDP a;branch="), 400, "Malformed Via"},
		"quoted branch":           {withLine(plain, "Via: SIP/2.0/UDP a;branch=\"z9hG4bK;x\""), 400, "Malformed Via"},
		"two branches":            {withLine(plain, "Via: SIP/2.0/UDP a;branch=z9hG4bK1;Branch=z9hG4bK2"), 400, "Malformed Via"},
		"cookie in lower case":    {withLine(plain, "Via: SIP/2.0/UDP a;branch=Z9HG4BK"), 400, "Malformed Via"},
		"branch too long":         {withLine(plain, "Via: SIP/2.0/UDP a;branch="+strings.Repeat("b", 256)), 400, "Malformed Via"},
		"Vias over the limit":     {withLine(plain, "Via: SIP/2.0/UDP a"+strings.Repeat(", SIP/2.0/UDP a", 100)), 400, "Malformed Via"},
		"tag too long":            {withLine(plain, "From: <sip:a@b>;tag="+strings.Repeat("t", 256)), 400, "Malformed From"},
		"tag at the limit":        {withLine(plain, "From: <sip:a@b>;tag="+strings.Repeat("t", 255)), 0, ""},
		"two tags":                {withLine(plain, "From: <sip:a@b>;tag=a;TAG=b"), 400, "Malformed From"},
		"quoted tag":              {withLine(plain, "From: <sip:a@b>;tag=\"a;b\""), 400, "Malformed From"},
		"empty tag":               {withLine(plain, "To: <sip:a@b>;tag"), 400, "Malformed To"},
		"star":                    {withLine(plain, "To: *"), 400, "Malformed To"},
		"From twice":              {withLine(plain, "From: <sip:a@b>;tag=a\r\nf: <sip:a@b>;tag=a"), 400, "Repeated From"},
		"Content-Length twice":    {withLine(plain, "Content-Length: 0\r\nl: 0"), 400, "Repeated Content-Length"},
		"Content-Length signed":   {withLine(plain, "Content-Length: +0"), 400, "Malformed Content-Length"},
		"Call-ID of two words":    {withLine(plain, "Call-ID: a b"), 400, "Malformed Call-ID"},
		"Call-ID in base64":       {withLine(plain, "Call-ID: Zm9vYg==@a&b@c"), 0, ""},
		"Call-ID with separators": {withLine(plain, "Call-ID: a;to-tag=b"), 400, "Malformed Call-ID"},
		"UTF-8 without quotes":    {withLine(plain, "To: Jörg Ås <sip:a@b>"), 0, ""},
		"comma without quotes":    {withLine(plain, "To: Ås, Jörg <sip:a@b>"), 400, "Malformed To"},
		"Call-ID too long":        {withLine(plain, "Call-ID: "+strings.Repeat("c", 256)), 400, "Malformed Call-ID"},
		"CSeq of 2^31":            {withLine(plain, "CSeq: 2147483648 OPTIONS"), 400, "Malformed CSeq"},
		"CSeq without method":     {withLine(plain, "CSeq: 1"), 400, "Malformed CSeq"},
		"CSeq of another case":    {withLine(plain, "CSeq: 1 options"), 400, "CSeq does not match the method"},
		"Max-Forwards signed":     {withLine(plain, "Max-Forwards: -1"), 400, "Malformed Max-Forwards"},
		"Max-Forwards of 300":     {withLine(plain, "Max-Forwards: 300"), 0, ""},
		"Expires beyond":          {withLine(plain, "Expires: 1"+strings.Repeat("0", 100)), 0, ""},
		"Expires of a word":       {withLine(plain, "Expires: soon"), 400, "Malformed Expires"},
		"Contact star":            {withLine(plain, "Contact: *"), 0, ""},
		"Contact list":            {withLine(plain, "Contact: <sip:a,b@c>, \"x, y\" <sip:d@e>;q=0.1,sip:f@g;q=1"), 0, ""},
		"Contact empty":           {withLine(plain, "Contact: "), 400, "Malformed Contact"},
		"Contact trailing comma":  {withLine(plain, "Contact: <sip:a@b>,"), 400, "Malformed Contact"},
		"Contact without >":       {withLine(plain, "Contact: <sip:a@b"), 400, "Malformed Contact"},
		"Contact of rubbish":      {withLine(plain, "Contact: <sip:a@b> x"), 400, "Malformed Contact"},
		"Route star":              {withLine(plain, "Contact: <sip:a@b>\r\nRoute: *"), 400, "Malformed Route"},
		"Route with blanks":       {withLine(plain, "Contact: <sip:a@b>\r\nRoute: <sip:a b>"), 400, "Malformed Route"},
		"line too long":           {withLine(plain, "Contact: <sip:a@b>\r\nX: "+strings.Repeat("x", 8192)), 513, "Header line too long"},
		"201 lines":               {withLine(plain, "Contact: <sip:a@b>"+strings.Repeat("\r\nX: y", 192)), 513, "Too many headers"},
		"300 lines":               {withLine(plain, "Contact: <sip:a@b>"+strings.Repeat("\r\nX: y", 292)), 400, "Too many headers"},
	}
	for name, tc := range tests {
		var m Message
		if err := m.Parse(tc.text); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := Validate(&m, nil)
		if got == nil {
			got = &StatusError{}
		}
		if got.Code != tc.code || got.Reason != tc.reason {
			t.Errorf("%s: %d %q, want %d %q", name, got.Code, got.Reason, tc.code, tc.reason)
		}
	}
}

func TestLimitsAreTaken(t *testing.T) {
	var m Message
	_ = m.Parse(strings.Replace(withLine(plain, "Content-Length: 4"), "\r\n\r\n", "\r\n\r\nbody", 1))
	for code, lim := range map[int]Limits{
		0: {}, 413: {Body: 3}, 414: {URI: 20}, 513: {Headers: 8}, 400: {Tag: 1, CallID: 2},
	} {
		got := Validate(&m, &lim)
		if got == nil && code != 0 || got != nil && got.Code != code {
			t.Errorf("%+v: %v, want %d", lim, got, code)
		}
	}
}

func TestResponsesAreJudgedMildly(t *testing.T) {
	const rest = "\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: broken>\r\n\r\n"
	for line, passes := range map[string]bool{"SIP/2.0 200 OK": false, "SIP/2.0 486 Busy": true, "SIP/2.1 486 Busy": false} {
		var m Message
		if err := m.Parse(line + rest); err != nil {
			t.Fatal(err)
		}
		if got := Validate(&m, nil); (got == nil) != passes {
			t.Errorf("%s: %v", line, got)
		}
		if CanRespond(&m) {
			t.Errorf("%s: a response is answered", line)
		}
	}
}

func TestNotSIP(t *testing.T) {
	for _, text := range []string{"", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "OPTIONS", "OPTIONS sip:a@b", "SIP/2.0", "SIP/2.0 ",
		"SIP/2.0 20 OK\r\n\r\n", "SIP/2.0 0200 OK\r\n\r\n", "SIP/2.0 -20 OK\r\n\r\n", "SIP/2.0 799 OK\r\n\r\n", "\x16\x03\x01",
		"SIP/2.0 1a0 OK\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\nX: " + strings.Repeat("y", MaxMessage)} {
		var m Message
		if err := m.Parse(text); !errors.Is(err, ErrNotSIP) {
			t.Errorf("%.30q: %v, status %d", text, err, m.Status())
		}
	}
}

func TestCanRespond(t *testing.T) {
	for text, want := range map[string]bool{
		plain: true,
		strings.Replace(plain, "OPTIONS", "ACK", 1):                             false,
		withLine(plain, "Via: SIP/2.0/UDP a;;;branch"):                          true,
		withLine(plain, "Via: SIP/9.9/UDP a"):                                   true,
		withLine(plain, "Via: rubbish"):                                         false,
		withLine(plain, "Via: SIP/2.0/UDP [bad]"):                               false,
		strings.Replace(plain, "OPTIONS", "OPT(", 1):                            false,
		"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n":                  true,
		"INVITE sip:a@b SIP/2.0\r\n\r\n":                                        false,
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nCSeq: 1 INVITE\r\n\r\n":        false,
		"INVITE sip:a@b SIP/2.0\r\nTo: x\r\nv: SIP / 2.0 / TCP h : 5\r\n\r\nxx": true,
	} {
		var m Message
		if err := m.Parse(text); err != nil || CanRespond(&m) != want {
			t.Errorf("%.60q: %v %v, want %v", text, CanRespond(&m), err, want)
		}
	}
}

func TestCheckAccept(t *testing.T) {
	for value, admits := range map[string]bool{
		"application/sdp": true, "Application/SDP ;q=0.5": true, "*/*": true, "application/*": true, "text/plain, application/ sdp": true,
		"": false, "text/plain": false, "application/sdp;q=0": false, "application/sdp;q=0.000, text/*": false, "application/sdpx": false,
	} {
		var m Message
		_ = m.Parse(withLine(plain, "Expires: 60\r\nAccept: "+value))
		if got := CheckAccept(&m); (got == nil) != admits {
			t.Errorf("%q: %v, want admitted: %v", value, got, admits)
		}
	}
	var m Message
	if _ = m.Parse(plain); CheckAccept(&m) != nil {
		t.Error("without Accept: refused")
	}
}

func TestCheckRequire(t *testing.T) {
	check := func(lines, method string, supported ...string) string {
		var m Message
		_ = m.Parse(strings.ReplaceAll(withLine(plain, "Expires: 60\r\n"+lines), "OPTIONS", method))
		if err := CheckRequire(&m, supported...); err != nil {
			return fmt.Sprint(err.Code, " ", err.Header)
		}
		return ""
	}
	tests := [][2]string{
		{check("Require: 100rel", "INVITE", "100REL"), ""},
		{check("Require: 100rel, timer", "INVITE", "100rel"), "420 Unsupported: timer"},
		{check("Require: a\r\nX: y\r\nrequire: b,100rel,c", "INVITE", "100rel"), "420 Unsupported: a, b, c"},
		{check("Require: a", "ACK"), ""},
		{check("Require: a", "CANCEL"), ""},
		{check("Proxy-Require: a", "INVITE"), ""},
		{check("Require: ", "INVITE"), ""},
		{check("Require: a;b", "INVITE"), "400 "},
	}
	for i, tc := range tests {
		if tc[0] != tc[1] {
			t.Errorf("%d: %q, want %q", i, tc[0], tc[1])
		}
	}
}

// What is copied out of a request that Validate refuses must not split into lines (SECURITY: injection).
func TestRefusedRequestsCannotInject(t *testing.T) {
	for _, text := range []string{
		withLine(plain, "To: \"x\rX-Evil: 1\" <sip:a@b>"),
		withLine(plain, "From: \"x\\\rX-Evil: 1\" <sip:a@b>;tag=1"),
		withLine(plain, "Call-ID: a\x00b\rX-Evil: 1"),
		withLine(plain, "CSeq: 1\r OPTIONS\rX-Evil: 1"),
		withLine(plain, "Via: SIP/2.0/UDP a;rport;x=\"\r\nX-Evil: 1\""),
		withLine(plain, "Via: SIP/2.0/UDP a;rport;x=\"\rX-Evil: 1\""),
	} {
		var m Message
		if err := m.Parse(text); err != nil || Validate(&m, nil) == nil {
			t.Fatalf("%q passes: %v", text, err)
		}
		m.Source = netip.MustParseAddrPort("192.0.2.1:5060")
		out := string(AppendResponse(nil, &m, 400, "bad\r\nX-Evil: 1", "t"))
		for _, line := range strings.FieldsFunc(out, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if strings.HasPrefix(line, "X-Evil") || strings.ContainsAny(line, "\x00") {
				t.Errorf("%q gives the line %q", text, line)
			}
		}
	}
}
