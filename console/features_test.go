package console

import (
	"testing"

	"tandem/dialplan"
)

// What the commands set comes to the switch, and what the switch refuses comes back as an error.
func TestFeatures(t *testing.T) {
	s := &fakeSwitch{}
	c, _ := serve(t, s)
	f, err := c.Set("1001", dialplan.Set{Feature: dialplan.ForwardBusy, Number: "+44 20"})
	if err != nil || f.Forward.Busy != "+44 20" || s.features.Forward.Busy != "+44 20" {
		t.Errorf("forward: %+v %v", f, err)
	}
	if f, err = c.Set("1001", dialplan.Set{Feature: dialplan.DoNotDisturbOn}); err != nil || !f.DoNotDisturb || f.Forward.Busy == "" {
		t.Errorf("do not disturb: %+v %v", f, err)
	}
	if _, err := c.Set("1001", dialplan.Set{Feature: "nonsense"}); err == nil {
		t.Error("nonsense is set")
	}
	if _, err := c.Features("1002"); err == nil {
		t.Error("there is an extension 1002")
	}
	if n, err := c.NightSwitch("office", dialplan.OpenByHand); err != nil || !n.Open {
		t.Errorf("night: %+v %v", n, err)
	}
	if _, err := c.NightSwitch("office", "ajar"); err == nil {
		t.Error("a schedule is ajar")
	}
	if _, err := c.NightSwitch("nowhere", ""); err == nil {
		t.Error("there is a schedule nowhere")
	}
}
