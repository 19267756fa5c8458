package voicemail

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem/media/codec"
)

// fakeIndex is the list that two nodes share, as JSON would carry it, with the replicas that follow it.
type fakeIndex struct {
	all      map[place]Message
	follow   []*Replica
	copied   []string
	waits    func(m Message) // what Copied does
	deposed  bool
	unlisted int // messages that were not put
}

func (x *fakeIndex) Put(m Message) error {
	if x.deposed {
		x.unlisted++
		return ErrElsewhere
	}
	m.Shared = false
	m.Recorded = m.Recorded.Round(0)
	x.all[place{m.Box, m.ID}] = m
	for _, r := range x.follow {
		if err := r.Put(m); err != nil {
			return err
		}
	}
	return nil
}

func (x *fakeIndex) Delete(box, id string) error {
	delete(x.all, place{box, id})
	for _, r := range x.follow {
		r.Delete(box, id)
	}
	return nil
}

func (x *fakeIndex) Copied(m Message) {
	x.copied = append(x.copied, m.ID)
	if x.waits != nil {
		x.waits(m)
	}
}

// stands lets a store stand by: it is told the whole index first.
func (x *fakeIndex) stands(t *testing.T, s *Store, fetch Fetch) *Replica {
	r := NewReplica(s, fetch, quiet)
	for m := range maps.Values(x.all) {
		if err := r.Put(m); err != nil {
			t.Fatal(err)
		}
	}
	r.Settle()
	x.follow = append(x.follow, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// from reads sounds of another store, piece by piece.
func from(s *Store) Fetch {
	return func(_ context.Context, m Message, w io.Writer) error {
		for at := int64(0); ; {
			piece, size, err := s.Read(m.Box, m.ID, at, 500)
			if err != nil {
				return err
			}
			if _, err := w.Write(piece); err != nil {
				return err
			}
			if at += int64(len(piece)); at >= size {
				return nil
			}
		}
	}
}

// A message that was left at one node is at the other with its sound, is heard and deleted there, and is gone at the first when that
// comes back; one that was left while nobody listed it is listed later.
func TestReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &fakeIndex{all: map[place]Message{}}
		one := Config{Dir: filepath.Join(t.TempDir(), "one"), Index: x}
		two := Config{Dir: filepath.Join(t.TempDir(), "two"), Index: x}
		a, b := openStore(t, one), openStore(t, two)
		var there atomic.Pointer[Store] // nil: the other node is away
		standby := x.stands(t, b, func(ctx context.Context, m Message, w io.Writer) error {
			s := there.Load()
			if s == nil {
				return errors.New("the other node is away")
			}
			return from(s)(ctx, m, w)
		})
		first := leave(t, a, "1001", "1002")
		leave(t, a, "1001", "1003")
		synctest.Wait()
		if n := standby.Missing(); n != 2 || len(x.copied) != 2 || b.Has("1001", first.ID) {
			t.Errorf("%d messages missing, copies of %v", n, x.copied)
		}
		there.Store(a)
		time.Sleep(retryEvery)
		synctest.Wait()
		if n := standby.Missing(); n != 0 || b.Count("1001") != (Count{2, 0}) {
			t.Errorf("%d missing, %+v", n, b.List("1001"))
		}
		if pcm, err := codec.LoadWAV(b.Sound(first)); err != nil || len(pcm) != 800 {
			t.Errorf("%d samples, %v", len(pcm), err)
		}
		// While it is committed, it is copied, and its owner has not been told.
		x.waits = func(m Message) {
			synctest.Wait()
			if a.Has("1001", m.ID) || !b.Has("1001", m.ID) {
				t.Error("in its box before the copy, or no copy")
			}
		}
		third := leave(t, a, "1001", "1004")
		x.waits = nil
		if err := a.Delete("1001", third.ID); err != nil {
			t.Fatal(err)
		}
		if err := a.Mark("1001", first.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b.Count("1001") != (Count{1, 1}) {
			t.Errorf("marked at a: %+v at b", b.List("1001"))
		}
		// b takes over; a was killed in the middle of a message, and comes back later.
		var told []string
		b.Notify(func(box string) { told = append(told, box) })
		standby.Serve()
		x.follow = nil
		x.deposed = true
		d, err := a.Begin("1001")
		if err != nil {
			t.Fatal(err)
		}
		record(t, d)
		late, err := d.Commit(Message{From: "1009", Seconds: 0.1})
		if !errors.Is(err, ErrElsewhere) || x.unlisted != 1 {
			t.Errorf("left at a node that does not serve: %v", err)
		}
		x.deposed = false
		if err := b.Delete("1001", first.ID); err != nil {
			t.Fatal(err)
		}
		a = openStore(t, one)
		back := x.stands(t, a, from(b))
		synctest.Wait()
		if a.Has("1001", first.ID) {
			t.Error("what was deleted at b is still at a")
		}
		if _, err := os.Stat(a.path(first)); err == nil {
			t.Error("its sound is still there")
		}
		if !a.Has("1001", late.ID) || b.Has("1001", late.ID) {
			t.Error("what was not listed was thrown away")
		}
		x.follow = append(x.follow, standby)
		there.Store(a)
		back.Serve()
		synctest.Wait()
		if !b.Has("1001", late.ID) || len(told) == 0 {
			t.Errorf("not listed later: %+v, told of %v", b.List("1001"), told)
		}
		for _, s := range []*Store{a, b, openStore(t, one), openStore(t, two)} {
			if got := s.Count("1001"); got != (Count{2, 0}) {
				t.Errorf("in the end %+v", s.List("1001"))
			}
		}
		if _, _, err := a.Read("..", "x", 0, 1); !errors.Is(err, ErrNoMessage) {
			t.Error("what lies elsewhere is read:", err)
		}
		if standby.Put(Message{Box: "..", ID: "x"}) == nil || standby.Put(Message{Box: "1001", ID: "../x"}) == nil {
			t.Error("a name that leads elsewhere is taken")
		}
	})
}

