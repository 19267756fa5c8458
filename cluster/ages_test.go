package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stamp counts as far as it fits between two notes, whoever's clock it is by.
func TestAgeFitsBetweenTheNotes(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Duration { return time.Duration(s) * time.Second }
	var s sightings
	if got := s.age(7, -time.Hour, at(1000)); got != 0 {
		t.Errorf("without a note %v", got)
	}
	if got := s.age(7, time.Hour, at(1000)); got != time.Hour {
		t.Errorf("without a note %v", got)
	}
	s.see(0, at(100), at(101)) // an empty bucket
	s.see(5, at(200), at(201))
	s.see(5, at(300), at(301)) // and nothing new meanwhile
	s.see(9, at(310), at(311))
	for _, c := range []struct {
		seq           uint64
		stamp, expect time.Duration
	}{
		{3, at(850), at(850)}, // all clocks are right: between 799 and 900
		{3, at(850 + 3600), at(900)},
		{3, at(850 - 3600), at(799)},
		{5, at(850 + 3600), at(900)},
		{5, at(850 - 3600), at(799)},
		{6, at(695), at(695)}, // between 689 and 700
		{6, at(4000), at(700)},
		{6, 0, at(689)},
		{9, 0, at(689)},
		{10, at(10), at(10)}, // not seen yet: less than 690
		{10, at(4000), at(690)},
		{10, at(-4000), 0},
	} {
		if got := s.age(c.seq, c.stamp, at(1000)); got != c.expect {
			t.Errorf("record %d, by its stamp %v old: %v, not %v", c.seq, c.stamp, got, c.expect)
		}
	}
}

// Who has been deposed may name an older record once more; a stream that has been made anew counts from 1.
func TestSightingsOfAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	var s sightings
	s.see(500, time.Second, time.Second)
	s.see(490, 2*time.Second, 2*time.Second)
	s.see(501, 3*time.Second, 3*time.Second)
	if all := s.get(); len(all) != 2 || all[1].seq != 501 {
		t.Errorf("after an answer that was late: %v", all)
	}
	for n := range uint64(renumbered) {
		s.see(1+n, 4*time.Second, 4*time.Second)
	}
	if all := s.get(); len(all) != 1 || all[0].seq != renumbered {
		t.Errorf("of a stream that has been made anew: %v", all)
	}
}

// Days of a bucket that is written all the time: the notes are bounded, and any age is right to two seconds or a fiftieth.
func TestSightingsAreBounded(t *testing.T) {
	t.Parallel()
	var s sightings
	end := time.Duration(0)
	for n := range uint64(2 * 24 * 1800) {
		end = time.Duration(n) * sightEvery
		s.see(n+1, end, end)
	}
	if n := len(s.get()); n > sightingsKept {
		t.Errorf("%d notes", n)
	}
	for _, want := range []time.Duration{0, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 8 * time.Hour, 24 * time.Hour} {
		seq := uint64((end-want)/sightEvery) + 1
		for _, skew := range []time.Duration{-100 * time.Hour, 100 * time.Hour} {
			if got := s.age(seq, want+skew, end); (got - want).Abs() > sightEvery+want/50 {
				t.Errorf("%v old: %v", want, got)
			}
		}
	}
}

// Who reads waits for the others' notes as long as they may need to come, once for all buckets.
func TestNotesAreAwaited(t *testing.T) {
	t.Parallel()
	for come, waits := range map[time.Duration]time.Duration{
		400 * time.Millisecond: 400 * time.Millisecond, // the routes to the others are being made
		time.Hour:              agesPatience,           // nobody is there
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &Engine{agesKnown: make(chan struct{})}
			time.AfterFunc(come, func() { close(e.agesKnown) })
			began := time.Now()
			for range 5 {
				e.awaitAges(t.Context())
			}
			if waited := time.Since(began); waited != waits {
				t.Errorf("notes that come after %v are waited for %v, not %v", come, waited, waits)
			}
			<-e.agesKnown
		})
	}
}

// A member whose clock is an hour wrong when it starts reads records as old as they are, also those that were there before it was; what it
// has read with its notes it tells the next one.
func TestAgesWithAWrongClock(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	wrong := func(name string, by time.Duration) {
		cfg := p.cfg[name]
		cfg.now = func() time.Time { return time.Now().Add(by) }
		p.cfg[name] = cfg
	}
	for _, name := range p.names { // the store wants all of them to begin
		p.start(name)
	}
	defer p.endAll()
	noted := func(least uint64) func() bool {
		return func() bool {
			for _, name := range []string{"a", "w"} {
				all := p.nodes[name].engine.buckets["reg"].sightings.get()
				if len(all) == 0 || all[len(all)-1].seq < least {
					return false
				}
			}
			return true
		}
	}
	p.eventually("looked at", noted(0))
	p.end("b")
	p.eventually("a serves", func() bool { return p.role("a") == "active" })
	written := time.Now()
	for n := range 20 {
		p.eventually("written", func() bool {
			err := p.nodes["a"].engine.PutWait(context.Background(), Write{Bucket: "reg", Key: fmt.Sprint(n)})
			return err == nil || errors.Is(err, ErrDegraded) // which the store takes later
		})
	}
	p.eventually("noted by both", noted(20))
	ages := func(name string) {
		e := p.nodes[name].engine
		p.eventually("told", func() bool {
			select {
			case <-e.agesKnown:
				return true
			default:
				return false
			}
		})
		records, began := 0, time.Now()
		var f *Follower
		p.eventually("read", func() bool { // the store may be electing
			records = 0
			var err error
			f, err = e.Follow(context.Background(), "reg", func(r Record) {
				records++
				// To seconds, where the machine has time for its notes.
				if real := time.Since(written); (r.Age - real).Abs() > time.Minute {
					t.Errorf("node %s: record %s is %v old, and says %v", name, r.Key, real, r.Age)
				}
			})
			return err == nil
		})
		f.Close()
		if records != 20 {
			t.Errorf("node %s has read %d records in %v", name, records, time.Since(began))
		}
	}
	for by, how := range map[time.Duration]string{time.Hour: "1h0m0s ahead of", -time.Hour: "1h0m0s behind"} {
		wrong("b", by)
		p.start("b")
		p.eventually("b stands by", func() bool { return p.role("b") == "standby" })
		ages("b")
		p.eventually("both say whose clock is wrong", func() bool {
			a, b := p.nodes["a"].engine.Status(), p.nodes["b"].engine.Status()
			return strings.Contains(strings.Join(a.Problems, "\n"), "the clock of node b is "+how+" this one's") &&
				strings.Contains(strings.Join(b.Problems, "\n"), "the clock of this node is "+how+" those of nodes a and w")
		})
		p.end("b")
	}
	p.start("b")
	p.eventually("b stands by, with notes", func() bool {
		return p.role("b") == "standby" && len(p.nodes["b"].engine.buckets["reg"].sightings.get()) > 0
	})
	p.end("w")
	p.end("a")
	wrong("a", time.Hour)
	p.start("a")
	p.eventually("a stands by", func() bool { return p.role("a") == "standby" })
	ages("a")
}
