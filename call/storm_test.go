package call

import (
	"math/rand/v2"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// Hundreds of calls over a network that loses, repeats and reorders, between phones that say whatever comes to their
// minds and never repeat a word: nobody panics, nothing is left.
func TestStorm(t *testing.T) {
	for seed := range uint64(6) {
		inOffice(t, func(o *office) {
			rng := rand.New(rand.NewPCG(seed, 7))
			callees := []*phone{o.registered("1002", 2), o.registered("1002", 3), o.registered("1003", 4), o.registered("1004", 5)}
			for _, p := range callees {
				p.deaf = true
				p.whimsical(rand.New(rand.NewPCG(seed, uint64(p.Addr().Addr().As4()[3]))))
			}
			alice := o.phone(transport.UDP, "1004", 1)
			alice.deaf = true
			o.net.Set(siptest.Options{Loss: 0.1, Duplicate: 0.1, Latency: 5 * time.Millisecond, Jitter: 40 * time.Millisecond, Seed: seed})
			numbers := []string{"1002", "1003", "200", "201", "300", "301", "400", "402"}
			for range 120 {
				body := []string{"offer of alice", "offer of alice", ""}[rng.IntN(3)]
				d := alice.invites(numbers[rng.IntN(len(numbers))], body)
				for range rng.IntN(6) {
					o.pass(time.Duration(rng.IntN(3000)) * time.Millisecond)
					d.whim(rng)
				}
			}
			o.pass(30 * time.Second)
			for _, s := range o.media.sessions {
				if !s.closed {
					s.finished()
					s.silence()
				}
			}
			o.pass(2 * time.Minute)
			for _, s := range o.board.Calls() { // those that live and are well
				o.board.HangUp(s.Call)
			}
			o.pass(2 * time.Minute)
			if n := o.board.Stats().Answered.Load(); n < 10 {
				o.Errorf("only %d calls were answered", n)
			}
		})
	}
}

// whim is one thing that a caller may do at any time.
func (d *dialogue) whim(rng *rand.Rand) {
	for _, r := range d.phone.left() { // it learns what it was told
		d.read++
		if r.CallID() == d.callID && r.CSeqMethod() == sip.INVITE && r.ToTag() != "" {
			d.takes(r)
			d.answered = d.answered || r.Status() == 200
		}
	}
	switch n := rng.IntN(10); {
	case d.remote == "" || n == 0:
		d.cancels()
	case n < 4 && d.answered:
		d.acks([]string{"", "answer of alice", "broken"}[rng.IntN(3)])
	case n < 5:
		d.asks(sip.BYE, "")
	case n < 7:
		d.asks(sip.INVITE, []string{"offer sendonly", "offer", "", "broken"}[rng.IntN(4)])
	case n < 8:
		d.asks(sip.UPDATE, []string{"offer inactive", ""}[rng.IntN(2)])
	case n < 9:
		d.asks(sip.INFO, "hello")
	default:
		d.again()
	}
}

// whimsical has a phone answer as it likes.
func (p *phone) whimsical(rng *rand.Rand) {
	p.Script(func(r siptest.Received) {
		d := p.side(r)
		switch {
		case r.Method() == sip.INVITE && r.ToTag() != "":
			p.replies(r, []int{200, 200, 200, 488, 491, 481, 180}[rng.IntN(7)], "answer sendrecv", []string{p.contact()}, "")
		case r.Method() == sip.INVITE:
			switch rng.IntN(10) {
			case 0:
			case 1:
				d.says([]int{486, 603, 480, 500, 302}[rng.IntN(5)], "")
			case 2:
				d.says(183, "early answer")
			case 3:
				d.says(200, "broken")
			case 4:
				d.saysAs("one", 200, "answer")
				d.saysAs("two", 200, "answer")
			default:
				d.says(180, "")
				d.says(200, "answer of somebody")
				if rng.IntN(3) == 0 {
					d.asks([]string{sip.BYE, sip.INVITE, sip.UPDATE}[rng.IntN(3)], "offer sendonly")
				}
			}
		case r.Method() == sip.CANCEL, r.Method() == sip.BYE, r.Method() == sip.OPTIONS, r.Method() == sip.INFO, r.Method() == sip.UPDATE:
			p.replies(r, []int{200, 200, 481, 500}[rng.IntN(4)], "answer", nil, p.Tag())
		}
	})
}
