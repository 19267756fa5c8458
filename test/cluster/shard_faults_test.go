package cluster

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"tandem/test/wire"
)

// Four nodes with a shard each: what takes longer than TestShards may.
func TestSoakShards(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	s := NewShards(t, election, "a", "b", "c", "d")
	_ = s.run("the boxes of all shards are one", s.boxes) && s.run("faults", s.faults) && s.run("power of all machines", s.power)
}

// faults freeze a node, cut it off or lose its packets: its shard goes on at its backup, nobody speaks for it once another has begun,
// calls of the other shards hear everything, and each phone that registered meanwhile is found from all.
func (s *Shards) faults(*testing.T) {
	talks := s.talks()
	for n, f := range []shardFault{
		{"frozen for 2.5 s and thawed", func(node string) {
			s.signal(node, syscall.SIGSTOP)
			<-time.After(2500 * time.Millisecond)
			s.signal(node, syscall.SIGCONT)
		}, nil, func(string) {}},
		{"frozen until its backup serves", func(node string) { s.signal(node, syscall.SIGSTOP) }, s.movedFrom,
			func(node string) { s.signal(node, syscall.SIGCONT) }},
		{"cable", s.cut, s.movedFrom, s.plug},
		{"packets dropped", s.drop, s.movedFrom, s.pass},
	} {
		s.strike(s.names[n], f, talks)
	}
	for _, shard := range s.names {
		for _, c := range talks[shard] {
			c.bye(c.b, c.a)
		}
	}
}

// shardFault is something that happens to a node; moved waits until its shard is elsewhere, where that must be.
type shardFault struct {
	name  string
	begin func(node string)
	moved func(node string)
	end   func(node string)
}

// movedFrom waits until the shard of a node is at its backup.
func (s *Shards) movedFrom(node string) {
	s.t.Helper()
	s.eventually(20*time.Second, "the shard of "+node+" is at its backup", func() bool { return s.has(s.next(node), shardAddress[node]) })
}

// next is the node that stands by for another one's shard.
func (s *Shards) next(node string) string {
	for i, name := range s.names {
		if name == node {
			return s.names[(i+1)%len(s.names)]
		}
	}
	return ""
}

// talks are calls by caller's shard, which has them: one to a phone of its own and one to a phone of the next.
func (s *Shards) talks() map[string][]*talk {
	s.t.Helper()
	all := map[string][]*talk{}
	phones := map[string][]*wire.Phone{}
	for _, shard := range s.names {
		for range 4 {
			phones[shard] = append(phones[shard], s.fresh(shard))
		}
	}
	s.known(s.registered)
	for i, shard := range s.names {
		own := phones[shard]
		all[shard] = []*talk{s.connect(own[0], own[1], 10*i), s.connect(own[2], phones[s.next(shard)][3], 10*i+1)}
	}
	return all
}

// fresh is a phone of its own extension, registered at a shard.
func (s *Shards) fresh(shard string) *wire.Phone {
	s.t.Helper()
	s.extra++
	s.registered++
	return s.phoneAt(shard, fmt.Sprint(1300+s.extra))
}

// strike has a fault happen to a node whose shard it serves, and brings the shard home in the end.
func (s *Shards) strike(node string, f shardFault, talks map[string][]*talk) {
	s.t.Helper()
	before, ears, lost := s.epochs(), map[string]*ear{}, map[*talk]int{}
	for _, shard := range s.names {
		ears[shard] = s.hear(shardAddress[shard], s.names...)
		ears[shard].hears(shard)
		for _, c := range talks[shard] {
			lost[c] = c.missing()
		}
	}
	f.begin(node)
	if f.moved != nil {
		f.moved(node)
		s.registerAndCall()
	}
	f.end(node)
	s.eventually(60*time.Second, "cluster whole", s.allWhole)
	for _, shard := range s.names {
		for _, c := range talks[shard] {
			c.goesOn(20 * time.Second)
			if heard := c.missing() - lost[c]; shard != node && heard > 0 {
				s.t.Errorf("%s: a call of shard %s lacks %d packets", f.name, shard, heard)
			}
			c.hold(c.a, c.b, c.am, c.bm)
		}
		if after := s.epochs(); shard != node && after[shard] != before[shard] {
			s.t.Errorf("%s: shard %s: epoch %d became %d", f.name, shard, before[shard], after[shard])
		}
		silence := ears[shard].end()
		s.t.Logf("shard %s: silence of the wire %v, datagrams of %v", shard, silence, ears[shard].counts)
	}
	s.known(s.registered)
	s.home()
	s.registerAndCall()
}

// registerAndCall has a phone register at each shard, and each call those of the two shards after its own.
func (s *Shards) registerAndCall() {
	s.t.Helper()
	var phones []*wire.Phone
	for _, shard := range s.names {
		phones = append(phones, s.fresh(shard))
	}
	s.known(s.registered)
	for i, caller := range phones {
		for far := 1; far <= 2; far++ {
			c := s.connect(caller, phones[(i+far)%len(phones)], 500+10*i+far)
			c.bye(c.b, c.a)
		}
	}
}

// power takes all machines away at once and gives it back: who is registered stays so, each shard is served, phones of all call each
// other, and what people had set holds. Calls in progress end, as those of a pair do.
func (s *Shards) power(t *testing.T) {
	talks := s.talks()
	s.set("b", "dnd", "1999", "on")
	s.says("c", "do not disturb on", "forward", "1999")
	for _, name := range s.machines() {
		s.signal(name, syscall.SIGKILL)
	}
	for _, name := range s.machines() {
		<-s.nodes[name].done
		s.start(name)
	}
	began := time.Now()
	s.eventually(120*time.Second, "every shard is served", func() bool {
		return !slices.ContainsFunc(s.names, func(shard string) bool { st, _ := s.part(s.at(shard), shard); return !st.Held || st.Role != "active" })
	})
	t.Logf("served %v after the power came back", time.Since(began))
	s.eventually(120*time.Second, "cluster whole", s.allWhole)
	t.Logf("whole %v after the power came back", time.Since(began))
	s.known(s.registered)
	for _, node := range s.names {
		s.says(node, "do not disturb on", "forward", "1999")
	}
	for _, shard := range s.names {
		for _, c := range talks[shard] {
			before, _ := c.heard()
			c.am.Stop()
			c.bm.Stop()
			if m, ok := c.a.Phone.Try(c.a.Next("BYE", ""), 5*time.Second); !ok || m.Status() != 481 {
				t.Errorf("BYE of a call that had %d packets: %v %s", before, ok, m.Raw)
			}
		}
	}
	s.home()
	s.registerAndCall()
	// Phones that were registered before are called without having said anything.
	for i, shard := range s.names {
		c := s.connect(talks[s.next(shard)][0].a.Phone, talks[shard][0].b.Phone, 700+i)
		c.bye(c.a, c.b)
	}
}

// machines are the switches and the witness.
func (s *Shards) machines() []string { return append(slices.Clone(s.names), "w") }

// missing is how many packets the two have not heard of each other so far.
func (c *talk) missing() int {
	return len(c.am.Missing(c.bm.Mark)) + len(c.bm.Missing(c.am.Mark))
}
