package binary

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace is a network of its own on this machine, with its loopback device up. The machine itself sees nothing of it.
type Namespace struct {
	t    testing.TB
	Name string // as `ip netns` knows it
}

// NewNamespace makes one and takes it away at the end of the test. It leaves the test out where this user may not make any.
func NewNamespace(t testing.TB, name string) *Namespace {
	t.Helper()
	Need(t, "ip", "iproute2")
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		if os.Getenv("TANDEM_PEERS") == "required" && os.Getuid() == 0 {
			t.Fatalf("no network namespace: %v: %s", err, out)
		}
		t.Skipf("this user may not make network namespaces (run the test as root): %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	n := &Namespace{t: t, Name: name}
	n.IP("link", "set", "lo", "up")
	return n
}

// IP runs a command of iproute2 in the namespace; it must work.
func (n *Namespace) IP(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", append([]string{"-n", n.Name}, args...)...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: ip %s: %v: %s", n.Name, strings.Join(args, " "), err, out)
	}
}

// Move has a command run in the namespace that has not been started yet. Its process stays the same: ip becomes it.
func (n *Namespace) Move(cmd *exec.Cmd) {
	n.t.Helper()
	ip, err := exec.LookPath("ip")
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Args = append([]string{"ip", "netns", "exec", n.Name, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = ip
}

// Inside runs f on a thread in the namespace: sockets that it opens belong there for good. The thread comes back, since one
// that has started processes must not end: their parent-death signal would kill them.
func (n *Namespace) Inside(f func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer func() { _ = home.Close() }()
	there, err := os.Open("/var/run/netns/" + n.Name)
	if err != nil {
		return err
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err) // this thread must not serve other goroutines
		}
	}()
	f()
	return nil
}

// Dial connects to an address of the namespace: an IP and a port, no name.
func (n *Namespace) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	if no := n.Inside(func() { c, err = new(net.Dialer).DialContext(ctx, network, address) }); no != nil {
		return nil, no
	}
	return c, err
}
