package trunk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/wire"
)

const challenged = `%s: Digest realm="%s", nonce="%s", algorithm=MD5, qop="auth"`

// bind answers a REGISTER with 200: its contact, for a minute.
func bind(c *wire.Phone, register wire.Message, extra ...string) {
	c.Reply(register, 200, wire.Reply{Tag: "t", Extra: append(extra, "Contact: "+register.Get("contact")+";expires=60")})
}

// TestSeveralAccountsAtOneCarrier: each registration has its own user, credentials and life.
func TestSeveralAccountsAtOneCarrier(t *testing.T) {
	t.Parallel()
	host := binary.Host()
	s := open(t, plainTrunk("carrier", host, `username = "main"`, `password = secret("file:password")`, `realm = "carrier.test"`, `register {}`, `register {
    user     = "+442079460018"
    username = "second"
    password = secret("file:password")
  }`)+`
route "in" {
  from = [trunk.carrier]
  to   = "+442079460018"
  echo {}
}
`)
	carrier := scripted(t, host, s)
	seen := map[string]string{}
	for len(seen) < 2 {
		r := carrier.Request(patience, "REGISTER")
		proof := r.Get("authorization")
		if proof == "" {
			carrier.Reply(r, 401, wire.Reply{Tag: "t", Extra: []string{fmt.Sprintf(challenged, "WWW-Authenticate", "carrier.test", "n"+r.Get("call-id")[:4])}})
			continue
		}
		user, _, _ := strings.Cut(strings.TrimPrefix(r.Get("to"), "<sip:"), "@")
		_, name, _ := strings.Cut(proof, `username="`)
		name, _, _ = strings.Cut(name, `"`)
		seen[user] = name
		bind(carrier, r)
	}
	if seen["main"] != "main" || seen["+442079460018"] != "second" {
		t.Error("users and the names that they prove:", seen)
	}
	s.Eventually(patience, "registered twice", func() bool {
		return s.Metrics()[`tandem_trunk_registrations{state="registered",trunk="carrier"}`] == 2
	})
	// A call without the parameters of the contact, from where we are registered, is the carrier's; a stranger's is not.
	media := wire.NewMedia(t, host, "a")
	invite := carrier.New("INVITE", "+442079460018")
	invite.Body = media.SDP()
	if m, ok := carrier.Try(invite, 3*time.Second); !ok || m.Status() != 200 {
		t.Error("from where we are registered:", m.Start)
	}
	stranger := wire.NewPhone(wire.UDP(t, binary.Host(), 5060, s.Addr(5060)), "carrier", "")
	invite = stranger.New("INVITE", "+442079460018")
	invite.Body = media.SDP()
	if m, ok := stranger.Try(invite, 3*time.Second); !ok || m.Status() != 401 {
		t.Error("from elsewhere:", m.Start)
	}
}

// TestAWholeBlockOfNumbers registers by RFC 6140: one REGISTER with bnc, calls for any number of the block.
func TestAWholeBlockOfNumbers(t *testing.T) {
	t.Parallel()
	host := binary.Host()
	s := open(t, plainTrunk("carrier", host, `register {
    user = "pbx"
    bulk = true
  }`)+`
route "in" {
  from = [trunk.carrier]
  to   = "+4420794600xx"
  echo {}
}
`)
	carrier := scripted(t, host, s)
	r := carrier.Request(patience, "REGISTER")
	contact := r.Get("contact")
	if r.Get("require") != "gin" || r.Get("proxy-require") != "gin" || !strings.Contains(contact, ";bnc>") || strings.Contains(contact, "@") {
		t.Errorf("not by RFC 6140:\n%s", r.Raw)
	}
	bind(carrier, r)
	s.Eventually(patience, "registered", func() bool {
		return s.Metrics()[`tandem_trunk_registrations{state="registered",trunk="carrier"}`] == 1
	})
	// The carrier puts the called number into the contact, and takes bnc away (RFC 6140 §5.2).
	uri := strings.Replace(strings.Replace(strings.Trim(contact, "<>"), ";bnc", "", 1), "sip:", "sip:+442079460077@", 1)
	elsewhere := wire.NewPhone(wire.UDP(t, binary.Host(), 5060, s.Addr(5060)), "carrier", "") // another of its machines
	invite := elsewhere.New("INVITE", "+442079460077")
	invite.URI, invite.Body = uri, wire.NewMedia(t, host, "a").SDP()
	if m, ok := elsewhere.Try(invite, 3*time.Second); !ok || m.Status() != 200 {
		t.Error("a number of the block gets", m.Start)
	}
	if uri = strings.Replace(uri, ";line=", ";line=x", 1); uri == invite.URI {
		t.Fatal("the contact has no line:", contact)
	}
	invite = elsewhere.New("INVITE", "+442079460077")
	invite.URI = uri
	if m, ok := elsewhere.Try(invite, 3*time.Second); !ok || m.Status() != 401 {
		t.Error("a guessed line gets", m.Start)
	}
}

