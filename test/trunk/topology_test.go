package trunk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/wire"
)

// insider is a phone of ours with a name, an address and headers that no carrier may see.
func insider(t *testing.T, s *binary.Switch, user, address string) *phone.Phone {
	t.Helper()
	p := phoneOf(t, phone.Config{Server: s.Addr(5060), User: user, Password: binary.Password, Domain: s.Host, Local: address, Display: "Secret Name of " + user})
	if err := p.Register(within(t, patience), time.Hour); err != nil {
		t.Fatal(err)
	}
	return p
}

// leaks are headers of a phone's INVITE that must stay inside.
func leaks() (all []phone.Header) {
	for _, name := range []string{"P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity", "Diversion", "History-Info", "P-Charge-Info", "Identity", "X-Inside",
		"Organization", "Subject", "Call-Info", "Alert-Info", "Referred-By", "Geolocation", "P-Access-Network-Info"} {
		all = append(all, phone.Header{Name: name, Value: "<sip:leak@10.9.8.7>"})
	}
	return all
}

// TestEveryByteTowardsCarriers captures all that leaves to three carriers, of three makes, over a mix of all that calls do: early
// media, holds, keys, failures, failover, both kinds of transfer, forwards, fax, calls in and out, signed. Nothing of the inside
// is in any byte of it.
func TestEveryByteTowardsCarriers(t *testing.T) {
	made := newSigning(t)
	good, busy, scripts := binary.Host(), failing(t, "503 Service Unavailable"), binary.Host()
	stop := capture(t, good, busy, scripts)
	more := []string{"accept {}", `identity  = "pai"`, `diversion = "both"`, `dtmf = "auto"`, "stir {\n sign = true\n verify = \"tag\"\n}"}
	hcl := strings.Replace(binary.Office, `class "office" {}`, `class "office" { countries = ["*"] }`, 1)
	s := binary.StartWith(t, made.files, hcl+media+numbering+plainTrunk("busy", busy, more...)+plainTrunk("good", good, more...)+plainTrunk("scripts", scripts, more...)+
		made.block(`  hosts       = ["127.0.0.1"]`)+`
route "out" {
  to = "+33..."
  dial { trunks = [trunk.busy, trunk.good] }
}
route "scripted" {
  to = "+34..."
  dial { trunks = [trunk.scripts] }
}
route "in" {
  from = [trunk.good, trunk.scripts]
  to   = "+442079460018"
  dial { extension = extension["1001"] }
}
route "in to 1003" {
  from = [trunk.scripts]
  to   = "+442079460019"
  dial { extension = extension["1003"] }
}
`)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	alice, bob := insider(t, s, "1001", "127.0.0.77"), insider(t, s, "1002", "127.0.0.78")
	bob.SetAnswer(phone.Answer{Auto: true, After: 50 * time.Millisecond, Play: "tone:440"})
	carrier := phoneOf(t, phone.Config{User: "carrier", Local: good + ":5060", Answer: phone.Answer{Auto: true, After: 100 * time.Millisecond, Early: true, Play: "tone:1000"}})
	line := scripted(t, scripts, s)
	m := mix{t, s, alice, carrier, line, map[string]bool{}}
	m.outgoing()
	m.transfers(bob)
	m.incoming()
	m.forwarded()
	m.fax()
	s.Idle(patience)

	words := []string{"127.0.0.77", "127.0.0.78", "secret name", "leak", "10.9.8.7", "tandem-phone", "example.com", "x-inside", "sip:1001", "sip:1002", "sip:1003", "extension", "voicemail"}
	for id := range m.callIDs {
		words = append(words, id)
	}
	all := stop()
	var voice int
	for _, p := range all {
		if p.port != 5060 {
			voice++
		}
	}
	// The carriers' own phone calls itself tandem-phone; that is what it says, not what it is told.
	methods := inside(t, all, words...)
	t.Logf("%d packets, %d of media, %v", len(all), voice, methods)
	for method, least := range map[string]int{"INVITE": 8, "ACK": 8, "BYE": 2, "PRACK": 0, "SIP/2.0": 4} {
		if methods[method] < least {
			t.Errorf("%d times %s: that is no mix", methods[method], method)
		}
	}
	if voice < 50 {
		t.Errorf("%d packets of media", voice)
	}
}

