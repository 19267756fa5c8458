package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Agreement is whether the standby holds what this node, which serves, holds: by checksums of each bucket, since what the store says of its
// replicas is not what the rooms have been given.
type Agreement struct {
	Node    string   `json:"node"` // that stands by
	Holding          // of all buckets that are compared
	Differs []string `json:"differs,omitempty"` // buckets that have been different for a while
}

// differsAfter is how long a bucket may be different: a standby that has been behind for that long is none.
const differsAfter = 5 * time.Second

// agreement watches what the standby says. It belongs to the goroutine that hears the members, but for what is under its lock.
type agreement struct {
	mu    sync.Mutex
	last  Agreement            // Node is empty: nothing to say
	heard time.Time            // the standby's word that it is of
	since map[string]time.Time // by bucket: since when it is different
	told  bool                 // of a difference
}

// compared are the buckets whose records stay until they are deleted. What goes by itself goes on each node at a moment of its own.
func (e *Engine) compared(yield func(*bucket) bool) {
	for _, b := range e.cfg.Buckets {
		if b.MaxAge == 0 && !yield(e.buckets[b.Name]) {
			return
		}
	}
}

// holds is what this node says that it holds; nil before it has read everything.
func (e *Engine) holds() map[string]Holding {
	all := map[string]Holding{}
	for b := range e.compared {
		h, whole := b.holding.get()
		if !whole {
			return nil
		}
		all[b.Name] = h
	}
	return all
}

// hear compares what a member says with what this node holds, if this one serves and that one stands by.
func (a *agreement) hear(e *Engine, p Peer, now time.Time) {
	own := e.holds()
	switch {
	case e.lease.Epoch() == 0 || own == nil:
		a.forget()
		return
	case p.Role != "standby":
		return
	case len(p.Holds) == 0 || e.writer.waits() > flushAtOnce: // it reads, or the store is away
		a.forget()
		return
	}
	x := Agreement{Node: p.Node}
	a.mu.Lock()
	if a.since == nil {
		a.since = map[string]time.Time{}
	}
	for b := range e.compared {
		h := p.Holds[b.Name]
		x.Records += h.Records
		x.Sum += h.Sum
		switch since, known := a.since[b.Name]; {
		case b.holding.had(h, now):
			delete(a.since, b.Name)
		case !known:
			a.since[b.Name] = now
		case now.Sub(since) >= differsAfter:
			x.Differs = append(x.Differs, b.Name)
		}
	}
	if len(a.since) > 0 && len(x.Differs) == 0 { // perhaps it is only behind
		x = a.last
	}
	a.last, a.heard = x, now
	tell := len(x.Differs) > 0 != a.told
	a.told = len(x.Differs) > 0
	a.mu.Unlock()
	switch {
	case tell && len(x.Differs) > 0:
		for _, name := range x.Differs {
			e.log.Warn("bucket differs", "bucket", name, "here", own[name], "at the standby", p.Holds[name])
		}
		e.tell(Event{Name: "standby differs", Alarm: true, Detail: x.problem()})
	case tell:
		e.tell(Event{Name: "standby agrees", Detail: x.String()})
	}
}

// forget says that there is nothing to compare.
func (a *agreement) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.told = Agreement{}, false
	clear(a.since)
}

// get is what was found last; nothing where the standby has not been heard since.
func (a *agreement) get(now time.Time) Agreement {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.heard) > heardWithin {
		return Agreement{}
	}
	x := a.last
	x.Differs = slices.Clone(x.Differs)
	return x
}

// behind are the buckets of which the standby held something else when it was last heard, for whatever time.
func (a *agreement) behind(now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.heard) > heardWithin {
		return nil
	}
	return slices.Sorted(maps.Keys(a.since))
}

// String is the finding as an operator reads it.
func (x Agreement) String() string {
	if len(x.Differs) > 0 {
		return x.problem()
	}
	return fmt.Sprintf("standby %s holds the same %d records (checksum %016x)", x.Node, x.Records, x.Sum)
}

func (x Agreement) problem() string {
	return fmt.Sprintf("standby %s does not hold the same records of %s: what differs is written anew", x.Node, strings.Join(x.Differs, ", "))
}
