package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// What T4 and T11 promise at the size that is promised, on two cores that have nothing else to do.
const (
	calledWithin = 2 * time.Second
	hotWithin    = 3 * time.Second
)

// T4: TANDEM_PHONES (100,000) registrations, and the serving node is killed: none is lost, none has to be made again. TANDEM_CALLED (1,000) of them,
// at random, are called, and each INVITE arrives at the contact that was registered.
func TestSoakT4Registrations(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	phones, called := number("TANDEM_PHONES", 100_000), number("TANDEM_CALLED", 1000)
	seed := uint64(number("TANDEM_SEED", int(time.Now().Unix())))
	t.Logf("T4: %d registrations with TANDEM_SEED=%d", phones, seed)
	dice := rand.New(rand.NewPCG(seed, 4))
	p := NewCrowdedPair(t, timers(), phones)
	c := p.crowd()
	c.register(phones)
	serves := p.serving()
	p.agreed(serves, phones)
	p.cost("before the kill")
	before := p.registered(serves)
	if len(before) != phones {
		t.Fatalf("%d registrations of %d", len(before), phones)
	}
	died := time.Now()
	p.kill(serves)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
	moved := time.Now()
	c.each(called, 64, func(i int) (string, *question) {
		return c.call(dice.IntN(phones), dice.IntN(phones), func(m wire.Message) {
			if m.Status() != 486 {
				t.Errorf("a call after the takeover: %s", m.Raw)
			}
		})
	})
	took := time.Since(moved)
	dialled, rung, astray := c.reached()
	t.Logf("T4: served again %v after the kill (%s); %d of %d calls arrived within %v more, %d elsewhere",
		moved.Sub(died).Round(time.Millisecond), p.tookOver(other(serves)), len(rung), called, took.Round(time.Millisecond), astray)
	if len(dialled) != called || !slices.Equal(dialled, rung) || astray > 0 {
		t.Error("T4 promises that each of them is reached where he is, and nobody else")
	}
	if took > calledWithin {
		t.Errorf("T4 promises them within %v", calledWithin)
	}
	lost, after := 0, p.registered(other(serves))
	for _, r := range before {
		if _, there := slices.BinarySearch(after, r); !there {
			lost++
		}
	}
	if t.Logf("T4: %d of %d registrations lost", lost, phones); lost > 0 || len(after) != phones {
		t.Errorf("%d registrations after the takeover", len(after))
	}
	p.start(serves)
	p.agreed(other(serves), phones)
	p.eventually(90*time.Second, "whole again", p.whole)
}

// T11: a standby that starts again beside TANDEM_PHONES (100,000) registrations and TANDEM_CALLS (4,500) calls is hot within three seconds, and holds
// what the serving node holds: both say so by their checksums. 5,000 calls are promised; a call between two phones takes four descriptors (a port
// for RTP and one for RTCP to each), two more once both have spoken, and a process may have 20,000 here.
func TestSoakT11StandbyRestarts(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	phones := number("TANDEM_PHONES", 100_000)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	calls := min(number("TANDEM_CALLS", 4500), int(limit.Max)/4-400, phones/2)
	pages, _ := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	t.Logf("T11: %d registrations and %d calls; a process may have %d descriptors; large pages: %s", phones, calls, limit.Max, strings.TrimSpace(string(pages)))
	p := NewCrowdedPair(t, timers(), phones)
	c := p.crowd()
	c.register(phones)
	c.answer = 200
	began := time.Now()
	c.each(calls, 16, func(i int) (string, *question) {
		return c.call(2*i, 2*i+1, func(m wire.Message) {
			if m.Status() != 200 {
				t.Errorf("call %d: %s", i, m.Raw)
			}
		})
	})
	t.Logf("%d calls set up in %v", calls, time.Since(began).Round(time.Millisecond))
	serves := p.serving()
	standby := other(serves)
	p.agreed(serves, phones+calls)
	p.cost("with everything")
	p.kill(standby)
	p.eventually(60*time.Second, "the store has another leader", func() bool {
		s, ok := p.status(serves)
		return ok && !s.Degraded && s.Waits == 0
	})
	p.cost("before the standby's start")
	began = time.Now()
	p.start(standby)
	var synced string
	p.eventually(60*time.Second, "the standby is hot again", func() bool {
		synced = p.lastLine(standby, "synced")
		return synced != ""
	})
	hot := time.Since(began)
	p.cost("when it is hot")
	if now := p.serving(); now != serves {
		t.Errorf("%s has taken over from %s meanwhile", now, serves)
		serves, standby = now, serves
	}
	agreed := p.agreed(serves, phones+calls)
	whole := time.Since(began)
	t.Logf("T11: hot %v after its start, found to hold the same %v after it: %s; it says %s", hot.Round(time.Millisecond), whole.Round(time.Millisecond), agreed, synced)
	if hot > hotWithin {
		t.Errorf("T11 promises it within %v", hotWithin)
	}
	p.cost("after the standby's start")
	_, standing, registrations := p.stands(standby)
	if n, _ := p.load(serves); standing != calls || registrations != phones || n != calls {
		t.Errorf("%d calls and %d registrations stand by, and %d calls go on", standing, registrations, n)
	}
	if a, b := p.registered(serves), p.registered(standby); !slices.Equal(a, b) {
		t.Errorf("%d registrations on the serving node, %d on the standby, and not the same ones", len(a), len(b))
	}
}

// agreed waits until the serving node says that the standby holds the same records, at least so many, and gives its words.
func (p *Pair) agreed(serves string, records int) string {
	p.t.Helper()
	var says string
	p.eventually(90*time.Second, fmt.Sprintf("the same %d records", records), func() bool {
		s, ok := p.status(serves)
		if !ok || s.Agrees == nil || len(s.Agrees.Differs) > 0 || s.Agrees.Records < records {
			return false
		}
		says = s.Agrees.String()
		return true
	})
	return says
}

// lastLine is the last line of a node's log that has a word.
func (p *Pair) lastLine(name, word string) (last string) {
	for line := range strings.Lines(p.nodes[name].out.String()) {
		if strings.Contains(line, word) {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

// cost logs what the nodes take.
func (p *Pair) cost(when string) {
	for _, name := range []string{"a", "b", "w"} {
		if n := binary.Usage(p.nodes[name].cmd.Process.Pid); n.RSS > 0 {
			p.t.Logf("%s %s: %d MB, %d descriptors, %v of processor time", name, when, n.RSS>>20, n.FDs, n.CPU)
		}
	}
}
