package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/nats-io/nats.go"
)

// Load gives every record of a bucket that is not deleted, oldest write first. It reads the replica of this node where
// there is one. An error ends it.
func (e *Engine) Load(ctx context.Context, name string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		b := e.buckets[name]
		if b == nil {
			yield(Record{}, fmt.Errorf("cluster: no bucket %q", name))
			return
		}
		for page, err := range pages(ctx, e.conn, b, 1, replyWithin) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			now := BootTime()
			for _, m := range page {
				switch r := e.kept(b, m, now); {
				case r.Key == fenceName:
					b.fence.raise(r.Epoch, r.Seq)
				case r.Deleted || b.fence.stale(r):
				case !yield(r, nil):
					return
				}
			}
		}
	}
}

// fenceName is how read names the fence's record: no key unescapes to it.
const fenceName = "\x00fence"

// kept makes a Record of a message that was read from the store, with its age at a BootTime: asking for that costs as much as the rest.
func (e *Engine) kept(b *bucket, m *nats.Msg, now time.Duration) Record {
	r := e.read(b, m, m.Header.Get("Nats-Subject"))
	if !r.Time.IsZero() {
		r.Age = e.ageOf(b, r, now)
	}
	return r
}

// read makes a Record of a stored message. One that cannot be read has the name of the fence and epoch 0.
func (e *Engine) read(b *bucket, m *nats.Msg, subject string) Record {
	seq := sequenceOf(m)
	at, _ := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	token := strings.TrimPrefix(subject, b.subject)
	if token == fenceKey {
		r, _ := unwrap(b.Name, fenceKey, m.Data, e.open)
		r.Key, r.Seq, r.Time, r.Epoch = fenceName, seq, at, max(r.Epoch, copiedIn(m))
		return r
	}
	key, ok := unescape(token)
	if !ok {
		return Record{Bucket: b.Name, Key: fenceName, Seq: seq}
	}
	r, err := unwrap(b.Name, key, m.Data, e.open)
	if err != nil {
		e.log.Error("record cannot be read", "bucket", b.Name, "key", key, "err", err)
		return Record{Bucket: b.Name, Key: fenceName, Seq: seq}
	}
	r.Seq, r.Time, r.Epoch = seq, at, max(r.Epoch, copiedIn(m))
	r.fleeting = !r.Deleted && m.Header.Get("Nats-TTL") != ""
	return r
}

// Follower gives the changes of a bucket to its reader.
type Follower struct {
	e      *Engine
	b      *bucket
	fn     func(Record)
	counts bool          // what fn is given is what this node holds
	lanes  int           // goroutines that may give fn the records of a page
	within time.Duration // how long who is asked may be silent; of the goroutine that runs, as all to lagged
	next   uint64        // sequence that comes next
	gone   uint64        // what was not given up to here is not in the store any more
	lagged time.Time     // when who answered last did not have what it should
	live   *nats.Subscription
	ask    chan chan error // to catch up now
	cancel context.CancelFunc
	done   chan struct{}
	seen   atomic.Uint64
}

// Follow gives every record of a bucket to fn, then each change, in the order of writing and from one goroutine. It returns
// when all that had been stored has been given; ctx bounds that. A record whose key is deleted comes with Deleted; what this
// node writes comes too. Close ends it.
func (e *Engine) Follow(ctx context.Context, name string, fn func(Record)) (*Follower, error) {
	return e.follow(ctx, name, fn, false, 1)
}

// Hold is Follow for what this node would serve with: what fn is given counts as held, and the node that serves compares it with what it
// holds itself.
func (e *Engine) Hold(ctx context.Context, name string, fn func(Record)) (*Follower, error) {
	return e.follow(ctx, name, fn, true, 1)
}

// HoldWide is Hold with an fn that takes records of several keys at a time while a bucket of many is read: in so many goroutines, 64 at most.
// Those of one key come one after the other, in the order of writing. What is changed later comes from one goroutine.
func (e *Engine) HoldWide(ctx context.Context, name string, goroutines int, fn func(Record)) (*Follower, error) {
	return e.follow(ctx, name, fn, true, goroutines)
}

func (e *Engine) follow(ctx context.Context, name string, fn func(Record), counts bool, lanes int) (*Follower, error) {
	b := e.buckets[name]
	if b == nil {
		return nil, fmt.Errorf("cluster: no bucket %q", name)
	}
	f := &Follower{e: e, b: b, fn: fn, counts: counts && b.MaxAge == 0, lanes: lanes, within: replyWithin, next: 1, ask: make(chan chan error), done: make(chan struct{})}
	var err error
	if f.live, err = e.conn.SubscribeSync(followPrefix + name + ".*"); err != nil {
		return nil, err
	}
	// What comes while fn is slow: beyond it messages are dropped, and read from the store again as a gap.
	_ = f.live.SetPendingLimits(1<<16, 64<<20)
	e.awaitAges(ctx)
	f.given(ctx)
	if err := f.catchUp(ctx); err != nil {
		_ = f.live.Unsubscribe()
		return nil, err
	}
	if f.counts {
		b.holding.complete()
	}
	f.within = replySoonWithin
	run, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go f.run(run)
	return f, nil
}

// Close ends the follower and waits for its reader.
func (f *Follower) Close() {
	f.cancel()
	<-f.done
}

// Seen is the sequence of the last record that fn has been given.
func (f *Follower) Seen() uint64 { return f.seen.Load() }

