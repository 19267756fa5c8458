package cluster

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
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

// counted is where the metrics of each node are, inside it.
const counted = "127.0.0.1:9090"

// wrap is the count of packets at which sequence numbers begin anew, and the rollover counter rises.
const wrap = 1 << 16

// begin is the count that each side of a call begins with: past the middle of the numbers, where those that have gone round are told from
// older ones.
const begin = wrap - 3000

// speaker is one side of a call whose numbers are near the wrap.
type speaker interface {
	hears(mark string) int
	Count() uint32
	RunAhead(to uint32)
	Marks() []string
}

type plain struct{ *wire.Media }

func (m plain) hears(mark string) int { n, _ := m.Heard(mark); return n }

type page struct{ *wire.Browser }

func (b page) hears(mark string) int { return b.Heard(mark) }

// near is a call with keys, and with its marks.
type near struct {
	kind     string
	a, b     speaker
	am, bm   string
	at, wrap uint32 // the count that both run ahead to, and that of the wrap after it
	had, did [2]int
}

// heard is how many packets of the other each side has heard.
func (c *near) heard() [2]int { return [2]int{c.a.hears(c.bm), c.b.hears(c.am)} }

// past tells whether both sides have sent so many packets after the wrap, and before whether neither has come to it.
func (c *near) past(more uint32) bool { return min(c.a.Count(), c.b.Count()) > c.wrap+more }
func (c *near) before() bool          { return max(c.a.Count(), c.b.Count()) < c.wrap }

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
func (p *Pair) sdes(n int, both bool) *near {
	p.t.Helper()
	alice, bob := p.over(fmt.Sprint(1100+2*n)), (*wire.Phone)(nil)
	if user := fmt.Sprint(1101 + 2*n); both {
		bob = p.over(user)
	} else {
		bob = p.phone(user)
	}
	c := &near{kind: "SDES", am: fmt.Sprintf("A%03d", n), bm: fmt.Sprintf("B%03d", n)}
	var am, bm *wire.Media
	p.inside("phones", func() { am, bm = wire.NewMedia(p.t, phoneHost, c.am).Secure(), wire.NewMedia(p.t, phoneHost, c.bm) })
	am.Sent, bm.Sent = begin, begin
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
	c.a, c.b = plain{am}, plain{bm}
	return c
}

// dtls is a call from a page to a phone.
func (p *Pair) dtls(n int) *near {
	p.t.Helper()
	var line *wire.Line
	var am *wire.Browser
	var bm *wire.Media
	c := &near{kind: "DTLS", am: fmt.Sprintf("P%03d", n), bm: fmt.Sprintf("Q%03d", n)}
	p.inside("phones", func() {
		line = wire.WS(p.t, phoneHost, virtual+":5066", false)
		bm = wire.NewMedia(p.t, phoneHost, c.bm)
		conn, err := wire.ListenEven(phoneHost)
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { _ = conn.Close() })
		am = wire.NewBrowser(p.t, c.am, wire.PCMU, func(s *webrtc.SettingEngine) {
			s.SetICEUDPMux(webrtc.NewICEUDPMux(nil, conn))
			s.SetIPFilter(func(ip net.IP) bool { return ip.String() == phoneHost })
		})
	})
	am.Sent, bm.Sent = begin, begin
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
	c.a, c.b = page{am}, plain{bm}
	return c
}

// refusedBy tells how many packets a node could not authenticate, or took for older ones.
func (p *Pair) refusedBy(node string) (refused float64) {
	p.t.Helper()
	var c net.Conn
	var err error
	if p.inside(node, func() { c, err = net.DialTimeout("tcp", counted, 5*time.Second) }); err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "GET /metrics HTTP/1.0\r\n\r\n")
	all, err := io.ReadAll(c)
	for _, reason := range []string{"auth", "replay"} {
		_, count, _ := strings.Cut(string(all), "\ntandem_media_dropped_total{reason=\""+reason+"\"} ")
		count, _, _ = strings.Cut(count, "\n")
		n, wrong := strconv.ParseFloat(count, 64)
		if wrong != nil {
			p.t.Fatalf("metrics of %s: %v, %v in %.300q", node, err, wrong, all)
		}
		refused += n
	}
	return refused
}

