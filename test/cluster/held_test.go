package cluster

import (
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// reoffer has one side offer its media anew in one direction, and the other take it.
func (c *talk) reoffer(from, to *wire.Call, fm, tm *wire.Media, direction, back string) {
	c.p.t.Helper()
	from.Phone.Send(from.Phone.Text(from.Next("INVITE", fm.SDP(direction))))
	asked := to.Phone.Request(15*time.Second, "INVITE")
	to.Phone.Reply(asked, 200, wire.Reply{Contact: to.Phone.Contact(), Body: tm.Answer(asked.Body, back)})
	to.Acked()
	from.AckTo(from.Phone.Await(5*time.Second, "200 to re-INVITE", func(m wire.Message) bool {
		_, method := m.CSeq()
		return m.Status() == 200 && method == "INVITE" && m.Get("call-id") == from.ID
	}))
}

// rejoins has the first side take the media that the switch offers it anew.
func (c *talk) rejoins() {
	c.p.t.Helper()
	m := c.a.Phone.Request(15*time.Second, "INVITE")
	c.a.Phone.Reply(m, 200, wire.Reply{Contact: c.a.Phone.Contact(), Body: c.am.Answer(m.Body)})
	c.a.Acked()
	c.am.Start(c.p.t, m.Body)
}

// transfers has the first side of a call send the second to a third phone, and leaves the two talking.
func (c *talk) transfers(third *wire.Phone, mark string) *talk {
	p := c.p
	p.t.Helper()
	refer := c.a.Next("REFER", "")
	refer.Contact, refer.Extra = c.a.Phone.Contact(), []string{"Refer-To: <" + third.URI(third.User) + ">"}
	if m := c.a.Phone.Do(refer); m.Status() != 202 {
		p.t.Fatalf("REFER: %s", m.Raw)
	}
	out := &talk{p: p, a: c.b, am: c.bm}
	p.inside("phones", func() { out.bm = wire.NewMedia(p.t, phoneHost, mark) })
	out.rejoins() // to hear it ring
	out.b = third.Rung()
	out.b.Respond(200, out.bm.Answer(out.b.Asked.Body))
	out.bm.Start(p.t, out.b.Asked.Body)
	out.b.Acked()
	out.rejoins()
	for done := false; !done; {
		m := c.a.Phone.Request(5*time.Second, "NOTIFY")
		c.a.Phone.Reply(m, 200, wire.Reply{})
		done = strings.HasPrefix(m.Body, "SIP/2.0 200")
	}
	c.a.Ended(5 * time.Second)
	c.am.Stop()
	out.goesOn(5 * time.Second)
	return out
}

// A call on hold is still on hold after a takeover, and is taken up again; one that was transferred goes on between the two that are left.
func TestHeldAndTransferredCallsGoOn(t *testing.T) {
	p := NewPair(t, election)
	held := p.connect(p.phone("1301"), p.phone("1302"), 1)
	held.reoffer(held.b, held.a, held.bm, held.am, "sendonly", "recvonly")
	moved := p.connect(p.phone("1303"), p.phone("1304"), 2).transfers(p.phone("1305"), "ERIN")
	from := p.serving()
	to := other(from)
	p.kill(from)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(to, virtual) })
	moved.goesOn(10 * time.Second)
	silent, _ := held.bm.Heard(held.am.Mark)
	heard, _ := moved.am.Heard(moved.bm.Mark)
	p.eventually(5*time.Second, "half a second of the other call", func() bool { n, _ := moved.am.Heard(moved.bm.Mark); return n > heard+25 })
	if n, _ := held.bm.Heard(held.am.Mark); n != silent {
		t.Errorf("who holds heard %d packets of who is held", n-silent)
	}
	held.reoffer(held.b, held.a, held.bm, held.am, "sendrecv", "sendrecv")
	held.goesOn(5 * time.Second)
	held.bye(held.a, held.b)
	moved.bye(moved.b, moved.a)
	p.eventually(10*time.Second, "no call left", func() bool { calls, _ := p.load(to); return calls == 0 })
}