// CatchUp gives fn what has been stored until now, and returns when it has been given. A node that takes over asks so: its
// own replica has every record that was acknowledged.
func (f *Follower) CatchUp(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case f.ask <- answer:
	case <-f.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lookEvery is how often the store is asked whether something was missed at the end, where no gap would show it; alone, where what is
// stored is not given on, by it everything is found.
const (
	lookEvery      = time.Second
	lookEveryAlone = 50 * time.Millisecond
)

func (f *Follower) run(ctx context.Context) {
	defer close(f.done)
	defer func() { _ = f.live.Unsubscribe() }()
	messages := make(chan *nats.Msg)
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		f.pump(ctx, messages)
	}()
	defer func() { <-reader }()
	every := lookEvery
	if len(f.e.cfg.Members) == 0 {
		every = lookEveryAlone
	}
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-messages:
			f.take(ctx, m)
		case answer := <-f.ask:
			answer <- f.catchUpTo(ctx, f.e.ownLast(f.b))
		case <-look.C:
			_ = f.catchUp(ctx) // a store that is away is asked again in a second
		}
	}
}

// pump reads the subscription until ctx ends.
func (f *Follower) pump(ctx context.Context, out chan<- *nats.Msg) {
	for {
		m, err := f.live.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrSlowConsumer):
			continue
		case err != nil:
			return
		}
		select {
		case out <- m:
		case <-ctx.Done():
			return
		}
	}
}

// take gives a live message to the reader, after what was missed before it.
func (f *Follower) take(ctx context.Context, m *nats.Msg) {
	r := f.e.read(f.b, m, m.Header.Get("Nats-Subject"))
	switch {
	case r.Seq < f.next: // read from the store already
	case r.Seq > f.next && time.Since(f.lagged) > settleEvery:
		if _ = f.catchUp(ctx); r.Seq >= f.next { // our replica lags behind its leader, who has told us: the rest comes with a later one, or the next look
			f.lagged = time.Now()
		}
	case r.Seq > f.next:
	default:
		f.give(r)
	}
}

// catchUp reads what the store has from next on.
func (f *Follower) catchUp(ctx context.Context) error { return f.catchUpTo(ctx, 0) }

// catchUpTo reads what the store has from next on, at least to a sequence, whoever answers.
func (f *Follower) catchUpTo(ctx context.Context, own uint64) error {
	last, err := f.e.last(ctx, f.b)
	if err != nil {
		return err
	}
	last = max(last, own)
	for again := 0; ; again++ {
		if err := f.readOn(ctx); err != nil {
			return err
		}
		switch {
		case f.next > last || f.gone >= last:
			return nil
		case again == 20: // the last one has been forgotten since
			f.gone = last
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}

// readOn reads what the replica that answers has.
func (f *Follower) readOn(ctx context.Context) error {
	for page, err := range pages(ctx, f.e.conn, f.b, f.next, f.within) {
		if err != nil {
			return err
		}
		f.givePage(page)
	}
	return nil
}

// givePage gives the records of a page. They are unsealed in several lanes, weighed against the fence in the order of writing, and given in
// lanes again where fn allows it: a key is always in the same lane, so that what is kept is what was written last.
func (f *Follower) givePage(page []*nats.Msg) {
	if len(page) == 0 {
		return
	}
	records := make([]Record, len(page))
	lanes, now := lanesFor(len(page), runtime.GOMAXPROCS(0)), BootTime()
	inLanes(lanes, func(lane int) {
		for i := lane; i < len(page); i += lanes {
			records[i] = f.e.kept(f.b, page[i], now)
		}
	})
	lanes = lanesFor(len(page), f.lanes)
	parts := make([][]Record, lanes)
	for _, r := range records {
		if f.valid(r) {
			lane := xxhash.Sum64String(r.Key) % uint64(lanes)
			parts[lane] = append(parts[lane], r)
		}
	}
	inLanes(lanes, func(lane int) {
		for _, r := range parts[lane] {
			f.hand(r, now)
		}
	})
	f.read(sequenceOf(page[len(page)-1]))
}

// give gives one record.
func (f *Follower) give(r Record) {
	if f.valid(r) {
		f.hand(r, BootTime())
	}
	f.read(r.Seq)
}

// read notes that everything up to a sequence has been given.
func (f *Follower) read(seq uint64) {
	f.next = seq + 1
	f.seen.Store(seq)
	if f.counts {
		f.b.read.Store(seq)
	}
}

// valid tells whether a record is one for fn: neither the fence nor a late write of a deposed node.
func (f *Follower) valid(r Record) bool {
	switch {
	case r.Key == fenceName:
		f.b.fence.raise(r.Epoch, r.Seq)
		return false
	case f.b.fence.stale(r):
		f.e.stale(r)
		return false
	}
	return true
}

// hand gives fn a record whose age is that at a BootTime.
func (f *Follower) hand(r Record, now time.Duration) {
	f.fn(r)
	if f.counts { // of a key that was not fleeting before, nothing is left
		key := strings.Clone(r.Key) // key and value are parts of a message, or of many records
		f.b.holding.put(key, sumOf(key, r.Version, r.Value), r.Deleted || r.fleeting)
		if f.b.givable != nil {
			f.b.givable.put(key, given{r.Version, slices.Clone(r.Value), now - r.Age}, r.Deleted || r.fleeting)
		}
	}
}
