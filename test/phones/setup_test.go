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

// Several phones of one extension: all ring, one answers, and the others stop.
func TestFork(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	a, from := o.desk(t, "udp")
	user := o.extension(t)
	var desks []*phone.Phone
	for _, transport := range transports {
		desks = append(desks, register(t, o.config(user, transport)))
	}
	for round, winner := range []int{1, 4} {
		call, err := a.Dial(within(t), user, phone.CallOptions{Play: "tone:440"})
		must(t, "dial", err)
		var ringing []*phone.Call
		for _, p := range desks {
			ringing = append(ringing, incoming(t, p))
		}
		must(t, "answer", ringing[winner].Accept())
		ringing[winner].PlayTone(660)
		must(t, "answered", call.WaitAnswered(within(t)))
		for i, c := range ringing {
			if i != winner {
				if e := ended(t, c, phone.ByRemote); e.Status != 487 {
					t.Errorf("round %d, phone %d: %+v", round, i, e)
				}
			}
		}
		hear(t, "caller", call, 660)
		hear(t, "callee", ringing[winner], 440)
		must(t, "hang up", call.Hangup(within(t)))
		ended(t, ringing[winner], phone.ByRemote)
		r := o.record(t, from, round+1)
		if len(r.Attempts) != len(transports) {
			t.Fatalf("%d attempts in the record, want %d", len(r.Attempts), len(transports))
		}
		answered := 0
		for _, at := range r.Attempts {
			if at.Status == 200 {
				answered++
			} else if at.Status != 487 {
				t.Errorf("round %d: attempt %+v", round, at)
			}
		}
		if answered != 1 {
			t.Errorf("round %d: %d attempts answered", round, answered)
		}
	}
	o.Idle(patience)
}

// Two phones of one extension answer at the same time: the caller talks to one, and the other is hung up.
func TestForkAnsweredTwice(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	a, _ := o.desk(t, "udp")
	user := o.extension(t)
	one, two := register(t, o.config(user, "udp")), register(t, o.config(user, "udp"))
	for range 3 {
		call, err := a.Dial(within(t), user, phone.CallOptions{})
		must(t, "dial", err)
		both := []*phone.Call{incoming(t, one), incoming(t, two)}
		var answering sync.WaitGroup
		for _, c := range both {
			answering.Go(func() { _ = c.Accept() }) // one of the two may be cancelled just then
		}
		answering.Wait()
		must(t, "answered", call.WaitAnswered(within(t)))
		var left *phone.Call
		select {
		case <-both[0].Done():
			left = both[1]
		case <-both[1].Done():
			left = both[0]
		case <-within(t).Done():
			t.Fatal("both phones think that the call is theirs")
		}
		left.PlayTone(660)
		hear(t, "caller", call, 660)
		must(t, "hang up", left.Hangup(within(t)))
		ended(t, call, phone.ByRemote)
	}
	o.Idle(patience)
}

// One refuses with 603: nobody else needs to ring on. One is busy: the others ring on.
func TestForkRefused(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	a, from := o.desk(t, "tcp")
	user := o.extension(t)
	one, two := register(t, o.config(user, "udp")), register(t, o.config(user, "wss"))
	for i, status := range []int{486, 603} {
		call, err := a.Dial(within(t), user, phone.CallOptions{})
		must(t, "dial", err)
		first, second := incoming(t, one), incoming(t, two)
		must(t, "refuse", first.Reject(status, "no"))
		if status == 486 {
			must(t, "answer", second.Accept())
			must(t, "answered", call.WaitAnswered(within(t)))
			must(t, "hang up", call.Hangup(within(t)))
			ended(t, second, phone.ByRemote)
		} else {
			ended(t, second, phone.ByRemote)
			if e := ended(t, call, phone.ByRemote); e.Status != 603 {
				t.Errorf("caller: %+v", e)
			}
		}
		o.record(t, from, i+1)
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

// Two phones of one extension send early media, each with its own tone: the caller hears the last one, and after the answer
// the one that answered, on whatever leg the media is encrypted.
func TestForkWithEarlyMedia(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, srtp := range []phone.SRTP{phone.SRTPOff, phone.SRTPRequired} {
			t.Run("caller with SRTP "+string(srtp), func(t *testing.T) {
				t.Parallel()
				c := o.config(o.extension(t), "wss")
				c.SRTP = srtp
				a := register(t, c)
				user := o.extension(t)
				first := o.config(user, "udp")
				first.Codecs = []string{"PCMU"}
				second := o.config(user, "tls")
				second.SRTP = phone.SRTPRequired
				one, two := register(t, first), register(t, second)
				call, err := a.Dial(within(t), user, phone.CallOptions{Play: "tone:440"})
				must(t, "dial", err)
				b1, b2 := incoming(t, one), incoming(t, two)
				b1.PlayTone(523)
				b2.PlayTone(700)
				must(t, "progress", b1.Progress())
				hear(t, "caller of the first", call, 523)
				must(t, "progress", b2.Progress())
				hear(t, "caller of the second", call, 700)
				must(t, "answer", b1.Accept())
				must(t, "answered", call.WaitAnswered(within(t)))
				ended(t, b2, phone.ByRemote)
				hear(t, "caller", call, 523)
				hear(t, "callee", b1, 440)
				must(t, "hang up", b1.Hangup(within(t)))
				ended(t, call, phone.ByRemote)
				agrees(t, call, o.record(t, c.User, 1).leg(t, c.User), c)
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

// A connection breaks while it rings: nothing is left behind, whichever side it was.
func TestConnectionCutWhileRinging(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, transport := range []string{"tcp", "wss"} {
			for _, side := range []string{"caller", "callee"} {
				t.Run(side+" over "+transport, func(t *testing.T) {
					t.Parallel()
					line := newLine(t, o.Addr(ports[transport]))
					cut := o.config(o.extension(t), transport)
					cut.Domain, cut.ServerName, cut.Server = o.Host, o.Host, line.address()
					whole := o.config(o.extension(t), "udp")
					from, to := cut, whole
					if side == "callee" {
						from, to = whole, cut
					}
					a, b := register(t, from), register(t, to)
					call, err := a.Dial(within(t), to.User, phone.CallOptions{})
					must(t, "dial", err)
					other := incoming(t, b)
					must(t, "ringing", call.WaitRinging(within(t)))
					line.cut()
					if side == "caller" {
						ended(t, other, phone.ByRemote)
					} else if e := ended(t, call, phone.ByRemote); e.Status != 480 {
						t.Errorf("caller: %+v, want 480", e)
					}
					o.record(t, from.User, 1)
				})
			}
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