// mix is what happens in those calls.
type mix struct {
	t       *testing.T
	s       *binary.Switch
	alice   *phone.Phone
	carrier *phone.Phone
	line    *wire.Phone
	callIDs map[string]bool // of the inside
}

// call has alice call a number over carriers.
func (m *mix) call(number string) *phone.Call {
	m.t.Helper()
	c := dial(m.t, m.alice, number, phone.CallOptions{Play: "tone:440", Headers: leaks()})
	if err := c.WaitAnswered(within(m.t, patience)); err != nil {
		m.t.Fatal(number, err, c.Report().Status)
	}
	m.callIDs[c.Report().CallID] = true
	return c
}

func (m *mix) must(what string, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Error(what, err)
	}
}

// outgoing is a call after a failover, with early media, keys in both ways, a hold and a reason at the end; and two that fail.
func (m *mix) outgoing() {
	t := m.t
	c := m.call("+33140000001")
	_, err := c.WaitTone(within(t, patience), 1000)
	m.must("sound:", err)
	m.must("keys:", c.SendDTMF(within(t, patience), "12#"))
	m.must("keys by INFO:", c.SendInfo(within(t, patience), "9"))
	m.must("hold:", c.Hold(within(t, patience)))
	m.must("resume:", c.Resume(within(t, patience)))
	m.must("hang-up:", c.HangupReason(within(t, patience), `SIP;cause=200;text="leak"`))

	refused := dial(t, m.alice, "+34140000002", phone.CallOptions{Headers: leaks()})
	in := m.line.Rung()
	in.Respond(183, "")
	refuse(in, 486, `Reason: Q.850;cause=17`)
	_ = refused.WaitAnswered(within(t, patience))
	m.callIDs[refused.Report().CallID] = true

	given := dial(t, m.alice, "+34140000003", phone.CallOptions{CancelAfter: 300 * time.Millisecond, Headers: leaks()})
	in = m.line.Rung()
	in.Respond(180, "")
	cancel := m.line.Request(soon, "CANCEL")
	m.line.Reply(cancel, 200, wire.Reply{})
	in.Respond(487, "")
	in.Acked()
	_ = given.WaitAnswered(within(t, patience))
	m.callIDs[given.Report().CallID] = true
}

// transfers are a blind one from a carrier to a colleague, and an attended one from a colleague to a carrier.
func (m *mix) transfers(bob *phone.Phone) {
	t := m.t
	c := m.call("+33140000004")
	m.must("blind transfer:", c.Transfer(within(t, patience), "1002"))
	m.hangUpAll(bob)

	c = m.call("+33140000005")
	second := dial(t, m.alice, "1002", phone.CallOptions{})
	m.must("consultation:", second.WaitAnswered(within(t, patience)))
	m.callIDs[second.Report().CallID] = true
	m.must("attended transfer:", c.TransferTo(within(t, patience), second))
	m.hangUpAll(bob)
}

// hangUpAll ends every call of a phone, with a reason of its own.
func (m *mix) hangUpAll(p *phone.Phone) {
	m.t.Helper()
	for _, c := range p.Calls() {
		m.callIDs[c.Report().CallID] = true
		_ = c.HangupReason(within(m.t, patience), `SIP;cause=200;text="leak"`)
	}
	m.s.Idle(patience)
}

// arrives is a carrier's INVITE.
func (m *mix) arrives(number, body string, lines ...string) *wire.Call {
	r := m.line.New("INVITE", number)
	r.URI, r.To = "sip:"+number+"@"+m.s.Host, "<sip:"+number+"@"+m.s.Host+">"
	r.From = fmt.Sprintf("<sip:+34910000001@%s>;tag=%s", m.line.Local.Addr(), wire.Token())
	r.Body, r.Extra, r.Branch = body, lines, "z9hG4bK"+wire.Token()
	m.line.Send(m.line.Text(r))
	return &wire.Call{Phone: m.line, Invite: r, ID: r.CallID, From: r.From}
}

