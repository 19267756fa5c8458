package trunk

import (
	"log/slog"
	"math/rand"
	"net/netip"
	"sync"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

func plain(c Config) *Trunk {
	if c.Proxies == nil {
		c.Proxies = []transport.Target{{Host: "192.0.2.9"}}
	}
	return newTrunk(c, Rooms{}, slog.New(slog.DiscardHandler))
}

func TestCallsASecondAreExact(t *testing.T) {
	tr := plain(Config{Name: "a", CPS: Limit{Both: 10}})
	var admitted []time.Time
	now, rng := noon, rand.New(rand.NewSource(1))
	for range 2000 {
		now = now.Add(time.Duration(rng.Intn(40)) * time.Millisecond)
		if c, _ := tr.Admit(now, Out, false); c != nil {
			admitted = append(admitted, now)
			c.Release(now, sip.CauseNormal)
		}
	}
	for i := 10; i < len(admitted); i++ {
		if d := admitted[i].Sub(admitted[i-10]); d < time.Second {
			t.Fatalf("11 calls in %v", d)
		}
	}
	if want := int(now.Sub(noon)/time.Second) * 10; len(admitted) < want*95/100 {
		t.Errorf("%d admitted, nearly %d would have been right", len(admitted), want)
	}
}

func TestChannelsAreExactUnderLoad(t *testing.T) {
	tr := plain(Config{Name: "a", Channels: Limit{Both: 30, In: 10, Out: 25}})
	var mu sync.Mutex
	var held []*Channel
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				c, _ := tr.Admit(noon, Direction(i%2), false)
				mu.Lock()
				if c != nil {
					held = append(held, c)
				}
				s := tr.Snapshot(noon)
				if s.ChannelsIn > 10 || s.ChannelsOut > 25 || s.ChannelsIn+s.ChannelsOut > 30 {
					t.Errorf("%d in, %d out", s.ChannelsIn, s.ChannelsOut)
				}
				if len(held) > 20 {
					held[0].Release(noon, sip.CauseNormal)
					held[0].Release(noon, sip.CauseNormal) // once is once
					held = held[1:]
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, c := range held {
		c.Release(noon, sip.CauseNormal)
	}
	if s := tr.Snapshot(noon); s.ChannelsIn != 0 || s.ChannelsOut != 0 {
		t.Errorf("%d in and %d out are left", s.ChannelsIn, s.ChannelsOut)
	}
}

func TestAFullTrunkSaysSoAndEmergencyPasses(t *testing.T) {
	tr := plain(Config{Name: "a", Channels: Limit{Both: 1}})
	c, _ := tr.Admit(noon, Out, false)
	if _, why := tr.Admit(noon, Out, false); why != "full: 1 channels in use" {
		t.Error("refusal:", why)
	}
	must, why := tr.Admit(noon, Out, true)
	if must == nil {
		t.Fatal("an emergency call is refused:", why)
	}
	tr.Drain(true)
	if _, why := tr.Admit(noon, Out, false); why != "drained" {
		t.Error("refusal:", why)
	}
	if m, _ := tr.Admit(noon, Out, true); m == nil {
		t.Error("an emergency call is refused by a drained trunk")
	}
	c.Release(noon, sip.CauseBusy)
	must.Answered(noon.Add(4 * time.Second))
	must.Release(noon.Add(64*time.Second), sip.CauseNormal)
	s := tr.Snapshot(noon).Out
	if s.Attempts != 3 || s.Answered != 1 || s.Effective != 2 || s.Refused != 2 || s.ACD != 60 || s.PDD != 4 || s.Causes[17] != 1 {
		t.Errorf("%+v", s)
	}
}

func hop(s string) transport.Hop {
	return transport.Hop{Proto: transport.UDP, Addr: netip.MustParseAddrPort(s)}
}

func TestOneCallTriesADeadTargetAgain(t *testing.T) {
	a, b := hop("192.0.2.1:5060"), hop("192.0.2.2:5060")
	hops := []transport.Hop{a, b}
	ts := newTargets(Probe{})
	ts.Learn(hops)
	ts.Failed(noon, a, 0, "no reply")
	now := noon.Add(firstRest)
	if got := ts.Take(now, hops)[0]; got != a {
		t.Fatal("nobody tries it:", got)
	}
	if got := ts.Take(now, hops)[0]; got != b {
		t.Error("two calls try it")
	}
	ts.Failed(now.Add(4*time.Second), a, 0, "no reply")
	if wait := ts.find(a).until.Sub(now.Add(4 * time.Second)); wait != 2*firstRest {
		t.Errorf("it rests for %v, want twice as long as before", wait)
	}
	now = ts.find(a).until
	ts.Take(now, hops)
	ts.Worked(a)
	for range 2 {
		if got := ts.Take(now, hops)[0]; got != a {
			t.Error("it works, and is not used")
		}
	}
}

func TestTargetsDieAndComeBack(t *testing.T) {
	a, b := hop("192.0.2.1:5060"), hop("192.0.2.2:5060")
	ts := newTargets(Probe{Interval: 10 * time.Second, Up: 2, Down: 3})
	hops := []transport.Hop{a, b}
	ts.Learn(hops)
	order := func(now time.Time) string { return ts.Order(now, hops)[0].Addr.String() }
	state := func(now time.Time) State { s, _ := ts.State(now); return s }

	ts.Failed(noon, a, 0, "no reply")
	if order(noon) != b.Addr.String() || state(noon) != Degraded {
		t.Error("a dead target stays first, or the state is", state(noon))
	}
	ts.Failed(noon, b, time.Minute, "503")
	if state(noon) != Down || order(noon) != a.Addr.String() {
		t.Error("all dead:", state(noon), order(noon))
	}
	if later := noon.Add(firstRest); state(later) == Down || order(later) != a.Addr.String() {
		t.Error("a target whose rest is over is not tried")
	}
	if later := noon.Add(59 * time.Second); ts.find(b).resting(later) == false {
		t.Error("Retry-After does not count")
	}
	ts.Worked(a)
	if state(noon) != Degraded || ts.find(a).dead {
		t.Error("a target that answers is still dead")
	}
	ts.Probed(noon, b, true, "")
	if !ts.find(b).dead {
		t.Error("one answer is enough, and two were asked for")
	}
	ts.Probed(noon, b, true, "")
	if state(noon) != Up {
		t.Error("it does not come back:", state(noon))
	}
	for i := range 3 {
		if ts.find(a).dead {
			t.Error("dead after", i, "silences of three")
		}
		ts.Probed(noon, a, false, "silence")
	}
	if !ts.find(a).dead {
		t.Error("alive after three silences")
	}
	ts.Learn([]transport.Hop{b})
	if len(ts.all) != 1 || state(noon) != Up {
		t.Error("a target that is no more still counts")
	}
}
