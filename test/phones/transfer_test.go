package phones

import (
	"errors"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
)

// Each kind of phone transfers each other to a third, blind: who stays and the target hear each other, the transferor is out.
func TestBlindTransfer(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	kinds := map[string]func(t *testing.T) phone.Config{
		"browser": func(t *testing.T) phone.Config { return o.browser(o.extension(t), "wss") },
		"phone":   func(t *testing.T) phone.Config { return o.config(o.extension(t), "udp") },
		"SRTP": func(t *testing.T) phone.Config {
			c := o.config(o.extension(t), "tls")
			c.SRTP = phone.SRTPRequired
			return c
		},
	}
	t.Run("transfers", func(t *testing.T) {
		for _, x := range [][3]string{
			{"phone", "phone", "phone"}, {"browser", "phone", "phone"}, {"phone", "browser", "SRTP"}, {"SRTP", "phone", "browser"},
			{"browser", "browser", "browser"}, {"browser", "SRTP", "browser"},
		} {
			for _, callerTransfers := range []bool{true, false} {
				by := map[bool]string{true: "caller", false: "callee"}[callerTransfers]
				t.Run(x[0]+" by the "+by+" from "+x[1]+" to "+x[2], func(t *testing.T) {
					t.Parallel()
					a, b, target := kinds[x[0]](t), kinds[x[1]](t), kinds[x[2]](t)
					o.blind(t, a, b, target, callerTransfers)
				})
			}
		}
	})
	o.Idle(patience)
}

func (o *office) blind(t *testing.T, from, to, target phone.Config, callerTransfers bool) {
	to.Answer, target.Answer = phone.AutoAnswer("tone:660"), phone.AutoAnswer("tone:880")
	a, b, c := register(t, from), register(t, to), register(t, target)
	call, err := a.Call(within(t), to.User, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	other := incoming(t, b)
	hear(t, "caller", call, 660)
	hear(t, "callee", other, 440)
	by, stays, hz := other, call, 440.0
	if callerTransfers {
		by, stays, hz = call, other, 660.0
	}
	must(t, "hold", by.Hold(within(t)))
	must(t, "transfer", by.Transfer(within(t), target.User))
	ended(t, by, phone.ByRemote)
	third := incoming(t, c)
	hear(t, "who stays", stays, 880)
	hear(t, "target", third, hz)
	must(t, "hang up", third.Hangup(within(t)))
	ended(t, stays, phone.ByRemote)
	r := o.record(t, from.User, 1)
	if len(r.Transfers) != 1 || r.Transfers[0].Kind != "blind" || r.Transfers[0].Status != 200 || r.Transfers[0].To != target.User {
		t.Errorf("record: %+v", r.Transfers)
	}
}

// A target that is busy gives the call back, with what was heard before.
func TestTransferComesBack(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	target, busy := o.desk(t, "udp")
	target.SetAnswer(phone.Busy())
	b := o.browser(o.extension(t), "ws")
	b.Answer = phone.AutoAnswer("tone:660")
	a := register(t, o.config(o.extension(t), "tcp"))
	register(t, b)
	call, err := a.Call(within(t), b.User, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	hear(t, "caller", call, 660)
	var refusal *phone.StatusError
	if err := call.Transfer(within(t), busy); !errors.As(err, &refusal) || refusal.Code != 486 {
		t.Fatalf("transfer: %v", err)
	}
	hear(t, "caller again", call, 660)
	if err := call.Transfer(within(t), "5999"); !errors.As(err, &refusal) || refusal.Code != 404 {
		t.Errorf("transfer to nobody: %v", err)
	}
	must(t, "hang up", call.Hangup(within(t)))
	o.Idle(patience)
}

// After a consultation the two others talk, whatever they are.
func TestAttendedTransfer(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("transfers", func(t *testing.T) {
		for name, x := range map[string][3]phone.Config{
			"phones":             {o.config(o.extension(t), "udp"), o.config(o.extension(t), "tcp"), o.config(o.extension(t), "udp")},
			"browser among them": {o.browser(o.extension(t), "wss"), o.config(o.extension(t), "udp"), o.browser(o.extension(t), "ws")},
			"by a browser":       {o.config(o.extension(t), "udp"), o.browser(o.extension(t), "wss"), o.config(o.extension(t), "tls")},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				x[1].Answer, x[2].Answer = phone.AutoAnswer("tone:660"), phone.AutoAnswer("tone:880")
				a, b, c := register(t, x[0]), register(t, x[1]), register(t, x[2])
				call, err := a.Call(within(t), x[1].User, phone.CallOptions{Play: "tone:440"})
				must(t, "call", err)
				other := incoming(t, b)
				hear(t, "caller", call, 660)
				must(t, "hold", other.Hold(within(t)))
				second, err := b.Call(within(t), x[2].User, phone.CallOptions{Play: "tone:523"})
				must(t, "consult", err)
				third := incoming(t, c)
				hear(t, "consulted", third, 523)
				must(t, "hold the second", second.Hold(within(t)))
				must(t, "transfer", other.TransferTo(within(t), second))
				hear(t, "caller", call, 880)
				hear(t, "consulted", third, 440)
				ended(t, other, phone.ByRemote)
				ended(t, second, phone.ByRemote)
				must(t, "hang up", call.Hangup(within(t)))
				ended(t, third, phone.ByRemote)
			})
		}
	})
	o.Idle(patience)
}

// A second phone of an extension takes the call over that the first one is in.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	callee, to := o.desk(t, "udp")
	callee.SetAnswer(phone.AutoAnswer("tone:660"))
	user := o.extension(t)
	desk := register(t, o.config(user, "udp"))
	call, err := desk.Call(within(t), to, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	other := incoming(t, callee)
	hear(t, "callee", other, 440)
	page := register(t, o.browser(user, "wss"))
	taken, err := page.Call(within(t), to, phone.CallOptions{Play: "tone:880", Headers: []phone.Header{{Name: "Replaces", Value: call.Replaces()}}})
	must(t, "take over", err)
	ended(t, call, phone.ByRemote)
	hear(t, "callee", other, 880)
	hear(t, "page", taken, 660)
	must(t, "hang up", taken.Hangup(within(t)))
	ended(t, other, phone.ByRemote)
	o.Idle(patience)
}

// baresip transfers, as its users do.
func TestBaresipTransfers(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	a, from := o.desk(t, "udp")
	target := o.browser(o.extension(t), "wss")
	target.Answer = phone.AutoAnswer("tone:880")
	c := register(t, target)
	b, to := o.softphone(t, "udp", baresip.Config{Tone: 660})
	call, err := a.Dial(within(t), to, phone.CallOptions{Play: "tone:440"})
	must(t, "dial", err)
	event(t, b, "CALL_INCOMING", 0)
	must(t, "answer", b.Answer(within(t)))
	hear(t, "caller", call, 660)
	must(t, "transfer", b.Transfer(within(t), "sip:"+target.User+"@"+o.Host))
	third := incoming(t, c)
	hear(t, "caller", call, 880)
	hear(t, "target", third, 440)
	event(t, b, "CALL_CLOSED", 0)
	must(t, "hang up", call.Hangup(within(t)))
	ended(t, third, phone.ByRemote)
	if r := o.record(t, from, 1); len(r.Transfers) != 1 || r.Transfers[0].Status != 200 || r.Transfers[0].By != to {
		t.Errorf("record: %+v", r.Transfers)
	}
	o.Idle(5 * time.Second)
}
