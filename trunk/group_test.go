package trunk

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// grouped is a set of three trunks in one group.
func grouped(group GroupConfig, change ...func(c *Config)) *Set {
	s := New(Rooms{}, slog.New(slog.DiscardHandler))
	var configs []Config
	for i, name := range []string{"a", "b", "c"} {
		c := Config{Name: name, Proxies: []transport.Target{{Host: fmt.Sprintf("192.0.2.%d", i+1)}}}
		for _, f := range change {
			f(&c)
		}
		configs = append(configs, c)
	}
	group.Name, group.Trunks = "g", []string{"a", "b", "c"}
	s.Update(configs, group)
	return s
}

var thirds = []Candidate{{"a", 50}, {"b", 30}, {"c", 20}}

// chosen takes n channels and tells who had how many; those are given back at once.
func chosen(s *Set, now time.Time, n int, of []Candidate) map[string]int {
	got := map[string]int{}
	for range n {
		i, c, _ := s.Choose(now, "g", of, false)
		if i < 0 {
			got[""]++
			continue
		}
		got[of[i].Trunk]++
		c.Release(now, sip.CauseNormal)
	}
	return got
}

func TestWeightsAreExact(t *testing.T) {
	s := grouped(GroupConfig{})
	for round := range 3 { // in every row of a hundred, not only in the long run
		if got := chosen(s, noon, 100, thirds); got["a"] != 50 || got["b"] != 30 || got["c"] != 20 {
			t.Errorf("round %d: %v", round, got)
		}
	}
	s.Find("a").Drain(true)
	if got := chosen(s, noon, 500, thirds); got["a"] != 0 || got["b"] != 300 || got["c"] != 200 {
		t.Error("over those that admit:", got)
	}
	s.Find("a").Drain(false)
	first := chosen(s, noon, 10, thirds)
	if rest := chosen(s, noon, 90, thirds); first["a"] != 5 || first["a"]+rest["a"] != 50 {
		t.Error("a trunk that comes back is owed nothing:", first, rest)
	}
}

func TestWhoIsFullIsPassedOverAndSaysSo(t *testing.T) {
	s := grouped(GroupConfig{}, func(c *Config) {
		if c.Name == "a" {
			c.Channels.Both = 1
		}
	})
	held, _ := s.Find("a").Admit(noon, Out, false)
	i, c, why := s.Choose(noon, "g", thirds, false)
	if i != 1 || why[0] != "full: 1 channels in use" || why[1] != "" {
		t.Error(i, why)
	}
	c.Release(noon, sip.CauseNormal)
	if n := s.Find("a").Snapshot(noon).Out.Refusals["full"]; n != 1 {
		t.Error("counted", n, "times")
	}
	held.Release(noon, sip.CauseNormal)
	for _, name := range []string{"a", "b", "c"} {
		s.Find(name).Drain(true)
	}
	if i, c, why := s.Choose(noon, "g", thirds, false); i != -1 || c != nil || why[2] != "drained" {
		t.Error(i, why)
	}
	if i, _, why := s.Choose(noon, "g", []Candidate{{"x", 1}}, false); i != -1 || why[0] != "no such trunk any more" {
		t.Error(i, why)
	}
}

func TestCapacityGoesFirst(t *testing.T) {
	s := grouped(GroupConfig{Capacity: true}, func(c *Config) { c.Channels.Both = map[string]int{"a": 10, "b": 30, "c": 20}[c.Name] })
	got := map[string]int{}
	for range 30 { // from 10, 30 and 20 free channels to 10 each
		i, _, _ := s.Choose(noon, "g", thirds, false)
		got[thirds[i].Trunk]++
	}
	if got["a"] != 0 || got["b"] != 20 || got["c"] != 10 {
		t.Error(got)
	}
}

// The limits of a group hold for its members together, both ways, exactly, whoever asks.
func TestLimitsOfAGroupAreExactUnderLoad(t *testing.T) {
	s := grouped(GroupConfig{Channels: Limit{Both: 40, In: 15}})
	var mu sync.Mutex
	var held []*Channel
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 2000 {
				var c *Channel
				if i%2 == 0 {
					_, c, _ = s.Choose(noon, "g", thirds, false)
				} else {
					c, _ = s.Find(thirds[r.IntN(3)].Trunk).Admit(noon, In, false)
				}
				g := s.Groups()[0]
				if g.ChannelsIn > 15 || g.ChannelsIn+g.ChannelsOut > 40 {
					t.Errorf("%d in, %d out", g.ChannelsIn, g.ChannelsOut)
				}
				mu.Lock()
				if c != nil {
					held = append(held, c)
				}
				if len(held) > 30 && r.IntN(2) == 0 {
					held[0].Release(noon, sip.CauseNormal)
					held[0].Release(noon, sip.CauseNormal)
					held = held[1:]
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if _, why := fill(s); why != "group full: 40 channels of group g in use" {
		t.Error("refusal:", why)
	}
	if c, why := s.Find("a").Admit(noon, Out, true); c == nil {
		t.Error("an emergency call is refused:", why)
	} else {
		held = append(held, c)
	}
	for _, c := range held {
		c.Release(noon, sip.CauseNormal)
	}
}

// fill takes channels until there is none.
func fill(s *Set) (n int, refusal string) {
	for {
		_, c, why := s.Choose(noon, "g", thirds, false)
		if c == nil {
			return n, why[0]
		}
		n++
	}
}

func TestCallsASecondOfAGroup(t *testing.T) {
	s := grouped(GroupConfig{CPS: Limit{Out: 10}})
	n, why := fill(s)
	if n != 10 || why != "group full: 10 calls out of group g in this second" {
		t.Error(n, why)
	}
	if c, why := s.Find("a").Admit(noon, In, false); c == nil {
		t.Error("the other way is not limited:", why)
	}
	if i, _, _ := s.Choose(noon.Add(time.Second), "g", thirds, false); i < 0 {
		t.Error("nothing in the next second")
	}
}

// A reload that changes a group keeps what it counts; one that does not touches nothing.
func TestAGroupSurvivesAReload(t *testing.T) {
	s := grouped(GroupConfig{Channels: Limit{Both: 2}})
	_, one, _ := s.Choose(noon, "g", thirds, false)
	var configs []Config
	for _, tr := range s.All() {
		configs = append(configs, *tr.Config())
	}
	s.Update(configs, GroupConfig{Name: "g", Trunks: []string{"a", "b", "c"}, Channels: Limit{Both: 1}})
	if i, _, why := s.Choose(noon, "g", thirds, false); i != -1 {
		t.Error("the new limit is not in force, or the call in progress forgotten:", why)
	}
	s.Update(configs) // the group goes: its call gives its channel back to nobody's harm
	if i, c, _ := s.Choose(noon, "g", thirds, false); i != 0 {
		t.Error("without its group a trunk takes no call:", i)
	} else {
		c.Release(noon, sip.CauseNormal)
	}
	one.Release(noon, sip.CauseNormal)
}
