package transaction_test

import (
	"net/netip"
	"slices"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"time"
)

// slowWire is a transport on which the user answers while a 100 is still being sent.
type slowWire struct {
	*siptest.Discard
	during func()
	sent   []string
}

func (w *slowWire) Send(_, _ netip.AddrPort, raw []byte) error {
	status := string(raw[len("SIP/2.0 "):len("SIP/2.0 100")])
	if status == "100" && w.during != nil {
		w.during()
	}
	w.sent = append(w.sent, status)
	return nil
}

// An answer that is given while the table sends 100, or repeats a 180, leaves after that: some phones end the call on a 100 behind a 200.
func TestNothingOldBehindAnAnswer(t *testing.T) {
	for _, x := range []struct {
		name     string
		statuses []int
		want     []string
	}{
		{"answered", []int{200}, []string{"100", "200"}},
		{"rings and is answered", []int{180, 200}, []string{"100", "180", "200"}},
		{"refused", []int{486}, []string{"100", "486"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, transport.TCP, transaction.Config{}, func(o *office) {
				wire := &slowWire{Discard: siptest.NewDiscard(transport.TCP)}
				f := transport.NewFlow(wire, netip.MustParseAddrPort(officeAddr), netip.MustParseAddrPort(peerAddr))
				wire.during = func() {
					answered := make(chan struct{})
					go func() {
						defer close(answered)
						for _, status := range x.statuses {
							o.respond(o.tx(0), status)
						}
					}()
					<-answered
				}
				m := &sip.Message{}
				if err := m.Parse(string(siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"}.Bytes(f))); err != nil {
					o.Fatal(err)
				}
				o.table.Receive(f, m)
				o.until(time.Second)
				if !slices.Equal(wire.sent, x.want) {
					o.Errorf("sent %v, want %v", wire.sent, x.want)
				}
			})
		})
	}
}
