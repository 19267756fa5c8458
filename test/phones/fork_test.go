package phones

import (
	"sync"
	"testing"

	"tandem/cmd/tandem/phone"
)

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
