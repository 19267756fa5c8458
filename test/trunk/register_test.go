package trunk

import (
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/wire"
)

// TestRegistrationSurvivesARestartOfTheCarrier: with an expiry of ten seconds and a carrier that forgets all it knew.
// TANDEM_SOAK=10m keeps it up for longer before.
func TestRegistrationSurvivesARestartOfTheCarrier(t *testing.T) {
	t.Parallel()
	k := carrier(t)
	s := open(t, k.trunkTo("udp", `register {
    expires = "10s"
    retry   = "1s"
  }`)+routes("carrier"))
	registered(t, s)
	inside := desk(t, s)
	for end := time.Now().Add(soak(t, 10*time.Minute)); time.Now().Before(end); {
		registered(t, s)
		<-time.After(time.Second)
	}
	k.stop()
	s.Eventually(patience+10*time.Second, "registration lost", func() bool {
		return s.Metrics()[`tandem_trunk_registrations{state="registered",trunk="carrier"}`] == 0
	})
	k.start()
	registered(t, s)
	outside := k.phone()
	in, err := outside.Dial(within(t, patience), inward, phone.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	near := answered(t, in, inside)
	if err := in.WaitAnswered(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	speak(t, in, near)
}

// TestBriefExpiryIsRaised: the carrier answers 423 (RFC 3261 §10.2.8).
func TestBriefExpiryIsRaised(t *testing.T) {
	t.Parallel()
	host := binary.Host()
	s := open(t, plainTrunk("carrier", host, `register {
    expires = "30s"
    user    = "acct"
    retry   = "1s"
  }`))
	k := scripted(t, host, s)
	brief := k.Request(patience, "REGISTER")
	if got := brief.Get("expires"); got != "30" {
		t.Error("Expires:", got)
	}
	k.Reply(brief, 423, wire.Reply{Tag: "t", Extra: []string{"Min-Expires: 120"}})
	longer := k.Request(patience, "REGISTER")
	if got := longer.Get("expires"); got != "120" || longer.Get("call-id") != brief.Get("call-id") {
		t.Error("Expires:", got)
	}
	k.Reply(longer, 200, wire.Reply{Tag: "t", Extra: []string{"Contact: " + longer.Get("contact") + ";expires=120"}})
	registered(t, s)
	go s.Stop()
	if gone := k.Request(patience, "REGISTER"); gone.Get("expires") != "0" {
		t.Error("Expires at the end:", gone.Get("expires"))
	} else {
		k.Reply(gone, 200, wire.Reply{Tag: "t"})
	}
}
