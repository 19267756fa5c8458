package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/test/wire"
)

// T8: TANDEM_KILLS times (20) the serving node is killed while TANDEM_CALLS calls (20) begin over UDP: between the first INVITE and the last
// answer. 95 of 100 calls are answered all the same, by phones that repeat what they say as UDP wants it; each of them has one record.
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
	var answered atomic.Int64
	for kill := range kills {
		serves := p.serving()
		var placing sync.WaitGroup
		for n := range calls {
			at := time.Duration(dice.IntN(400)) * time.Millisecond
			ring := time.Duration(dice.IntN(1500)) * time.Millisecond
			placing.Go(func() {
				<-time.After(at)
				if p.ringing(p.phones[2*n], p.phones[2*n+1], ring) {
					answered.Add(1)
				}
			})
		}
		<-time.After(time.Duration(dice.IntN(2000)) * time.Millisecond)
		p.kill(serves)
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
		placing.Wait()
		for line := range strings.Lines(p.nodes[other(serves)].out.String()) {
			if strings.Contains(line, "taken over") || strings.Contains(line, "level=ERROR") {
				t.Log(line)
			}
		}
		p.idle(other(serves))
		p.start(serves)
		p.eventually(90*time.Second, "whole again", p.whole)
		t.Logf("kill %d: %d of %d calls answered so far", kill+1, answered.Load(), (kill+1)*calls)
	}
	if all := int64(kills * calls); answered.Load()*100 < all*95 {
		t.Errorf("T8: %d of %d calls were answered, promised are 95 of 100", answered.Load(), all)
	}
	p.agree()
}

// ringing places a call whose callee rings for a while and then answers, and hangs it up. Caller and callee repeat what they say; true:
// it was answered.
func (p *Pair) ringing(alice, bob *wire.Phone, ring time.Duration) bool {
	const sdp = "v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
	body := fmt.Sprintf(sdp, phoneHost)
	done := make(chan struct{})
	var called sync.WaitGroup
	called.Go(func() { callee(bob, body, ring, done) })
	defer called.Wait()
	defer close(done)
	r := alice.New("INVITE", bob.User)
	r.Body = body
	m, ok := alice.Try(r, 10*time.Second)
	if !ok || m.Status() != 401 {
		return false
	}
	r = alice.Sign(r, m)
	r.Branch = "z9hG4bK" + wire.Token()
	if m, ok = invited(alice, r, 32*time.Second); !ok || m.Status() != 200 {
		p.t.Logf("%v: call of %s: %v %d", time.Now().Format(time.StampMilli), alice.User, ok, m.Status())
		return false
	}
	p.ledger.add(r.CallID)
	c := &wire.Call{Phone: alice, From: r.From, To: m.Get("to"), ID: r.CallID, Seq: r.Seq, Peer: wire.Target(m.Get("contact")), Invite: r}
	c.Ack()
	<-time.After(100 * time.Millisecond)
	if m, ok := alice.Try(c.Next("BYE", ""), 32*time.Second); !ok || m.Status() != 200 && m.Status() != 481 { // 481 where it was heard by a node that died
		p.t.Errorf("%v: BYE of %s: %v %d", time.Now().Format(time.StampMilli), alice.User, ok, m.Status())
	}
	return true
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

// callee rings, answers after a while, sends its answer again until it is acknowledged (RFC 3261 §13.3.1.4), and takes what comes.
func callee(bob *wire.Phone, body string, ring time.Duration, done chan struct{}) {
	var call *wire.Call
	var answerAt, again time.Time
	every, acked := 500*time.Millisecond, false
	for {
		select {
		case <-done:
			if call == nil || !acked {
				return
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
			answerAt = time.Now().Add(ring)
		case m.Method() == "ACK":
			acked = acked || !again.IsZero()
		case m.Method() == "BYE", m.Method() == "CANCEL":
			bob.Reply(m, 200, wire.Reply{})
			return
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
			return
		}
	}
}
