package call

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/trunk"
)

// A phone that sends its calls to a carrier is named there, with the reason; a carrier that does not want it hears nothing.
func TestWhoForwardedIsSaidToTheCarrier(t *testing.T) {
	const away = "+33140000002"
	for _, x := range []struct {
		when, reason, cause string
		happens             func(o *office, bob *phone)
	}{
		{"always", "unconditional", "302", nil},
		{"busy", "user-busy", "486", func(_ *office, bob *phone) {
			b := bob.rung()
			b.says(486, "")
			bob.hears(sip.ACK)
		}},
		{"no_answer", "no-answer", "408", func(o *office, bob *phone) {
			b := bob.rung()
			b.says(180, "")
			o.until(20 * time.Second)
			bob.oks(sip.CANCEL)
			b.says(487, "")
			bob.hears(sip.ACK)
		}},
		{"unreachable", "unavailable", "503", func(o *office, _ *phone) {}},
	} {
		for _, wanted := range []bool{true, false} {
			inTrade(t, func(o *office, _ wires) {
				s := *o.board.Settings()
				s.Plan = planOf(t, strings.Replace(tradePlan, "name  = \"Bob\"", "name  = \"Bob\"\n  did = \"+442079460018\"\n  forward { "+x.when+" = \""+away+"\" }", 1))
				o.board.Update(&s)
				first, second := o.phone(0x1, "first", 71), o.phone(0x1, "second", 72)
				var bob *phone
				if x.when == "unreachable" || x.when == "always" {
					bob = o.phone(0x1, "1002", 2)
				} else {
					bob = o.bob()
				}
				a := second.offers("+442079460018", "offer")
				if x.happens != nil {
					x.happens(o, bob)
				}
				if x.when == "no_answer" {
					second.hears("180")
				}
				b := first.rung()
				got := strings.Join(strings.Fields(b.invite.Header(sip.HeaderDiversion)+" "+historyOf(b)), " ")
				want := "<sip:+442079460018@carrier.test>;reason=" + x.reason + " <sip:+442079460018@carrier.test>;index=1 <sip:" + away + "@carrier.test;cause=" + x.cause + ">;index=1.1;mp=1"
				if !wanted {
					want = ""
				}
				if got != want {
					t.Errorf("%s: %q, want %q", x.when, got, want)
				}
				b.says(404, "")
				first.hears(sip.ACK)
				a.hears("404")
			}, func(first, _ *trunk.Config) { first.Diversion, first.History = wanted, wanted })
		}
	}
}

func historyOf(d *dialogue) string {
	var all []string
	for e := range d.invite.Elements(sip.HeaderHistoryInfo) {
		all = append(all, e)
	}
	return strings.Join(all, " ")
}

// Two switches that forward to each other come to an end.
func TestForwardsThroughCarriersComeToAnEnd(t *testing.T) {
	const home, away = "+442079460018", "+33140000002"
	inTrade(t, func(o *office, _ wires) {
		s := *o.board.Settings()
		s.Plan = planOf(t, strings.Replace(tradePlan, "name  = \"Bob\"", "name  = \"Bob\"\n  did = \""+home+"\"\n  forward { always = \""+away+"\" }", 1))
		o.board.Update(&s)
		first, second := o.phone(0x1, "first", 71), o.phone(0x1, "second", 72)
		lines := []string{}
		rounds := 0
		for ; rounds < 30; rounds++ {
			a := second.offers(home, "offer", lines...)
			if r, came := second.within(0); came && r.Status() == 482 {
				a.takes(r)
				a.acksRefusal(r)
				break
			}
			b := first.rung()
			lines = nil
			for e := range b.invite.Elements(sip.HeaderDiversion) { // the other side sends it back as it came
				lines = append(lines, "Diversion: "+e)
			}
			b.says(404, "")
			first.hears(sip.ACK)
			a.hears("404")
		}
		if rounds != mostDiversions {
			t.Errorf("ended after %d rounds", rounds)
		}
		a := second.offers(home, "offer", "Diversion: <sip:+33140000009@carrier.test>;reason=unknown;counter=10")
		a.hears("482")
	}, func(first, _ *trunk.Config) { first.Diversion = true })
}
