package registrar

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// step is one REGISTER of a case, seconds after its start, and what comes of it.
type step struct {
	at       int
	lines    []string
	status   int
	contacts string   // of the answer
	has      []string // lines of the answer
}

func TestRegister(t *testing.T) {
	const a, b = "Contact: <sip:1001@192.0.2.100>", "Contact: <sip:1001@192.0.2.101:5070;transport=udp>"
	cseq := func(n int) string { return fmt.Sprintf("CSeq: %d REGISTER", n) }
	l := func(lines ...string) []string { return lines }
	star := "Contact: *"
	for _, c := range []struct {
		name  string
		cfg   Config
		steps []step
	}{
		{"add, query, refresh, remove", Config{}, []step{
			{0, l(cseq(1), a, "Expires: 300"), 200, "<sip:1001@192.0.2.100>;expires=300", nil},
			{100, l(cseq(2)), 200, "<sip:1001@192.0.2.100>;expires=200", nil},
			{200, l(cseq(3), a+";expires=400", "Expires: 300"), 200, "<sip:1001@192.0.2.100>;expires=400", nil},
			{300, l(cseq(4), a, "Expires: 0"), 200, "", nil},
			{300, l(cseq(5)), 200, "", nil},
		}},
		{"default expiry", Config{DefaultExpires: 7 * time.Minute}, []step{{0, l(a), 200, "<sip:1001@192.0.2.100>;expires=420", nil}}},
		{"malformed expiry is the default", Config{}, []step{{0, l(a + ";expires=soon"), 200, "<sip:1001@192.0.2.100>;expires=600", nil}}},
		{"too long is cut", Config{}, []step{
			{0, l(a + ";expires=4294967296"), 200, "<sip:1001@192.0.2.100>;expires=3600", nil},
			{1, l(cseq(2), a, "Expires: 99999999999999999999999"), 200, "<sip:1001@192.0.2.100>;expires=3600", nil},
		}},
		{"too short is refused whole", Config{}, []step{
			{0, l(a+";expires=59", b), 423, "", l("Min-Expires: 60")},
			{0, l(cseq(2), a, "Expires: 1"), 423, "", nil},
			{0, l(cseq(3)), 200, "", nil},
		}},
		{"expires by itself", Config{}, []step{
			{0, l(a, "Expires: 60"), 200, "<sip:1001@192.0.2.100>;expires=60", nil},
			{60, l(cseq(2)), 200, "", nil},
		}},
		{"several at once, then one away", Config{}, []step{
			{0, l(a+";q=0.5, <sip:x@h>;q=1.0;expires=90", b), 200, "<sip:1001@192.0.2.100>;q=0.5;expires=600 <sip:x@h>;q=1.0;expires=90 <sip:1001@192.0.2.101:5070;transport=udp>;expires=600", nil},
			{1, l(cseq(2), "Contact: <sip:x@h>;expires=0"), 200, "<sip:1001@192.0.2.100>;q=0.5;expires=599 <sip:1001@192.0.2.101:5070;transport=udp>;expires=599", nil},
		}},
		{"one bad contact spoils all", Config{}, []step{
			{0, l(a, "Contact: <sip:x@h>;q=2"), 400, "", nil}, {0, l(cseq(2)), 200, "", nil},
			{0, l(cseq(3), a, "Contact: <sip:x@h"), 400, "", nil}, {0, l(cseq(4)), 200, "", nil},
		}},
		{"q of all forms", Config{}, []step{
			{0, l("Contact: <sip:a@h>;q=0, <sip:b@h>;q=1, <sip:c@h>;q=0.123, <sip:d@h>;q=1.000, <sip:e@h>;q=0."), 200,
				"<sip:a@h>;q=0;expires=600 <sip:b@h>;q=1;expires=600 <sip:c@h>;q=0.123;expires=600 <sip:d@h>;q=1.000;expires=600 <sip:e@h>;q=0.;expires=600", nil},
			{0, l(cseq(2), "Contact: <sip:a@h>;q=1.001"), 400, "", nil},
			{0, l(cseq(3), "Contact: <sip:a@h>;q=0.1234"), 400, "", nil},
			{0, l(cseq(4), "Contact: <sip:a@h>;q=.5"), 400, "", nil},
			{0, l(cseq(5), "Contact: <sip:a@h>;q"), 400, "", nil},
		}},
		{"equal URIs are one binding", Config{}, []step{
			{0, l("Contact: <sip:1001@H.example.com;transport=udp>"), 200, "<sip:1001@H.example.com;transport=udp>;expires=600", nil},
			{1, l(cseq(2), "Contact: <SIP:%31001@h.EXAMPLE.com;Transport=UDP>"), 200, "<SIP:%31001@h.EXAMPLE.com;Transport=UDP>;expires=600", nil},
			{2, l(cseq(3), "Contact: <sip:1001@h.example.com:5060;transport=udp>"), 200,
				"<SIP:%31001@h.EXAMPLE.com;Transport=UDP>;expires=599 <sip:1001@h.example.com:5060;transport=udp>;expires=600", nil},
		}},
		{"one contact given twice", Config{}, []step{{0, l(a, a+";expires=0"), 400, "", nil}}},
		{"star", Config{}, []step{
			{0, l(a, b), 200, "<sip:1001@192.0.2.100>;expires=600 <sip:1001@192.0.2.101:5070;transport=udp>;expires=600", nil},
			{0, l(cseq(2), star), 400, "", nil},
			{0, l(cseq(3), star, "Expires: 1"), 400, "", nil},
			{0, l(cseq(4), star, "Expires: 00000000000000000000001"), 400, "", nil},
			{0, l(cseq(5), star, a, "Expires: 0"), 400, "", nil},
			{0, l(cseq(6), star, star, "Expires: 0"), 400, "", nil},
			{0, l(cseq(7), star+";expires=0", "Expires: 0"), 400, "", nil},
			{0, l(cseq(8)), 200, "<sip:1001@192.0.2.100>;expires=600 <sip:1001@192.0.2.101:5070;transport=udp>;expires=600", nil},
			{0, l(cseq(9), star, "Expires: 0"), 200, "", nil},
			{0, l(cseq(10)), 200, "", nil},
		}},
		{"CSeq falls, same Call-ID", Config{}, []step{
			{0, l(cseq(5), a), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
			{1, l(cseq(4), a+";expires=0"), 500, "", nil},
			{1, l(cseq(4), a, b), 500, "", nil},
			{1, l(cseq(4), star, "Expires: 0"), 500, "", nil},
			{1, l(cseq(6)), 200, "<sip:1001@192.0.2.100>;expires=599", nil},
		}},
		{"CSeq falls, other Call-ID", Config{}, []step{
			{0, l(cseq(5), a), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
			{1, l("Call-ID: c2", cseq(1), a, "Expires: 120"), 200, "<sip:1001@192.0.2.100>;expires=120", nil},
			{2, l("Call-ID: c3", cseq(1), star, "Expires: 0"), 200, "", nil},
		}},
		{"the same CSeq is a retransmission and changes nothing", Config{}, []step{
			{0, l(cseq(5), a), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
			{10, l(cseq(5), a), 200, "<sip:1001@192.0.2.100>;expires=590", nil},
			{10, l(cseq(5), b), 200, "<sip:1001@192.0.2.100>;expires=590", nil},
			{10, l(cseq(5), star, "Expires: 0"), 200, "<sip:1001@192.0.2.100>;expires=590", nil},
		}},
		{"too many contacts", Config{MaxContacts: 2}, []step{
			{0, l(a, b, "Contact: <sip:x@h>"), 403, "", nil},
			{0, l(cseq(2), a, b), 200, "<sip:1001@192.0.2.100>;expires=600 <sip:1001@192.0.2.101:5070;transport=udp>;expires=600", nil},
			{0, l(cseq(3), "Contact: <sip:x@h>"), 403, "", nil},
			{0, l(cseq(4), a+";expires=0", "Contact: <sip:x@h>"), 200, "<sip:1001@192.0.2.101:5070;transport=udp>;expires=600 <sip:x@h>;expires=600", nil},
			{0, l(cseq(5), b, "Expires: 100"), 200, "<sip:1001@192.0.2.101:5070;transport=udp>;expires=100 <sip:x@h>;expires=600", nil},
		}},
		{"thirty-three removals", Config{}, []step{{0, l("Contact: " + strings.Repeat("<sip:x@h>;expires=0,", 32) + "<sip:y@h>;expires=0"), 403, "", nil}}},
		{"removing what is not there", Config{}, []step{{0, l(a + ";expires=0"), 200, "", nil}}},
		{"contact of a scheme that we cannot call", Config{}, []step{
			{0, l("Contact: <mailto:a@b>"), 400, "", nil}, {0, l("Contact: <tel:+49301>"), 400, "", nil}, {0, l("Contact: <name:John_Smith>"), 400, "", nil},
		}},
		{"contact too long", Config{}, []step{{0, l("Contact: <sip:" + strings.Repeat("x", 1024) + "@h>"), 400, "", nil}}},
		{"To is no AOR", Config{}, []step{
			{0, l("To: isbn:2983792873", a), 400, "", nil}, {0, l("To: <tel:+49301>", a), 400, "", nil},
			{0, l("To: <sip:example.com>", a), 400, "", nil}, {0, l("To: <sip:1001@example.com", a), 400, "", nil},
		}},
		{"not our domain", Config{}, []step{
			{0, l("To: <sip:1001@example.org>", a), 404, "", nil}, {0, l("R-URI: sip:example.org", a), 404, "", nil},
		}},
		{"our address and what is advertised are ours", Config{}, []step{
			{0, l("R-URI: sip:192.0.2.1", "To: <sip:1001@192.0.2.1:5060>", a), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
			{0, l(cseq(2), "R-URI: sip:PBX.example.net", "To: sip:1001@EXAMPLE.com"), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
		}},
		{"Require", Config{}, []step{
			{0, l("Require: path, outbound", a), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
			{0, l(cseq(2), "Require: path, foo", "Require: gruu", a), 420, "", l("Unsupported: foo, gruu")},
		}},
		{"CSeq of another method, or none", Config{}, []step{
			{0, l("CSeq: 1 INVITE", a), 400, "", nil}, {0, l("CSeq: x REGISTER", a), 400, "", nil}, {0, l("CSeq: 2147483648 REGISTER", a), 400, "", nil},
		}},
		{"Path from a stranger is passed over", Config{}, []step{
			{0, l(a, "Path: <sip:evil.example.com;lr>", "Supported: path"), 200, "<sip:1001@192.0.2.100>;expires=600", nil},
		}},
		{"what every 200 says", Config{}, []step{{0, l(a), 200, "<sip:1001@192.0.2.100>;expires=600", l("Supported: path, outbound", "Date: "+start.UTC().Format("Mon, 02 Jan 2006 15:04:05")+" GMT", "Content-Length: 0")}}},
		{"parameters come back as they were", Config{}, []step{
			{0, l(`Contact: "Al" <sip:1001@192.0.2.100>;Q=0.7;+sip.instance="<urn:uuid:1>";expires=100;x="a;b,c";methods="INVITE"`), 200,
				`<sip:1001@192.0.2.100>;Q=0.7;+sip.instance="<urn:uuid:1>";x="a;b,c";methods="INVITE";expires=100`, nil},
		}},
		{"folded contact is stored on one line", Config{}, []step{
			{0, l("Contact: <sip:1001@192.0.2.100>\r\n ;x=\"a\r\n b\"\r\n ;expires=100"), 200, `<sip:1001@192.0.2.100>;x="a   b";expires=100`, nil},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRegistrar(c.cfg)
			f := udpFlow(homeAddr)
			for i, s := range c.steps {
				m := message(t, homeAddr, s.lines...)
				raw := r.Register(start.Add(time.Duration(s.at)*time.Second), f, m, "1001")
				resp := answered(t, raw)
				if resp.Status() != s.status || contactsOf(resp) != s.contacts {
					t.Fatalf("step %d: %d %s, contacts\n%s, want %d\n%s", i, resp.Status(), resp.Reason(), contactsOf(resp), s.status, s.contacts)
				}
				for _, h := range s.has {
					if !strings.Contains(string(raw), "\r\n"+h+"\r\n") {
						t.Fatalf("step %d: no %q in\n%s", i, h, raw)
					}
				}
				if resp.Has(sip.HeaderPath) { // none of these comes from a trusted edge
					t.Fatalf("step %d: a Path in\n%s", i, raw)
				}
			}
		})
	}
}

func TestPath(t *testing.T) {
	trusted := Config{TrustedPath: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	for _, c := range []struct {
		name   string
		source netip.AddrPort
		path   string
		status int
		want   []string
	}{
		{"from the edge", edgeAddr, "<sip:p1.example.com;lr>, <sip:p2.example.com;lr>", 200, []string{"<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"}},
		{"from an address that maps the edge's", netip.MustParseAddrPort("[::ffff:203.0.113.5]:5060"), "<sip:p1.example.com;lr>", 200, []string{"<sip:p1.example.com;lr>"}},
		{"from a stranger", homeAddr, "<sip:p1.example.com;lr>", 200, nil},
		{"without lr", edgeAddr, "<sip:p1.example.com>", 400, nil},
		{"malformed", edgeAddr, "<sip:p1.example.com;lr", 400, nil},
		{"no URI that we route to", edgeAddr, "<tel:+491;lr>", 400, nil},
		{"too many", edgeAddr, strings.Repeat("<sip:p;lr>,", 8) + "<sip:p;lr>", 400, nil},
		{"too long", edgeAddr, "<sip:" + strings.Repeat("p", 250) + ";lr;x=" + strings.Repeat("y", 1000) + ">", 400, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRegistrar(trusted)
			m := message(t, c.source, "Contact: <sip:1001@10.0.0.1:5060>", "Supported: path", "Path: "+c.path)
			resp := answered(t, r.Register(start, udpFlow(c.source), m, "1001"))
			var echoed []string
			for p := range resp.Elements(sip.HeaderPath) {
				echoed = append(echoed, p)
			}
			if resp.Status() != c.status || fmt.Sprint(echoed) != fmt.Sprint(c.want) {
				t.Fatalf("%d, Path %q", resp.Status(), echoed)
			}
			if list := r.Store().Lookup("1001", start); c.status == 200 {
				if len(list) != 1 || fmt.Sprint(list[0].Route()) != fmt.Sprint(c.want) || list[0].NAT != (c.want == nil) {
					t.Fatalf("bindings %+v", list)
				}
			}
		})
	}
}

func TestOutbound(t *testing.T) {
	const direct = "SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1"
	const relayed = direct + ", SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK2"
	contact := func(host, id string) string {
		return `Contact: <sip:1001@` + host + `;ob>;reg-id=` + id + `;+sip.instance="<urn:uuid:A>"`
	}
	trusted := Config{TrustedPath: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	for _, c := range []struct {
		name   string
		source netip.AddrPort
		lines  []string
		status int
		regID  uint32
		timer  bool
	}{
		{"direct", homeAddr, []string{"Via: " + direct, contact("10.0.0.1", "1"), "Supported: path, outbound"}, 200, 1, true},
		{"without the option tag reg-id means nothing", homeAddr, []string{contact("10.0.0.1", "1")}, 200, 0, false},
		{"without an instance too", homeAddr, []string{"Contact: <sip:1001@h>;reg-id=1", "Supported: outbound"}, 200, 0, false},
		{"first hop keeps flows", edgeAddr, []string{"Via: " + relayed, contact("10.0.0.1", "1"), "Supported: outbound", "Path: <sip:far;lr>, <sip:edge;lr;ob>"}, 200, 1, false},
		{"first hop does not", edgeAddr, []string{"Via: " + relayed, contact("10.0.0.1", "1"), "Supported: outbound", "Path: <sip:far;lr;ob>, <sip:edge;lr>"}, 439, 0, false},
		{"first hop said nothing", edgeAddr, []string{"Via: " + relayed, contact("10.0.0.1", "1"), "Supported: outbound"}, 439, 0, false},
		{"first hop is a stranger", homeAddr, []string{"Via: " + relayed, contact("10.0.0.1", "1"), "Supported: outbound", "Path: <sip:edge;lr;ob>"}, 439, 0, false},
		{"relayed without outbound", edgeAddr, []string{"Via: " + relayed, "Contact: <sip:1001@h>"}, 200, 0, false},
		{"two reg-ids at once", homeAddr, []string{contact("10.0.0.1", "1"), contact("10.0.0.1", "2"), "Supported: outbound"}, 400, 0, false},
		{"reg-id zero", homeAddr, []string{contact("10.0.0.1", "0"), "Supported: outbound"}, 400, 0, false},
		{"reg-id too large", homeAddr, []string{contact("10.0.0.1", "2147483648"), "Supported: outbound"}, 400, 0, false},
		{"reg-id no number", homeAddr, []string{contact("10.0.0.1", "x"), "Supported: outbound"}, 400, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRegistrar(trusted)
			resp := answered(t, r.Register(start, newLink(transport.TCP).flow(c.source), message(t, c.source, c.lines...), "1001"))
			if resp.Status() != c.status || resp.Lists(sip.HeaderRequire, "outbound") != (c.regID != 0) || resp.Has(sip.HeaderFlowTimer) != c.timer {
				t.Fatalf("answer:\n%s", resp.Raw())
			}
			list := r.Store().Lookup("1001", start)
			if c.status == 200 && (len(list) != 1 || list[0].RegID != c.regID) {
				t.Fatalf("bindings %+v", list)
			}
		})
	}
}

// A phone pings more often over a connection, which may be gone without a word, than over UDP; the configuration may say otherwise.
func TestFlowTimer(t *testing.T) {
	for _, c := range []struct {
		proto transport.Proto
		set   time.Duration
		want  string
	}{
		{transport.UDP, 0, "120"}, {transport.TCP, 0, "20"}, {transport.WSS, 0, "20"}, {transport.TLS, 45 * time.Second, "45"}, {transport.TLS, -1, ""},
	} {
		r := newTestRegistrar(Config{FlowTimer: c.set})
		resp := answered(t, r.Register(start, newLink(c.proto).flow(homeAddr), message(t, homeAddr,
			`Contact: <sip:1001@10.0.0.1;ob>;reg-id=1;+sip.instance="<urn:uuid:A>"`, "Supported: path, outbound"), "1001"))
		if got := resp.Header(sip.HeaderFlowTimer); got != c.want {
			t.Errorf("%v, set to %v: %q", c.proto, c.set, got)
		}
	}
}

// A new REGISTER of the same instance and reg-id takes the place of the old flow, whatever its Contact and Call-ID;
// another reg-id is another flow of the same phone (RFC 5626 §6).
func TestOutboundReplacesTheFlow(t *testing.T) {
	r := newTestRegistrar(Config{})
	contact := func(host, id string) string {
		return `Contact: <sip:1001@` + host + `;ob>;reg-id=` + id + `;+sip.instance="<urn:uuid:A>"`
	}
	old, second, fresh := newLink(transport.TCP), newLink(transport.TCP), newLink(transport.TCP)
	send := func(l *link, callID, contact string) {
		t.Helper()
		m := message(t, homeAddr, "Call-ID: "+callID, contact, "Supported: outbound")
		if s := answered(t, r.Register(start, l.flow(homeAddr), m, "1001")).Status(); s != 200 {
			t.Fatal(s)
		}
	}
	send(old, "a", contact("10.0.0.1:1", "1"))
	send(second, "b", contact("10.0.0.1:2", "2"))
	send(fresh, "c", contact("10.0.0.1:3", "1"))
	list := r.Store().Lookup("1001", start)
	if len(list) != 2 || list[0].Contact != "sip:1001@10.0.0.1:3;ob" && list[1].Contact != "sip:1001@10.0.0.1:3;ob" {
		t.Fatalf("bindings %+v", list)
	}
	r.Closed(old.flow(homeAddr)) // late news of the old flow touch nobody
	if n := len(r.Store().Lookup("1001", start)); n != 2 {
		t.Fatalf("%d bindings after the old flow closed", n)
	}
	r.Closed(fresh.flow(homeAddr))
	if list := r.Store().Lookup("1001", start); len(list) != 1 || list[0].RegID != 2 {
		t.Fatalf("bindings %+v", list)
	}
}

func TestNAT(t *testing.T) {
	for _, c := range []struct {
		name    string
		proto   transport.Proto
		contact string
		want    bool
	}{
		{"where it says", transport.UDP, "sip:1001@192.0.2.100:5060", false},
		{"default port", transport.UDP, "sip:1001@192.0.2.100", false},
		{"other port", transport.UDP, "sip:1001@192.0.2.100:5062", true},
		{"private address", transport.UDP, "sip:1001@10.0.0.1:5060", true},
		{"a name", transport.UDP, "sip:1001@phone.example.com", true},
		{"maddr elsewhere", transport.UDP, "sip:1001@192.0.2.100;maddr=198.51.100.1", true},
		{"TCP from another port", transport.TCP, "sip:1001@192.0.2.100:5062;transport=tcp", false},
		{"TCP from a private address", transport.TCP, "sip:1001@10.0.0.1;transport=tcp", true},
		{"browser", transport.WSS, "sip:k3j5@192.0.2.100;transport=ws", true},
		{"browser that hides", transport.WS, "sip:k3j5@abc.invalid;transport=ws", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRegistrar(Config{})
			r.Register(start, newLink(c.proto).flow(homeAddr), message(t, homeAddr, "Contact: <"+c.contact+">"), "1001")
			list := r.Store().Lookup("1001", start)
			if len(list) != 1 || list[0].NAT != c.want || list[0].Contact != c.contact || list[0].Flow.Remote() != homeAddr {
				t.Fatalf("%+v", list)
			}
		})
	}
}

func TestRequestURI(t *testing.T) {
	for in, want := range map[string]string{
		"sip:1001@h;x=y": "sip:1001@h;x=y",
		"sip:user@example.com?Route=%3Csip:sip.example.com%3E": "sip:user@example.com",
		"sip:u@h;a=1;method=INVITE;b?x=y":                      "sip:u@h;a=1;b",
	} {
		if got := (&Binding{Contact: in}).RequestURI(); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
