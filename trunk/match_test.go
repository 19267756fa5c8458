package trunk

import (
	"log/slog"
	"net/netip"
	"testing"

	"tandem/sip"
	"tandem/sip/transport"
)

// link is one end of a connection whose peer has proven some names.
type link struct {
	proto transport.Proto
	names []string
}

func (l *link) Proto() transport.Proto                   { return l.proto }
func (l *link) ID() uint64                               { return 1 }
func (l *link) Listener() string                         { return "test" }
func (l *link) SentBy(a netip.AddrPort) string           { return a.String() }
func (l *link) Alive() bool                              { return true }
func (l *link) Send(_, _ netip.AddrPort, _ []byte) error { return nil }
func (l *link) Names() []string                          { return l.names }
func from(p transport.Proto, addr string, n ...string) transport.Flow {
	return transport.NewFlow(&link{p, n}, netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort(addr))
}

func TestWhoseCallItIs(t *testing.T) {
	s := New(Rooms{}, slog.New(slog.DiscardHandler))
	nets := func(text ...string) (out []netip.Prefix) {
		for _, x := range text {
			out = append(out, netip.MustParsePrefix(x))
		}
		return out
	}
	proxy := []transport.Target{{Host: "198.51.100.7"}}
	s.Update([]Config{
		{Name: "wide", Proxies: proxy, Accept: Accept{On: true, Addresses: nets("198.51.100.0/24")}},
		{Name: "narrow", Proxies: proxy, Accept: Accept{On: true, Addresses: nets("198.51.100.64/28")}},
		{Name: "proxy", Proxies: []transport.Target{{Host: "203.0.113.5"}}, Accept: Accept{On: true}},
		{Name: "named", Proxies: proxy, Accept: Accept{On: true, Names: []string{"sip.carrier.example"}}},
		{Name: "both", Proxies: proxy, Accept: Accept{On: true, Names: []string{"sbc.other.example"}, Addresses: nets("192.0.2.128/25")}},
		{Name: "line", Proxies: proxy, Registers: []Register{{User: "acct"}}},
		{Name: "out", Proxies: []transport.Target{{Host: "203.0.113.6"}}},
	})
	line := "sip:acct@192.0.2.1;line=" + s.Find("line").line
	tests := []struct {
		name string
		flow transport.Flow
		uri  string
		want string
	}{
		{"by network", from(transport.UDP, "198.51.100.9:5060"), "sip:1@x", "wide"},
		{"by the narrower network", from(transport.UDP, "198.51.100.70:31000"), "sip:1@x", "narrow"},
		{"by its proxy's address", from(transport.TCP, "203.0.113.5:44444"), "sip:1@x", "proxy"},
		{"a trunk that accepts nothing", from(transport.UDP, "203.0.113.6:5060"), "sip:1@x", ""},
		{"a stranger", from(transport.UDP, "203.0.113.99:5060"), "sip:1@x", ""},
		{"by name", from(transport.TLS, "203.0.113.99:5061", "SIP.carrier.example"), "sip:1@x", "named"},
		{"a name over plain TCP", from(transport.TCP, "203.0.113.99:5061", "sip.carrier.example"), "sip:1@x", ""},
		{"another name", from(transport.TLS, "203.0.113.99:5061", "evil.sip.carrier.example"), "sip:1@x", ""},
		{"name and address", from(transport.TLS, "192.0.2.200:5061", "sbc.other.example"), "sip:1@x", "both"},
		{"name from elsewhere", from(transport.TLS, "203.0.113.99:5061", "sbc.other.example"), "sip:1@x", ""},
		{"address without the name", from(transport.TLS, "192.0.2.200:5061"), "sip:1@x", ""},
		{"by line, from anywhere", from(transport.UDP, "203.0.113.99:5060"), line, "line"},
		{"a guessed line", from(transport.UDP, "203.0.113.99:5060"), "sip:acct@192.0.2.1;line=AAAAAAAAAAAAAAAAAAAAAAAAAA", ""},
		{"an empty line", from(transport.UDP, "203.0.113.99:5060"), "sip:acct@192.0.2.1;line=", ""},
		{"mapped IPv4", from(transport.UDP, "[::ffff:198.51.100.9]:5060"), "sip:1@x", "wide"},
	}
	for _, tt := range tests {
		m := new(sip.Message)
		if err := m.Parse("INVITE " + tt.uri + " SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9\r\nFrom: <sip:x@198.51.100.9>\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got := ""
		if found := s.Match(tt.flow, m); found != nil {
			got = found.Name()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// plainHome leaves numbers as they are.
type plainHome struct{}

func (plainHome) E164(n string) string { return n }
func (plainHome) Dial(n string) string { return n }

// TestAssociatedNumbers: what the carrier says of our registration is ours to show.
func TestAssociatedNumbers(t *testing.T) {
	tr := plain(Config{Name: "a", Numbers: E164WithoutPlus})
	tr.regs = []RegistrationState{{Associated: []string{"sip:442079460018@carrier.example", "tel:+442079460019"}}}
	for number, want := range map[string]bool{"+442079460018": true, "+442079460019": true, "+442079460020": false, "": false} {
		if got := tr.Associates(number, plainHome{}); got != want {
			t.Errorf("%q: %v", number, got)
		}
	}
}
