package cluster

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
	"tandem/token"
)

// What people have set at one node counts at the other, and so does a password that one made; each says which plan it runs.
func TestSettingsGoOn(t *testing.T) {
	p := NewPair(t, election, office)
	from := p.serving()
	p.command(from, "forward", "1001", "--busy", "1002")
	p.command(from, "dnd", "1003", "on")
	p.command(from, "dnd", "1004", "on")
	p.command(from, "dnd", "1004", "off")
	p.command(from, "night", "office", "on")
	if out, err := p.try(other(from), "dnd", "1005", "on"); err == nil || !strings.Contains(out, "stands by") {
		t.Errorf("set at the standby: %v, %s", err, out)
	}
	var pass token.Pass
	if err := json.Unmarshal([]byte(p.command(from, "token", "1007", "--for", "10m", "--json")), &pass); err != nil {
		t.Fatal(err)
	}
	p.kill(from)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
	to := other(from)
	for _, want := range []struct{ command, what string }{
		{"forward 1001", "forward busy 1002"}, {"forward 1003", "do not disturb on"}, {"forward 1004", "do not disturb off"}, {"night office", "by hand"},
	} {
		out := strings.Join(strings.Fields(p.command(to, strings.Fields(want.command)...)), " ")
		if !strings.Contains(out, want.what) {
			t.Errorf("%s: %s", want.command, out)
		}
	}
	var line *wire.Line
	p.inside("phones", func() { line = wire.UDP(t, phoneHost, 0, virtual+":5060") })
	phone := wire.NewPhone(line, "1007", pass.Password)
	phone.Login = pass.Username
	phone.Register()
	if out := p.command(to, "cluster", "status"); !regexp.MustCompile(`\b[0-9a-f]{12}\b`).MatchString(out) || strings.Contains(out, "runs plan") {
		t.Errorf("plans: %s", out)
	}
	p.start(from)
	p.eventually(60*time.Second, "whole again", p.whole)
	p.write(from, "another.hcl", "class \"another\" {}\n")
	p.command(from, "reload")
	p.eventually(10*time.Second, "different plans are told", func() bool {
		return strings.Contains(p.command(to, "cluster", "status"), "node "+from+" runs plan")
	})
}

// messages are the sounds that lie in a box of a node.
func (p *Pair) messages(node, box string) []string {
	p.t.Helper()
	all, err := filepath.Glob(filepath.Join(p.dir, node, "state", "voicemail", box, "*.wav"))
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// leaves calls the box of 1002, and hangs up when two seconds have been recorded.
func (p *Pair) leaves(caller *wire.Phone, at string) {
	p.t.Helper()
	var m *wire.Media
	p.inside("phones", func() { m = wire.NewMedia(p.t, phoneHost, "LEFT") })
	c := caller.Invite("71002", m.SDP())
	answer := c.Final(5 * time.Second)
	if answer.Status() != 200 {
		p.t.Fatalf("INVITE: %s", answer.Raw)
	}
	c.Ack()
	m.Start(p.t, answer.Body)
	p.eventually(20*time.Second, "two seconds recorded", func() bool {
		parts, _ := filepath.Glob(filepath.Join(p.dir, at, "state", "voicemail", "1002", "*.part"))
		for _, part := range parts {
			if info, err := os.Stat(part); err == nil && info.Size() > 2*16000 {
				return true
			}
		}
		return false
	})
	c.Bye()
	m.Stop()
}

// lamp waits until a phone is told of so many messages.
func (p *Pair) lamp(phone *wire.Phone, count string) {
	p.t.Helper()
	phone.Reply(phone.Await(20*time.Second, "lamp "+count, func(m wire.Message) bool {
		return m.Method() == "NOTIFY" && strings.Contains(m.Body, "Voice-Message: "+count+" ")
	}), 200, wire.Reply{})
}

// A message that was left at one node is on both when the lamp is lit; the other node plays and deletes it, and the first, which was dead
// meanwhile, has lost it too when it is back.
func TestMessagesGoOn(t *testing.T) {
	p := NewPair(t, election, boxes)
	caller, owner := p.phone("1001"), p.phone("1002")
	from := p.serving()
	to := other(from)
	p.leaves(caller, from)
	p.lamp(owner, "1/0")
	left := p.messages(to, "1002")
	if len(left) != 1 || len(p.messages(from, "1002")) != 1 {
		t.Fatalf("the lamp is lit, and the nodes have %v and %v\n%s\n%s", p.messages(from, "1002"), left, p.nodes[from].out, p.nodes[to].out)
	}
	one, err := os.ReadFile(p.messages(from, "1002")[0])
	if err != nil {
		t.Fatal(err)
	}
	if two, err := os.ReadFile(left[0]); err != nil || !bytes.Equal(one, two) {
		t.Errorf("the copy has %d bytes of %d (%v)", len(two), len(one), err)
	}
	p.kill(from)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(to, virtual) })

	var m *wire.Media
	p.inside("phones", func() { m = wire.NewMedia(t, phoneHost, "HEAR") })
	c := owner.Invite("8000", m.SDP())
	answer := c.Final(10 * time.Second)
	if answer.Status() != 200 {
		t.Fatalf("INVITE: %s", answer.Raw)
	}
	c.Ack()
	m.Start(t, answer.Body)
	p.eventually(20*time.Second, "the message is deleted", func() bool {
		digit := c.Next("INFO", "Signal=3\r\nDuration=100\r\n")
		digit.Type = "application/dtmf-relay"
		owner.Do(digit)
		return len(p.messages(to, "1002")) == 0
	})
	p.lamp(owner, "0/0")
	m.Stop()
	p.leaves(caller, to) // while nobody can copy it
	p.lamp(owner, "1/0")
	p.start(from)
	p.eventually(60*time.Second, "whole again", p.whole)
	p.eventually(10*time.Second, "both nodes have the second message alone", func() bool {
		a, b := p.messages(from, "1002"), p.messages(to, "1002")
		return len(a) == 1 && len(b) == 1 && filepath.Base(a[0]) == filepath.Base(b[0]) && filepath.Base(a[0]) != filepath.Base(left[0])
	})
}
