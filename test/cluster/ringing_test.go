package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/test/wire"
)

// T8: TANDEM_KILLS times (20) the serving node is killed while TANDEM_CALLS calls (20) begin over UDP: between the first INVITE and the last
// answer. 95 of 100 calls are answered all the same, by phones that repeat what they say as UDP wants it, and so are 95 of 100 of those that
// ring when the node dies; each of them has one record.
func TestSoakT8Ringing(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	kills, calls := number("TANDEM_KILLS", 20), number("TANDEM_CALLS", 20)
	seed := uint64(number("TANDEM_SEED", int(time.Now().Unix())))
	t.Logf("%d kills with TANDEM_SEED=%d", kills, seed)
	dice := rand.New(rand.NewPCG(seed, 8))
	p := NewPair(t, patientElection)
	p.line(calls)
	var all, rang share
	for kill := range kills {
		a, r := p.killRinging(dice, 0, time.Duration(dice.IntN(1500))*time.Millisecond)
		all.add(a)
		rang.add(r)
		t.Logf("kill %d: %v calls answered so far, of those that rang %v", kill+1, all, rang)
	}
	all.promised(t)
	if rang.promised(t); rang.calls*4 < all.calls {
		t.Errorf("T8: only %d of %d calls rang when the node died", rang.calls, all.calls)
	}
	p.agree()
}

// T8, small: one kill while every phone rings, or most of them do.
func TestT8Ringing(t *testing.T) {
	t.Parallel()
	p := NewPair(t, election)
	p.line(short)
	all, rang := p.killRinging(rand.New(rand.NewPCG(8, 8)), time.Second, 800*time.Millisecond)
	t.Logf("%v calls answered, of those that rang %v", all, rang)
	all.promised(t)
	if rang.promised(t); rang.calls*2 < all.calls {
		t.Errorf("T8: only %d of %d calls rang when the node died", rang.calls, all.calls)
	}
	p.agree()
}

// share is how many of some calls were answered.
type share struct{ answered, calls int }

func (s share) String() string { return fmt.Sprintf("%d of %d", s.answered, s.calls) }

func (s *share) add(more share) { s.answered, s.calls = s.answered+more.answered, s.calls+more.calls }

// promised tells whether there were enough.
func (s share) promised(t *testing.T) {
	t.Helper()
	if s.answered*100 < s.calls*95 {
		t.Errorf("T8: %v calls were answered, promised are 95 of 100", s)
	}
}

// killRinging has all phones call within 400 ms and ring for least and up to 1.5 s more, and kills the serving node after a while. It gives how
// many were answered of all calls, and of those that rang when the node died. Then the node is started again.
func (p *Pair) killRinging(dice *rand.Rand, least, after time.Duration) (all, rang share) {
	p.t.Helper()
	serves := p.serving()
	rings := make([]ring, len(p.phones)/2)
	var placing sync.WaitGroup
	for n := range rings {
		at := time.Duration(dice.IntN(400)) * time.Millisecond
		length := least + time.Duration(dice.IntN(1500))*time.Millisecond
		placing.Go(func() {
			<-time.After(at)
			rings[n] = p.ringing(p.phones[2*n], p.phones[2*n+1], length)
		})
	}
	<-time.After(after)
	died := time.Now()
	p.kill(serves)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
	placing.Wait()
	for line := range strings.Lines(p.nodes[other(serves)].out.String()) {
		if strings.Contains(line, "taken over") || strings.Contains(line, "level=ERROR") {
			p.t.Log(line)
		}
	}
	p.idle(other(serves))
	p.start(serves)
	p.eventually(90*time.Second, "whole again", p.whole)
	for _, r := range rings {
		one := share{calls: 1}
		if !r.answered.IsZero() {
			one.answered = 1
		}
		all.add(one)
		if !r.began.IsZero() && r.began.Before(died) && (r.answered.IsZero() || r.answered.After(died)) {
			rang.add(one)
		}
	}
	return all, rang
}

// ring is when a phone began to ring, and when the caller heard that it was answered; zero: it never did.
type ring struct{ began, answered time.Time }

