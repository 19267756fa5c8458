package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lan gives each node a second interface, for phones.
func lan(p *Pair) {
	for name := range p.nodes {
		cable := "lan-" + name
		p.ip("-n", p.bridge, "link", "add", cable, "type", "veth", "peer", "name", "lan0", "netns", p.wires.nodes[name].Name)
		p.ip("-n", p.bridge, "link", "set", cable, "master", "br0", "up")
		p.ip("-n", p.wires.nodes[name].Name, "link", "set", "lan0", "up")
		// Both interfaces are in one network: each answers for its own addresses only, or a neighbour would ask for eth0's and be
		// told lan0's hardware address, which is dead next.
		p.ip("netns", "exec", p.wires.nodes[name].Name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore")
	}
}

// smallDisks keeps the state of each node on a disk of its own.
func smallDisks(p *Pair) {
	for name, n := range p.nodes {
		dir := filepath.Join(n.dir, "state")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			p.t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
			p.t.Skipf("no small disk for node %s: %v", name, err)
		}
		p.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	}
}

// A node whose interface is dead, or whose disk is full, hands over while it still can, and its calls go on. It does not come back by
// itself.
func TestHealthHandsOver(t *testing.T) {
	t.Parallel()
	text := strings.Replace(twinConfiguration(`witness = "none"`), `interface = "eth0"`, `interface = "lan0"`, 1)
	p := newRig(t, two, text, smallDisks, lan)
	p.eventually(30*time.Second, "a serves, b holds everything", p.twin("a"))
	phones := p.register(4)
	talks := p.talks(t, phones)

	full := filepath.Join(p.dir, "a", "state", "full")
	fill(t, full)
	p.eventually(60*time.Second, "b serves, since a's disk is full", p.serves("b"))
	p.carryOn(t, talks, phones)
	if out := p.nodes["a"].out.String(); !strings.Contains(out, "handing over for health") || !strings.Contains(out, "disk of the state") {
		t.Errorf("a does not say why:\n%s", out)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	p.eventually(30*time.Second, "a holds everything again, without having been started", p.twin("b"))

	talks = p.talks(t, phones)
	began := time.Now()
	p.ip("-n", p.bridge, "link", "set", "lan-b", "down")
	p.eventually(60*time.Second, "a serves, since b's interface is dead", p.serves("a"))
	t.Logf("a serves %v after b's interface died", time.Since(began).Round(10*time.Millisecond))
	p.carryOn(t, talks, phones)
	p.ip("-n", p.bridge, "link", "set", "lan-b", "up")
	p.eventually(30*time.Second, "b holds everything again", p.twin("a"))
	p.always(5*time.Second, "served by a", p.serves("a"))
	p.agree()
}

// fill writes until nothing fits any more.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
}
