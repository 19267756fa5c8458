package stranger

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// bindings asks the switch who is registered where: contacts by extension.
func (o *office) bindings() map[string][]string {
	o.t.Helper()
	out, err := o.Run("registrations", "--json")
	if err != nil {
		o.t.Fatalf("registrations: %v\n%s", err, out)
	}
	var all []struct{ Extension, Contact string }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		o.t.Fatalf("%v in %s", err, out)
	}
	by := map[string][]string{}
	for _, r := range all {
		by[r.Extension] = append(by[r.Extension], r.Contact)
	}
	return by
}

// Nobody but its owner moves a binding.
func TestBindingOfSomebodyElse(t *testing.T) {
	t.Parallel()
	o := open(t)
	bob := o.phone("1002")
	before := o.bindings()
	if len(before["1002"]) != 1 {
		t.Fatalf("bob is bound to %q", before["1002"])
	}
	alice := o.stranger("1001")
	own := alice.Registration(alice.Contact())
	register := func(change func(*wire.Request)) wire.Request {
		r := own
		r.CallID = wire.Token()
		change(&r)
		return r
	}
	for _, c := range []struct {
		name string
		r    wire.Request
		want []int
	}{
		{"To of bob", register(func(r *wire.Request) { r.To = "<" + alice.URI("1002") + ">" }), []int{403}},
		{"To and From of bob", register(func(r *wire.Request) {
			r.To, r.From = "<"+alice.URI("1002")+">", "<"+alice.URI("1002")+">;tag=x"
		}), []int{403}},
		{"To of nobody", register(func(r *wire.Request) { r.To = "<" + alice.URI("4711") + ">" }), []int{403, 404}},
		{"To in another domain", register(func(r *wire.Request) { r.To = "<sip:1002@elsewhere.example>" }), []int{403, 404}},
		{"another domain", register(func(r *wire.Request) { r.URI = "sip:elsewhere.example" }), []int{403, 404}},
		{"star without Expires 0", register(func(r *wire.Request) { r.Contact = "*" }), []int{400}},
		{"star with Expires 60", register(func(r *wire.Request) { r.Contact = "*"; r.Extra = []string{"Expires: 60"} }), []int{400}},
		{"star beside a contact", register(func(r *wire.Request) {
			r.Contact = "*"
			r.Extra = []string{"Contact: <sip:x@127.0.0.1>", "Expires: 0"}
		}), []int{400}},
		{"star of bob", register(func(r *wire.Request) {
			r.To, r.Contact, r.Extra = "<"+alice.URI("1002")+">", "*", []string{"Expires: 0"}
		}), []int{403}},
		{"too short", register(func(r *wire.Request) { r.Extra = []string{"Expires: 1"} }), []int{423}},
		{"what we do not know", register(func(r *wire.Request) { r.Extra = []string{"Require: teleport"} }), []int{420}},
	} {
		m := alice.Ask(c.r)
		if !among(m.Status(), c.want...) {
			t.Errorf("%s: want %v, got %s", c.name, c.want, m.Raw)
		}
		if c.want[0] == 423 && m.Get("min-expires") == "" || c.want[0] == 420 && m.Get("unsupported") != "teleport" {
			t.Errorf("%s does not say why: %s", c.name, m.Raw)
		}
	}
	if after := o.bindings(); !reflect.DeepEqual(before, after) {
		t.Errorf("bindings were %v and are %v", before, after)
	}
	bob.Register()
	// A number that no clock holds is no number: RFC 3261 §10.3 step 7 has it taken for an hour.
	m := alice.Ask(alice.Registration(alice.Contact(), "Expires: 99999999999"))
	if m.Status() != 200 || wire.Param(m.Get("contact"), "expires") != "3600" {
		t.Errorf("endless registration: %s", m.Raw)
	}
}

// A Path that a phone names itself would let it choose where its calls are sent.
func TestPathOfAPhoneIsNotTaken(t *testing.T) {
	t.Parallel()
	o := open(t)
	spy := o.stranger("1003")
	bob := o.stranger("1002")
	r := bob.Registration(bob.Contact(), "Expires: 3600", "Supported: path", "Path: <sip:"+spy.Local.String()+";lr>")
	m := bob.Ask(r)
	if m.Status() == 200 && m.Get("path") != "" {
		t.Errorf("the Path was taken: %s", m.Raw)
	} else if !among(m.Status(), 200, 420) {
		t.Errorf("REGISTER with Path: %s", m.Raw)
	}
	if m.Status() == 200 {
		alice := o.phone("1001")
		c := connect(t, alice, bob)
		c.end()
	}
	if n, _ := spy.Count(); n != 0 {
		t.Errorf("%d packets went where the Path led", n)
	}
}