// incoming is a call that a phone declines with words of its own, and one that it takes, holds and ends.
func (m *mix) incoming() {
	t := m.t
	sound := wire.NewMedia(t, m.line.Local.Addr().String(), "c")
	out := m.arrives("+442079460018", sound.SDP(), "Require: 100rel")
	c, err := m.alice.WaitIncoming(within(t, patience))
	m.must("incoming:", err)
	m.callIDs[c.Report().CallID] = true
	m.must("decline:", c.Reject(603, "leak it", phone.Header{Name: "Warning", Value: `399 127.0.0.77 "leak"`}, phone.Header{Name: "X-Inside", Value: "leak"}))
	if final := out.Final(soon); final.Status() != 603 {
		t.Error("declined with", final.Start)
	}

	m.alice.SetAnswer(phone.Answer{Auto: true, After: 50 * time.Millisecond, Play: "tone:440"})
	out = m.arrives("+442079460018", sound.SDP())
	final := out.Final(soon)
	out.Ack()
	sound.Start(t, final.Body)
	c = m.alice.Calls()[0]
	m.callIDs[c.Report().CallID] = true
	go func() { _ = c.Hold(within(t, patience)) }()
	hold := m.line.Request(soon, "INVITE")
	m.line.Reply(hold, 200, wire.Reply{Contact: m.line.Contact(), Body: sound.Answer(hold.Body, "recvonly")})
	m.line.Await(soon, "ACK", func(a wire.Message) bool { return a.Method() == "ACK" })
	go func() { _ = c.HangupReason(within(t, patience), `SIP;cause=480;text="leak"`) }()
	bye := m.line.Request(soon, "BYE")
	m.line.Reply(bye, 200, wire.Reply{})
	sound.Stop()
}

// forwarded is a call for a phone that is sent on to a carrier.
func (m *mix) forwarded() {
	t := m.t
	if out, err := m.s.Run("forward", "1003", "--always", "+34140000009"); err != nil {
		t.Fatal(err, out)
	}
	sound := wire.NewMedia(t, m.line.Local.Addr().String(), "f")
	out := m.arrives("+442079460019", sound.SDP())
	in := m.line.Rung()
	if h := in.Asked.All("history-info"); len(h) != 2 || in.Asked.Get("diversion") == "" {
		t.Error("who forwarded is not said:", in.Asked.Raw)
	}
	refuse(in, 404)
	if final := out.Final(soon); final.Status() != 404 {
		t.Error("forwarded to nobody:", final.Start)
	}
}

// fax is a call that a carrier wants to turn into one.
func (m *mix) fax() {
	t := m.t
	sound := wire.NewMedia(t, m.line.Local.Addr().String(), "t")
	c := dial(t, m.alice, "+34140000010", phone.CallOptions{Headers: leaks()})
	in := m.line.Rung()
	in.Respond(200, sound.Answer(in.Asked.Body))
	in.Acked()
	m.must("answer:", c.WaitAnswered(within(t, patience)))
	m.callIDs[c.Report().CallID] = true
	m.s.Eventually(patience, "answered", func() bool { return m.s.Metrics()["tandem_calls"] >= 0 })
	host := m.line.Local.Addr().String()
	if a := in.Ask("INVITE", "v=0\r\no=- 1 9 IN IP4 "+host+"\r\ns=-\r\nc=IN IP4 "+host+"\r\nt=0 0\r\nm=image 4000 udptl t38\r\n"); a.Status() != 488 && a.Status() != 491 {
		t.Error("fax:", a.Start)
	}
	go func() { _ = c.Hangup(within(t, patience)) }()
	in.Ended(soon)
}
