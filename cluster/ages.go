package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How old is a record that is read from the store? Its time stamp is by the clock of the node that led the stream when it was written, and
// the lead moves: the stamps of one stream are by several clocks, and none says by which. So a stamp is not believed alone. Each member
// notes again and again, by a clock that nobody sets, which record of a bucket is the newest, and a member that starts asks the others for
// their notes before it reads. What the stamp says then counts as far as it fits between two notes: where all clocks are right it always
// does, and where one is wrong a record is as old as the notes allow, which is right to two seconds, or to a fiftieth of its age.
//
// What was written before anybody who runs now had begun has a stamp alone. So has what a single node reads, and one of two without a
// witness: each of the two has a store of its own, with stamps by its own clock and numbers that the other one does not know.

const (
	sightEvery  = 2 * time.Second
	sightWithin = 500 * time.Millisecond // an answer about a stream that takes longer is not waited for
	// sightingsKept bounds the notes of a bucket: two days of one that is written all the time.
	sightingsKept = 1024
	// agesWithin is how long the others' notes may take. They are asked for again after agesAgain, and then each time after twice as long:
	// a member that has just started is connected to the others some ten or some hundred milliseconds later.
	agesWithin = 100 * time.Millisecond
	agesAgain  = 10 * time.Millisecond
	// agesPatience is how long the first who reads waits for them. Where another member runs at all, they come; where none does, the stamps
	// must do.
	agesPatience = time.Second
	agesTopic    = "ages"
)

// sighting says when a record was the newest of its bucket.
type sighting struct {
	seq   uint64
	first time.Duration // BootTime when it was there already, at the latest
	last  time.Duration // BootTime when nothing newer was there yet, at the earliest
}

// sightings are those of one bucket, by growing sequence. Its methods may be called from any goroutine.
type sightings struct {
	mu   sync.Mutex                 // for who changes it
	all  atomic.Pointer[[]sighting] // it is read for every record: what is there already is never changed in place
	back int                        // how often in a row the newest has been an older one
}

func (s *sightings) get() []sighting {
	if p := s.all.Load(); p != nil {
		return *p
	}
	return nil
}

// renumbered is how often in a row the newest record must have a lower number than before until the numbers have begun anew: a leader that
// has just been deposed may answer once more.
const renumbered = 3

// see notes that a record was the newest at some moment between two. Sequence 0 is that of an empty bucket.
func (s *sightings) see(seq uint64, from, to time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, all := sighting{seq, to, from}, s.get()
	if n := len(all); n > 0 && seq < all[n-1].seq {
		if s.back++; s.back < renumbered {
			return
		}
		all = nil
	}
	s.back = 0
	if n := len(all); n > 0 && seq == all[n-1].seq {
		all = slices.Clone(all)
		all[n-1].last = from
	} else {
		all = thin(append(all, x), to)
	}
	s.all.Store(&all)
}

// inherit adds what another member has noted.
func (s *sightings) inherit(theirs []sighting, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := thin(merge(s.get(), theirs), now)
	s.all.Store(&all)
}

// merge puts two rows of notes into one.
func merge(a, b []sighting) []sighting {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y sighting) int { return cmp.Compare(x.seq, y.seq) })
	merged := all[:0]
	for _, x := range all {
		if n := len(merged); n > 0 && merged[n-1].seq == x.seq {
			merged[n-1].first, merged[n-1].last = min(merged[n-1].first, x.first), max(merged[n-1].last, x.last)
			continue
		}
		merged = append(merged, x)
	}
	return merged
}

// thin drops notes when there are too many: those without which what was written around them is still known to a fiftieth of its age,
// and the oldest if more than three quarters are left, so that there is room for a while.
func thin(all []sighting, now time.Duration) []sighting {
	if len(all) <= sightingsKept {
		return all
	}
	kept := slices.Clone(all[:1])
	for i := 1; i < len(all)-1; i++ {
		if x := all[i]; all[i+1].first-kept[len(kept)-1].last > (now-x.last)/50 {
			kept = append(kept, x)
		}
	}
	kept = append(kept, all[len(all)-1])
	return kept[max(0, len(kept)-sightingsKept*3/4):]
}

// age is how long ago a record was written, if it was as long ago as its stamp says, or as near to that as the notes allow.
func (s *sightings) age(seq uint64, byStamp, now time.Duration) time.Duration {
	all := s.get()
	i, _ := slices.BinarySearchFunc(all, seq, func(x sighting, seq uint64) int { return cmp.Compare(x.seq, seq) })
	if i < len(all) {
		byStamp = max(byStamp, now-all[i].first)
	}
	if i > 0 {
		byStamp = min(byStamp, now-all[i-1].last)
	}
	return max(byStamp, 0)
}

