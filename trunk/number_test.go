package trunk

import (
	"strings"
	"testing"

	"tandem/sip"
)

// britain is the way numbers are dialled there.
type britain struct{}

func (britain) E164(d string) string {
	if rest, ok := strings.CutPrefix(d, "00"); ok {
		return "+" + rest
	}
	if rest, ok := strings.CutPrefix(d, "0"); ok {
		return "+44" + rest
	}
	return d
}

func (britain) Dial(n string) string {
	if rest, ok := strings.CutPrefix(n, "+44"); ok {
		return "0" + rest
	}
	return "00" + strings.TrimPrefix(n, "+")
}

func TestNumbersThereAndBack(t *testing.T) {
	const number = "+442079460018"
	tests := []struct {
		cfg Config
		uri string
	}{
		{Config{Numbers: E164}, "sip:+442079460018@c.example"},
		{Config{Numbers: E164WithoutPlus}, "sip:442079460018@c.example"},
		{Config{Numbers: National}, "sip:02079460018@c.example"},
		{Config{Numbers: International}, "sip:00442079460018@c.example"},
		{Config{Numbers: E164WithoutPlus, TechPrefix: "99#"}, "sip:99%23442079460018@c.example"},
		{Config{Numbers: E164, UserPhone: true}, "sip:+442079460018@c.example;user=phone"},
		{Config{Numbers: E164, Tel: true}, "tel:+442079460018"},
		{Config{Numbers: National, Tel: true}, "tel:02079460018;phone-context=c.example"},
	}
	for _, tt := range tests {
		tt.cfg.Domain = "c.example"
		uri := tt.cfg.RequestURI(number, britain{})
		if uri != tt.uri {
			t.Errorf("%s: %s, want %s", tt.cfg.Numbers, uri, tt.uri)
		}
		if _, err := sip.ParseURI(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if tt.cfg.TechPrefix == "" {
			if back := tt.cfg.Inward(userOf(uri), britain{}); back != number {
				t.Errorf("%s comes back as %s", uri, back)
			}
		}
	}
	c := Config{Domain: "c.example", Numbers: E164WithoutPlus}
	for _, code := range []string{"999", "1001", "*43"} {
		if got := c.Inward(code, britain{}); got != code {
			t.Errorf("%s becomes %s", code, got)
		}
	}
}

func TestOnlyOwnNumbersAreShown(t *testing.T) {
	c := Config{Domain: "c.example", Numbers: E164, Identity: IdentityPAI, CallerID: "+442079460000", Own: []string{"+4420794600*"}}
	tests := []struct {
		name      string
		who       Caller
		from, pai string
	}{
		{"a DID", Caller{Number: "+33140000000", Name: "Al", Ours: true}, `"Al" <sip:+33140000000@c.example>`, "<sip:+33140000000@c.example>"},
		{"a block of ours", Caller{Number: "+442079460018"}, "<sip:+442079460018@c.example>", "<sip:+442079460018@c.example>"},
		{"somebody else's", Caller{Number: "+15550100", Name: "Al"}, "<sip:+442079460000@c.example>", "<sip:+442079460000@c.example>"},
		{"an extension", Caller{Number: "1001", Name: "Al", Ours: true}, "<sip:+442079460000@c.example>", "<sip:+442079460000@c.example>"},
		{"withheld", Caller{Number: "+442079460018", Private: true, Name: "Al"}, anonymous, "<sip:+442079460018@c.example>"},
	}
	for _, tt := range tests {
		if got := c.From(tt.who, britain{}); got != tt.from {
			t.Errorf("%s: From %s, want %s", tt.name, got, tt.from)
		}
		m := identity(t, &c, tt.who)
		if got := m.Header(sip.HeaderPAssertedIdentity); got != tt.pai {
			t.Errorf("%s: P-Asserted-Identity %s, want %s", tt.name, got, tt.pai)
		}
		if got := m.Header(sip.HeaderPrivacy); (got == "id") != tt.who.Private {
			t.Errorf("%s: Privacy %q", tt.name, got)
		}
	}
	c.CallerID, c.Own, c.Identity = "", nil, IdentityRPID
	if got := c.From(Caller{Number: "+15550100"}, britain{}); got != anonymous {
		t.Error("no number of ours:", got)
	}
	c.AnyCaller = true
	if got := identity(t, &c, Caller{Number: "+15550100", Private: true}).Header(sip.HeaderRemotePartyID); !strings.Contains(got, "privacy=full") || !strings.Contains(got, "+15550100") {
		t.Error("Remote-Party-ID:", got)
	}
}

func identity(t *testing.T, c *Config, who Caller) *sip.Message {
	t.Helper()
	w := sip.NewWriter(nil)
	w.Request(sip.INVITE, "sip:x@c.example")
	c.WriteIdentity(w, who, britain{})
	w.Finish("", nil)
	raw, err := w.Bytes()
	m := new(sip.Message)
	if err != nil || m.Parse(string(raw)) != nil {
		t.Fatal(err, string(raw))
	}
	return m
}

func TestWhoCallsAndWhomFromACarrier(t *testing.T) {
	m := new(sip.Message)
	if err := m.Parse("INVITE sip:acct@192.0.2.1;line=X SIP/2.0\r\n" +
		"From: \"Al\" <sip:02079460018@c.example>;tag=1\r\nTo: <sip:442079460001@c.example>\r\n" +
		"P-Called-Party-ID: <sip:442079460002@c.example>\r\n" +
		"Diversion: <sip:442079460003@c.example>;reason=unconditional, <sip:442079460004@c.example>\r\n" +
		"Call-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[Source]string{FromRequest: "acct", FromTo: "+442079460001", FromPCalled: "+442079460002", FromDiversion: "+442079460004"} {
		c := Config{Numbers: E164WithoutPlus, Called: source}
		if got := c.CalledNumber(m, britain{}); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	c := Config{Numbers: E164WithoutPlus}
	if number, name := c.CallingParty(m, britain{}); number != "+442079460018" || name != "Al" {
		t.Error("calling party:", number, name)
	}
	for _, lines := range []string{"Privacy: id\r\n", "Privacy: critical;user\r\n"} {
		private := new(sip.Message)
		if err := private.Parse(strings.Replace(m.Raw(), "Call-ID", lines+"Call-ID", 1)); err != nil {
			t.Fatal(err)
		}
		if number, name := c.CallingParty(private, britain{}); number != "" || name != "Anonymous" {
			t.Errorf("%q: %s %s", lines, number, name)
		}
	}
}