// TestProbesProveThemselves: an OPTIONS that is challenged comes again with credentials, once.
func TestProbesProveThemselves(t *testing.T) {
	t.Parallel()
	host := binary.Host()
	s := open(t, plainTrunk("carrier", host, `username = "acct"`, `password = secret("file:password")`, `realm = "carrier.test"`, `probe { interval = "1s" }`))
	carrier := scripted(t, host, s)
	carrier.Pong = false
	asked := carrier.Request(patience, "OPTIONS")
	carrier.Reply(asked, 407, wire.Reply{Tag: "t", Extra: []string{fmt.Sprintf(challenged, "Proxy-Authenticate", "carrier.test", "n1")}})
	again := carrier.Request(patience, "OPTIONS")
	if h := again.Get("proxy-authorization"); !strings.Contains(h, `username="acct"`) || !strings.Contains(h, `nonce="n1"`) || again.Get("call-id") != asked.Get("call-id") {
		t.Errorf("the second OPTIONS:\n%s", again.Raw)
	}
	carrier.Reply(again, 407, wire.Reply{Tag: "t", Extra: []string{fmt.Sprintf(challenged, "Proxy-Authenticate", "carrier.test", "n2")}})
	if third := carrier.Request(patience, "OPTIONS"); third.Get("call-id") == asked.Get("call-id") {
		t.Error("it is asked for ever")
	}
	s.Eventually(patience, "up: it has answered", func() bool { return s.Metrics()[`tandem_trunk_state{state="up",trunk="carrier"}`] == 1 })
}

// TestAReinviteIsAnswered: a carrier challenges hold inside the dialog.
func TestAReinviteIsAnswered(t *testing.T) {
	t.Parallel()
	host := binary.Host()
	s := open(t, plainTrunk("carrier", host, `username = "acct"`, `password = secret("file:password")`, `realm = "carrier.test"`)+routes("carrier"))
	p, carrier := desk(t, s), scripted(t, host, s)
	call := dial(t, p, "+33140000001", phone.CallOptions{})
	in, media := carrier.Rung(), wire.NewMedia(t, host, "c")
	in.Respond(200, media.Answer(in.Asked.Body))
	in.Acked()
	if err := call.WaitAnswered(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	go func() { held <- call.Hold(within(t, patience)) }()
	first := carrier.Request(patience, "INVITE")
	carrier.Reply(first, 407, wire.Reply{Extra: []string{fmt.Sprintf(challenged, "Proxy-Authenticate", "carrier.test", "n1")}})
	carrier.Await(patience, "ACK", func(m wire.Message) bool { return m.Method() == "ACK" })
	again := carrier.Request(patience, "INVITE")
	a, _ := first.CSeq()
	if b, _ := again.CSeq(); b != a+1 || !strings.Contains(again.Get("proxy-authorization"), `nonce="n1"`) || again.Body != first.Body {
		t.Errorf("the second re-INVITE:\n%s", again.Raw)
	}
	carrier.Reply(again, 200, wire.Reply{Contact: carrier.Contact(), Body: media.Answer(again.Body)})
	carrier.Await(patience, "ACK", func(m wire.Message) bool { return m.Method() == "ACK" })
	if err := <-held; err != nil {
		t.Error("hold:", err)
	}
	go func() { _ = call.Hangup(within(t, patience)) }()
	if bye := in.Ended(patience); !strings.Contains(bye.Get("proxy-authorization"), "nc=00000002") {
		t.Error("the BYE waits for a challenge")
	}
}

// TestTheWayOfARegistration: INVITEs go where Service-Route says (RFC 3608), and who is there may ask for
// credentials.
func TestTheWayOfARegistration(t *testing.T) {
	t.Parallel()
	host, edgeHost := binary.Host(), binary.Host()
	s := open(t, plainTrunk("carrier", host, `username = "acct"`, `password = secret("file:password")`, `realm = "carrier.test"`, "register {}")+routes("carrier"))
	carrier, edge := scripted(t, host, s), scripted(t, edgeHost, s)
	bind(carrier, carrier.Request(patience, "REGISTER"), "Service-Route: <sip:"+edgeHost+":5060;lr>")
	registered(t, s)
	p := desk(t, s)
	call := dial(t, p, "+33140000001", phone.CallOptions{})
	in := edge.Rung()
	if got := in.Asked.All("route"); !slices.Equal(got, []string{"<sip:" + edgeHost + ":5060;lr>"}) {
		t.Error("Route:", got)
	}
	in.Respond(407, "", fmt.Sprintf(challenged, "Proxy-Authenticate", "carrier.test", "n1")) // the edge speaks for the carrier
	in.Acked()
	in = edge.Rung()
	if !strings.Contains(in.Asked.Get("proxy-authorization"), `nonce="n1"`) {
		t.Errorf("the edge gets no credentials:\n%s", in.Asked.Raw)
	}
	refuse(in, 486)
	_ = call.WaitAnswered(within(t, patience))
	if call.Report().Status != 486 {
		t.Error("the caller is told", call.Report().Status)
	}
}
