package recover

import (
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// office is a switch whose phones speak wire.
type office struct {
	*binary.Switch
	t testing.TB
}

func open(t testing.TB) *office {
	t.Helper()
	return &office{binary.Start(t, binary.Office+binary.Media), t}
}

// phone is a registered phone, on an address of its own.
func (o *office) phone(proto, user string) *wire.Phone {
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
	}
	return wire.UDP(o.t, host, 0, o.Addr(5060))
}

// talk is a call between two phones with media both ways.
type talk struct {
	t      testing.TB
	a, b   *wire.Call
	am, bm *wire.Media
}

// connect has one phone call the other, which answers; media runs both ways when it returns. first is the count of the first packet of
// each side: 65,536 of them are one round of sequence numbers.
func connect(t testing.TB, alice, bob *wire.Phone, first uint32) *talk {
	t.Helper()
	c := &talk{
		t: t, am: wire.NewMedia(t, alice.Local.Addr().String(), "ALIC"), bm: wire.NewMedia(t, bob.Local.Addr().String(), "BOB!"),
	}
	for p, m := range map[*wire.Phone]*wire.Media{alice: c.am, bob: c.bm} {
		if m.Sent = first; p.Proto == "TLS" {
			m.Secure()
		}
	}
	c.a = alice.Invite(bob.User, c.am.SDP())
	c.b = bob.Rung()
	c.b.Respond(200, c.bm.Answer(c.b.Asked.Body))
	c.bm.Start(t, c.b.Asked.Body)
	m := c.a.Final(5 * time.Second)
	if m.Status() != 200 {
		t.Fatalf("INVITE: %s", m.Raw)
	}
	c.a.Ack()
	c.b.Acked()
	c.am.Start(t, m.Body)
	c.goesOn()
	return c
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

// pure fails when either has heard anything but the other's packets.
func (c *talk) pure() {
	c.t.Helper()
	for me, other := range map[*wire.Media]*wire.Media{c.am: c.bm, c.bm: c.am} {
		if marks := me.Marks(); len(marks) != 1 || marks[0] != other.Mark {
			c.t.Errorf("%s heard %q, and should have heard %q alone", me.Mark, marks, other.Mark)
		}
	}
}

// hold has one side hold the call and take it up again; the other answers.
func (c *talk) hold(from, to *wire.Call, fm, tm *wire.Media) {
	c.t.Helper()
	for _, want := range []string{"sendonly", "sendrecv"} {
		answer := map[string]string{"sendonly": "recvonly", "sendrecv": "sendrecv"}[want]
		r := from.Next("INVITE", fm.SDP(want))
		from.Phone.Send(from.Phone.Text(r))
		asked := to.Phone.Request(5*time.Second, "INVITE")
		to.Phone.Reply(asked, 200, wire.Reply{Contact: to.Phone.Contact(), Body: tm.Answer(asked.Body, answer)})
		to.Acked()
		m := from.Phone.Await(5*time.Second, "200 to re-INVITE", func(m wire.Message) bool {
			seq, method := m.CSeq()
			return m.Status() == 200 && method == "INVITE" && seq == from.Seq && m.Get("call-id") == from.ID
		})
		from.AckTo(m)
	}
}

// bye hangs up from one side and waits for the other's BYE.
func (c *talk) bye(from, to *wire.Call) {
	c.t.Helper()
	from.Phone.Send(from.Phone.Text(from.Next("BYE", "")))
	to.Ended(5 * time.Second)
	from.Phone.Await(5*time.Second, "200 to BYE", func(m wire.Message) bool {
		_, method := m.CSeq()
		return m.Status() == 200 && method == "BYE" && m.Get("call-id") == from.ID
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
