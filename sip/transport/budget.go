package transport

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// budgetSlots is the size of the strangers' table: 256 KiB whatever the number of sources. Sources whose
// hashes meet share a slot; the hash is keyed, so nobody can choose whom to share with.
const budgetSlots = 1 << 15

// budget measures strangers. Each slot is the theoretical arrival time of GCRA (ITU-T I.371 annex A), in
// nanoseconds since start: a message may come up to burst earlier than that.
type budget struct {
	start           time.Time
	seed            maphash.Seed
	interval, burst int64 // ns a message of one source; interval 0: not limited
	allInterval     int64 // ns a message of all strangers; 0: not limited
	all             atomic.Int64
	slots           []atomic.Int64
}

// newBudget returns nil for the zero Budget.
func newBudget(b Budget) *budget {
	if b.Rate <= 0 && b.Total <= 0 {
		return nil
	}
	out := &budget{start: time.Now(), seed: maphash.MakeSeed()}
	if b.Rate > 0 {
		out.interval = max(1, int64(float64(time.Second)/b.Rate))
		burst := b.Burst
		if burst <= 0 {
			burst = max(1, int(2*b.Rate))
		}
		out.burst = int64(burst-1) * out.interval
		out.slots = make([]atomic.Int64, budgetSlots)
	}
	if b.Total > 0 {
		out.allInterval = max(1, int64(float64(time.Second)/b.Total))
	}
	return out
}

// admit tells whether source may be heard now.
func (b *budget) admit(source netip.Addr, now time.Time) bool {
	at := int64(now.Sub(b.start))
	if b.interval > 0 {
		key := sourceKey(source).As16()
		slot := &b.slots[maphash.Bytes(b.seed, key[:])%budgetSlots]
		if !spend(slot, at, b.interval, b.burst) {
			return false
		}
	}
	// All strangers together may burst for a quarter of a second: more would be a queue somewhere else.
	return b.allInterval == 0 || spend(&b.all, at, b.allInterval, int64(time.Second/4))
}

func spend(slot *atomic.Int64, at, interval, burst int64) bool {
	for {
		due := slot.Load()
		if due-at > burst {
			return false
		}
		if slot.CompareAndSwap(due, max(due, at)+interval) {
			return true
		}
	}
}

// sourceKey is what counts as one source: an IPv4 address, or the /64 that an IPv6 host can choose from.
func sourceKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}
