package transport

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func TestBudgetOfOneSource(t *testing.T) {
	b := newBudget(Budget{Rate: 10, Burst: 5})
	at := b.start
	admitted := func(a netip.Addr, n int) (ok int) {
		for range n {
			if b.admit(a, at) {
				ok++
			}
		}
		return ok
	}
	six := netip.MustParseAddr("2001:db8::1")
	if got := admitted(addr4(1), 100); got != 5 {
		t.Errorf("burst: %d, want 5", got)
	}
	if got := admitted(addr4(2), 1); got != 1 {
		t.Error("another source pays for the first")
	}
	if got := admitted(six, 100) + admitted(netip.MustParseAddr("2001:db8::2"), 100); got != 5 {
		t.Errorf("a /64: %d, want 5", got)
	}
	if got := admitted(netip.MustParseAddr("::ffff:0.0.0.1"), 1); got != 0 {
		t.Error("a mapped address is a source of its own")
	}
	at = at.Add(time.Second)
	if got := admitted(addr4(1), 100); got != 5 {
		t.Errorf("a second later: %d, want 5", got)
	}
	at = at.Add(200 * time.Millisecond)
	if got := admitted(addr4(1), 100); got != 2 {
		t.Errorf("200 ms later: %d, want 2", got)
	}
}

func TestBudgetOfAllStrangers(t *testing.T) {
	b := newBudget(Budget{Total: 1000})
	ok := 0
	for ms := range 1000 {
		for i := range 50 { // 50,000 a second, each from an address of its own
			if b.admit(addr4(uint32(ms*50+i)), b.start.Add(time.Duration(ms)*time.Millisecond)) {
				ok++
			}
		}
	}
	if ok < 1200 || ok > 1260 {
		t.Errorf("%d of 50000 in the first second, want 1000 and a quarter of a second's burst", ok)
	}
}

func TestBudgetOff(t *testing.T) {
	if newBudget(Budget{}) != nil {
		t.Error("the zero Budget measures")
	}
}

func TestBudgetAllocations(t *testing.T) {
	b := newBudget(Budget{Rate: 10, Total: 10})
	a, now := netip.MustParseAddr("2001:db8::1"), time.Now()
	if n := testing.AllocsPerRun(1000, func() { b.admit(a, now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
