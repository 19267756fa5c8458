package stranger

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// A callee that answers with what could hurt: challenges for passwords of other places, redirections to where nobody
// may call, responses of any size and shape. The caller gets a failure, nothing goes anywhere else, and no challenge
// is ever answered.
func TestRogueCallee(t *testing.T) {
	t.Parallel()
	o := shortRing(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	spy := wire.UDP(t, binary.Host(), 0, o.Addr(5060))
	m := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC")
	long := strings.Repeat("x", 30000)
	challenge := []string{
		`WWW-Authenticate: Digest realm="` + o.Host + `", nonce="x", algorithm=MD5, qop="auth"`,
		`Proxy-Authenticate: Digest realm="carrier.example", nonce="y", algorithm=MD5, qop="auth"`,
	}
	elsewhere := []string{"Contact: <sip:+88213000@" + spy.Local.String() + ">"}
	beyond := map[string]bool{"a long header": true, "a long reason": true, "a thousand headers": true} // the limits of a message
	for name, c := range map[string]struct {
		status int
		extra  []string
		body   string
	}{
		"401 for our realm": {401, challenge, ""}, "407 for a carrier's": {407, challenge, ""},
		"302 to a third": {302, elsewhere, ""}, "300 to several": {300, append(elsewhere, elsewhere...), ""}, "305": {305, elsewhere, ""},
		"380": {380, elsewhere, ""}, "a code that does not exist": {499, nil, ""}, "699": {699, nil, ""}, "600": {600, nil, ""},
		"a long header": {486, []string{"X: " + long}, ""}, "a long reason": {486, []string{"Reason: SIP;cause=200;text=\"" + long + "\""}, ""},
		"a thousand headers":       {486, strings.Split(strings.Repeat("X: y|", 999)+"X: y", "|"), ""},
		"a body that nobody asked": {486, nil, long}, "a Reason that injects": {486, []string{"Reason: Q.850;cause=16;text=\"a%0d%0aX-Injected: 1\""}, ""},
		"420": {420, []string{"Unsupported: timer"}, ""}, "422": {422, []string{"Min-SE: 99999999"}, ""}, "491": {491, nil, ""}, "200 without a body": {200, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			alice.T, bob.T = t, t
			out := alice.Invite("1002", m.SDP())
			in := bob.Rung()
			in.Respond(180, "")
			in.Respond(c.status, c.body, c.extra...)
			if c.status == 200 {
				in.Ended(5 * time.Second)
			}
			if beyond[name] { // dropped, and the callee rings on until its time is over
				bob.Reply(bob.Request(6*time.Second, "CANCEL"), 200, wire.Reply{})
				in.Respond(487, "")
			}
			answer := out.Final(5 * time.Second)
			if answer.Status() < 400 || strings.Contains(answer.Raw, "X-Injected: 1\r\n") {
				t.Errorf("caller hears %s", answer.Raw)
			}
			if answer.Status() == 401 || answer.Status() == 407 || len(answer.All("www-authenticate")) > 0 {
				t.Errorf("somebody else's challenge is passed on: %s", answer.Raw)
			}
			if again, ok := bob.Poll(50*time.Millisecond, func(m wire.Message) bool {
				return m.Get("authorization") != "" || m.Get("proxy-authorization") != "" || m.Method() == "INVITE"
			}); ok {
				t.Errorf("the callee hears again: %s", again.Raw)
			}
		})
	}
	alice.T, bob.T = t, t
	if n, _ := spy.Count(); n != 0 {
		t.Errorf("a third address received %d packets", n)
	}
	o.Idle(5 * time.Second)

	// In a call: a BYE and a re-INVITE that are challenged, and a transfer to where nobody may call.
	c := connect(t, alice, bob)
	for _, side := range []*wire.Call{c.a, c.b} {
		r := side.Next("REFER", "")
		r.Extra = []string{"Refer-To: <sip:+88213000@" + spy.Local.String() + ">", "Event: refer"}
		if m := side.Phone.Do(r); m.Status() < 400 {
			t.Errorf("REFER: %s", m.Raw)
		}
	}
	alice.Send(alice.Text(c.a.Next("INVITE", c.am.SDP("sendonly"))))
	re := bob.Request(5*time.Second, "INVITE")
	bob.Reply(re, 401, wire.Reply{Extra: challenge})
	if m := alice.Await(5*time.Second, "answer", func(m wire.Message) bool { return m.Status() >= 300 }); m.Status() == 401 {
		t.Errorf("re-INVITE: %s", m.Raw)
	}
	c.goesOn()
	alice.Send(alice.Text(c.a.Next("BYE", "")))
	bye := bob.Request(5*time.Second, "BYE")
	bob.Reply(bye, 407, wire.Reply{Extra: challenge})
	if m, ok := bob.Poll(300*time.Millisecond, func(m wire.Message) bool { return strings.Contains(m.Raw, "uthorization: ") }); ok {
		t.Errorf("a challenge was answered: %s", m.Raw)
	}
	o.Idle(5 * time.Second)
	if n, _ := spy.Count(); n != 0 {
		t.Errorf("a third address received %d packets", n)
	}
}

