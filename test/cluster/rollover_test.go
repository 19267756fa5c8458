package cluster

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"tandem/test/binary"
	"tandem/test/wire"
)

// browsers is the listener of pages.
const browsers = `
listen "ws" {
  transport = "ws"
  address   = "10.77.0.100:5066"
}
`

// wrap is the count of packets at which sequence numbers begin anew, and the rollover counter rises.
const wrap = 1 << 16

// speaker is one side of a call whose numbers are near the wrap.
type speaker interface {
	hears(mark string) int
	sends() uint32
}

type plain struct{ *wire.Media }

func (m plain) hears(mark string) int { n, _ := m.Heard(mark); return n }
func (m plain) sends() uint32         { return m.Count() }

type page struct{ *wire.Browser }

func (b page) hears(mark string) int { return b.Heard(mark) }
func (b page) sends() uint32         { return b.Count() }

// near is a call with keys, and with its marks.
type near struct {
	name     string
	a, b     speaker
	am, bm   string
	sdes     []*wire.Media
	had, did [2]int
}

// over connects a phone over TLS, whose media has keys in the SDP.
func (p *Pair) over(user string) *wire.Phone {
	p.t.Helper()
	var line *wire.Line
	p.inside("phones", func() { line = wire.TLS(p.t, phoneHost, virtual+":5061") })
	phone := wire.NewPhone(line, user, binary.Password)
	phone.Register()
	return phone
}

// sdes is a call of two phones, the first with SRTP and both if so wanted.
func (p *Pair) sdes(n int, first uint32, both bool) *near {
	p.t.Helper()
	alice, bob := p.over(fmt.Sprint(1100+2*n)), (*wire.Phone)(nil)
	if user := fmt.Sprint(1101 + 2*n); both {
		bob = p.over(user)
	} else {
		bob = p.phone(user)
	}
	c := &near{name: fmt.Sprintf("SDES %d packets before the wrap", wrap-first), am: fmt.Sprintf("A%03d", n), bm: fmt.Sprintf("B%03d", n)}
	var am, bm *wire.Media
	p.inside("phones", func() { am, bm = wire.NewMedia(p.t, phoneHost, c.am).Secure(), wire.NewMedia(p.t, phoneHost, c.bm) })
	am.Sent, bm.Sent = first, first
	if both {
		bm.Secure()
	}
	a := alice.Invite(bob.User, am.SDP())
	b := bob.Rung()
	b.Respond(200, bm.Answer(b.Asked.Body))
	bm.Start(p.t, b.Asked.Body)
	m := a.Final(5 * time.Second)
	if m.Status() != 200 {
		p.t.Fatalf("INVITE: %s", m.Raw)
	}
	a.Ack()
	b.Acked()
	am.Start(p.t, m.Body)
	c.a, c.b, c.sdes = plain{am}, plain{bm}, []*wire.Media{am, bm}
	return c
}

// dtls is a call from a page to a phone.
func (p *Pair) dtls(n int, first uint32) *near {
	p.t.Helper()
	var line *wire.Line
	var am *wire.Browser
	var bm *wire.Media
	c := &near{name: fmt.Sprintf("DTLS %d packets before the wrap", wrap-first), am: fmt.Sprintf("P%03d", n), bm: fmt.Sprintf("Q%03d", n)}
	p.inside("phones", func() {
		line = wire.WS(p.t, phoneHost, virtual+":5066", false)
		bm = wire.NewMedia(p.t, phoneHost, c.bm)
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(phoneHost)})
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { _ = conn.Close() })
		am = wire.NewBrowser(p.t, c.am, wire.PCMU, func(s *webrtc.SettingEngine) {
			s.SetICEUDPMux(webrtc.NewICEUDPMux(nil, conn))
			s.SetIPFilter(func(ip net.IP) bool { return ip.String() == phoneHost })
		})
	})
	am.Sent, bm.Sent = first, first
	alice, bob := wire.NewPhone(line, fmt.Sprint(1200+2*n), binary.Password), p.phone(fmt.Sprint(1201+2*n))
	alice.Page = true
	alice.Register()
	a := alice.Invite(bob.User, am.Offer())
	b := bob.Rung()
	b.Respond(200, bm.Answer(b.Asked.Body))
	bm.Start(p.t, b.Asked.Body)
	b.Acked()
	m := a.Final(5 * time.Second)
	if m.Status() != 200 {
		p.t.Fatalf("INVITE: %s", m.Raw)
	}
	a.Ack()
	am.Answered(m.Body)
	c.a, c.b, c.sdes = page{am}, plain{bm}, []*wire.Media{bm}
	return c
}

// T6: calls with keys by SDES and by DTLS, some of them past the wrap of their sequence numbers when the node dies, some just before it,
// some in the middle of it: each goes on, and no packet fails authentication.
func TestRollover(t *testing.T) {
	p := NewPair(t, election, connections, browsers)
	const apart = 60 // packets, 1.2 seconds
	var calls []*near
	for n := range 7 {
		calls = append(calls, p.sdes(n, wrap-250-uint32(n*apart), n%2 == 1))
	}
	for n := range 3 {
		calls = append(calls, p.dtls(n, wrap-250-uint32((1+2*n)*apart)))
	}
	p.eventually(10*time.Second, "sound both ways", func() bool {
		for _, c := range calls {
			if c.a.hears(c.bm) < 10 || c.b.hears(c.am) < 10 {
				return false
			}
		}
		return true
	})
	p.eventually(20*time.Second, "the third wraps", func() bool { return calls[2].a.sends() > wrap && calls[2].b.sends() > wrap })
	from := p.serving()
	p.kill(from)
	before := 0
	for _, c := range calls {
		if c.a.sends() > wrap {
			before++
		}
	}
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
	after := 0
	for _, c := range calls {
		c.had = [2]int{c.a.hears(c.bm), c.b.hears(c.am)}
		if c.a.sends() < wrap {
			after++
		}
	}
	t.Logf("%d of %d calls were past the wrap when the node died, %d are still before it when the other serves", before, len(calls), after)
	if before == 0 || before == len(calls) {
		t.Error("the wraps are not on both sides of the fault")
	}
	p.eventually(30*time.Second, "every call is past its wrap", func() bool {
		for _, c := range calls {
			if c.a.sends() < wrap+100 || c.b.sends() < wrap+100 {
				return false
			}
		}
		return true
	})
	for _, c := range calls {
		c.did = [2]int{c.a.hears(c.bm), c.b.hears(c.am)}
	}
	p.eventually(10*time.Second, "sound goes on", func() bool {
		for _, c := range calls {
			if c.a.hears(c.bm) < c.did[0]+25 || c.b.hears(c.am) < c.did[1]+25 {
				return false
			}
		}
		return true
	})
	for _, c := range calls {
		if got := [2]int{c.a.hears(c.bm) - c.had[0], c.b.hears(c.am) - c.had[1]}; got[0] < 25 || got[1] < 25 {
			t.Errorf("%s: %v packets since the other node serves", c.name, got)
		}
		for _, m := range c.sdes {
			if marks := m.Marks(); len(marks) != 1 {
				t.Errorf("%s: %d kinds of packets arrived: %.300v", c.name, len(marks), marks)
			}
		}
	}
}
