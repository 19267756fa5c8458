package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The witness, the standby and then the machine where the cluster began lose everything one after the other, and an empty machine takes the
// name of each. Calls and registrations go on, records are whole, and a machine that was exchanged is let in no more.
func TestSoakMachinesAreExchanged(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	const calls = 4
	p := NewPair(t, election)
	p.line(calls)
	talks := make([]*talk, calls)
	for n := range talks {
		talks[n] = p.place(p.phones[2*n], p.phones[2*n+1], n)
	}
	all := len(p.phones) + 1
	attic := filepath.Join(p.dir, "attic")
	for _, name := range []string{"w", "b", "a"} {
		if p.serving() == name {
			p.failover(name)
			p.eventually(60*time.Second, "whole after the change", p.whole)
		}
		serves := p.serving()
		p.kill(name)
		p.moveState(name, filepath.Join(attic, name))
		p.eventually(20*time.Second, name+" taken out", func() bool {
			_, err := p.try(serves, "cluster", "remove", name)
			return err == nil
		})
		p.join(serves, name)
		p.start(name)
		p.eventually(90*time.Second, "whole with another "+name, p.whole)
		if calls, registrations := p.load(serves); calls != len(talks) || registrations != all {
			t.Errorf("after %s: %d calls and %d registrations", name, calls, registrations)
		}
		for _, c := range talks {
			c.goesOn(10 * time.Second)
		}
	}
	for _, name := range []string{"a", "b"} {
		if got := p.registered(name); len(got) != all {
			t.Errorf("%d registrations on %s", len(got), name)
		}
	}

	// The old witness comes back to life in place of the new one.
	p.kill("w")
	p.moveState("w", filepath.Join(attic, "new w"))
	if out, err := exec.Command("cp", "-a", filepath.Join(attic, "w")+"/.", filepath.Join(p.dir, "w", "state")).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	p.start("w")
	p.eventually(20*time.Second, "the old witness is told", func() bool {
		s, ok := p.status("w")
		return ok && s.Active == "" && strings.Contains(strings.Join(s.Problems, "\n"), "refuses the certificate")
	})
	if s, _ := p.status(p.serving()); !s.Held || !strings.Contains(strings.Join(s.Problems, "\n"), "node w is not heard") {
		t.Errorf("the serving node says %q, and holds the lease: %v", s.Problems, s.Held)
	}
	for _, c := range talks {
		c.hold(c.b, c.a, c.bm, c.am)
		c.bye(c.a, c.b)
	}
	p.idle(p.serving())
	p.agree()
}

// moveState takes everything out of a node's state folder, which may be a disk of its own.
func (p *Pair) moveState(name, to string) {
	p.t.Helper()
	state := filepath.Join(p.dir, name, "state")
	if err := os.MkdirAll(to, 0o700); err != nil {
		p.t.Fatal(err)
	}
	for _, step := range [][]string{{"cp", "-a", state + "/.", to}, {"find", state, "-mindepth", "1", "-delete"}} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			p.t.Fatal(err, string(out))
		}
	}
}