// A single node takes a message whose sound is lost off the list.
func TestLostSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &fakeIndex{all: map[place]Message{{"1001", "gone"}: {ID: "gone", Box: "1001"}}}
		s := openStore(t, Config{Dir: t.TempDir(), Index: x})
		r := x.stands(t, s, func(context.Context, Message, io.Writer) error { return ErrNoMessage })
		synctest.Wait()
		if len(x.all) != 1 {
			t.Error("taken off by a node that does not serve")
		}
		r.Serve()
		time.Sleep(retryEvery)
		synctest.Wait()
		if len(x.all) != 0 || r.Missing() != 0 {
			t.Errorf("%v is still listed", x.all)
		}
	})
}

// A disk that is nearly full takes no message, and an empty one does, however small it is.
func TestReserve(t *testing.T) {
	const mb = 1 << 20
	for _, x := range []struct {
		size, free, reserve int64
		full                bool
	}{{1000 * mb, 50 * mb, 256 * mb, true}, {1000 * mb, 101 * mb, 256 * mb, false}, {1 << 40, 255 * mb, 256 * mb, true}, {1 << 40, 257 * mb, 256 * mb, false}, {48 * mb, 40 * mb, 256 * mb, false}} {
		if got := spare(x.free, x.size, x.reserve) != nil; got != x.full {
			t.Errorf("%+v: full %v", x, got)
		}
	}
}

// unheld is the index of a node whose store does not answer in time; later it does.
type unheld struct {
	*fakeIndex
	err  error
	well atomic.Bool
}

func (x *unheld) Put(m Message) error {
	if !x.well.Load() {
		return x.err
	}
	return x.fakeIndex.Put(m)
}

// A message that no other node knows of yet is in its box, is not taken for one that was deleted elsewhere, and is listed when that works again.
func TestMessageThatIsNotListedYet(t *testing.T) {
	for _, why := range []error{ErrNotHeld, errors.New("too much waits for the store")} {
		synctest.Test(t, func(t *testing.T) {
			c := Config{Dir: filepath.Join(t.TempDir(), "a"), Index: &unheld{fakeIndex: &fakeIndex{all: map[place]Message{}}, err: why}}
			m := leave(t, openStore(t, c), "1001", "1002")
			x := &fakeIndex{all: map[place]Message{}} // what the store has: nothing of it
			index := &unheld{fakeIndex: x, err: why}
			a := openStore(t, Config{Dir: c.Dir, Index: index})
			r := x.stands(t, a, nil)
			time.Sleep(time.Minute)
			if !a.Has("1001", m.ID) {
				t.Fatal("it is removed")
			}
			r.Serve()
			index.well.Store(true)
			time.Sleep(2 * offerEvery)
			synctest.Wait()
			if _, listed := x.all[place{"1001", m.ID}]; !listed {
				t.Error("it is never listed")
			}
		})
	}
}

// The node dies while it waits for the copy. The other one serves, and the owner deletes the message: it is not there again later.
func TestKilledWhileTheCopyIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &fakeIndex{all: map[place]Message{}}
		one := Config{Dir: filepath.Join(t.TempDir(), "one"), Index: x}
		a, b := openStore(t, one), openStore(t, Config{Dir: filepath.Join(t.TempDir(), "two"), Index: x})
		x.stands(t, b, from(a))
		killed := filepath.Join(t.TempDir(), "killed")
		x.waits = func(Message) {
			synctest.Wait() // b has it
			if err := os.CopyFS(killed, os.DirFS(one.Dir)); err != nil {
				t.Fatal(err)
			}
		}
		m := leave(t, a, "1001", "1002")
		x.waits, x.follow = nil, nil
		if err := b.Delete("1001", m.ID); err != nil {
			t.Fatal(err)
		}
		a = openStore(t, Config{Dir: killed, Index: x})
		r := x.stands(t, a, from(b))
		synctest.Wait()
		r.Serve()
		synctest.Wait()
		if a.Has("1001", m.ID) || len(x.all) > 0 {
			t.Error("a deleted message is there again")
		}
	})
}

// While messages are offered one after the other, which takes seconds each, others are heard and deleted.
func TestHeardAndDeletedWhileTheyAreOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &fakeIndex{all: map[place]Message{}, deposed: true}
		c := Config{Dir: filepath.Join(t.TempDir(), "a"), Index: x}
		a := openStore(t, c)
		for range 3 {
			d, err := a.Begin("1001")
			if err != nil {
				t.Fatal(err)
			}
			record(t, d)
			_, _ = d.Commit(Message{From: "1002", Seconds: 0.1})
		}
		x.deposed = false
		a = openStore(t, c)
		r := x.stands(t, a, nil)
		synctest.Wait()
		list := a.List("1001")
		x.waits = func(Message) {
			x.waits = nil
			if err := errors.Join(a.Delete("1001", list[1].ID), a.Mark("1001", list[2].ID)); err != nil {
				t.Fatal(err)
			}
		}
		r.Serve()
		synctest.Wait()
		if _, listed := x.all[place{"1001", list[1].ID}]; a.Has("1001", list[1].ID) || listed {
			t.Error("deleted, and there again")
		}
		if m, _ := a.Find("1001", list[2].ID); !m.Heard || !x.all[place{"1001", list[2].ID}].Heard {
			t.Error("heard, and new again")
		}
	})
}
