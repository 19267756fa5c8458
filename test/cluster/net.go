// Package cluster runs two switches and a witness in network namespaces of their own, joined by a bridge, with phones in a
// fourth, and breaks them: it kills and freezes processes, cuts cables and drops packets, and looks who serves and what calls
// and registrations have lost.
package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/test/binary"
)

// rigs numbers the rigs of this process, for names that nobody else has.
var rigs atomic.Uint32

// namespace is one network namespace with a cable into the bridge.
type namespace struct {
	*binary.Namespace
	address, cable string
}

// wires makes the bridge and the namespaces, and takes them away at the end of the test. Everything lies in namespaces, the
// bridge too: the machine itself sees nothing of it.
type wires struct {
	t      testing.TB
	bridge string
	nodes  map[string]*namespace
}

// ip runs a command of iproute2; it must work.
func (w *wires) ip(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// newWires leaves the test out where this user may not make namespaces.
func newWires(t testing.TB, addresses map[string]string) *wires {
	t.Helper()
	binary.Need(t, "nft", "nftables")
	id := fmt.Sprintf("td%d-%d", os.Getpid(), rigs.Add(1))
	w := &wires{t: t, bridge: id + "-bridge", nodes: map[string]*namespace{}}
	binary.NewNamespace(t, w.bridge)
	w.ip("-n", w.bridge, "link", "add", "br0", "type", "bridge")
	w.ip("-n", w.bridge, "link", "set", "br0", "up")
	for name, address := range addresses {
		n := &namespace{Namespace: binary.NewNamespace(t, id+"-"+name), address: address, cable: "to-" + name}
		w.ip("-n", w.bridge, "link", "add", n.cable, "type", "veth", "peer", "name", "eth0", "netns", n.Name)
		w.ip("-n", w.bridge, "link", "set", n.cable, "master", "br0", "up")
		w.ip("-n", n.Name, "addr", "add", address+"/24", "dev", "eth0")
		w.ip("-n", n.Name, "link", "set", "eth0", "up")
		w.nodes[name] = n
	}
	return w
}

// cut pulls the cable of a node out of the bridge; plug puts it back.
func (w *wires) cut(name string) { w.ip("-n", w.bridge, "link", "set", w.nodes[name].cable, "down") }
func (w *wires) plug(name string) {
	w.ip("-n", w.bridge, "link", "set", w.nodes[name].cable, "up")
}

// drop loses every packet of a node, both ways, while its cable stays in; pass ends it.
func (w *wires) drop(name string) {
	w.nft(name, "add table inet break { chain in { type filter hook input priority 0; iifname != lo drop; }; chain out { type filter hook output priority 0; oifname != lo drop; }; }")
}

func (w *wires) pass(name string) { w.nft(name, "delete table inet break") }

// part loses what goes between a node and some others, both ways, while phones reach it; heal ends it.
func (w *wires) part(name string, others ...string) {
	w.lose(name, "chain in { type filter hook input priority 0; ip saddr OTHERS drop; }; "+mute, others)
}

const mute = "chain out { type filter hook output priority 0; ip daddr OTHERS drop; };"

// mute loses what a node sends to some others, while it hears them, and phones hear it; heal ends it.
func (w *wires) mute(name string, others ...string) {
	w.lose(name, mute, others)
}

func (w *wires) heal(name string) { w.nft(name, "delete table inet lose") }

func (w *wires) lose(name, chains string, others []string) {
	w.t.Helper()
	var addresses []string
	for _, other := range others {
		addresses = append(addresses, w.nodes[other].address)
	}
	w.nft(name, "add table inet lose { "+strings.ReplaceAll(chains, "OTHERS", "{ "+strings.Join(addresses, ", ")+" }")+" }")
}

// reached fails where phones do not reach a node by its own address.
func (w *wires) reached(name string) {
	w.t.Helper()
	w.inside("phones", func() {
		c, err := net.DialTimeout("tcp", w.nodes[name].address+":7300", 5*time.Second)
		if err != nil {
			w.t.Errorf("phones do not reach %s: %v", name, err)
			return
		}
		_ = c.Close()
	})
}

func (w *wires) nft(name, rules string) {
	w.t.Helper()
	if out, err := exec.Command("ip", "netns", "exec", w.nodes[name].Name, "nft", rules).CombinedOutput(); err != nil {
		w.t.Fatalf("nft %s: %v: %s", rules, err, out)
	}
}

// has tells whether a node has an address at this moment.
func (w *wires) has(name, address string) bool {
	out, err := exec.Command("ip", "-n", w.nodes[name].Name, "-o", "addr", "show", "dev", "eth0").CombinedOutput()
	return err == nil && strings.Contains(string(out), " "+address+"/")
}

// inside runs f on a thread in a node's namespace (binary.Namespace.Inside).
func (w *wires) inside(name string, f func()) {
	w.t.Helper()
	if err := w.nodes[name].Inside(f); err != nil {
		w.t.Fatal(err)
	}
}
