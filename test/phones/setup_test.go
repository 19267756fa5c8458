package phones

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
)

// Numbers of the tests of call set-up.
const setupRoutes = `
extension "3001" {
  name     = "Patient"
  password = secret("env:` + passwordVariable + `")
  class    = class.office
}
route "impatient" {
  to = "7001"
  dial {
    extension = extension["3001"]
    timeout   = "1s"
  }
}
`

// Every way in which a call comes to nothing: what the caller is told, and what the record says.
func TestCallsThatAreNotAnswered(t *testing.T) {
	t.Parallel()
	o := open(t, setupRoutes)
	t.Run("calls", func(t *testing.T) {
		for _, c := range []struct {
			name   string
			answer phone.Answer
			status int
			cause  int
		}{
			{"busy", phone.Busy(), 486, 17},
			{"declined", phone.Decline(), 603, 21},
			{"not acceptable", phone.Answer{Status: 488}, 488, 0},
			{"gone", phone.Answer{Status: 410}, 410, 22},
			{"out of order", phone.Answer{Status: 500}, 500, 0},
			{"redirected", phone.Answer{Status: 302, Header: []phone.Header{{Name: "Contact", Value: "<sip:900123@example.org>"}}}, 480, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				a, from := o.desk(t, "tcp")
				b, to := o.desk(t, "udp")
				b.SetAnswer(c.answer)
				o.refused(t, a, from, to, c.status, c.cause)
			})
		}
		t.Run("nobody registered", func(t *testing.T) {
			t.Parallel()
			a, from := o.desk(t, "udp")
			o.refused(t, a, from, o.extension(t), 480, 0)
		})
		t.Run("unknown number", func(t *testing.T) {
			t.Parallel()
			a, from := o.desk(t, "wss")
			o.refused(t, a, from, "5999", 404, 1)
		})
		t.Run("rejected by the plan", func(t *testing.T) {
			t.Parallel()
			a, from := o.desk(t, "tls")
			o.refused(t, a, from, "9199", 486, 17)
		})
		t.Run("no answer", func(t *testing.T) {
			t.Parallel()
			a, from := o.desk(t, "ws")
			b := register(t, o.config("3001", "udp"))
			o.refused(t, a, from, "7001", 480, 19)
			if e := ended(t, incoming(t, b), phone.ByRemote); e.Status != 487 {
				t.Errorf("the phone that rang: %+v", e)
			}
		})
	})
	o.Idle(patience)
}

// refused calls and expects a refusal. A cause of 0 is any.
func (o *office) refused(t *testing.T, a *phone.Phone, from, to string, status, cause int) {
	t.Helper()
	call, err := a.Call(within(t), to, phone.CallOptions{})
	var refusal *phone.StatusError
	if !errors.As(err, &refusal) || refusal.Code != status {
		t.Fatalf("%v, want %d", err, status)
	}
	if cause != 0 && refusal.Cause != cause {
		t.Errorf("the caller is told cause %d, want %d", refusal.Cause, cause)
	}
	r := o.record(t, from, 1)
	if r.Status != status || r.Duration != 0 || r.Cause == 0 || cause != 0 && r.Cause != cause {
		t.Errorf("record: %+v, want status %d, cause %d", r, status, cause)
	}
	if got := call.Report(); got.Answered || got.Received > 0 {
		t.Errorf("report: %+v", got)
	}
}

// The caller hangs up while it rings.
func TestCancel(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, from := range transports {
			t.Run(from, func(t *testing.T) {
				t.Parallel()
				a, user := o.desk(t, from)
				b, to := o.desk(t, transports[(i+2)%len(transports)])
				call, err := a.Dial(within(t), to, phone.CallOptions{})
				must(t, "dial", err)
				other := incoming(t, b)
				must(t, "caller", call.WaitRinging(within(t)))
				must(t, "cancel", call.Hangup(within(t)))
				if e := ended(t, call, phone.ByLocal); e.Status != 487 {
					t.Errorf("caller: %+v", e)
				}
				if e := ended(t, other, phone.ByRemote); e.Status != 487 {
					t.Errorf("callee: %+v", e)
				}
				if r := o.record(t, user, 1); r.Status != 487 || r.EndedBy != "caller" || r.Duration != 0 {
					t.Errorf("record: %+v", r)
				}
			})
		}
	})
	o.Idle(patience)
}

// baresip as the one that is rung: it rings, it is given up; it refuses; it is answered by hand.
func TestBaresipIsRung(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	a, from := o.desk(t, "wss")
	b, to := o.softphone(t, "udp", baresip.Config{Tone: 660})
	dial := func() (*phone.Call, int) {
		after := len(b.Events())
		call, err := a.Dial(within(t), to, phone.CallOptions{Play: "tone:440"})
		must(t, "dial", err)
		event(t, b, "CALL_INCOMING", after)
		must(t, "ringing", call.WaitRinging(within(t)))
		return call, after
	}
	call, after := dial()
	must(t, "cancel", call.Hangup(within(t)))
	event(t, b, "CALL_CLOSED", after)

	call, _ = dial()
	must(t, "refuse", b.Hangup(within(t)))
	if e := ended(t, call, phone.ByRemote); e.Status != 486 {
		t.Errorf("refused with %+v", e)
	}

	call, after = dial()
	must(t, "answer", b.Answer(within(t)))
	must(t, "answered", call.WaitAnswered(within(t)))
	hear(t, "caller", call, 660)
	recorded(t, b)
	must(t, "hang up", b.Hangup(within(t)))
	ended(t, call, phone.ByRemote)
	event(t, b, "CALL_CLOSED", after)
	heard(t, b, 440)
	for i, status := range []int{487, 486, 200} {
		if r := o.record(t, from, i+1); r.Status != status {
			t.Errorf("record %d: %+v, want status %d", i+1, r, status)
		}
	}
	o.Idle(patience)
}

