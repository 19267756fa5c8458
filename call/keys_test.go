package call

import (
	"strings"
	"testing"
	"time"

	"tandem/media"
	"tandem/sip"
	"tandem/trunk"
)

// A key that a phone presses reaches a carrier in the way that the carrier takes, and once.
func TestKeysReachACarrier(t *testing.T) {
	for _, x := range []struct {
		name   string
		way    trunk.DTMF
		events bool   // the carrier takes telephone-events
		allow  string // its Allow
		info   bool   // it gets an INFO
		tone   bool   // it hears the key
	}{
		{"as an event, which the relay passes on", trunk.DTMFAuto, true, "Allow: INVITE, INFO", false, false},
		{"by INFO", trunk.DTMFAuto, false, "Allow: INVITE, INFO", true, false},
		{"in-band", trunk.DTMFAuto, false, "Allow: INVITE, BYE", false, true},
		{"by INFO, as the trunk says", trunk.DTMFInfo, false, "", true, false},
		{"in-band, as the trunk says", trunk.DTMFInband, false, "Allow: INFO", false, true},
		{"events or nothing", trunk.DTMFEvents, false, "Allow: INFO", false, false},
	} {
		for _, byINFO := range []bool{false, true} {
			if byINFO && (x.way == trunk.DTMFEvents || x.events) {
				continue
			}
			inTrade(t, func(o *office, _ wires) {
				alice, first := o.alice(), o.phone(0x1, "first", 71)
				a := alice.invites(abroad, "offer of alice")
				b := first.rung()
				s := o.media.of("b1")
				s.noEvents = !x.events
				if s.options.NoEvents != (x.way == trunk.DTMFInfo || x.way == trunk.DTMFInband) {
					t.Error(x.name, "offered:", s.options.NoEvents)
				}
				var lines []string
				if x.allow != "" {
					lines = []string{x.allow}
				}
				b.says(200, "answer of first", lines...)
				first.hears(sip.ACK)
				a.hears("200")
				a.acks("")
				o.settle()
				if byINFO {
					a.asks(sip.INFO, "Signal=5\r\nDuration=200", "Content-Type: application/dtmf-relay")
				} else {
					o.media.of("a").options.Events(media.Event{Kind: media.DTMF, Digit: '5', Duration: 200 * time.Millisecond})
				}
				if x.info {
					r := first.oks(sip.INFO)
					if !strings.Contains(r.Body(), "Signal=5") || !strings.Contains(r.Body(), "Duration=200") || r.Header(sip.HeaderContentType) != "application/dtmf-relay" {
						t.Errorf("%s: %s", x.name, r.Raw())
					}
				}
				if byINFO {
					alice.hears("200 INFO")
				}
				o.settle()
				if heard := s.clips == 1 && s.doing == "play"; heard != x.tone || s.digits != "" {
					t.Errorf("%s: heard %v, events %q", x.name, heard, s.digits)
				}
				o.leaves(a, b)
			}, func(first, _ *trunk.Config) { first.DTMF = x.way })
		}
	}
}
