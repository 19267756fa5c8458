package cluster

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// exchanged is a member on a new machine: with an empty folder, by an invitation of another one.
func (p *testPair) exchanged(name, by string) error {
	p.t.Helper()
	old := p.cfg[name]
	cfg := old
	cfg.Dir = p.t.TempDir()
	token, err := p.cfg[by].Identity.Invite(name, name != "w", p.nodes[by].engine.door.Addr().String(), time.Minute)
	if err != nil {
		return err
	}
	if cfg.Identity, err = Join(context.Background(), cfg.Dir, token); err != nil {
		return err
	}
	p.cfg[name] = cfg
	return nil
}

// A dead machine is exchanged by an empty one under its name, even the one where the cluster began; the old one is let in no more, and two that
// are empty at once are refused.
func TestMachineIsExchanged(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, name := range p.names {
		p.start(name)
	}
	defer p.endAll()
	p.eventually("one active", func() bool { return p.role("a") == "active" || p.role("b") == "active" })
	p.eventually("b active", func() bool {
		_ = p.nodes["a"].engine.Failover(context.Background())
		return p.role("b") == "active" && p.role("a") == "standby"
	})
	b := p.nodes["b"].engine
	if err := b.PutWait(context.Background(), Write{Bucket: "reg", Key: "1001", Value: []byte("here")}); err != nil && err != ErrDegraded {
		t.Fatal(err)
	}
	p.eventually("written", func() bool { return b.Status().Waits == 0 })
	if err := p.exchanged("a", "b"); err == nil || !strings.Contains(err.Error(), "runs and is heard") {
		t.Errorf("a second a while one runs: %v", err)
	}
	if err := b.Remove("a"); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("a taken out while it runs: %v", err)
	}
	old := p.cfg["a"]
	p.end("a")
	p.eventually("a not heard", func() bool { return !b.peers.heard("a", time.Now()) })
	p.eventually("a exchanged", func() bool { return p.exchanged("a", "b") == nil })
	p.end("w")
	p.eventually("w not heard", func() bool { return !b.peers.heard("w", time.Now()) })
	if err := p.exchanged("w", "b"); err == nil || !strings.Contains(err.Error(), "one machine at a time") {
		t.Errorf("a second empty machine: %v", err)
	}
	p.start("w")
	p.start("a")
	p.eventually("a follows, with all", func() bool {
		if p.role("a") == "active" { // the machine was busy, and b late
			_ = p.nodes["a"].engine.Failover(context.Background())
		}
		return p.role("a") == "standby" && p.role("b") == "active" && len(p.nodes["a"].engine.leads()) == len(testBuckets) && b.complete("a") == nil
	})
	here := false
	for r, err := range p.nodes["a"].engine.Load(context.Background(), "reg") {
		here = here || err == nil && r.Key == "1001" && string(r.Value) == "here"
	}
	if !here {
		t.Error("the new a has not what was written before it was there")
	}
	p.eventually("the witness knows too", func() bool { return p.cfg["w"].Identity.lowest()["a"] == 1 })

	// The old one wakes up: nobody lets it in, and it says why.
	p.end("a")
	new := p.cfg["a"]
	p.cfg["a"] = old
	p.start("a")
	p.eventually("the old one says so", func() bool {
		s := p.nodes["a"].engine.Status()
		return s.Role == "no majority" && strings.Contains(strings.Join(s.Problems, "\n"), "refuses the certificate")
	})
	if b.peers.heard("a", time.Now()) || p.role("b") != "active" {
		t.Error("the old one is heard")
	}
	p.end("a")
	p.cfg["a"] = new
	p.start("a")
	p.eventually("the new one follows again", func() bool { return p.role("a") == "standby" })

	// Taken out for good: its certificate is good for nothing.
	p.end("w")
	p.eventually("w not heard", func() bool { return !b.peers.heard("w", time.Now()) })
	if err := b.Remove("w"); err != nil {
		t.Fatal(err)
	}
	if err := b.cfg.Identity.admits(p.cfg["w"].Identity.leaf()); err == nil {
		t.Error("the witness that was taken out is let in")
	}
	p.eventually("a knows", func() bool { return p.cfg["a"].Identity.lowest()["w"] == 2 })
	if _, err := os.Stat(p.cfg["a"].Identity.file(fileOut)); err != nil {
		t.Error(err)
	}
}

// What a member says each second is not looked up on the disk: one that hangs, or has lost the file, must not keep it from being heard.
func TestMachinesThatAreKnown(t *testing.T) {
	id, err := Init(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := id.raise(map[string]int{"b": 2, "w": 1}); err != nil || !slices.Equal(out, []string{"b"}) {
		t.Fatalf("%q are out, %v", out, err)
	}
	if err := os.WriteFile(id.file(fileOut), []byte("no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := id.raise(map[string]int{"b": 2, "w": 1, "c": 0}); err != nil || len(out) != 0 {
		t.Errorf("the same again: %q are out, %v", out, err)
	}
	if _, err := id.raise(map[string]int{"b": 3}); err == nil {
		t.Error("written over a file that cannot be read")
	}
}
