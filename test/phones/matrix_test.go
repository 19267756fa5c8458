package phones

import (
	"fmt"
	"testing"

	"tandem/cmd/tandem/phone"
)

var transports = []string{"udp", "tcp", "tls", "ws", "wss"}

// Every transport calls every other: both hear each other, one hangs up, and the record agrees.
func TestEveryTransportCallsEveryOther(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, from := range transports {
			for j, to := range transports {
				t.Run(from+" calls "+to, func(t *testing.T) {
					t.Parallel()
					caller, callee := o.extension(t), o.extension(t)
					o.conversation(t, o.config(caller, from), o.config(callee, to), (i+j)%2 == 0)
				})
			}
		}
	})
	o.Idle(patience)
}

// Encrypted media on one leg or both, and plain RTP on the other.
func TestSRTP(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, c := range []struct {
			from, to         string
			fromSRTP, toSRTP phone.SRTP
		}{
			{"tls", "udp", phone.SRTPRequired, phone.SRTPOff},
			{"udp", "wss", phone.SRTPOff, phone.SRTPRequired},
			{"wss", "tcp", phone.SRTPOptional, phone.SRTPOff},
			{"ws", "tls", phone.SRTPOff, phone.SRTPOptional},
			{"tls", "wss", phone.SRTPRequired, phone.SRTPRequired},
			{"wss", "tls", phone.SRTPOptional, phone.SRTPRequired},
			{"tls", "tls", phone.SRTPOff, phone.SRTPOptional},
		} {
			t.Run(fmt.Sprintf("%s %s calls %s %s", c.from, c.fromSRTP, c.to, c.toSRTP), func(t *testing.T) {
				t.Parallel()
				from, to := o.config(o.extension(t), c.from), o.config(o.extension(t), c.to)
				from.SRTP, to.SRTP = c.fromSRTP, c.toSRTP
				o.conversation(t, from, to, i%2 == 0)
			})
		}
	})
	o.Idle(patience)
}

// conversation registers two phones and lets the first call the second: tones both ways, BYE from one side, reports and
// record.
func (o *office) conversation(t *testing.T, from, to phone.Config, callerHangsUp bool) {
	t.Helper()
	to.Answer = phone.AutoAnswer("tone:660")
	a, b := register(t, from), register(t, to)
	call, err := a.Call(within(t), to.User, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	other := incoming(t, b)
	hear(t, "caller", call, 660)
	hear(t, "callee", other, 440)
	by := "a"
	if callerHangsUp {
		must(t, "hang up", call.Hangup(within(t)))
		ended(t, other, phone.ByRemote)
	} else {
		must(t, "hang up", other.Hangup(within(t)))
		ended(t, call, phone.ByRemote)
		by = "b1"
	}
	r := o.record(t, from.User, 1)
	if r.Status != 200 || r.EndedBy != by || r.Cause != 16 {
		t.Errorf("record: status %d, ended by %s, cause %d", r.Status, r.EndedBy, r.Cause)
	}
	if d := call.Report().Duration; r.Duration < d-1 || r.Duration > d+1 {
		t.Errorf("the record says %.2f s, the caller %.2f s", r.Duration, d)
	}
	agrees(t, call, r.leg(t, from.User), from)
	agrees(t, other, r.leg(t, to.User), to)
	for _, p := range []*phone.Phone{a, b} {
		must(t, "unregister", p.Unregister(within(t)))
	}
}

// agrees compares what a phone and the switch say of one leg.
func agrees(t *testing.T, c *phone.Call, l leg, from phone.Config) {
	t.Helper()
	r := c.Report()
	if r.Codec != l.Media.Codec || r.SRTP != l.Media.Suite {
		t.Errorf("%s: the phone says %s %q, the record %s %q", l.Leg, r.Codec, r.SRTP, l.Media.Codec, l.Media.Suite)
	}
	secured := from.SRTP == phone.SRTPRequired || from.SRTP == phone.SRTPOptional
	if secured != (r.SRTP != "") {
		t.Errorf("%s: SRTP %q with the policy %q", l.Leg, r.SRTP, from.SRTP)
	}
	if r.Received < 15 || r.LossPercent > 2 || r.Rejected > 0 {
		t.Errorf("%s: the phone received %d packets, lost %.1f%%, rejected %d", l.Leg, r.Received, r.LossPercent, r.Rejected)
	}
	if in := l.Media.In; in.Packets < 15 || 50*in.Lost > in.Packets {
		t.Errorf("%s: the switch received %d packets and lost %d", l.Leg, in.Packets, in.Lost)
	}
	if r.Received > 50 && r.MOS < 3 {
		t.Errorf("%s: MOS %.2f (%+v)", l.Leg, r.MOS, r)
	}
}
