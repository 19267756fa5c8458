package cluster

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"tandem/test/wire"
)

// T5: TANDEM_KILLS times (500) the serving node is killed at a random moment while TANDEM_CALLS calls (8) are hung up,
// between the first BYE and some time after the last: what the phones know to have been answered, and the records in the files of both nodes,
// agree one to one.
func TestSoakT5Records(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	kills, calls := number("TANDEM_KILLS", 500), number("TANDEM_CALLS", 8)
	seed := uint64(number("TANDEM_SEED", int(time.Now().Unix())))
	t.Logf("%d kills with TANDEM_SEED=%d", kills, seed)
	dice := rand.New(rand.NewPCG(seed, 5))
	p := NewPair(t, patientElection)
	p.line(calls)
	for kill := range kills {
		talks := make([]*talk, calls)
		for n := range talks {
			talks[n] = p.place(p.phones[2*n], p.phones[2*n+1], n)
		}
		serves := p.serving()
		var leaving sync.WaitGroup
		for n, c := range talks {
			from, to, fm, tm, wait := c.a, c.b, c.am, c.bm, time.Duration(dice.IntN(60))*time.Millisecond
			if n%2 == 1 {
				from, to, fm, tm = to, from, tm, fm
			}
			leaving.Go(func() {
				p.leave(from, to, fm, wait)
				tm.Stop()
			})
		}
		<-time.After(time.Duration(dice.IntN(150)) * time.Millisecond)
		p.kill(serves)
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
		if leaving.Wait(); t.Failed() {
			t.FailNow() // with the logs of what led to it
		}
		p.idle(other(serves))
		p.start(serves)
		p.eventually(90*time.Second, "whole again", p.whole)
		if kill%25 == 24 {
			t.Logf("%v: %d kills, %d calls, records of %d", time.Now().Format(time.TimeOnly), kill+1, len(p.ledger.all()), len(p.records()))
		}
	}
	p.agree()
}

// patientElection is for tests that promise no time and break the serving node again and again on a machine that is busy: a node that the
// others do not hear for lack of a processor would be a second fault.
const patientElection = 500 * time.Millisecond

// toldWithin is how long it may take until the other side of a call hears that it is over: who takes over with a state that is too old asks
// whoever is silent after 20 s.
const toldWithin = 60 * time.Second

// leave hangs up after a while, as often as it takes, and has the other side say yes to what it must hear.
func (p *Pair) leave(from, to *wire.Call, speaks *wire.Media, wait time.Duration) {
	<-time.After(wait)
	speaks.Stop()
	m, ok := from.Phone.Try(from.Next("BYE", ""), 32*time.Second)
	if s := m.Status(); !ok || s != 200 && s != 481 { // 481 where it was heard by a node that died
		p.t.Errorf("%v: BYE of %s: %v %d", time.Now().Format(time.StampMilli), from.ID, ok, s)
	}
	bye, ok := to.Phone.Poll(toldWithin, func(m wire.Message) bool { return m.Method() == "BYE" && m.Get("call-id") == to.ID })
	if !ok {
		p.t.Errorf("%v: %s was hung up with %d, and nobody told the other side, %s", time.Now().Format(time.StampMilli), from.ID, m.Status(), to.ID)
		return
	}
	to.Phone.Reply(bye, 200, wire.Reply{})
}