// ringing places a call whose callee rings for a while and then answers, and hangs it up. Caller and callee repeat what they say.
func (p *Pair) ringing(alice, bob *wire.Phone, length time.Duration) (x ring) {
	const sdp = "v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
	body := fmt.Sprintf(sdp, phoneHost)
	done := make(chan struct{})
	var called sync.WaitGroup
	var began time.Time
	called.Go(func() { began = callee(bob, body, length, done) })
	defer func() {
		close(done)
		called.Wait()
		x.began = began
	}()
	r := alice.New("INVITE", bob.User)
	r.Body = body
	m, ok := alice.Try(r, 10*time.Second)
	if !ok || m.Status() != 401 {
		return x
	}
	r = alice.Sign(r, m)
	r.Branch = "z9hG4bK" + wire.Token()
	if m, ok = invited(alice, r, 32*time.Second); !ok || m.Status() != 200 {
		p.t.Logf("%v: call of %s: %v %d", time.Now().Format(time.StampMilli), alice.User, ok, m.Status())
		return x
	}
	x.answered = time.Now()
	p.ledger.add(r.CallID)
	c := &wire.Call{Phone: alice, From: r.From, To: m.Get("to"), ID: r.CallID, Seq: r.Seq, Peer: wire.Target(m.Get("contact")), Invite: r}
	c.Ack()
	<-time.After(100 * time.Millisecond)
	if m, ok := alice.Try(c.Next("BYE", ""), 32*time.Second); !ok || m.Status() != 200 && m.Status() != 481 { // 481 where it was heard by a node that died
		p.t.Errorf("%v: BYE of %s: %v %d", time.Now().Format(time.StampMilli), alice.User, ok, m.Status())
	}
	return x
}

// invited sends an INVITE, again and again until anything is heard of it (RFC 3261 §17.1.1.2), and gives its final answer.
func invited(alice *wire.Phone, r wire.Request, limit time.Duration) (wire.Message, bool) {
	text, heard := alice.Text(r), false
	end := time.Now().Add(limit)
	for wait := 500 * time.Millisecond; time.Now().Before(end); wait *= 2 {
		if heard {
			wait = time.Until(end)
		} else {
			alice.Send(text)
		}
		for until := time.Now().Add(wait); time.Now().Before(until); {
			m, ok := alice.Poll(time.Until(until), func(m wire.Message) bool { return m.Branch() == r.Branch && m.Status() > 0 })
			if heard = heard || ok; ok && m.Status() >= 200 {
				return m, true
			} else if ok {
				break
			}
		}
	}
	return wire.Message{}, false
}

// callee rings, answers after a while, sends its answer again until it is acknowledged (RFC 3261 §13.3.1.4), and takes what comes. It gives when it
// began to ring.
func callee(bob *wire.Phone, body string, length time.Duration, done chan struct{}) (began time.Time) {
	var call *wire.Call
	var answerAt, again time.Time
	every, acked := 500*time.Millisecond, false
	for {
		select {
		case <-done:
			if call == nil || !acked {
				return began
			}
			done = nil // until it hears BYE
		default:
		}
		m, ok := bob.Poll(20*time.Millisecond, func(m wire.Message) bool { return m.Method() != "" })
		switch {
		case !ok:
		case m.Method() == "INVITE" && call == nil:
			call = bob.RungBy(m)
			call.Respond(180, "")
			began = time.Now()
			answerAt = began.Add(length)
		case m.Method() == "ACK":
			acked = acked || !again.IsZero()
		case m.Method() == "BYE", m.Method() == "CANCEL":
			bob.Reply(m, 200, wire.Reply{})
			return began
		}
		now := time.Now()
		if !answerAt.IsZero() && now.After(answerAt) {
			answerAt, again = time.Time{}, now
		}
		if !again.IsZero() && !acked && now.After(again) {
			call.Respond(200, body)
			again, every = now.Add(every), min(2*every, 4*time.Second)
		}
		if done == nil && now.Sub(again) > 64*500*time.Millisecond {
			return began
		}
	}
}
