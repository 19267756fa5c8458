// Package webrtc has pages call phones, and phones call pages, through the built switch: SIP over WebSockets by hand, and pion/webrtc for the
// media, which is the part that a browser does.
package webrtc

import (
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// office is a switch with pages and phones.
type office struct {
	*binary.Switch
	t testing.TB
}

func open(t testing.TB) *office {
	t.Helper()
	return &office{binary.Start(t, binary.Office+binary.Media), t}
}

func (o *office) page(user string) *wire.Phone {
	o.t.Helper()
	p := wire.NewPhone(wire.WS(o.t, binary.Host(), o.Addr(5066), false), user, binary.Password)
	p.Page = true
	p.Register()
	return p
}

func (o *office) phone(user string) *wire.Phone {
	o.t.Helper()
	p := wire.NewPhone(wire.UDP(o.t, binary.Host(), 0, o.Addr(5060)), user, binary.Password)
	p.Register()
	return p
}

func (o *office) soon(what string, ok func() bool) {
	o.t.Helper()
	o.Eventually(10*time.Second, what, ok)
}

func TestPageCallsPhone(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.page("1001"), o.phone("1002")
	am, bm := wire.NewBrowser(t, "ALIC", wire.PCMU, nil), wire.NewMedia(t, bob.Local.Addr().String(), "BOB!")
	a := alice.Invite("1002", am.Offer())
	b := bob.Rung()
	b.Respond(180, "")
	b.Respond(200, bm.Answer(b.Asked.Body))
	bm.Start(t, b.Asked.Body)
	b.Acked()
	m := a.Final(5 * time.Second)
	if m.Status() != 200 {
		t.Fatalf("INVITE: %s", m.Raw)
	}
	a.Ack()
	am.Answered(m.Body)
	o.soon("sound both ways", func() bool {
		got, _ := bm.Heard("ALIC")
		return got >= 10 && am.Heard("BOB!") >= 10
	})
	a.Bye()
	b.Ended(5 * time.Second)
	o.Idle(10 * time.Second)
}

func TestPhoneCallsPage(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.page("1002")
	am, bm := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC"), wire.NewBrowser(t, "BOB!", wire.PCMU, nil)
	a := alice.Invite("1002", am.SDP())
	b := bob.Rung()
	b.Respond(180, "")
	b.Respond(200, bm.Answer(b.Asked.Body))
	b.Acked()
	m := a.Final(5 * time.Second)
	if m.Status() != 200 {
		t.Fatalf("INVITE: %s", m.Raw)
	}
	a.Ack()
	am.Start(t, m.Body)
	o.soon("sound both ways", func() bool {
		got, _ := am.Heard("BOB!")
		return got >= 10 && bm.Heard("ALIC") >= 10
	})
	b.Bye()
	a.Ended(5 * time.Second)
	o.Idle(10 * time.Second)
}

func TestPageCallsPage(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.page("1001"), o.page("1002")
	am, bm := wire.NewBrowser(t, "ALIC", wire.Opus, nil), wire.NewBrowser(t, "BOB!", wire.Opus, nil)
	a := alice.Invite("1002", am.Offer())
	b := bob.Rung()
	b.Respond(200, bm.Answer(b.Asked.Body))
	b.Acked()
	m := a.Final(5 * time.Second)
	if m.Status() != 200 {
		t.Fatalf("INVITE: %s", m.Raw)
	}
	a.Ack()
	am.Answered(m.Body)
	o.soon("sound both ways", func() bool { return am.Heard("BOB!") >= 10 && bm.Heard("ALIC") >= 10 })
	a.Bye()
	b.Ended(5 * time.Second)
	o.Idle(10 * time.Second)
}

func TestPageHearsItself(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, am := o.page("1001"), wire.NewBrowser(t, "ALIC", wire.PCMU, nil)
	a := alice.Invite("9196", am.Offer())
	m := a.Final(5 * time.Second)
	if m.Status() != 200 {
		t.Fatalf("INVITE: %s", m.Raw)
	}
	a.Ack()
	am.Answered(m.Body)
	o.soon("echo", func() bool { return am.Heard("ALIC") >= 10 })
	a.Bye()
	o.Idle(10 * time.Second)
}

// A phone over a WebSocket that speaks plain RTP is no page; one that looks like a page and is none refuses, and is asked again.
func TestPhoneOverWebSocketIsNoPage(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice := o.phone("1001")
	for _, looks := range []bool{false, true} {
		p := wire.NewPhone(wire.WS(o.t, binary.Host(), o.Addr(5066), false), "1002", binary.Password)
		p.Page = looks
		p.Register()
		am, bm := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC"), wire.NewMedia(t, p.Local.Addr().String(), "BOB!")
		a := alice.Invite("1002", am.SDP())
		b := p.Rung()
		if looks {
			b.Respond(488, "")
			b = p.Rung()
		}
		b.Respond(200, bm.Answer(b.Asked.Body))
		b.Acked()
		bm.Start(t, b.Asked.Body)
		m := a.Final(5 * time.Second)
		a.Ack()
		am.Start(t, m.Body)
		o.soon("sound both ways", func() bool {
			got, _ := am.Heard("BOB!")
			back, _ := bm.Heard("ALIC")
			return got >= 10 && back >= 10
		})
		a.Bye()
		b.Ended(5 * time.Second)
		p.Close()
		o.Idle(10 * time.Second)
	}
}