// T6: calls with keys by SDES and by DTLS whose numbers are at their second wrap, so that the rollover counter is above 0 all along, and some
// at their first, where it rises from 0. Of each kind some are past the wrap when the node dies, and some are before it yet when the other one
// serves; the others are in the middle of it. Each goes on, and no packet fails authentication, neither at the node nor at who hears it.
func TestT6Rollover(t *testing.T) {
	metrics := strings.NewReplacer("ELECTION", election.String(), `http           = ""`, `http = "`+counted+`"`)
	p := newRig(t, hosts, metrics.Replace(configuration)+connections+browsers)
	p.eventually(60*time.Second, "pair whole", p.whole)
	var calls []*near
	add := func(c *near, at uint32) {
		c.at, c.wrap = at, (at/wrap+1)*wrap
		calls = append(calls, c)
	}
	// What the other node knows of a stream may be eleven seconds old: the first wraps come thirteen seconds after the numbers have run ahead.
	const first, apart = 650, 80
	for n := range 6 {
		add(p.sdes(n, n%2 == 1), 2*wrap-first-uint32(n*apart))
	}
	for n := range 4 {
		add(p.dtls(n), 2*wrap-first-uint32((2*n+1)*apart))
	}
	for n := range 3 {
		c := p.sdes(6+n, n%2 == 0)
		c.kind = "SDES from 0"
		add(c, wrap-first-uint32((2*n+1)*apart))
	}
	p.eventually(10*time.Second, "sound both ways", func() bool {
		return !slices.ContainsFunc(calls, func(c *near) bool { n := c.heard(); return min(n[0], n[1]) < 10 })
	})
	for _, c := range calls {
		c.a.RunAhead(c.at)
		c.b.RunAhead(c.at)
	}
	wrapped, early := map[string]int{}, map[string]int{}
	p.eventually(30*time.Second, "the first of each kind wraps", func() bool {
		clear(wrapped)
		for _, c := range calls {
			if c.past(0) {
				wrapped[c.kind]++
			}
		}
		return len(wrapped) == 3
	})
	from := p.serving()
	if n := p.refusedBy(from); n > 0 {
		t.Errorf("%s has refused %v packets before anything happened to it", from, n)
	}
	p.kill(from)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
	for _, c := range calls {
		if c.had = c.heard(); c.before() {
			early[c.kind]++
		}
	}
	t.Logf("of %d calls so many were past the wrap when the node died: %v, so many are before it when the other serves: %v", len(calls), wrapped, early)
	if len(early) != 3 {
		t.Error("the wraps of some kind are not on both sides of the fault")
	}
	p.eventually(30*time.Second, "every call is past its wrap", func() bool {
		return !slices.ContainsFunc(calls, func(c *near) bool { return !c.past(100) })
	})
	for _, c := range calls {
		name := fmt.Sprintf("%s, at %d", c.kind, c.at)
		if n := c.heard(); n[0] < c.had[0]+25 || n[1] < c.had[1]+25 {
			t.Errorf("%s: %v packets heard, %v of them before the other node served", name, n, c.had)
		}
		for _, s := range []speaker{c.a, c.b} {
			if marks := s.Marks(); len(marks) != 1 {
				t.Errorf("%s: %d kinds of packets arrived: %.300v", name, len(marks), marks)
			}
		}
	}
	if n := p.refusedBy(other(from)); n > 0 {
		t.Errorf("%s has refused %v packets", other(from), n)
	}
	for _, c := range calls {
		c.did = c.heard()
	}
	p.eventually(10*time.Second, "sound goes on", func() bool {
		return !slices.ContainsFunc(calls, func(c *near) bool { n := c.heard(); return n[0] < c.did[0]+25 || n[1] < c.did[1]+25 })
	})
}
