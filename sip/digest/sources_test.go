package digest

import (
	"net/netip"
	"testing"
	"time"
)

func TestSourcesAreKnownForAWhile(t *testing.T) {
	a := New(Config{Realm: "r"})
	s := &a.sources
	home, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if s.known(home, time.Hour) {
		t.Fatal("known before it proved itself")
	}
	s.note(home, time.Hour)
	mapped := netip.AddrFrom16(home.As16())
	if !s.known(home, time.Hour) || !s.known(mapped, 2*time.Hour) || s.known(other, time.Hour) {
		t.Fatal("the source that proved itself, and no other, is known")
	}
	if s.known(home, time.Hour+sourceMemory+2*time.Second) {
		t.Fatal("known for ever")
	}
	s.note(netip.MustParseAddr("2001:db8::1"), 0)
	if !s.known(netip.MustParseAddr("2001:db8::ffff"), time.Minute) || s.known(netip.MustParseAddr("2001:db8:0:1::1"), time.Minute) {
		t.Fatal("an IPv6 source is its /64")
	}
	if n := testing.AllocsPerRun(100, func() { _ = a.Known(home) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
