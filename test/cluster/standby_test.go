package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tandem/console"
	"tandem/test/wire"
)

// T10: the standby is killed, and with it the leader of the store's streams. Calls are set up all through the store's election, which takes
// seconds: each is answered, none waits for it. T5: each has its record.
func TestT10StandbyKilled(t *testing.T) {
	t.Parallel()
	timers := election
	if os.Getenv("TANDEM_SOAK") != "" {
		timers = soakElection
	}
	p := NewPair(t, timers)
	p.line(2)
	serves := p.serving()
	p.kill(other(serves))
	var took []time.Duration
	degraded := 0
	p.eventually(60*time.Second, "the store elects", func() bool {
		began := time.Now()
		c := p.place(p.phones[0], p.phones[1], 0)
		took = append(took, time.Since(began))
		c.bye(c.a, c.b)
		s, ok := p.status(serves)
		if !ok || s.Degraded || s.Waits > 0 {
			degraded++
			return false
		}
		return degraded > 0
	})
	if degraded == 0 {
		t.Error("the store was never degraded: this has shown nothing")
	}
	answered := len(took)
	slices.Sort(took)
	late := took[answered*99/100]
	t.Logf("T10: %d calls, %d of them while the store elected; set-up median %v, 99 of 100 %v, worst %v", answered, degraded, took[answered/2], late, took[answered-1])
	if os.Getenv("TANDEM_SOAK") != "" && late >= 100*time.Millisecond {
		t.Error("T10 promises 99 of 100 in less than 100 ms")
	}
	p.start(other(serves))
	p.eventually(60*time.Second, "whole again", p.whole)
	if p.serving() != serves {
		t.Error("the role has moved")
	}
	p.agree()
}

// T11: a standby that starts again has every registration and every call, with its ports, within three seconds, and each registration as the
// serving node has it.
func TestT11StandbyRestarts(t *testing.T) {
	t.Parallel()
	calls, timers, soak := short, election, os.Getenv("TANDEM_SOAK") != ""
	if soak {
		calls, timers = number("TANDEM_CALLS", 400), soakElection
	}
	p := NewPair(t, timers)
	p.line(calls)
	talks := make([]*talk, calls)
	for n := range talks {
		talks[n] = p.place(p.phones[2*n], p.phones[2*n+1], n)
	}
	serves := p.serving()
	standby := other(serves)
	p.kill(standby)
	began := time.Now()
	p.start(standby)
	all := len(p.phones) + 1
	p.eventually(60*time.Second, "the standby is hot again", func() bool {
		hot, standing, registrations := p.stands(standby)
		return hot && standing == calls && registrations == all
	})
	took := time.Since(began)
	t.Logf("T11: %d registrations and %d calls on the standby %v after its start", all, calls, took)
	if soak && took >= 3*time.Second {
		t.Error("T11 promises three seconds")
	}
	if a, b := p.registered(serves), p.registered(standby); !slices.Equal(a, b) || len(a) != all {
		t.Errorf("%d registrations on the serving node, %d on the standby, and not the same ones", len(a), len(b))
	}
	p.goOn(talks, 10*time.Second)
	for _, c := range talks {
		c.bye(c.a, c.b)
	}
	p.idle(serves)
}

// stands is how a standby says that it stands.
func (p *Pair) stands(name string) (hot bool, calls, registrations int) {
	s, _ := p.status(name)
	for _, m := range s.Members {
		var r struct {
			Hot                     bool
			Standing, Registrations int
		}
		if m.Node == name && json.Unmarshal(m.Report, &r) == nil {
			return r.Hot, r.Standing, r.Registrations
		}
	}
	return false, 0, 0
}

// registered is who is registered at a node, and where.
func (p *Pair) registered(name string) (all []string) {
	p.t.Helper()
	list, err := console.Dial(filepath.Join(p.dir, name, "state", "admin.sock")).Registrations()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range list {
		all = append(all, fmt.Sprint(r.Extension, " ", r.Contact, " ", r.Source, " ", r.Transport))
	}
	slices.Sort(all)
	return all
}

// The serving node is cut off from the store, answers phones all the same, and loses the role before the store has what they said: as soon as
// it is heard again, the other node has their registrations.
func TestSoakAnsweredWhileDegraded(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	const before, late = 4, 20
	p := NewPair(t, timers())
	p.register(before)
	serves := p.serving()
	other := other(serves)
	p.nft(serves, "add table inet store { chain in { type filter hook input priority 0; tcp sport 7301 drop; tcp dport 7301 drop; }; "+
		"chain out { type filter hook output priority 0; tcp sport 7301 drop; tcp dport 7301 drop; }; }")
	var phones []*wire.Phone
	for n := range late {
		phones = append(phones, p.phone(fmt.Sprint(1000+before+n)))
	}
	s, ok := p.status(serves)
	if !ok || !s.Degraded || s.Waits == 0 {
		t.Fatalf("the store is not away: this shows nothing: %+v", s)
	}
	p.drop(serves)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other, virtual) })
	p.nft(serves, "delete table inet store")
	p.pass(serves)
	healed := time.Now()
	p.eventually(60*time.Second, "every registration", func() bool { _, n := p.load(other); return n == before+late })
	t.Logf("%d registrations that only %s had are at %s, %v after it was heard again", late, serves, other, time.Since(healed).Round(time.Millisecond))
	p.eventually(60*time.Second, "pair whole", p.whole)
	p.agreed(other, before+late)
	c := p.place(phones[0], phones[late-1], 0)
	c.bye(c.a, c.b)
}
