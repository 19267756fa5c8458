package call

import (
	"strings"
	"testing"

	"tandem/sip"
)

// A camera that is turned on in the call is asked of another browser, whose answer decides; a phone is not troubled with it.
func TestCameraInACall(t *testing.T) {
	for name, webrtc := range map[string]string{"browser": "always", "phone": "never"} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				a, b := o.talk(o.alice(), o.bob())
				a.asks(sip.INVITE, "offer sendrecv video")
				if name == "browser" {
					got := b.phone.hears(sip.INVITE)
					b.replies(got, 200, "answer sendrecv video", []string{b.contact()}, "")
					b.phone.hears(sip.ACK)
				}
				if r := a.phone.hears("200 INVITE"); !strings.HasPrefix(r.Body(), "answer of a") {
					o.Errorf("answered %q", r.Body())
				}
				a.acks("")
				o.settle()
				o.hangsUp(a, b)
			}, func(_ *Config, s *Settings) {
				s.Plan = planOf(t, strings.Replace(officePlan, `extension "1002" {`, "extension \"1002\" {\n  webrtc = \""+webrtc+"\"", 1))
			})
		})
	}
}
