package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The store goes away and comes back: nobody waits, the last value of each key is written afterwards, and somebody is told.
func TestStoreGoesAwayAndComesBack(t *testing.T) {
	events, doubts := make(chan Event, 100), make(chan string, 100)
	e, err := Open(context.Background(), Config{
		Node: "a", Dir: t.TempDir(), Buckets: testBuckets, AckWithin: 200 * time.Millisecond, Backlog: 4000,
		Tell: func(ev Event) { events <- ev }, Doubt: func(bucket, key string) { doubts <- bucket + "/" + key },
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx := context.Background()
	put := func(key, value string) error {
		return e.PutWait(ctx, Write{Bucket: "reg", Key: key, Value: []byte(value)})
	}
	if err := put("x", "before"); err != nil {
		t.Fatal(err)
	}
	if err := e.manage.DeleteStream(ctx, streamName("reg")); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := put(fmt.Sprint("k", i%5), fmt.Sprint("v", i)); !errors.Is(err, ErrDegraded) {
			t.Fatalf("write %d while the store is away: %v", i, err)
		}
	}
	if err := put("big", string(make([]byte, 5000))); !errors.Is(err, ErrFull) {
		t.Errorf("more than the backlog holds: %v", err)
	}
	if s := e.Status(); !s.Degraded || s.Waits != 5 || s.Lost != 1 || len(s.Problems) == 0 {
		t.Errorf("%+v", s)
	}
	if err := e.makeStream(ctx, e.buckets["reg"]); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"replication degraded", "replication restored"} {
		select {
		case ev := <-events:
			if ev.Name != want {
				t.Errorf("told %q, and should be told %q", ev.Name, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("never told %q", want)
		}
	}
	if what := <-doubts; what != "reg/" || len(doubts) > 0 { // a record was dropped: its owner puts it again
		t.Errorf("doubted %q", what)
	}
	got := loadAll(t, e, "reg")
	for i := range 5 {
		if key := fmt.Sprint("k", i); got[key] != fmt.Sprint("v", 15+i) {
			t.Errorf("%s is %q, and the last value was v%d", key, got[key], 15+i)
		}
	}
	if err := put("x", "after"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Records that come all the time do not keep a store degraded that answers again.
func TestStoreComesBackUnderLoad(t *testing.T) {
	events := make(chan Event, 100)
	e, err := Open(context.Background(), Config{
		Node: "a", Dir: t.TempDir(), Buckets: testBuckets, AckWithin: 500 * time.Millisecond, SyncEvery: time.Minute, Tell: func(ev Event) { events <- ev },
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	defer load.Wait()
	defer cancel()
	load.Go(func() { // some thousand a second: two or more in each sweep
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; <-tick.C {
			for range 8 {
				e.Put(Write{Bucket: "reg", Key: fmt.Sprint("k", n%2000), Value: []byte("v")})
				n++
			}
		}
	})
	told := func(want string) {
		t.Helper()
		select {
		case ev := <-events:
			if ev.Name != want {
				t.Errorf("told %q, and should be told %q", ev.Name, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("never told %q: %+v", want, e.Status())
		}
	}
	if err := e.manage.DeleteStream(ctx, streamName("reg")); err != nil {
		t.Fatal(err)
	}
	told("replication degraded")
	if err := e.makeStream(ctx, e.buckets["reg"]); err != nil {
		t.Fatal(err)
	}
	told("replication restored")
	if err := e.PutWait(ctx, Write{Bucket: "reg", Key: "x", Value: []byte("after")}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A node that is not the active one writes nothing, and what it had under way is told so.
func TestDeposedNodeWritesNothing(t *testing.T) {
	e := openTest(t, t.TempDir())
	defer e.Close()
	epoch := e.lease.Epoch()
	e.lease.end()
	e.writer.end()
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "x"}); !errors.Is(err, ErrFenced) {
		t.Errorf("a write without the role: %v", err)
	}
	// Its successor begins, and a late record of the old epoch arrives: no reader is given it.
	e.lease.begin(epoch + 1)
	e.lease.grant(forever)
	e.writer.begin(epoch + 1)
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "x", Value: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	var seen []string
	f, err := e.Follow(context.Background(), "reg", func(r Record) { seen = append(seen, string(r.Value)) })
	if err != nil {
		t.Fatal(err)
	}
	late := wrap(Write{Bucket: "reg", Key: "x", Value: []byte("late")}, epoch, "old", nil)
	if _, err := e.conn.Request(e.buckets["reg"].subject+"x", late, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := f.CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if len(seen) != 1 || seen[0] != "new" {
		t.Errorf("readers were given %q", seen)
	}
}

// A record with a lifetime goes by itself.
func TestRecordsExpire(t *testing.T) {
	e := openTest(t, t.TempDir())
	defer e.Close()
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "short", Value: []byte("x"), TTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	limit := time.After(15 * time.Second)
	for len(loadAll(t, e, "reg")) > 0 {
		select {
		case <-limit:
			t.Fatal("it is still there")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// What was answered for while the store was away is handed on when the role ends, as it was put last; what was not answered for is refused.
func TestWhatADeposedNodeHasAnsweredForIsLeft(t *testing.T) {
	var left []Record
	e, err := Open(context.Background(), Config{
		Node: "a", Dir: t.TempDir(), Buckets: testBuckets, AckWithin: 20 * time.Millisecond, SyncEvery: time.Minute, Left: func(all []Record) { left = all },
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	put := func(key, value string, deleted bool) {
		t.Helper()
		if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: key, Value: []byte(value), Delete: deleted, Version: 3}); !errors.Is(err, ErrDegraded) {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "held", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if err := e.manage.DeleteStream(context.Background(), streamName("reg")); err != nil {
		t.Fatal(err)
	}
	put("x", "before", false)
	put("x", "after", false)
	put("gone", "", true)
	until := e.lease.until.Swap(0)
	put("y", "nobody was answered", false)
	e.lease.grant(time.Duration(until))
	if e.lease.end(); left != nil {
		t.Error("left before the end")
	}
	e.writer.end()
	slices.SortFunc(left, func(a, b Record) int { return strings.Compare(a.Key, b.Key) })
	if len(left) != 2 || left[0].Key != "gone" || !left[0].Deleted || left[1].Key != "x" || string(left[1].Value) != "after" || left[1].Version != 3 {
		t.Fatalf("left: %+v", left)
	}
	if age := left[1].Age; age <= 0 || age > time.Minute {
		t.Errorf("age %v", age)
	}
}
