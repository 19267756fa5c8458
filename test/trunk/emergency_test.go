package trunk

import (
	"strings"
	"testing"

	"tandem/cmd/tandem/phone"
)

// An emergency call goes out whatever stands in the configuration, and over the next carrier whatever the first says:
// one that does not know the number, calls it busy or declines is a reason to ask another.
func TestEmergencyCallsGetThrough(t *testing.T) {
	good := answering(t)
	const hostile = `
block_list "everything" { destinations = ["1...", "9...", "+..."] }
route "shadow" {
  to = "1xx"
  reject { status = 403 }
}
emergency {
  numbers   = ["112", "999"]
  trunks    = [trunk.first, trunk.good]
  caller_id = "+442079460000"
}
`
	for status, first := range map[string]string{
		"404": failing(t, "404 Not Found"), "486": failing(t, "486 Busy Here"), "503": failing(t, "503 Service Unavailable"),
		"603": failing(t, "603 Decline"), "484": failing(t, "484 Address Incomplete"), "408": silent(t),
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			s := open(t, plainTrunk("first", first)+plainTrunk("good", good)+routes("first", "good")+hostile)
			p := desk(t, s)
			c, err := p.Dial(within(t, patience), "112", phone.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.WaitAnswered(within(t, patience)); err != nil {
				t.Fatalf("%v: status %d", err, c.Report().Status)
			}
			c.PlayTone(440)
			if _, err := c.WaitTone(within(t, patience), 440); err != nil {
				t.Error("no audio:", err)
			}
			if err := c.Hangup(within(t, patience)); err != nil {
				t.Error(err)
			}
			if got, want := strings.Join(tried(recordOf(t, s, 0)), ", "), "first "+status+", good 200"; got != want {
				t.Errorf("tried %s, want %s", got, want)
			}
			if out, err := p.Dial(within(t, patience), "113", phone.CallOptions{}); err == nil {
				_ = out.WaitAnswered(within(t, patience))
				if out.Report().Status == 200 {
					t.Error("113 is no emergency number, and what blocks it does not")
				}
			}
		})
	}
}
