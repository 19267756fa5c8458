package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// Four nodes with a shard each: phones of each call those of all others.
// It has the machine to itself: five processes with four parts each are enough.
func TestShards(t *testing.T) {
	s := NewShards(t, election, "a", "b", "c", "d")

	s.run("phones of each shard call those of every shard", s.everyPair)
	s.run("a call to another shard rings, is cancelled and is refused", s.ringing)
	s.run("a message goes to another shard", s.message)
	s.run("the way to a phone is for shards alone", s.strangers)
	s.run("a phone behind a NAT hears and is heard from another shard", s.behindNAT)
	s.run("two calls of different shards become one", s.attended)
	s.run("what is set at one shard holds at all", s.settings)
	s.run("phones on WebSockets are called from another shard", s.webSockets)
	flows := s.twoFlows("c", "a", "1950") // the later one is rung first
	s.run("a phone with two flows is rung once", func(t *testing.T) { flows.rung(s.phoneAt("b", "1951"), "a") })

	// Two calls of each shard, one to the next shard and one from it, while nodes die one after the other.
	var talks []*talk
	var moving []*wire.Phone
	for i, shard := range s.names {
		next := s.names[(i+1)%len(s.names)]
		moving = append(moving, s.phoneAt(shard, fmt.Sprintf("19%d1", i)), s.phoneAt(next, fmt.Sprintf("19%d2", i)))
	}
	s.known(s.registered + len(moving))
	for i := 0; i < len(moving); i += 2 {
		talks = append(talks, s.connect(moving[i], moving[i+1], 100+i))
	}
	all := func(limit time.Duration) {
		t.Helper()
		for _, c := range talks {
			c.goesOn(limit)
		}
	}

	s.run("a node is killed: its shard goes on at its backup, the others notice nothing", func(t *testing.T) {
		before := s.epochs()
		s.kill("a")
		s.eventually(20*time.Second, "b serves the shard of a", func() bool { return s.has("b", shardAddress["a"]) })
		all(20 * time.Second)
		for _, shard := range s.names {
			if want := map[bool]string{true: "b", false: shard}[shard == "a"]; s.at(shard) != want {
				t.Errorf("shard %s is at %q", shard, s.at(shard))
			}
			if after := s.epochs(); shard != "a" && after[shard] != before[shard] {
				t.Errorf("shard %s: epoch %d became %d", shard, before[shard], after[shard])
			}
		}
		// Registrations of the dead node's shard are there, for calls from everywhere and to everywhere.
		for i, shard := range s.names {
			c := s.connect(s.phoneAt(shard, fmt.Sprintf("18%d1", i)), moving[0], 200+i)
			c.hold(c.b, c.a, c.bm, c.am)
			c.bye(c.b, c.a)
		}
	})

	s.run("a phone whose flow died with the node is called over its other one", func(t *testing.T) {
		flows.rung(s.phoneAt("d", "1952"), "c")
	})

	s.run("a second node is killed", func(t *testing.T) {
		s.kill("c")
		s.eventually(20*time.Second, "d serves the shard of c", func() bool { return s.has("d", shardAddress["c"]) })
		all(20 * time.Second)
		for n, c := range talks { // and either side may hold and hang up
			if n%2 == 0 {
				c.hold(c.a, c.b, c.am, c.bm)
			} else {
				c.hold(c.b, c.a, c.bm, c.am)
			}
		}
		all(5 * time.Second)
	})

	s.run("the dead nodes come back and take their shards by hand", func(t *testing.T) {
		s.start("a")
		s.start("c")
		s.eventually(60*time.Second, "whole again", s.allWhole)
		for shard, node := range map[string]string{"a": "b", "c": "d"} {
			if s.at(shard) != node {
				t.Errorf("shard %s went back to %s by itself", shard, s.at(shard))
			}
		}
		s.home()
		all(20 * time.Second)
		for n, c := range talks {
			if n%2 == 0 {
				c.bye(c.b, c.a)
			} else {
				c.bye(c.a, c.b)
			}
		}
	})
}

// Two nodes that both serve, each the backup of the other, and a witness.
func TestTwoShards(t *testing.T) {
	s := NewShards(t, election, "a", "b")
	s.run("phones of each shard call those of every shard", s.everyPair)
	alice, bob := s.phoneAt("a", "1921"), s.phoneAt("b", "1922")
	s.known(s.registered + 2)
	there, back := s.connect(alice, bob, 1), s.connect(bob, alice, 2)
	s.kill("a")
	s.eventually(20*time.Second, "b serves both", func() bool { return s.at("a") == "b" && s.at("b") == "b" })
	for _, c := range []*talk{there, back} {
		c.goesOn(20 * time.Second)
		c.hold(c.b, c.a, c.bm, c.am)
		c.goesOn(5 * time.Second)
		c.bye(c.a, c.b)
	}
	s.start("a")
	s.eventually(60*time.Second, "cluster whole", s.allWhole)
	if s.at("a") != "b" {
		t.Error("the shard went home by itself")
	}
	s.home()
	if out, err := s.try("a", "failover"); err == nil || !strings.Contains(out, "--shard") {
		t.Errorf("failover of two shards at once: %s", out)
	}
	if out := s.command("a", "reload"); strings.Count(out, "is in force") != 2 {
		t.Errorf("reload: %s", out)
	}
	if out := s.command("w", "cluster", "status"); strings.Count(out, "w: witness") != 2 {
		t.Errorf("status of the witness: %s", out)
	}
}
