package sip_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	theirs "github.com/emiago/sipgo/sip"

	"tandem/sip"
)

// ordinary makes a request that any parser must read the same way: one spelling of everything, no folds, no
// compact names, no quotes in parameters (sipgo 1.7.2 reads those otherwise).
func ordinary(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	word := func() string { return pick("a1", "nora", "x-9", "b.c", "zulu_7", "q~q") }
	host := func() string {
		h := pick("fjord.example", "192.0.2.77", "tandem.example", "[2001:db8::77]")
		return h + pick("", "", fmt.Sprintf(":%d", 1024+r.IntN(60000)))
	}
	uri := func() string {
		return pick("sip:", "sips:") + pick("", word()+"@") + host() + pick("", ";transport=tcp", ";lr", ";user=phone;x="+word())
	}
	method := pick("INVITE", "REGISTER", "OPTIONS", "BYE", "MESSAGE")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", method, uri())
	for range 1 + r.IntN(3) {
		fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=z9hG4bK%s%d\r\n", pick("UDP", "TCP", "TLS", "WS"), host(), word(), r.IntN(999))
	}
	fmt.Fprintf(&b, "From: %s<%s>;tag=%s\r\n", pick("", "\"Ole \" ", "Ole "), uri(), word())
	fmt.Fprintf(&b, "To: <%s>%s\r\n", uri(), pick("", ";tag="+word()))
	fmt.Fprintf(&b, "Call-ID: %s@%s\r\nCSeq: %d %s\r\nMax-Forwards: %d\r\n", word(), word(), r.IntN(1<<31), method, r.IntN(256))
	fmt.Fprintf(&b, "Contact: <%s>\r\nX-Own: %s\r\n", uri(), word())
	body := strings.Repeat("v=0\r\n", r.IntN(5))
	fmt.Fprintf(&b, "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// Another stack reads ordinary messages as we do.
func TestDifferential(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parser := theirs.NewParser()
	for range 3000 {
		text := ordinary(r)
		msg, err := parser.ParseSIP([]byte(text))
		req, ok := msg.(*theirs.Request)
		if err != nil || !ok {
			t.Fatalf("they refuse %q: %v", text, err)
		}
		var m sip.Message
		if err := m.Parse(text); err != nil || sip.Validate(&m, nil) != nil {
			t.Fatalf("we refuse %q: %v %v", text, err, sip.Validate(&m, nil))
		}
		if ours, other := ourReading(t, &m), theirReading(req); ours != other {
			t.Fatalf("%q\nours   %s\ntheirs %s", text, ours, other)
		}
	}
}

func ourReading(t *testing.T, m *sip.Message) string {
	u := uri(t, m.RequestURI())
	v, err := m.TopVia()
	if err != nil {
		t.Fatal(err)
	}
	seq, method, _ := m.CSeq()
	hops, _ := m.MaxForwards()
	from, to, contact := address(t, m, sip.HeaderFrom), address(t, m, sip.HeaderTo), address(t, m, sip.HeaderContact)
	own, _ := m.Named("x-own")
	return fmt.Sprintln(m.Method(), u.User, u.Host, u.Port, v.Transport, v.Host, v.Port, v.Branch(), len(vias(t, m)), seq, method, hops,
		from.Name(), target(t, from), from.Tag(), target(t, to), to.Tag(), target(t, contact), m.CallID(), own, m.Body())
}

func target(t *testing.T, a sip.NameAddr) string {
	u := uri(t, a.URI)
	return fmt.Sprint(u.User, "@", u.Host, ":", u.Port, " ", param(u.Params, "transport"), u.Params.Has("lr"), param(u.Params, "x"))
}

func theirReading(req *theirs.Request) string {
	v := req.Via()
	branch, _ := v.Params.Get("branch")
	from, to, contact := req.From(), req.To(), req.Contact()
	fromTag, _ := from.Params.Get("tag")
	toTag, _ := to.Params.Get("tag")
	return fmt.Sprintln(req.Method, req.Recipient.User, bare(req.Recipient.Host), req.Recipient.Port, v.Transport, bare(v.Host), v.Port, branch,
		len(req.GetHeaders("Via")), req.CSeq().SeqNo, req.CSeq().MethodName, *req.MaxForwards(), from.DisplayName, theirTarget(from.Address),
		fromTag, theirTarget(to.Address), toTag, theirTarget(contact.Address), req.CallID().Value(), req.GetHeader("X-Own").Value(), string(req.Body()))
}

func theirTarget(u theirs.Uri) string {
	transport, _ := u.UriParams.Get("transport")
	x, _ := u.UriParams.Get("x")
	return fmt.Sprint(u.User, "@", bare(u.Host), ":", u.Port, " ", transport, u.UriParams.Has("lr"), x)
}

// bare takes the brackets of an IPv6 host off: they keep them.
func bare(host string) string { return strings.Trim(host, "[]") }
