package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/test/wire"
)

// two are the machines of a rig without a witness.
var two = map[string]string{"a": hosts["a"], "b": hosts["b"], "phones": hosts["phones"]}

// twinConfiguration is that of a pair without a witness; what stands in for the witness comes in its place.
func twinConfiguration(instead string) string {
	text := strings.ReplaceAll(configuration, "ELECTION", "150ms")
	return strings.Replace(text, `witness "w" { address = "10.77.0.3:7300" }`, instead, 1)
}

// twin is true when one of the two serves and the other holds every record.
func (p *Pair) twin(serves string) func() bool {
	return func() bool {
		a, ok := p.status(serves)
		b, too := p.status(other(serves))
		return ok && too && a.Role == "active" && a.Held && a.Copy == "whole" && len(a.Problems) == 0 &&
			b.Role == "standby" && b.Copy == "whole" && b.Active == serves
	}
}

// serves is true when a node has the role and the right to serve.
func (p *Pair) serves(name string) func() bool {
	return func() bool { s, ok := p.status(name); return ok && s.Role == "active" && s.Held }
}

// waits is true when a node knows that nobody serves, and does not promote itself.
func (p *Pair) waits(name string) func() bool {
	return func() bool { s, ok := p.status(name); return ok && s.Role == "waiting" }
}

// carryOn has every call go on, hold and end, and one more begin without anybody registering again.
func (p *Pair) carryOn(t *testing.T, talks []*talk, phones []*wire.Phone) {
	var gaps []time.Duration
	for _, c := range talks {
		c.goesOn(20 * time.Second)
		gaps = append(gaps, c.gap())
	}
	slices.Sort(gaps)
	t.Logf("silence: median %v, worst %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
	for n, c := range talks {
		if n%2 == 0 {
			c.hold(c.a, c.b, c.am, c.bm)
			c.bye(c.b, c.a)
		} else {
			c.bye(c.a, c.b)
		}
	}
	c := p.connect(phones[1], phones[0], 100)
	c.bye(c.a, c.b)
}

// register makes phones from 1000 on. They last as long as the test, not as a part of it.
func (p *Pair) register(n int) (phones []*wire.Phone) {
	for i := range n {
		phones = append(phones, p.phone(fmt.Sprint(1000+i)))
	}
	return phones
}

// talks is a call of each two phones.
func (p *Pair) talks(t *testing.T, phones []*wire.Phone) (talks []*talk) {
	for n := 0; n+1 < len(phones); n += 2 {
		phones[n].T, phones[n+1].T = t, t
		talks = append(talks, p.connect(phones[n], phones[n+1], n/2))
	}
	return talks
}

// Two machines without a witness: nothing that was acknowledged is lost, nobody promotes himself, and a person's word does it.
func TestTwoMachinesByHand(t *testing.T) {
	t.Parallel()
	p := newRig(t, two, twinConfiguration(`witness = "none"`))
	p.eventually(30*time.Second, "a serves, b holds everything", p.twin("a"))
	const calls = 4
	phones := p.register(2 * calls)
	p.run("planned change", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.failover("a")
		p.carryOn(t, talks, phones)
		p.eventually(30*time.Second, "a holds everything", p.twin("b"))
	})
	p.run("the serving node is killed, and a person promotes the other", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.kill("b")
		p.eventually(20*time.Second, "a says what to do", func() bool {
			s, _ := p.status("a")
			return s.Role == "waiting" && strings.Contains(strings.Join(s.Problems, " "), "make sure that b is off")
		})
		p.always(2*time.Second, "without the address on a", func() bool { return !p.has("a", virtual) })
		out := p.command("a", "failover", "--force")
		if !strings.Contains(out, "You have said that node b is off") {
			t.Error(out)
		}
		p.carryOn(t, talks, phones)
		p.start("b")
		p.eventually(30*time.Second, "b comes back and stands by", p.twin("a"))
		if out, err := p.try("b", "failover", "--force"); err == nil || !strings.Contains(out, "alive and serves") {
			t.Errorf("b was promoted beside a: %s", out)
		}
	})
	p.run("a node that served alone goes on after a restart", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.kill("b")
		p.eventually(20*time.Second, "a is alone", func() bool { s, _ := p.status("a"); return s.Degraded })
		p.kill("a")
		p.start("a")
		p.eventually(20*time.Second, "a serves again", p.serves("a"))
		p.carryOn(t, talks, phones)
		p.start("b")
		p.eventually(30*time.Second, "b stands by", p.twin("a"))
	})
	p.run("a frozen node finds itself deposed", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.signal("a", syscall.SIGSTOP)
		p.eventually(20*time.Second, "b waits", p.waits("b"))
		p.command("b", "failover", "--force")
		p.eventually(5*time.Second, "b has the address", func() bool { return p.has("b", virtual) && !p.has("a", virtual) })
		p.signal("a", syscall.SIGCONT)
		p.always(2*time.Second, "without the address on the thawed node", func() bool { return !p.has("a", virtual) })
		p.carryOn(t, talks, phones)
		p.eventually(30*time.Second, "a stands by", p.twin("b"))
	})
	p.run("a node whose cable was out finds itself deposed", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.cut("b")
		p.eventually(20*time.Second, "a waits", p.waits("a"))
		p.command("a", "failover", "--force")
		p.plug("b")
		p.always(3*time.Second, "without the address on b", func() bool { return !p.has("b", virtual) })
		p.carryOn(t, talks, phones)
		p.eventually(30*time.Second, "b stands by", p.twin("a"))
	})
	p.agree()
}

// With a fence the standby promotes itself, if and only if the fence has succeeded.
func TestTwoMachinesWithAFence(t *testing.T) {
	t.Parallel()
	p := newRig(t, two, twinConfiguration("witness = \"none\"\n  fence {\n    command = [\"FOLDER/fence\", \"now\"]\n    after = \"1s\"\n  }"))
	// A fence turns the machine off as a switched socket would.
	script := "#!/bin/sh\necho \"$1 $TANDEM_FENCE for $TANDEM_NODE in $TANDEM_EPOCH\" >>\"$(dirname \"$0\")/fenced\"\ntest -e \"$(dirname \"$0\")/power\" && kill -9 $(cat \"$(dirname \"$0\")/power\")\n"
	for _, name := range []string{"a", "b"} {
		p.write(name, "fence", script)
		if err := os.Chmod(filepath.Join(p.dir, name, "fence"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.eventually(30*time.Second, "a serves, b holds everything", p.twin("a"))
	phones := p.register(8)
	talks := p.talks(t, phones)
	p.signal("a", syscall.SIGSTOP)
	fenced := filepath.Join(p.dir, "b", "fenced")
	p.eventually(20*time.Second, "b has tried", func() bool { b, _ := os.ReadFile(fenced); return len(b) > 0 })
	p.always(3*time.Second, "without the address on b, since its fence has failed", func() bool { return !p.has("b", virtual) })
	p.write("b", "power", p.pid("a"))
	p.eventually(30*time.Second, "b serves when its fence has worked", p.serves("b"))
	<-p.nodes["a"].done
	p.carryOn(t, talks, phones)
	if b, _ := os.ReadFile(fenced); !strings.Contains(string(b), "now a for b in ") {
		t.Errorf("the fence was told %q", b)
	}
	p.start("a")
	p.eventually(30*time.Second, "a stands by", p.twin("b"))
	p.agree()
}
