package stranger

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// media has few ports, so that a spray meets those of a call often, and short silence.
const media = `
media {
  ports          = "20000-20399"
  silence        = "2s"
  quarantine     = "1s"
  loopback_peers = true
  private_peers  = true
}
`

// office is a switch whose phones speak wire.
type office struct {
	*binary.Switch
	t testing.TB
}

func open(t testing.TB) *office {
	t.Helper()
	return &office{binary.Start(t, binary.Office+media), t}
}

// patience is for how long an answer is waited for on a busy machine.
const patience = 5 * time.Second

// phone is a registered phone over UDP, on an address of its own.
func (o *office) phone(user string) *wire.Phone {
	o.t.Helper()
	p := o.stranger(user)
	p.Again = true
	p.Register()
	return p
}

// stranger is a phone with the right password that has not registered.
func (o *office) stranger(user string) *wire.Phone {
	o.t.Helper()
	return wire.NewPhone(wire.UDP(o.t, binary.Host(), 0, o.Addr(5060)), user, binary.Password)
}

// over is a registered phone over any transport.
func (o *office) over(proto, user string) *wire.Phone {
	o.t.Helper()
	p := wire.NewPhone(o.line(proto, binary.Host()), user, binary.Password)
	p.Register()
	return p
}

func (o *office) line(proto, host string) *wire.Line {
	o.t.Helper()
	switch proto {
	case "TCP":
		return wire.TCP(o.t, host, o.Addr(5060))
	case "TLS":
		return wire.TLS(o.t, host, o.Addr(5061))
	case "WS":
		return wire.WS(o.t, host, o.Addr(5066), false)
	case "WSS":
		return wire.WS(o.t, host, o.Addr(7443), true)
	}
	return wire.UDP(o.t, host, 0, o.Addr(5060))
}

// alive asks with OPTIONS whether the switch answers, from an address of its own.
func (o *office) alive() {
	o.t.Helper()
	p := o.stranger("1009")
	defer p.Close()
	ping(o.t, p)
}

func ping(t testing.TB, p *wire.Phone) {
	t.Helper()
	if m, ok := p.Try(p.New("OPTIONS", p.User), patience); !ok || m.Status() != 200 {
		t.Errorf("OPTIONS not answered: %s", m.Raw)
	}
}

// talk is a call between two phones with media both ways.
type talk struct {
	t          testing.TB
	alice, bob *wire.Phone
	a, b       *wire.Call
	am, bm     *wire.Media
}

// connect has one phone call the other, which answers; media runs both ways when it returns.
func connect(t testing.TB, alice, bob *wire.Phone) *talk {
	t.Helper()
	c := prepare(t, alice, bob)
	c.place(alice, bob)
	c.answer()
	return c
}

func prepare(t testing.TB, alice, bob *wire.Phone) *talk {
	t.Helper()
	c := &talk{
		t: t, alice: alice, bob: bob, am: wire.NewMedia(t, alice.Local.Addr().String(), "ALIC"), bm: wire.NewMedia(t, bob.Local.Addr().String(), "BOB!"),
	}
	if alice.Proto == "TLS" {
		c.am.Secure()
	}
	if bob.Proto == "TLS" {
		c.bm.Secure()
	}
	return c
}

// place lets bob's phone ring.
func (c *talk) place(alice, bob *wire.Phone) {
	c.t.Helper()
	c.a = alice.Invite(bob.User, c.am.SDP())
	c.b = bob.Rung()
	c.b.Respond(180, "")
	c.a.Provisional(180)
}

// answer takes the call, and waits until both hear each other.
func (c *talk) answer() {
	c.t.Helper()
	c.b.Respond(200, c.bm.Answer(c.b.Asked.Body))
	c.bm.Start(c.t, c.b.Asked.Body)
	m := c.a.Final(5 * time.Second)
	if m.Status() != 200 {
		c.t.Fatalf("INVITE: %s", m.Raw)
	}
	c.a.Ack()
	c.b.Acked()
	c.am.Start(c.t, m.Body)
	c.goesOn()
}

// goesOn waits until each has heard 10 more packets of the other.
func (c *talk) goesOn() {
	c.t.Helper()
	a, _ := c.am.Heard(c.bm.Mark)
	b, _ := c.bm.Heard(c.am.Mark)
	eventually(c.t, 5*time.Second, "media both ways", func() bool {
		a2, _ := c.am.Heard(c.bm.Mark)
		b2, _ := c.bm.Heard(c.am.Mark)
		return a2 >= a+10 && b2 >= b+10
	})
}

// pure fails when either has heard anybody but the other, and tells the loss of both together.
func (c *talk) pure() (got, lost int) {
	c.t.Helper()
	for _, side := range []struct {
		me   *wire.Media
		mark string
	}{{c.am, c.bm.Mark}, {c.bm, c.am.Mark}} {
		if marks := side.me.Marks(); len(marks) != 1 || marks[0] != side.mark {
			c.t.Errorf("%s heard %q, and should have heard %q alone", side.me.Mark, marks, side.mark)
		}
		g, l := side.me.Heard(side.mark)
		got, lost = got+g, lost+l
	}
	return got, lost
}

// end hangs up from alice's side.
func (c *talk) end() {
	c.t.Helper()
	c.a.Phone.Send(c.a.Phone.Text(c.a.Next("BYE", "")))
	c.b.Ended(5 * time.Second)
	c.a.Phone.Await(5*time.Second, "200 to BYE", func(m wire.Message) bool {
		_, method := m.CSeq()
		return m.Status() == 200 && method == "BYE"
	})
}

func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not %s within %v", what, limit)
		}
	}
}

// among tells whether a status is one of these.
func among(status int, codes ...int) bool {
	for _, c := range codes {
		if c == status {
			return true
		}
	}
	return false
}

// swap replaces what must be there.
func swap(t testing.TB, text, old, replacement string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in\n%s", old, text)
	}
	return strings.Replace(text, old, replacement, 1)
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// phones are the two of the talk, once prepared.
func (c *talk) phones() (alice, bob *wire.Phone) { return c.alice, c.bob }
