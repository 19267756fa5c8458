package transaction_test

import (
	"errors"
	"fmt"
	"strings"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"time"
)

// ackFor is the ACK of a refusal: same branch.
func ackFor(branch, toTag string) siptest.Request {
	return siptest.Request{Method: sip.ACK, Branch: branch, ToTag: toTag}
}

// TestRefusalWithoutAck is timers G and H.
func TestRefusalWithoutAck(t *testing.T) {
	both(t, func(o *office) {
		o.peer.Send(o.in(), siptest.Request{Method: sip.INVITE})
		o.respond(o.tx(0), 486)
		o.gone(32 * time.Second)
		want := seconds(0)
		if o.udp() {
			want = seconds(0, .5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
		}
		equal(o.T, "486", o.peer.Times("486"), want...)
		equal(o.T, "terminated", o.terminated, 32*time.Second)
	})
}

// TestRefusalWithAck is Timer I: 5 s over UDP in which repeated ACKs are absorbed.
func TestRefusalWithAck(t *testing.T) {
	both(t, func(o *office) {
		f := o.in()
		o.peer.Send(f, siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"})
		o.respond(o.tx(0), 486)
		o.until(time.Second)
		o.peer.Send(f, ackFor("z9hG4bK1", "office"))
		if o.udp() {
			o.until(5 * time.Second)
			o.peer.Send(f, ackFor("z9hG4bK1", "office"))
			o.gone(6 * time.Second)
		} else {
			o.live(0)
		}
		equal(o.T, "ACKs passed on", o.acks)
		equal(o.T, "terminated", o.terminated)
		if n := len(o.peer.Times("486")); o.udp() && n != 2 || !o.udp() && n != 1 {
			o.Fatalf("486 heard %d times", n)
		}
	})
}

// TestRepeatedRequest is Timer J: the same answer for 32 s, without the user.
func TestRepeatedRequest(t *testing.T) {
	both(t, func(o *office) {
		f := o.in()
		message := siptest.Request{Method: sip.MESSAGE, Branch: "z9hG4bK1"}
		o.peer.Send(f, message)
		tx := o.tx(0)
		o.until(time.Second)
		o.peer.Send(f, message) // still Trying: nothing to repeat
		o.settle()
		if len(o.peer.All()) != 0 {
			o.Fatal("an answer out of nothing")
		}
		o.respond(tx, 180)
		o.peer.Send(f, message)
		o.settle()
		o.respond(tx, 200)
		if !o.udp() {
			o.live(0)
			equal(o.T, "200", o.peer.Times("200"), time.Second)
			return
		}
		o.until(32 * time.Second)
		o.peer.Send(f, message)
		o.gone(33 * time.Second)
		equal(o.T, "180", o.peer.Times("180"), seconds(1, 1)...)
		equal(o.T, "200", o.peer.Times("200"), seconds(1, 32)...)
		if len(o.requests) != 1 {
			o.Fatalf("the user saw %d requests", len(o.requests))
		}
	})
}

// TestForgottenRequest: one that the user never answers goes when its client has given up.
func TestForgottenRequest(t *testing.T) {
	both(t, func(o *office) {
		o.peer.Send(o.in(), siptest.Request{Method: sip.INFO})
		tx := o.tx(0)
		o.gone(32 * time.Second)
		if err := tx.Respond(siptest.Response(tx.Request(), 200, "x")); !errors.Is(err, transaction.ErrTerminated) {
			o.Fatalf("late answer: %v", err)
		}
		if s := o.table.Stats(); s.Failed[transaction.NonInviteServer][transaction.Timeout] != 1 || len(o.peer.All()) != 0 {
			o.Fatalf("stats %+v", s)
		}
		equal(o.T, "terminated", o.terminated)
	})
}

// TestAcceptedInvite is Timer L (RFC 6026): repeated INVITEs are absorbed, 2xx and ACKs pass.
func TestAcceptedInvite(t *testing.T) {
	both(t, func(o *office) {
		f := o.in()
		invite := siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"}
		o.peer.Send(f, invite)
		tx := o.tx(0)
		o.respond(tx, 200)
		o.until(time.Second)
		o.peer.Send(f, invite)
		o.until(2 * time.Second)
		o.respond(tx, 200)
		o.peer.Send(f, siptest.Request{Method: sip.ACK, ToTag: "office"})                     // as it should be
		o.peer.Send(f, siptest.Request{Method: sip.ACK, ToTag: "office", Branch: "z9hG4bK1"}) // phones that keep the branch
		o.settle()
		equal(o.T, "ACKs", o.acks, "1 ACK", "1 ACK")
		for _, status := range []int{180, 486} {
			if err := tx.Respond(siptest.Response(tx.Request(), status, "x")); !errors.Is(err, transaction.ErrFinal) {
				o.Fatalf("%d after 200: %v", status, err)
			}
		}
		o.gone(32 * time.Second)
		equal(o.T, "200", o.peer.Times("200"), seconds(0, 2)...)
		if len(o.peer.All()) != 2 || len(o.requests) != 1 {
			o.Fatalf("the peer heard %d messages, the user %d requests", len(o.peer.All()), len(o.requests))
		}
	})
}

// TestTrying: 100 after 200 ms of silence, with its Timestamp and no tag, and again for a repeated INVITE.
func TestTrying(t *testing.T) {
	both(t, func(o *office) {
		f := o.in()
		slow := siptest.Request{Method: sip.INVITE, CallID: "slow", Branch: "z9hG4bKslow", Lines: []string{"Timestamp: 54"}}
		o.peer.Send(f, slow)
		o.peer.Send(f, siptest.Request{Method: sip.INVITE, CallID: "rings"})
		o.tx(1)
		o.until(199 * time.Millisecond)
		o.respond(o.tx(1), 180)
		o.until(time.Second)
		o.peer.Send(f, slow)
		o.settle()
		equal(o.T, "100", o.peer.Times("100"), seconds(.2, 1)...)
		for _, r := range o.peer.All() {
			if stamp, _ := r.Named("Timestamp"); r.Status() == 100 && (stamp != "54" || r.ToTag() != "" || r.CallID() != "slow") {
				o.Fatalf("100:\n%s", r.Raw())
			}
		}
		o.until(time.Hour) // nobody limits how long a phone rings but the user
		o.live(2)
	})
}

// TestOneFinal: after the 487 of a CANCEL a late 200 is neither sent nor repeated.
func TestOneFinal(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		f := o.in()
		o.peer.Send(f, siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"})
		tx := o.tx(0)
		o.peer.Send(f, siptest.Request{Method: sip.CANCEL, Branch: "z9hG4bK1"})
		o.settle()
		o.respond(tx, 487)
		for _, status := range []int{200, 486, 487, 180} {
			if err := tx.Respond(siptest.Response(tx.Request(), status, "late")); !errors.Is(err, transaction.ErrFinal) {
				o.Fatalf("%d after 487: %v", status, err)
			}
		}
		for _, junk := range []string{"", "SIP/2.0", "SIP/2.0 099 x", "SIP/2.0 700 x", "INVITE sip:x SIP/2.0"} {
			if err := tx.Respond([]byte(junk)); !errors.Is(err, transaction.ErrResponse) {
				o.Fatalf("%q: %v", junk, err)
			}
		}
		o.until(4 * time.Second)
		equal(o.T, "200 to the CANCEL", o.peer.Times("200"), 0)
		equal(o.T, "487", o.peer.Times("487"), seconds(0, .5, 1.5, 3.5)...)
		if len(o.peer.All()) != 5 {
			o.Fatalf("the peer heard %d messages", len(o.peer.All()))
		}
	})
}

// TestCancel: answered hop by hop with the INVITE's tag, told to the user once, the INVITE left to the user.
func TestCancel(t *testing.T) {
	for _, proxy := range []bool{false, true} {
		t.Run(fmt.Sprintf("proxy=%v", proxy), func(t *testing.T) {
			both(t, func(o *office) {
				f := o.in()
				o.request = func(tx *transaction.Server, m *sip.Message) { tx.Proxy.Store(proxy) }
				o.peer.Send(f, siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"})
				tx := o.tx(0)
				o.respond(tx, 180)
				o.settle()
				o.peer.Next()
				var tags []string
				for range 2 {
					o.peer.Send(f, siptest.Request{Method: sip.CANCEL, Branch: "z9hG4bK1"})
					r := o.peer.Next()
					if r.Status() != 200 || r.CSeqMethod() != sip.CANCEL {
						o.Fatalf("answer to CANCEL:\n%s", r.Raw())
					}
					tags = append(tags, r.ToTag())
				}
				want := "office"
				if proxy {
					want = tx.Tag()
				}
				equal(o.T, "To tags", tags, want, want)
				equal(o.T, "CANCELs told", o.cancels, tx)
				o.until(40 * time.Second)
				o.live(1) // nobody but the user answers the INVITE
				o.respond(tx, 200)
				o.peer.Send(f, siptest.Request{Method: sip.CANCEL, Branch: "z9hG4bK1"}) // too late
				o.settle()
				equal(o.T, "CANCELs told", o.cancels, tx)
				o.peer.Send(f, siptest.Request{Method: sip.CANCEL, Branch: "z9hG4bK2"})
				o.settle()
				all := o.peer.All()
				if last := all[len(all)-1]; last.Status() != 481 || last.ToTag() == "" {
					o.Fatalf("CANCEL for nothing:\n%s", last.Raw())
				}
			})
		})
	}
}

// TestCancelTagBeforeResponse: the 200 has the tag that Server.Tag promises.
func TestCancelTagBeforeResponse(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		o.peer.Send(o.in(), siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"})
		tx := o.tx(0)
		o.peer.Send(o.in(), siptest.Request{Method: sip.CANCEL, Branch: "z9hG4bK1"})
		if r := o.peer.Next(); r.ToTag() != tx.Tag() || r.ToTag() == "" {
			o.Fatalf("To tag %q, want %q", r.ToTag(), tx.Tag())
		}
	})
}

// TestMerged is RFC 3261 §8.2.2.2.
func TestMerged(t *testing.T) {
	both(t, func(o *office) {
		f := o.in()
		first := siptest.Request{Method: sip.INVITE, Branch: "z9hG4bK1"}
		o.peer.Send(f, first)
		o.tx(0)
		second := first
		second.Branch = "z9hG4bK2"
		o.peer.Send(f, second)
		if r := o.peer.Next(); r.Status() != 482 || r.ToTag() == "" || !strings.Contains(r.Raw(), "z9hG4bK2") {
			o.Fatalf("merged request:\n%s", r.Raw())
		}
		o.peer.Send(f, first) // a repetition is not a merge
		otherwise := []siptest.Request{second, second, second, second}
		otherwise[0].CSeq, otherwise[1].CallID, otherwise[2].FromTag, otherwise[3].ToTag = 2, "other", "b", "dialog"
		for i, r := range otherwise {
			r.Branch = fmt.Sprintf("z9hG4bKother%d", i)
			o.peer.Send(f, r)
		}
		o.settle()
		if len(o.requests) != 5 || o.table.Stats().Merged != 1 {
			o.Fatalf("%d requests, stats %+v", len(o.requests), o.table.Stats())
		}
		o.respond(o.tx(0), 404)
		o.peer.Send(f, ackFor("z9hG4bK1", "office"))
		o.until(6 * time.Second)
		second.Branch = "z9hG4bK3"
		o.peer.Send(f, second) // the first has ended
		o.tx(5)
	})
}

// TestResponseWay is RFC 3261 §18.2.2 with RFC 3581.
func TestResponseWay(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		nat := o.net.Peer(transport.UDP, "192.0.2.2:40000")
		other := o.net.Peer(transport.UDP, "192.0.2.2:5070")
		o.request = func(tx *transaction.Server, m *sip.Message) { o.respond(tx, 200) }
		cases := []struct {
			via  string
			want *siptest.Peer
		}{
			{"SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;rport", nat},
			{"SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK2", other},
			{"SIP/2.0/UDP phone.example.com;branch=z9hG4bK3", o.peer},
		}
		for i, c := range cases {
			nat.Send(nat.Flow(officeAddr), siptest.Request{Via: c.via, CSeq: i + 1, Method: sip.MESSAGE})
			if r := c.want.Next(); r.Status() != 200 {
				o.Fatalf("%s: %d", c.via, r.Status())
			}
			if o.tx(i).Flow().Remote() != nat.Addr() {
				o.Fatal("Flow is not where the request came from")
			}
		}
	})
}

// TestBrokenWay: the user hears that its response did not leave, and nothing lingers.
func TestBrokenWay(t *testing.T) {
	inOffice(t, transport.TCP, transaction.Config{}, func(o *office) {
		f := o.in()
		for i, method := range []string{sip.INVITE, sip.INVITE, sip.MESSAGE} {
			o.peer.Send(f, siptest.Request{Method: method, CSeq: i + 1})
		}
		o.tx(2)
		o.net.Break(f)
		o.settle()
		for i, status := range []int{486, 200, 200} {
			tx := o.tx(i)
			if err := tx.Respond(siptest.Response(tx.Request(), status, "x")); !errors.Is(err, transport.ErrClosed) {
				o.Fatalf("%s: %v", tx.Method(), err)
			}
		}
		o.live(1) // the 200 to the INVITE may yet be repeated
		o.gone(32 * time.Second)
		equal(o.T, "terminated", o.terminated)
	})
}
