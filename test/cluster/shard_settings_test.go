package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// settings are made at the nodes of different shards, and a call that comes in at yet another one is treated as they say.
func (s *Shards) settings(t *testing.T) {
	alice, bob, carol := s.phoneAt("a", "1961"), s.phoneAt("b", "1962"), s.phoneAt("c", "1963")
	s.registered += 3
	s.known(s.registered)
	s.set("c", "dnd", "1962", "on")
	s.says("a", "do not disturb on", "forward", "1962")
	s.refused(t, alice, "1962", bob)
	s.set("d", "dnd", "1962", "off") // what the files say, and later than what shard c has
	s.says("a", "do not disturb off", "forward", "1962")
	s.rings(alice, "1962", bob)

	s.set("b", "forward", "1962", "--always", "1963")
	s.says("d", "forward always 1963", "forward", "1962")
	s.says("a", "forward always 1963", "forward", "1962")
	s.rings(alice, "1962", carol)
	s.set("a", "forward", "1962", "--off")
	s.eventually(5*time.Second, "the forward has ended at b", func() bool { return !strings.Contains(s.command("b", "forward", "1962"), "1963") })

	s.set("a", "night", "office", "off")
	for _, node := range s.names {
		s.says(node, "by hand", "night", "office")
	}
	s.set("d", "night", "office", "auto")
	for _, node := range s.names {
		s.says(node, "by its hours", "night", "office")
	}
}

// set has the switch that serves a shard set something.
func (s *Shards) set(shard string, command ...string) {
	s.t.Helper()
	s.eventually(20*time.Second, strings.Join(command, " ")+" at shard "+shard, func() bool {
		_, err := s.try(s.at(shard), append(command, "--shard", shard)...)
		return err == nil
	})
}

// says waits until a command at a node says something, with single spaces.
func (s *Shards) says(node, want string, command ...string) {
	s.t.Helper()
	var out string
	s.eventually(5*time.Second, fmt.Sprintf("%s at %s says %q", strings.Join(command, " "), node, want), func() bool {
		out, _ = s.try(node, command...)
		return strings.Contains(strings.Join(strings.Fields(out), " "), want)
	})
}

// rings has one phone call a number: another one rings, and refuses.
func (s *Shards) rings(caller *wire.Phone, number string, at *wire.Phone) {
	s.t.Helper()
	var m *wire.Media
	s.inside("phones", func() { m = wire.NewMedia(s.t, phoneHost, "RING") })
	defer m.Stop()
	call := caller.Invite(number, m.SDP())
	s.rung(call, at).Respond(486, "")
	if final := call.Final(5 * time.Second); final.Status() != 486 {
		s.t.Errorf("refused: %s", final.Raw)
	}
}

// refused has one phone call a number: the switch refuses, and the phone does not ring.
func (s *Shards) refused(t *testing.T, caller *wire.Phone, number string, at *wire.Phone) {
	var m *wire.Media
	s.inside("phones", func() { m = wire.NewMedia(t, phoneHost, "RING") })
	defer m.Stop()
	if final := caller.Invite(number, m.SDP()).Final(5 * time.Second); final.Status() < 400 {
		t.Errorf("not refused: %s", final.Raw)
	}
	if m, rang := at.Poll(100*time.Millisecond, func(m wire.Message) bool { return m.Method() == "INVITE" }); rang {
		t.Errorf("it rang all the same: %s", m.Raw)
	}
}

// boxes has messages left at two shards for a phone that is registered at a third, which hears and deletes both.
func (s *Shards) boxes(t *testing.T) {
	owner, near, far := s.phoneAt("c", "1002"), s.phoneAt("a", "1003"), s.phoneAt("b", "1004")
	s.registered += 3
	s.known(s.registered)
	s.leave(near, "a")
	s.lamp(owner, "1/0")
	s.leave(far, "b")
	s.lamp(owner, "2/0")
	owner.Register() // who comes is told of all, whichever shard has them
	s.lamp(owner, "2/0")

	var m *wire.Media
	s.inside("phones", func() { m = wire.NewMedia(t, phoneHost, "HEAR") })
	defer m.Stop()
	c := owner.Invite("8000", m.SDP())
	answer := c.Final(10 * time.Second)
	if answer.Status() != 200 {
		t.Fatalf("INVITE: %s", answer.Raw)
	}
	c.Ack()
	m.Start(t, answer.Body)
	press := func(key, lamp string) {
		t.Helper()
		s.eventually(30*time.Second, "lamp "+lamp, func() bool {
			digit := c.Next("INFO", "Signal="+key+"\r\nDuration=100\r\n")
			digit.Type = "application/dtmf-relay"
			owner.Do(digit)
			n, told := owner.Poll(500*time.Millisecond, func(m wire.Message) bool { return m.Method() == "NOTIFY" })
			if told {
				owner.Reply(n, 200, wire.Reply{})
			}
			return told && strings.Contains(n.Body, "Voice-Message: "+lamp+" ")
		})
	}
	press("2", "1/1")
	press("3", "0/1")
	c.Bye()
	for _, shard := range s.names {
		borrowed, err := filepath.Glob(filepath.Join(s.dir, shard, "state", "shards", "*", "voicemail", "borrowed-*"))
		if err != nil || len(borrowed) > 0 {
			t.Errorf("left behind: %v %v", borrowed, err)
		}
	}
}

// leave is a message for 1002 that a phone of a shard leaves, two seconds long.
func (s *Shards) leave(caller *wire.Phone, shard string) {
	s.t.Helper()
	var m *wire.Media
	s.inside("phones", func() { m = wire.NewMedia(s.t, phoneHost, "LEFT") })
	defer m.Stop()
	c := caller.Invite("71002", m.SDP())
	answer := c.Final(5 * time.Second)
	if answer.Status() != 200 {
		s.t.Fatalf("INVITE: %s", answer.Raw)
	}
	c.Ack()
	m.Start(s.t, answer.Body)
	s.eventually(20*time.Second, "two seconds recorded", func() bool {
		parts, _ := filepath.Glob(filepath.Join(s.dir, s.at(shard), "state", "shards", shard, "voicemail", "1002", "*.part"))
		for _, part := range parts {
			if info, err := os.Stat(part); err == nil && info.Size() > 2*16000 {
				return true
			}
		}
		return false
	})
	c.Bye()
}