// ageOf is the age of a record that is read from the store, at a BootTime that is now.
func (e *Engine) ageOf(b *bucket, r Record, now time.Duration) time.Duration {
	return b.sightings.age(r.Seq, e.cfg.now().Sub(r.Time), now)
}

// ages asks the others for their notes, and makes notes of its own until ctx ends.
func (e *Engine) ages(ctx context.Context) {
	tick := time.NewTicker(sightEvery)
	defer tick.Stop()
	pause := agesAgain
	again := time.NewTimer(pause) // until somebody has answered, since reading begins soon
	defer again.Stop()
	left := e.others()
	for known := false; ; {
		if len(left) > 0 {
			var heard bool
			if left, heard = e.askAges(ctx, left); (heard || len(left) == 0) && !known {
				known = true
				close(e.agesKnown)
				again.Stop()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			pause = min(2*pause, sightEvery)
			again.Reset(pause)
		case <-tick.C:
			for b := range e.compared {
				e.sight(ctx, b)
			}
		}
	}
}

// sight notes which record of a bucket is the newest, as the leader of its stream knows it.
func (e *Engine) sight(ctx context.Context, b *bucket) {
	ctx, cancel := context.WithTimeout(ctx, sightWithin)
	defer cancel()
	from := BootTime()
	s, err := e.manage.Stream(ctx, b.stream)
	if err != nil {
		return
	}
	// Where nobody leads, a replica answers that may lag.
	if info := s.CachedInfo(); info.Cluster == nil || info.Cluster.Leader != "" {
		b.sightings.see(info.State.LastSeq, from, BootTime())
	}
}

// noted is a sighting for another member: its sequence, and how many milliseconds ago first and last were.
type noted [3]uint64

// tellAges answers a member that asks.
func (e *Engine) tellAges([]byte) []byte {
	all, now := map[string][]noted{}, BootTime()
	for b := range e.compared {
		for _, x := range b.sightings.get() {
			all[b.Name] = append(all[b.Name], noted{x.seq, ago(now, x.first), ago(now, x.last)})
		}
	}
	text, _ := json.Marshal(all)
	return text
}

func ago(now, at time.Duration) uint64 { return uint64(max(now-at, 0) / time.Millisecond) }

// askAges asks members for their notes. It returns those that have not answered, and whether one had some.
func (e *Engine) askAges(ctx context.Context, members []string) (left []string, some bool) {
	ctx, cancel := context.WithTimeout(ctx, agesWithin)
	defer cancel()
	answered, had := make([]bool, len(members)), make([]bool, len(members))
	var asking sync.WaitGroup
	for i, name := range members {
		asking.Go(func() {
			from := BootTime()
			text, err := e.Ask(ctx, name, agesTopic, nil)
			var all map[string][]noted
			if err != nil || json.Unmarshal(text, &all) != nil {
				return
			}
			answered[i], had[i] = true, e.hearAges(all, from, BootTime())
		})
	}
	asking.Wait()
	for i, name := range members {
		if !answered[i] {
			left = append(left, name)
		}
	}
	return left, slices.Contains(had, true)
}

// hearAges takes over what a member has noted, who was asked at from and had answered at to.
func (e *Engine) hearAges(all map[string][]noted, from, to time.Duration) (some bool) {
	for b := range e.compared {
		var theirs []sighting
		for _, x := range all[b.Name] {
			theirs = append(theirs, sighting{x[0], to - time.Duration(x[1])*time.Millisecond, from - time.Duration(x[2]+1)*time.Millisecond})
		}
		if len(theirs) > 0 {
			some = true
			b.sightings.inherit(theirs, to)
		}
	}
	return some
}

// awaitAges waits until the others' notes are here. Reading goes on without them, but not soon: a record that is read with a wrong clock's age
// ends too early, or too late.
func (e *Engine) awaitAges(ctx context.Context) {
	if e.agesKnown == nil {
		return
	}
	e.agesAwaited.Do(func() { e.agesUntil = time.Now().Add(agesPatience) })
	limit := time.NewTimer(time.Until(e.agesUntil))
	defer limit.Stop()
	select {
	case <-e.agesKnown:
	case <-limit.C:
	case <-ctx.Done():
	}
}
