package cluster

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The lease is gone for a moment just when the neighbours are to be told of the address: they are told all the same, and no more once it is
// another node's.
func TestAnnouncedAfterALapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		e := &Engine{cfg: Config{Addresses: []Address{{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Interface: "eth0"}}}}
		a := &addresses{e: e, tell: func(Address) error { told.Add(1); return nil }, here: true, turn: 1}
		a.working.Go(func() { a.announce(1) })
		time.Sleep(2 * time.Second)
		if n := told.Load(); n != 0 {
			t.Errorf("told %d times without the lease", n)
		}
		e.lease.grant(forever)
		a.working.Wait()
		if n := told.Load(); int(n) != len(announceAt) {
			t.Errorf("told %d times, want %d", n, len(announceAt))
		}
		e.lease.revoke()
		a.working.Go(func() { a.announce(1) })
		time.Sleep(time.Second)
		a.mu.Lock()
		a.here = false
		a.mu.Unlock()
		e.lease.grant(forever)
		a.working.Wait()
		if n := told.Load(); int(n) != len(announceAt) {
			t.Errorf("told of an address that is not here any more")
		}
	})
}
