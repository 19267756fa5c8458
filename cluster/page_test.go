package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// replica answers for a store: each question with what script says, in the order of asking.
type replica struct {
	t      *testing.T
	engine *Engine
	conn   *nats.Conn
	bucket *bucket
	mu     sync.Mutex
	asked  []uint64
	inbox  []string
}

func newReplica(t *testing.T, script func(r *replica, n int)) *replica {
	e := openTest(t, t.TempDir())
	t.Cleanup(e.Close)
	r := &replica{t: t, engine: e, conn: e.conn, bucket: &bucket{Bucket: Bucket{Name: "fake"}, stream: "FAKE", subject: "fake."}}
	_, err := e.conn.Subscribe("$JS.API.DIRECT.GET.FAKE", func(m *nats.Msg) {
		var ask struct{ Seq uint64 }
		_ = json.Unmarshal(m.Data, &ask)
		r.mu.Lock()
		r.asked, r.inbox = append(r.asked, ask.Seq), append(r.inbox, m.Reply)
		n := len(r.asked)
		r.mu.Unlock()
		script(r, n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stored has the engine keep one record itself, as one replica of several, while the questions of a follower are answered by the script.
func (r *replica) stored() (jetstream.Stream, *Follower) {
	r.t.Helper()
	r.engine.cfg.Members = make([]Member, 3)
	stream, err := r.engine.manage.CreateStream(r.t.Context(), jetstream.StreamConfig{Name: r.bucket.stream, Subjects: []string{r.bucket.subject + ">"}})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.conn.Request(r.bucket.subject+"key", nil, 5*time.Second); err != nil {
		r.t.Fatal(err)
	}
	return stream, &Follower{e: r.engine, b: r.bucket, fn: func(Record) {}, within: replySoonWithin, next: 1}
}

// record answers question n with a record; before is the one that was sent before it.
func (r *replica) record(n int, seq, before uint64) {
	r.send(n, nats.Header{"Nats-Sequence": {strconv.FormatUint(seq, 10)}, "Nats-Last-Sequence": {strconv.FormatUint(before, 10)}})
}

// end ends the page that question n asked for.
func (r *replica) end(n int, before uint64, pending int) {
	r.send(n, nats.Header{"Status": {"204"}, "Nats-Last-Sequence": {strconv.FormatUint(before, 10)}, "Nats-Num-Pending": {strconv.Itoa(pending)}})
}

func (r *replica) send(n int, h nats.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.conn.PublishMsg(&nats.Msg{Subject: r.inbox[n-1], Header: h}); err != nil {
		r.t.Error(err)
	}
}

func TestPages(t *testing.T) {
	for name, c := range map[string]struct {
		script func(r *replica, n int)
		asked  string // from which sequences
	}{
		"two pages": {func(r *replica, n int) {
			if n == 1 {
				r.record(1, 1, 0)
				r.record(1, 2, 1)
				r.end(1, 2, 1)
				return
			}
			r.record(2, 3, 0)
			r.end(2, 3, 0)
		}, "[1 3]"},
		"the first asked is slow, and answers before the second": {func(r *replica, n int) {
			if n == 1 {
				return
			}
			for _, to := range []int{1, 2} {
				r.record(to, 1, 0)
				r.record(to, 2, 1)
				r.record(to, 3, 2)
				r.end(to, 3, 0)
			}
		}, "[1 1]"},
		"both answer at once, and mixed": {func(r *replica, n int) {
			if n == 1 {
				return
			}
			for seq := uint64(1); seq <= 3; seq++ {
				r.record(2, seq, seq-1)
				r.record(1, seq, seq-1)
			}
			r.end(1, 3, 0)
			r.end(2, 3, 0)
		}, "[1 1]"},
		"a record is lost on its way": {func(r *replica, n int) {
			if n == 1 {
				r.record(1, 1, 0)
				r.record(1, 3, 2)
				r.end(1, 3, 0)
				return
			}
			r.record(2, 2, 0)
			r.record(2, 3, 2)
			r.end(2, 3, 0)
		}, "[1 2]"},
		"the last ones are lost": {func(r *replica, n int) {
			if n == 1 {
				r.record(1, 1, 0)
				r.end(1, 3, 0)
				return
			}
			r.record(2, 2, 0)
			r.record(2, 3, 2)
			r.end(2, 3, 0)
		}, "[1 2]"},
		"who answers dies": {func(r *replica, n int) {
			if n == 1 {
				r.record(1, 1, 0)
				return
			}
			r.record(2, 2, 0)
			r.record(2, 3, 2)
			r.end(2, 3, 0)
		}, "[1 2]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, c.script)
			var got []uint64
			for page, err := range pages(t.Context(), r.conn, r.bucket, 1, replyWithin) {
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page {
					got = append(got, sequenceOf(m))
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if !slices.Equal(got, []uint64{1, 2, 3}) || fmt.Sprint(r.asked) != c.asked {
				t.Errorf("records %v, asked from %v instead of %s", got, r.asked, c.asked)
			}
		})
	}
}

// A reader that is stopped says so: what it has is not everything.
func TestPagesAreStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newReplica(t, func(r *replica, n int) {
		if n == 1 {
			r.record(1, 1, 0)
			r.end(1, 1, 1)
			return
		}
		cancel()
	})
	var failed error
	for _, err := range pages(ctx, r.conn, r.bucket, 1, replyWithin) {
		failed = err
	}
	if failed == nil {
		t.Error("half of the records passed for all")
	}
}

// The records of a page are applied beside each other, those of one key in their order, and a fence counts for what was written after it alone.
func TestLanesKeepTheOrderOfAKey(t *testing.T) {
	e := openTest(t, t.TempDir())
	defer e.Close()
	const keys, rounds = 40, 100
	var page []*nats.Msg
	add := func(token string, epoch uint64, value string) {
		data := wrap(Write{Bucket: "reg", Value: []byte(value)}, epoch, "a", nil)
		page = append(page, &nats.Msg{Data: data, Header: nats.Header{
			"Nats-Subject": {e.buckets["reg"].subject + token}, "Nats-Sequence": {strconv.Itoa(len(page) + 1)},
		}})
	}
	for i := range rounds {
		for k := range keys {
			add(fmt.Sprint("k", k), 1000, strconv.Itoa(i))
		}
	}
	add(fenceKey, 1001, "")
	add("k0", 1000, "late")
	add("k1", 1001, "new")
	var mu sync.Mutex
	seen, inside, beside := map[string][]string{}, 0, make(chan struct{})
	f := &Follower{e: e, b: e.buckets["reg"], lanes: 8, fn: func(r Record) {
		mu.Lock()
		seen[r.Key] = append(seen[r.Key], string(r.Value))
		if inside++; inside == 2 {
			close(beside)
		}
		mu.Unlock()
		select {
		case <-beside: // another one has come in before this one has left
		case <-time.After(10 * time.Second):
			t.Error("one after the other")
		}
	}}
	f.givePage(page)
	for k := range keys {
		key, want := fmt.Sprint("k", k), []string(nil)
		for i := range rounds {
			want = append(want, strconv.Itoa(i))
		}
		if k == 1 {
			want = append(want, "new")
		}
		if !slices.Equal(seen[key], want) {
			t.Errorf("%s: %v", key, seen[key])
		}
	}
	if last := uint64(len(page)); f.next != last+1 || f.Seen() != last {
		t.Errorf("next %d, seen %d, of %d", f.next, f.Seen(), last)
	}
}

// Nothing is missed or out of its order where a bucket of more than a page is read while it is written.
func TestHoldWideWhileItIsWritten(t *testing.T) {
	e := openTest(t, t.TempDir())
	defer e.Close()
	const keys = pageSize + 500
	put := func(k, round int) {
		e.Put(Write{Bucket: "reg", Key: fmt.Sprint("k", k), Value: []byte(strconv.Itoa(round))})
	}
	for k := range keys {
		put(k, 1)
		if k%500 == 0 {
			e.Flush(10 * time.Second)
		}
	}
	e.Flush(10 * time.Second)
	var writing sync.WaitGroup
	writing.Go(func() {
		for round := 2; round < 12; round++ {
			for k := 0; k < keys; k += keys / 50 {
				put(k, round)
			}
			e.Flush(10 * time.Second)
		}
	})
	var mu sync.Mutex
	last := map[string]int{}
	f, err := e.HoldWide(t.Context(), "reg", 8, func(r Record) {
		n, _ := strconv.Atoi(string(r.Value))
		mu.Lock()
		defer mu.Unlock()
		if n <= last[r.Key] {
			t.Errorf("%s is %d after it was %d", r.Key, n, last[r.Key])
		}
		last[r.Key] = n
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	writing.Wait()
	if err := f.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for k := range keys {
		want := 1
		if k%(keys/50) == 0 {
			want = 11
		}
		if got := last[fmt.Sprint("k", k)]; got != want {
			t.Fatalf("k%d is %d, not %d", k, got, want)
		}
	}
	if h, whole := e.buckets["reg"].holding.get(); !whole || h.Records != keys {
		t.Errorf("%d records are held, whole %v", h.Records, whole)
	}
}