// Media may not be sent to the switch's own ports, to everybody or to nobody: where the description says so, the call
// is refused, or waits to hear where its phone is. A tone, which begins by itself, goes nowhere meanwhile.
func TestMediaGoesNowhereOdd(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob, carol := o.phone("1001"), o.phone("1002"), o.phone("1003")
	const sent = `tandem_media_packets_total{direction="out"}`
	aim := func(name, host string, port uint16) *wire.Call {
		t.Helper()
		family := "IP4"
		if strings.Contains(host, ":") {
			family = "IP6"
		}
		r := carol.New("INVITE", "9197")
		r.Body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN " + family + " " + host + "\r\nt=0 0\r\nm=audio " + strconv.Itoa(int(port)) + " RTP/AVP 0\r\n"
		m := carol.Ask(r)
		if m.Status() != 200 {
			if !among(m.Status(), 400, 403, 488) {
				t.Errorf("%s: %s", name, m.Raw)
			}
			return nil
		}
		call := &wire.Call{Phone: carol, From: r.From, To: m.Get("to"), ID: r.CallID, Seq: 2, Invite: r, Peer: wire.Target(m.Get("contact"))}
		call.AckTo(m)
		return call
	}
	own := carol.Local.Addr().String()
	if call := aim("the phone's own port", own, 9000); call == nil {
		t.Error("a tone to where its phone is was refused")
	} else {
		o.Eventually(2*time.Second, "sending a tone", func() bool { return o.Metrics()[sent] > 5 })
		call.Bye()
	}
	for name, host := range map[string]string{
		"multicast": "224.0.0.1", "IPv6 multicast": "ff02::1", "broadcast": "255.255.255.255", "a reserved network": "240.0.0.1",
		"this network": "0.0.0.1", "link-local": "169.254.1.1", "mapped multicast": "::ffff:224.0.0.1",
	} {
		before := o.Metrics()[sent]
		if call := aim(name, host, 9000); call != nil {
			carol.Quiet(200 * time.Millisecond)
			call.Bye()
		}
		if after := o.Metrics()[sent]; after != before {
			t.Errorf("%s: %v packets were sent", name, after-before)
		}
	}
	c := connect(t, alice, bob)
	port := c.am.Destination()
	for name, host := range map[string]string{"a port of the call": port.Addr().String(), "the same, mapped": "::ffff:" + port.Addr().String()} {
		if call := aim(name, host, port.Port()); call != nil {
			carol.Quiet(200 * time.Millisecond)
			call.Bye()
		}
	}
	c.goesOn()
	if got, lost := c.pure(); lost*1000 > got {
		t.Errorf("%d of %d packets lost", lost, got)
	}
	c.end()
	o.Idle(2 * time.Second)
}
