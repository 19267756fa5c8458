package digest

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// sources remembers where somebody proved himself lately, in 1 MiB whatever their number. Two sources that meet in a
// slot forget each other; the hash is keyed, so nobody can choose whom to meet.
type sources struct {
	seed  maphash.Seed
	slots [sourceSlots]atomic.Uint64 // fingerprint of the source, and seconds since the Authority's start
}

const (
	sourceSlots = 1 << 17
	// sourceMemory is longer than a registration, so that a phone which refreshes is always known.
	sourceMemory = 2 * time.Hour
)

func (s *sources) slot(source netip.Addr) (slot *atomic.Uint64, print uint64) {
	h := maphash.Comparable(s.seed, sourceOf(source))
	return &s.slots[h%sourceSlots], h &^ (1<<32 - 1)
}

func (s *sources) note(source netip.Addr, since time.Duration) {
	slot, print := s.slot(source)
	slot.Store(print | uint64(since/time.Second) + 1)
}

func (s *sources) known(source netip.Addr, since time.Duration) bool {
	slot, print := s.slot(source)
	v := slot.Load()
	at := time.Duration(v&(1<<32-1)) * time.Second
	return at != 0 && v&^(1<<32-1) == print && since-at < sourceMemory
}

// Known tells whether somebody proved himself from that address within the last two hours. It is quick enough to be
// asked for every message.
func (a *Authority) Known(source netip.Addr) bool {
	return a.sources.known(source, time.Since(a.start))
}
