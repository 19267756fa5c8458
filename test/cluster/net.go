// Package cluster runs two switches and a witness in network namespaces of their own, joined by a bridge, with phones in a
// fourth, and breaks them: it kills and freezes processes, cuts cables and drops packets, and looks who serves and what calls
// and registrations have lost.
package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

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
