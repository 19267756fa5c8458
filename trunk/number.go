package trunk

import (
	"strings"

	"tandem/sip"
)

// Home is what digits mean where the switch stands: dialplan.Numbering.
type Home interface {
	E164(dialled string) string // +442079460018 for 02079460018
	Dial(number string) string  // the way back
}

// Outward is a number as this carrier writes it. Numbers that are not E.164 are left as they are.
func (c *Config) Outward(number string, home Home) string {
	digits, ok := strings.CutPrefix(number, "+")
	if !ok {
		return number
	}
	switch c.Numbers {
	case E164WithoutPlus:
		return digits
	case National:
		return home.Dial(number)
	case International:
		return "00" + digits
	}
	return number
}

// Inward is a number of this carrier as E.164, where it is one.
func (c *Config) Inward(number string, home Home) string {
	if !digitsOnly(strings.TrimPrefix(number, "+")) || number == "" {
		return number
	}
	switch {
	case number[0] == '+':
		return number
	case c.Numbers == E164WithoutPlus && len(number) >= 7 && len(number) <= 15 && number[0] != '0':
		return "+" + number
	case c.Numbers == International && strings.HasPrefix(number, "00") && len(number) >= 9:
		return "+" + number[2:]
	}
	return home.E164(number)
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// RequestURI is the URI that calls a number, E.164 where it is one.
func (c *Config) RequestURI(number string, home Home) string {
	user := c.TechPrefix + c.Outward(number, home)
	if c.Tel {
		if digits := strings.TrimPrefix(user, "+"); digits != user && digitsOnly(digits) {
			return "tel:" + user
		}
		if digitsOnly(user) { // a local number needs its context (RFC 3966 §5.1.5)
			return "tel:" + user + ";phone-context=" + bare(c.Domain)
		}
	}
	uri := "sip:" + sip.EscapeUser(user) + "@" + c.Domain
	if c.UserPhone {
		uri += ";user=phone"
	}
	return uri
}

// bare is a host without its port.
func bare(hostport string) string {
	if u, err := sip.ParseURI("sip:" + hostport); err == nil {
		return u.Host
	}
	return hostport
}

// address is an identity of ours at the carrier.
func (c *Config) address(number string, home Home) string {
	uri := "sip:" + sip.EscapeUser(c.Outward(number, home)) + "@" + c.Domain
	if c.UserPhone {
		uri += ";user=phone"
	}
	return uri
}

// Caller is who calls out over a trunk.
type Caller struct {
	Number  string // what the plan says: E.164, or an inside number, which is not shown
	Name    string
	Ours    bool // the number belongs to this switch: a DID, or a caller ID that the plan names
	Allowed bool // it may be shown, whosever it is: the caller's class says so
	Private bool // the caller withholds it
}

// Shown is the number that the carrier is given: the caller's if it may be shown, else the trunk's own, else none.
func (c *Config) Shown(who Caller) string {
	if strings.HasPrefix(who.Number, "+") && (who.Ours || who.Allowed || c.AnyCaller || c.owns(who.Number)) {
		return who.Number
	}
	return c.CallerID
}

func (c *Config) owns(number string) bool {
	if number == c.CallerID {
		return true
	}
	for _, own := range c.Own {
		prefix, block := strings.CutSuffix(own, "*")
		if own == number || block && strings.HasPrefix(number, prefix) {
			return true
		}
	}
	return false
}

// anonymous is the From of a caller who is not shown (RFC 3323 §4.1).
const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`

// From is the From value of a call to the carrier, without a tag.
func (c *Config) From(who Caller, home Home) string {
	number := c.Shown(who)
	if c.Private || who.Private || number == "" {
		return anonymous
	}
	address := "<" + c.address(number, home) + ">"
	if who.Name != "" && number == who.Number {
		return sip.Quote(who.Name) + " " + address
	}
	return address
}

// WriteIdentity writes the headers that tell the carrier who calls (RFC 3325, RFC 3323, draft-ietf-sip-privacy-04).
func (c *Config) WriteIdentity(w *sip.Writer, who Caller, home Home) {
	number := c.Shown(who)
	private := c.Private || who.Private
	switch {
	case number == "":
	case c.Identity == IdentityPAI:
		w.Set(sip.HeaderPAssertedIdentity, "<"+c.address(number, home)+">")
	case c.Identity == IdentityRPID:
		privacy := "off"
		if private {
			privacy = "full"
		}
		w.Set(sip.HeaderRemotePartyID, "<"+c.address(number, home)+">;party=calling;screen=yes;privacy="+privacy)
	}
	if private {
		w.Set(sip.HeaderPrivacy, "id")
	}
}

// CalledNumber is the number that a call from the carrier is for, where this trunk has it, in our form.
func (c *Config) CalledNumber(m *sip.Message, home Home) string {
	uri := m.RequestURI()
	switch c.Called {
	case FromTo:
		uri = addressIn(m.Header(sip.HeaderTo), uri)
	case FromPCalled:
		v, _ := m.Named("P-Called-Party-ID")
		uri = addressIn(v, uri)
	case FromDiversion:
		for e := range m.Elements(sip.HeaderDiversion) { // the last is the first whom it was for (RFC 5806 §5)
			uri = addressIn(e, uri)
		}
	}
	return c.Inward(userOf(uri), home)
}

// addressIn is the URI of a name-addr; absent where there is none.
func addressIn(value, absent string) string {
	if a, err := sip.ParseNameAddr(value); err == nil && !a.Star {
		return a.URI
	}
	return absent
}

// userOf is the number in a URI; the number to which a ported one leads (npdi, rn of RFC 4694) is the network's matter.
func userOf(uri string) string {
	u, err := sip.ParseURI(uri)
	if err != nil {
		return ""
	}
	user, _, _ := strings.Cut(u.Number(), ";")
	return user
}

// Asserted is the number that the caller has, as the carrier says, whether it may be shown or not: what a signature must be of.
func (c *Config) Asserted(m *sip.Message, home Home) string {
	uri := addressIn(m.Header(sip.HeaderFrom), "")
	for e := range m.Elements(sip.HeaderPAssertedIdentity) {
		if asserted := addressIn(e, ""); userOf(asserted) != "" {
			uri = asserted
			break
		}
	}
	return c.Inward(userOf(uri), home)
}

// ContactNumber is the number in a Contact of a redirection; empty: there is none.
func (c *Config) ContactNumber(contact string, home Home) string {
	number := c.Inward(userOf(addressIn(contact, "")), home)
	if !digitsOnly(strings.TrimPrefix(number, "+")) {
		return ""
	}
	return number
}

// ToNumber is the number in the To header.
func (c *Config) ToNumber(m *sip.Message, home Home) string {
	return c.Inward(userOf(addressIn(m.Header(sip.HeaderTo), "")), home)
}

// CallingParty is who calls, as the carrier says: P-Asserted-Identity or Remote-Party-ID before From, since the carrier
// is trusted with them. A caller who withholds it (RFC 3323) has neither number nor name.
func (c *Config) CallingParty(m *sip.Message, home Home) (number, name string) {
	if Withheld(m) {
		return "", "Anonymous"
	}
	from := m.Header(sip.HeaderFrom)
	for _, id := range []sip.HeaderID{sip.HeaderPAssertedIdentity, sip.HeaderRemotePartyID} {
		for e := range m.Elements(id) {
			if a, err := sip.ParseNameAddr(e); err == nil && !a.Star && userOf(a.URI) != "" {
				return c.Inward(userOf(a.URI), home), first(a.Name(), nameIn(from))
			}
		}
	}
	a, err := sip.ParseNameAddr(from)
	if err != nil {
		return "", ""
	}
	u, err := sip.ParseURI(a.URI)
	if err != nil || sip.EqualFold(u.Host, "anonymous.invalid") || sip.EqualFold(u.User, "anonymous") {
		return "", "Anonymous"
	}
	return c.Inward(userOf(a.URI), home), a.Name()
}

func nameIn(value string) string {
	a, err := sip.ParseNameAddr(value)
	if err != nil {
		return ""
	}
	return a.Name()
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Withheld tells whether a request asks that its caller be not shown (RFC 3323 §4.2, RFC 3325 §9.3).
func Withheld(m *sip.Message) bool {
	v, _, _ := strings.Cut(m.Header(sip.HeaderPrivacy), ",")
	for token := range strings.SplitSeq(v, ";") {
		switch strings.ToLower(sip.Trim(token)) {
		case "id", "user", "header":
			return true
		}
	}
	return false
}