// What was heard once cannot be said again by somebody else, nor by the owner's own echo.
func TestReplayChangesNothing(t *testing.T) {
	t.Parallel()
	o := open(t)
	bob := o.stranger("1002")
	first := bob.Registration(bob.Contact(), "Expires: 3600")
	challenge := bob.Do(first)
	signed := bob.Sign(first, challenge)
	signed.Branch = "z9hG4bK" + wire.Token()
	if m := bob.Do(signed); m.Status() != 200 {
		t.Fatalf("REGISTER: %s", m.Raw)
	}
	// The phone leaves; then its old registration comes again.
	if m := bob.Ask(bob.Registration("*", "Expires: 0")); m.Status() != 200 {
		t.Fatalf("REGISTER *: %s", m.Raw)
	}
	gone := func(when string) {
		t.Helper()
		if b := o.bindings()["1002"]; len(b) != 0 {
			t.Errorf("%s: bob is bound to %q", when, b)
		}
	}
	gone("after leaving")
	bob.Do(signed)
	gone("the same bytes again")
	signed.Branch = "z9hG4bK" + wire.Token()
	if m := bob.Do(signed); !among(m.Status(), 400, 401, 500) {
		t.Errorf("a new branch: %s", m.Raw)
	}
	gone("a new branch")
	thief := o.stranger("1002")
	moved := signed
	moved.Contact = thief.Contact()
	if m := thief.Do(moved); m.Status() != 401 {
		t.Errorf("from another address: %s", m.Raw)
	}
	gone("from another address")

	// A nonce belongs to the address that it was given to: even the right answer is none from elsewhere.
	given := bob.Do(bob.New("OPTIONS", "1002")) // no challenge: OPTIONS needs none
	if given.Status() != 200 {
		t.Errorf("OPTIONS: %s", given.Raw)
	}
	ask := bob.Registration(thief.Contact(), "Expires: 3600")
	stolen := bob.Sign(ask, bob.Do(ask))
	if m := thief.Do(stolen); m.Status() != 401 {
		t.Errorf("nonce of another address: %s", m.Raw)
	}
	gone("nonce of another address")

	// The count of a nonce rises.
	if m := bob.Do(stolen); m.Status() != 200 {
		t.Fatalf("the owner's own: %s", m.Raw)
	}
	again := bob.Registration("*", "Expires: 0")
	again.Authority = stolen.Authority
	again.Seq = stolen.Seq + 1
	if m := bob.Do(again); m.Status() != 401 {
		t.Errorf("the same credentials for another request: %s", m.Raw)
	}
}

