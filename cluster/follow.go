package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// pageSize is how many records are asked for at a time. The store sends a page at once, so it bounds memory too; and it walks through its
// whole index for each, 12 ms where there are a hundred thousand records.
const pageSize = 10_000

// pageWithin is how long a page may take. The replica that answers is on this machine, or a hop away; but after a kill it reads its
// disk first, and a switch must not refuse to start because the machine is busy.
const pageWithin = 20 * time.Second

// Load gives every record of a bucket that is not deleted, oldest write first. It reads the replica of this node where
// there is one. An error ends it.
func (e *Engine) Load(ctx context.Context, name string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		b := e.buckets[name]
		if b == nil {
			yield(Record{}, fmt.Errorf("cluster: no bucket %q", name))
			return
		}
		for from := uint64(1); ; {
			page, more, err := e.page(ctx, b, from)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, r := range page {
				from = r.Seq + 1
				switch {
				case r.Key == fenceName:
					b.fence.raise(r.Epoch, r.Seq)
				case r.Deleted || b.fence.stale(r):
				case !yield(r, nil):
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// fenceName is how page names the fence's record: no key unescapes to it.
const fenceName = "\x00fence"

// page reads records in the order of writing, from a sequence on. Those that cannot be read are logged and left out, and
// count for the order all the same.
func (e *Engine) page(ctx context.Context, b *bucket, from uint64) (page []Record, more bool, err error) {
	all, more, err := messages(ctx, e.conn, b, from)
	for _, m := range all {
		r := e.read(b, m, m.Header.Get("Nats-Subject"))
		if !r.Time.IsZero() {
			r.Age = max(time.Since(r.Time), 0)
		}
		page = append(page, r)
	}
	return page, more, err
}

// replyWithin is how long a page may stay without an answer at first; then it is asked for again, with twice the patience. The store may have
// given the question to a replica that has just died.
const replyWithin = 150 * time.Millisecond

// messages are what a page of a store holds.
func messages(ctx context.Context, conn *nats.Conn, b *bucket, from uint64) (page []*nats.Msg, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	for patience := replyWithin; ; patience *= 2 {
		page, more, err = askPage(ctx, conn, b, from, patience)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return page, more, err
		}
	}
}

// askPage asks once, and waits for each answer as long as its patience lasts.
func askPage(ctx context.Context, conn *nats.Conn, b *bucket, from uint64, patience time.Duration) (page []*nats.Msg, more bool, err error) {
	ask, _ := json.Marshal(map[string]any{"seq": from, "batch": pageSize, "next_by_subj": b.subject + "*"})
	inbox := nats.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	_ = sub.SetPendingLimits(pageSize+2, -1)
	if err := conn.PublishRequest("$JS.API.DIRECT.GET."+b.stream, inbox, ask); err != nil {
		return nil, false, err
	}
	for {
		m, err := next(ctx, sub, patience)
		switch {
		case err != nil && len(page) > 0 && ctx.Err() == nil:
			return page, true, nil // whoever answered is gone; the rest is asked of another
		case err != nil:
			return nil, false, fmt.Errorf("cluster: read bucket %s: %w", b.Name, err)
		}
		switch m.Header.Get("Status") {
		case "404": // nothing from there on
			return page, false, nil
		case "204": // the end of the page
			pending, _ := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			return page, pending > 0 && len(page) > 0, nil
		case "503", "408":
			return nil, false, fmt.Errorf("cluster: read bucket %s: no replica answers", b.Name)
		}
		page = append(page, m)
	}
}

func next(ctx context.Context, sub *nats.Subscription, patience time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// read makes a Record of a stored message. One that cannot be read has the name of the fence and epoch 0.
func (e *Engine) read(b *bucket, m *nats.Msg, subject string) Record {
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
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
	counts bool   // what fn is given is what this node holds
	next   uint64 // sequence that comes next; of the goroutine that runs
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
	return e.follow(ctx, name, fn, false)
}

// Hold is Follow for what this node would serve with: what fn is given counts as held, and the node that serves compares it with what it
// holds itself.
func (e *Engine) Hold(ctx context.Context, name string, fn func(Record)) (*Follower, error) {
	return e.follow(ctx, name, fn, true)
}

func (e *Engine) follow(ctx context.Context, name string, fn func(Record), counts bool) (*Follower, error) {
	b := e.buckets[name]
	if b == nil {
		return nil, fmt.Errorf("cluster: no bucket %q", name)
	}
	f := &Follower{e: e, b: b, fn: fn, counts: counts && b.MaxAge == 0, next: 1, ask: make(chan chan error), done: make(chan struct{})}
	var err error
	if f.live, err = e.conn.SubscribeSync(followPrefix + name + ".*"); err != nil {
		return nil, err
	}
	// What comes while fn is slow: beyond it messages are dropped, and read from the store again as a gap.
	_ = f.live.SetPendingLimits(1<<16, 64<<20)
	if err := f.catchUp(ctx); err != nil {
		_ = f.live.Unsubscribe()
		return nil, err
	}
	if f.counts {
		b.holding.complete()
	}
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

// CatchUp gives fn what has been stored until now, and returns when it has been given. A node that takes over asks so: it
// reads its own replica, which has every record that was acknowledged.
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
			answer <- f.catchUp(ctx)
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
	case r.Seq > f.next:
		if f.catchUp(ctx) == nil && r.Seq >= f.next {
			f.give(r) // our replica lags behind its leader, who has told us
		}
	default:
		f.give(r)
	}
}

// catchUp reads what the store has from next on.
func (f *Follower) catchUp(ctx context.Context) error {
	last, err := f.e.last(ctx, f.b)
	if err != nil {
		return err
	}
	for again := 0; ; again++ {
		if err := f.readOn(ctx); err != nil {
			return err
		}
		if f.next > last || again == 20 { // the last one may have been forgotten since
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
	for {
		page, more, err := f.e.page(ctx, f.b, f.next)
		if err != nil {
			return err
		}
		for _, r := range page {
			f.give(r)
		}
		if !more {
			return nil
		}
	}
}

func (f *Follower) give(r Record) {
	f.next = r.Seq + 1
	defer f.seen.Store(r.Seq)
	switch {
	case r.Key == fenceName:
		f.b.fence.raise(r.Epoch, r.Seq)
	case f.b.fence.stale(r):
		f.e.stale(r)
	default:
		f.fn(r)
		if f.counts { // of a key that was not fleeting before, nothing is left
			f.b.holding.put(r.Key, sumOf(r.Key, r.Version, r.Value), r.Deleted || r.fleeting)
		}
	}
}