// Early media is heard before the answer, and the talk after it.
func TestEarlyMedia(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, c := range []struct{ from, to string }{{"udp", "tcp"}, {"wss", "udp"}, {"tls", "ws"}} {
			t.Run(c.from+" hears "+c.to, func(t *testing.T) {
				t.Parallel()
				a, from := o.desk(t, c.from)
				b, to := o.desk(t, c.to)
				var mu sync.Mutex
				told := map[int]bool{}
				call, err := a.Dial(within(t), to, phone.CallOptions{Play: "tone:440", OnProgress: func(status int, _ string) {
					mu.Lock()
					defer mu.Unlock()
					told[status] = true
				}})
				must(t, "dial", err)
				other := incoming(t, b)
				other.PlayTone(523)
				must(t, "progress", other.Progress())
				hear(t, "caller before the answer", call, 523)
				other.PlayTone(660)
				must(t, "answer", other.Accept())
				must(t, "answered", call.WaitAnswered(within(t)))
				hear(t, "caller", call, 660)
				hear(t, "callee", other, 440)
				must(t, "hang up", other.Hangup(within(t)))
				ended(t, call, phone.ByRemote)
				mu.Lock()
				defer mu.Unlock()
				if r := call.Report(); !told[183] || !r.EarlyMedia {
					t.Errorf("told %v, early media %v", told, r.EarlyMedia)
				}
				o.record(t, from, 1)
			})
		}
	})
	o.Idle(patience)
}

// An INVITE without SDP: the switch or the callee offers, the caller answers in the ACK.
func TestLateOffer(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, c := range []struct{ from, to string }{{"udp", "tls"}, {"tcp", "udp"}, {"wss", "ws"}} {
			t.Run(c.from+" calls "+c.to, func(t *testing.T) {
				t.Parallel()
				a, from := o.desk(t, c.from)
				b, to := o.desk(t, c.to)
				b.SetAnswer(phone.Answer{Auto: true, After: 100 * time.Millisecond, Play: "tone:660"})
				call, err := a.Call(within(t), to, phone.CallOptions{LateOffer: true, Play: "tone:440"})
				must(t, "call", err)
				other := incoming(t, b)
				hear(t, "caller", call, 660)
				hear(t, "callee", other, 440)
				must(t, "hang up", call.Hangup(within(t)))
				ended(t, other, phone.ByRemote)
				if r := o.record(t, from, 1); r.Status != 200 {
					t.Errorf("record: %+v", r)
				}
			})
		}
		for number, hz := range map[string]float64{"9196": 440, "9197": 1004} {
			t.Run("of "+number, func(t *testing.T) {
				t.Parallel()
				a, _ := o.desk(t, "udp")
				call, err := a.Call(within(t), number, phone.CallOptions{LateOffer: true, Play: "tone:440"})
				must(t, "call", err)
				hear(t, "caller", call, hz)
				must(t, "hang up", call.Hangup(within(t)))
			})
		}
	})
	o.Idle(patience)
}

// A phone calls its own extension: it may talk to another phone there, or to itself.
func TestCallToOneself(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	c := o.config(o.extension(t), "udp")
	c.Answer = phone.AutoAnswer("tone:660")
	a := register(t, c)
	call, err := a.Call(within(t), c.User, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	other := incoming(t, a)
	hear(t, "caller", call, 660)
	hear(t, "callee", other, 440)
	must(t, "hang up", call.Hangup(within(t)))
	ended(t, other, phone.ByRemote)
	o.Idle(patience)
}

// Many calls at once, and of one phone too.
func TestCallWaiting(t *testing.T) {
	t.Parallel()
	o := open(t, `
class "two" { max_calls = 2 }
extension "3001" {
  name     = "Two lines"
  password = secret("env:`+passwordVariable+`")
  class    = class.two
}
route "two lines" {
  to = "3001"
  dial { extension = extension["3001"] }
}
`)
	busy := register(t, o.config("3001", "udp"))
	busy.SetAnswer(phone.AutoAnswer("tone:660"))
	var calls []*phone.Call
	for i := range 2 {
		a, _ := o.desk(t, transports[i])
		call, err := a.Call(within(t), "3001", phone.CallOptions{Play: "tone:" + strconv.Itoa(440+100*i)})
		must(t, "call", err)
		calls = append(calls, call)
	}
	for i, c := range calls {
		hear(t, "caller", c, 660)
		hear(t, "callee", incoming(t, busy), float64(440+100*i))
	}
	third, from := o.desk(t, "tls")
	o.refused(t, third, from, "3001", 486, 17)
	// The limit counts what the extension calls itself, too.
	_, err := busy.Call(within(t), "9196", phone.CallOptions{})
	var refusal *phone.StatusError
	if !errors.As(err, &refusal) || refusal.Code < 400 {
		t.Errorf("a third call of its own: %v", err)
	}
	must(t, "hang up", calls[0].Hangup(within(t)))
	until(t, "free for another call", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		again, err := third.Call(ctx, "3001", phone.CallOptions{})
		if err == nil {
			calls[0] = again
		}
		return err == nil
	})
	for _, c := range calls {
		must(t, "hang up", c.Hangup(within(t)))
	}
	o.Idle(patience)
}