// A list of wrong credentials; none of them registers anybody, and none stops the switch.
func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	o := open(t)
	right := func(p *wire.Phone) wire.Request {
		r := p.Registration(p.Contact(), "Expires: 3600")
		return p.Sign(r, p.Do(r))
	}
	swapped := func(old, replacement string) func(string) string {
		return func(a string) string { return swap(t, a, old, replacement) }
	}
	for name, change := range map[string]func(string) string{
		"no response":    func(a string) string { return a[:strings.Index(a, ", response=")] },
		"empty response": func(a string) string { return a[:strings.Index(a, ", response=")] + `, response=""` },
		"response of zeros": func(a string) string {
			return a[:strings.Index(a, ", response=")] + `, response="` + strings.Repeat("0", 64) + `"`
		},
		"long response":       func(a string) string { return a + strings.Repeat("0", 4000) },
		"another uri":         swapped(`uri="sip:`, `uri="sip:x@`),
		"no uri":              swapped(`uri="`, `iru="`),
		"another realm":       swapped(`realm="`, `realm="x`),
		"another user":        swapped(`username="1001"`, `username="1002"`),
		"no user":             swapped(`username="1001"`, `username=""`),
		"a user with a NUL":   swapped(`username="1001"`, "username=\"1001\x00\""),
		"user twice":          swapped(`username="1001"`, `username="1001", username="1002"`),
		"another nonce":       swapped(`nonce="`, `nonce="A`),
		"no nonce":            swapped(`nonce="`, `xonce="`),
		"nc of zero":          swapped(`nc=00000001`, `nc=00000000`),
		"nc of words":         swapped(`nc=00000001`, `nc=zzzzzzzz`),
		"no nc":               swapped(`, nc=00000001`, ``),
		"no qop":              swapped(`qop=auth, `, ``),
		"unknown qop":         swapped(`qop=auth`, `qop=perhaps`),
		"unknown algorithm":   swapped(`algorithm=SHA-256`, `algorithm=ROT13`),
		"another algorithm":   swapped(`algorithm=SHA-256`, `algorithm=MD5`),
		"no algorithm":        swapped(`algorithm=SHA-256, `, ``),
		"auth-int of nothing": swapped(`qop=auth`, `qop=auth-int`),
		"open quote":          swapped(`realm="`, `realm=`),
		"only the scheme":     func(string) string { return "Digest" },
		"only commas":         func(string) string { return "Digest ,,,,," },
		"nothing":             func(string) string { return "" },
		"Bearer":              func(string) string { return "Bearer abc.def.ghi" },
		"twice, the wrong first": func(a string) string {
			return swap(t, a, `nonce="`, `nonce="B`) + "\r\nAuthorization: " + swap(t, a, `nonce="`, `nonce="C`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := o.stranger("1001") // an address of its own: failures slow the source down
			p.T = t
			r := right(p)
			r.Authority = change(r.Authority)
			if m := p.Do(r); !among(m.Status(), 400, 401, 403, 413) {
				t.Errorf("%s", m.Raw)
			}
		})
	}
	if b := o.bindings(); len(b) != 0 {
		t.Errorf("somebody is registered: %v", b)
	}
	o.phone("1001")
}

// Whoever guesses learns nothing from the answers, and is slowed down; the owner still gets in from elsewhere.
func TestGuessing(t *testing.T) {
	t.Parallel()
	o := open(t)
	shape := func(m wire.Message) string {
		var b strings.Builder
		b.WriteString(m.Start)
		for _, h := range m.Headers {
			b.WriteString("\n" + h.Name)
			if h.Name == "www-authenticate" {
				b.WriteString(" " + strings.Split(h.Value, "nonce=")[0])
			}
		}
		return b.String()
	}
	answer := func(user, method string) wire.Message {
		p := wire.NewPhone(wire.UDP(t, binary.Host(), 0, o.Addr(5060)), user, "guess")
		defer p.Close()
		r := p.New(method, "1002")
		if method == "REGISTER" {
			r = p.Registration(p.Contact())
		}
		m := p.Do(r)
		if m.Status() != 401 {
			t.Fatalf("%s: %s", method, m.Raw)
		}
		return p.Do(p.Sign(r, m))
	}
	for _, method := range []string{"REGISTER", "INVITE"} {
		known, unknown := answer("1001", method), answer("4711", method)
		if a, b := shape(known), shape(unknown); a != b {
			t.Errorf("%s: a wrong password looks like\n%s\nan unknown user like\n%s", method, a, b)
		}
		if d := len(known.Raw) - len(unknown.Raw); d < -8 || d > 8 { // addresses and ports differ in length
			t.Errorf("%s: answers differ by %d bytes:\n%s%s", method, d, known.Raw, unknown.Raw)
		}
	}

	guesser := o.stranger("1001")
	guesser.Password = "guess"
	slowed := 0
	for range 60 {
		r := guesser.Registration(guesser.Contact())
		m := guesser.Do(r)
		if m.Status() == 401 {
			m = guesser.Do(guesser.Sign(r, m))
		}
		if m.Status() == 403 {
			slowed++
			if m.Get("retry-after") == "" {
				t.Errorf("slowed without Retry-After: %s", m.Raw)
			}
		}
	}
	if slowed < 40 {
		t.Errorf("%d of 60 guesses were slowed down", slowed)
	}
	guesser.Password = binary.Password
	if m := guesser.Ask(guesser.Registration(guesser.Contact())); m.Status() != 403 {
		t.Errorf("the guesser guessed right while it had to wait, and got %s", m.Raw)
	}
	o.phone("1001") // the owner, from elsewhere
	eventually(t, time.Second, "one binding", func() bool { return len(o.bindings()["1001"]) == 1 })
}
