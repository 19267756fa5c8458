package trunk

import (
	"testing"

	"tandem/cmd/tandem/phone"
)

// speak has both sides of a call hear the other's tone.
func speak(t *testing.T, a, b *phone.Call) {
	t.Helper()
	a.PlayTone(440)
	b.PlayTone(1000)
	if _, err := a.WaitTone(within(t, patience), 1000); err != nil {
		t.Fatalf("the caller does not hear the callee: %v\n%+v", err, a.Report())
	}
	if _, err := b.WaitTone(within(t, patience), 440); err != nil {
		t.Fatalf("the callee does not hear the caller: %v\n%+v", err, b.Report())
	}
}

// answered has the next call to a phone answered.
func answered(t *testing.T, caller *phone.Call, p *phone.Phone) *phone.Call {
	t.Helper()
	c, err := p.WaitIncoming(within(t, patience))
	if err != nil {
		t.Fatal(err, "- the caller:", caller.Report().Status, caller.Ended())
	}
	if err := c.Accept(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCallsOutAndInThroughKamailio(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			k := carrier(t, "BYEAUTH", "1")
			s := open(t, k.trunkTo(transport, `register { expires = "1m" }`)+routes("carrier"))
			registered(t, s)
			inside, outside := desk(t, s), k.phone()

			out, err := inside.Dial(within(t, patience), abroad, phone.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			far := answered(t, out, outside)
			if err := out.WaitAnswered(within(t, patience)); err != nil {
				t.Fatal(err, s.Log())
			}
			speak(t, out, far)
			if err := out.Hold(within(t, patience)); err != nil {
				t.Error("hold:", err)
			}
			if err := out.Resume(within(t, patience)); err != nil {
				t.Error("resume:", err)
			}
			speak(t, out, far)
			if err := out.Hangup(within(t, patience)); err != nil {
				t.Error(err)
			}
			if _, err := far.Wait(within(t, patience)); err != nil {
				t.Error("the far side goes on:", err)
			}
			s.Idle(patience)

			in, err := outside.Dial(within(t, patience), inward, phone.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			near := answered(t, in, inside)
			if err := in.WaitAnswered(within(t, patience)); err != nil {
				t.Fatal(err, s.Log())
			}
			speak(t, in, near)
			if err := in.Hangup(within(t, patience)); err != nil {
				t.Error(err)
			}
			if _, err := near.Wait(within(t, patience)); err != nil {
				t.Error("the near side goes on:", err)
			}
			s.Idle(patience)
			if n := s.Metrics()[`tandem_trunk_channels{direction="out",trunk="carrier"}`]; n != 0 {
				t.Error("channels in use:", n)
			}
			if text, err := s.Run("trunks"); err != nil {
				t.Error(err, text)
			} else {
				t.Log(text)
			}
		})
	}
}
