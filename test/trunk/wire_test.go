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

// scripted is a carrier whose every word the test writes.
func scripted(t testing.TB, host string, s *binary.Switch) *wire.Phone {
	t.Helper()
	l := wire.UDP(t, host, 5060, s.Addr(5060))
	l.Pong = true
	t.Cleanup(l.Close)
	return wire.NewPhone(l, "carrier", "")
}

// dial has the desk call out over the trunks.
func dial(t testing.TB, p *phone.Phone, number string, o phone.CallOptions) *phone.Call {
	t.Helper()
	c, err := p.Dial(within(t, patience), number, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refuse answers an INVITE with a failure and takes the ACK.
func refuse(c *wire.Call, status int, lines ...string) {
	c.Phone.T.Helper()
	c.Respond(status, "", lines...)
	c.Acked()
}

const proxyChallenge = `Proxy-Authenticate: Digest realm="%s", nonce="%s", algorithm=MD5, qop="auth"`

// TestCredentialsAreForTheirCarrierOnly: a carrier, a phone of ours and a carrier of its own that ask for the victim's
// realm get nothing (CVE-2021-41158).
func TestCredentialsAreForTheirCarrierOnly(t *testing.T) {
	rogueHost, ownHost := binary.Host(), binary.Host()
	s := open(t, plainTrunk("victim", binary.Host(), `username = "acct"`, `password = secret("file:password")`, `realm = "carrier.test"`)+
		plainTrunk("rogue", rogueHost)+
		plainTrunk("own", ownHost, `username = "me"`, `password = secret("file:password")`, `realm = "own.test"`)+`
route "rogue" {
  to = "+331..."
  dial { trunks = [trunk.rogue] }
}
route "own" {
  to = "+332..."
  dial { trunks = [trunk.own] }
}
`)
	p := desk(t, s)
	for _, who := range []struct{ name, host, number string }{{"without account", rogueHost, "+33140000001"}, {"with another account", ownHost, "+33240000001"}} {
		t.Run(who.name, func(t *testing.T) {
			carrier := scripted(t, who.host, s)
			call := dial(t, p, who.number, phone.CallOptions{})
			invite := carrier.Rung()
			refuse(invite, 407, fmt.Sprintf(proxyChallenge, "carrier.test", "n1"))
			if err := call.WaitAnswered(within(t, patience)); err == nil || call.Report().Status != 480 {
				t.Error("the caller is told", call.Report().Status)
			}
			carrier.Quiet(700 * time.Millisecond) // no second INVITE
		})
	}
	t.Run("a phone of ours", func(t *testing.T) {
		callee := wire.NewPhone(wire.UDP(t, "127.0.0.1", 0, s.Addr(5060)), "1002", binary.Password)
		callee.Domain = s.Host
		callee.Register()
		call := dial(t, p, "1002", phone.CallOptions{})
		in := callee.Rung()
		in.Respond(200, wire.NewMedia(t, "127.0.0.1", "b").SDP())
		in.Acked()
		if err := call.WaitAnswered(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		go func() { _ = call.Hangup(within(t, patience)) }()
		bye := callee.Request(patience, "BYE")
		callee.Reply(bye, 407, wire.Reply{Extra: []string{fmt.Sprintf(proxyChallenge, "carrier.test", "n2")}})
		callee.Quiet(700 * time.Millisecond)
	})
	t.Run("its own realm", func(t *testing.T) { // so that the silence above is not that of a switch which never answers
		carrier := scripted(t, ownHost, s)
		call := dial(t, p, "+33240000002", phone.CallOptions{})
		refuse(carrier.Rung(), 407, fmt.Sprintf(proxyChallenge, "own.test", "n3"))
		again := carrier.Rung()
		if h := again.Asked.Get("proxy-authorization"); !strings.Contains(h, `username="me"`) || !strings.Contains(h, `nonce="n3"`) {
			t.Error("Proxy-Authorization:", h)
		}
		if seq, _ := again.Asked.CSeq(); seq != 2 {
			t.Error("CSeq", seq)
		}
		refuse(again, 486)
		_ = call.WaitAnswered(within(t, patience))
		if call.Report().Status != 486 {
			t.Error("the caller is told", call.Report().Status)
		}
	})
}

// TestWhoseCallsAreTaken: by source address, whatever a request says of itself.
func TestWhoseCallsAreTaken(t *testing.T) {
	host := binary.Host()
	s := open(t, plainTrunk("a", host, "accept {}")+`
route "in" {
  from = [trunk.a]
  to   = "+442079460018"
  echo {}
}
`)
	media := wire.NewMedia(t, "127.0.0.1", "a")
	invite := func(p *wire.Phone, extra ...string) wire.Message {
		r := p.New("INVITE", "+442079460018")
		r.From, r.Body, r.Extra = fmt.Sprintf("<sip:+33140000001@%s>;tag=%s", host, wire.Token()), media.SDP(), extra
		m, ok := p.Try(r, 3*time.Second)
		if !ok {
			t.Fatal("no answer")
		}
		return m
	}
	s.Eventually(patience, "knowing its carrier", func() bool { return s.Metrics()[`tandem_trunk_targets{state="alive",trunk="a"}`] == 1 })
	if m := invite(scripted(t, host, s)); m.Status() != 200 {
		t.Error("the carrier gets", m.Start)
	}
	stranger := wire.NewPhone(wire.UDP(t, binary.Host(), 5060, s.Addr(5060)), "carrier", "")
	if m := invite(stranger, fmt.Sprintf("P-Asserted-Identity: <sip:+33140000001@%s>", host)); m.Status() != 401 {
		t.Error("a stranger with the carrier's From gets", m.Start)
	}
	forged := stranger.New("INVITE", "+442079460018")
	text := strings.Replace(stranger.Text(forged), "SIP/2.0/UDP "+stranger.Local.String(), "SIP/2.0/UDP "+host+":5060", 1)
	stranger.Send(text)
	if m, ok := stranger.Poll(2*time.Second, func(m wire.Message) bool { return m.Status() >= 200 }); ok && m.Status() != 401 {
		t.Error("a stranger with the carrier's Via gets", m.Start)
	}
	s.Eventually(patience, "one call of the carrier", func() bool { return s.Metrics()[`tandem_trunk_calls_total{direction="in",trunk="a"}`] == 1 })
}

// TestNothingOfTheInsideGoesOut: what a carrier sees of a call has no address, name or header of the phone.
func TestNothingOfTheInsideGoesOut(t *testing.T) {
	host := binary.Host()
	s := open(t, plainTrunk("a", host, `identity = "pai"`)+routes("a"))
	inside := phoneOf(t, phone.Config{Server: s.Addr(5060), User: "1001", Password: binary.Password, Domain: s.Host, Local: "127.0.0.77", Display: "Secret Name"})
	if err := inside.Register(within(t, patience), time.Hour); err != nil {
		t.Fatal(err)
	}
	carrier := scripted(t, host, s)
	var headers []phone.Header
	for _, h := range []string{"P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info", "P-Charge-Info", "X-Inside", "p-asserted-identity",
		"Organization", "Subject", "Call-Info", "P-Preferred-Identity", "Identity"} {
		headers = append(headers, phone.Header{Name: h, Value: "<sip:leak@10.9.8.7>"})
	}
	call := dial(t, inside, "+33140000001", phone.CallOptions{Headers: headers})
	in := carrier.Rung()
	media := wire.NewMedia(t, host, "c")
	in.Respond(183, media.Answer(in.Asked.Body))
	in.Respond(200, media.Answer(in.Asked.Body))
	seen := in.Asked.Raw + in.Acked().Raw
	if err := call.WaitAnswered(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = call.Hold(within(t, patience)) }()
	again := carrier.Request(patience, "INVITE")
	carrier.Reply(again, 200, wire.Reply{Contact: carrier.Contact(), Body: media.Answer(again.Body)})
	seen += again.Raw + carrier.Await(patience, "ACK", func(m wire.Message) bool { return m.Method() == "ACK" }).Raw
	go func() { _ = call.HangupReason(within(t, patience), `SIP;cause=200;text="leak"`) }()
	seen += in.Ended(patience).Raw
	for _, word := range []string{"127.0.0.77", "1001", "Secret", "leak", "10.9.8.7", "tandem-phone", "example.com", "X-Inside", "Organization", "Diversion",
		"History-Info", "P-Charge-Info", "Subject", "Call-Info", call.Report().CallID} {
		if i := strings.Index(strings.ToLower(seen), strings.ToLower(word)); i >= 0 {
			t.Errorf("the carrier sees %q:\n%s", word, seen)
		}
	}
	if got := in.Asked.All("p-asserted-identity"); len(got) != 1 || got[0] != "<sip:+442079460000@"+host+">" {
		t.Error("P-Asserted-Identity:", got)
	}
	if got := in.Asked.Get("from"); !strings.HasPrefix(got, "<sip:+442079460000@"+host+">;tag=") {
		t.Error("From:", got)
	}
}
