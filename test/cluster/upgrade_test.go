package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/test/wire"
)

// before builds the switch as the version before would be, as far as records go: it reads and writes their form before the newest, and
// nothing newer.
func before(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tandem-before")
	cmd := exec.Command("go", "build", "-tags", "previous", "-o", path, "tandem/cmd/tandem")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// exchange stops a node that does not serve in an orderly way, and starts another binary in its place.
func (p *Pair) exchange(name, path string) {
	p.t.Helper()
	p.signal(name, syscall.SIGTERM)
	<-p.nodes[name].done
	p.nodes[name].path = path
	p.start(name)
	p.eventually(60*time.Second, name+" with another version", p.whole)
}

// T14: the nodes are exchanged one after the other for an older version, and again for the newer one, under calls. Each call goes on from
// the first exchange to the last, and one that begins between two exchanges is answered.
func TestSoakT14RollingUpgrade(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	old, latest := before(t), ""
	p := NewPair(t, election)
	var phones []*wire.Phone
	for n := range 12 {
		phones = append(phones, p.phone(fmt.Sprint(1400+n)))
	}
	var talks []*talk
	for n := range 4 {
		talks = append(talks, p.connect(phones[2*n], phones[2*n+1], n))
	}
	answered, forms := len(talks), 0
	step := func(what string) {
		t.Helper()
		for _, c := range talks {
			c.goesOn(10 * time.Second)
		}
		for n := 4; n < 6; n++ { // and new ones come and go
			c := p.connect(phones[2*n], phones[2*n+1], n)
			answered++
			c.hold(c.b, c.a, c.bm, c.am)
			c.bye(c.a, c.b)
		}
		if calls, registrations := p.load(p.serving()); registrations != len(phones) || calls < len(talks) {
			t.Errorf("%s: %d calls and %d registrations", what, calls, registrations)
		}
		t.Log(what)
	}
	step("all of the newest version")
	for _, path := range []string{old, latest} {
		p.exchange("w", path)
		for range 2 {
			serves := p.serving()
			p.exchange(other(serves), path)
			step(fmt.Sprintf("%s exchanged while %s serves", other(serves), serves))
			forms += strings.Count(p.nodes[serves].out.String(), "records written again")
			p.failover(serves)
			p.eventually(10*time.Second, "the exchanged node serves", func() bool { return p.has(other(serves), virtual) })
			p.eventually(60*time.Second, "whole again", p.whole)
			step(other(serves) + " serves")
		}
	}
	if forms < 2 { // when the first older node came, and when the last one had gone
		t.Errorf("records were written again %d times", forms)
	}
	for n, c := range talks {
		if n%2 == 0 {
			c.hold(c.a, c.b, c.am, c.bm)
			c.bye(c.b, c.a)
		} else {
			c.hold(c.b, c.a, c.bm, c.am)
			c.bye(c.a, c.b)
		}
	}
	p.eventually(10*time.Second, "no call left", func() bool { calls, _ := p.load(p.serving()); return calls == 0 })
	p.agree(answered)
}
