package cluster

import (
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Holding is what a node holds of a bucket: how many records, and a checksum of their keys and values that does not depend on the order in
// which they came. Two nodes with the same one hold the same.
type Holding struct {
	Records int    `json:"records"`
	Sum     uint64 `json:"sum"`
}

// sumOf is the checksum of one record. It is of the value as the room wrote it, so it also proves that it can be unsealed.
func sumOf(key string, version uint8, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(key)
	_, _ = d.Write([]byte{0, version})
	_, _ = d.Write(value)
	return d.Sum64()
}

// recently is how long a node may take to follow, and to say what it holds: that long a checksum that has been overtaken counts.
const recently = 3 * time.Second

// mostMarks is how many former checksums are known: those of three seconds with five thousand writes in each.
const mostMarks = 1 << 14

// holding sums up what this node holds of a bucket. Who stands by counts what its rooms have been given, the node that serves adds what it has
// written, when the store has taken it; both come in the order of the stream, so what the one says is what the other had a moment ago.
type holding struct {
	mu      sync.Mutex
	whole   bool              // it began with everything that the store had
	records map[string]uint64 // checksum by key; bounded by the records of the store
	now     Holding
	marks   []mark // a ring of former ones
	next    int    // place of the next one
}

// mark is what was held until a moment.
type mark struct {
	Holding
	until time.Time
}

// put counts a record; deleted ones have no sum. The key is kept.
func (h *holding) put(key string, sum uint64, deleted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.records[key]
	if !known && deleted || known && !deleted && old == sum {
		return
	}
	if h.records == nil {
		h.records = map[string]uint64{}
	}
	h.mark()
	if known {
		h.now.Records--
		h.now.Sum -= old
		delete(h.records, key)
	}
	if !deleted {
		h.now.Records++
		h.now.Sum += sum
		h.records[key] = sum
	}
}

// mark remembers what has been held until now. While everything is read for the first time, nobody asks for it.
func (h *holding) mark() {
	if !h.whole {
		return
	}
	now := time.Now()
	if len(h.marks) < mostMarks {
		h.marks = append(h.marks, mark{h.now, now})
	} else {
		h.marks[h.next] = mark{h.now, now}
	}
	h.next = (h.next + 1) % mostMarks
}

// complete says that everything has been read.
func (h *holding) complete() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.whole = true
}

// holdingParts is in how many parts two members compare what they hold, when it is not the same.
const holdingParts = 256

func partOf(key string) int { return int(xxhash.Sum64String(key) % holdingParts) }

// parts are the checksums of the parts.
func (h *holding) parts() (sums [holdingParts]uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, sum := range h.records {
		sums[partOf(key)] += sum
	}
	return sums
}

// part is what is held of a part.
func (h *holding) part(n int) map[string]uint64 {
	all := map[string]uint64{}
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, sum := range h.records {
		if partOf(key) == n {
			all[key] = sum
		}
	}
	return all
}

// has tells whether this is held of a key; a sum counts only where the key is not deleted.
func (h *holding) has(key string, sum uint64, deleted bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, known := h.records[key]
	return known != deleted && (deleted || held == sum)
}

// get gives what is held; false where not everything has been read.
func (h *holding) get() (Holding, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now, h.whole
}

// had tells whether something is held now or was held a moment ago.
func (h *holding) had(x Holding, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == x {
		return true
	}
	for n := range len(h.marks) {
		m := &h.marks[(h.next-1-n+mostMarks)%mostMarks]
		if now.Sub(m.until) > recently {
			return false
		}
		if m.Holding == x {
			return true
		}
	}
	return false
}
