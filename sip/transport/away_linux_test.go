package transport

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The address comes between a datagram that cannot leave and the question why: the datagram leaves.
func TestAddressComesJustNow(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip("link", "set", "lo", "up")
	here := netip.MustParseAddr("192.0.2.77")
	for _, bound := range []string{"192.0.2.77:0", "0.0.0.0:0"} {
		l, err := New(Config{Listen: []Listen{{Name: "a", Proto: UDP, Address: bound}}, Away: true}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := l.Attach(UDP, "a", netip.AddrPortFrom(here, l.testAddr(0).Port()), netip.AddrPortFrom(here, 5060))
		if err := f.Send([]byte("x")); !errors.Is(err, ErrAway) {
			t.Errorf("%s: sent from an address that is not here: %v", bound, err)
		}
		asked := 0
		l.isHere = func(a netip.Addr) bool {
			if asked++; a != here {
				t.Errorf("%s: asked for %v", bound, a)
			}
			ip("addr", "add", here.String()+"/24", "dev", "lo")
			return true
		}
		if err := f.Send([]byte("x")); err != nil || asked != 1 {
			t.Errorf("%s: sent: %v, asked %d times", bound, err, asked)
		}
		ip("addr", "del", here.String()+"/24", "dev", "lo")
		l.Close()
	}
}
