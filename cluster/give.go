package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A standby that starts has to know what its store holds, and the store gives it record by record, each as a message with a header: of a
// hundred thousand registrations that is nearly all of the time until the standby is hot. The node that serves has written them all. It keeps
// the values of such a bucket in memory, some 700 bytes for each record, and gives them in parts, hundreds in one answer; then the standby
// reads from the store what was written since.
//
// What is given is what the store has acknowledged, and, in its place, what is on its way. While the store is away nothing is given: then
// so much may be on its way that writers would wait.

const (
	// giveParts is how many answers a bucket is given in: one has a few hundred records of a hundred thousand, and some MB of ten million.
	giveParts = holdingParts
	giveTopic = "give"
	// giverWithin is how long the node that serves is looked for: the routes to the others are made one after the other.
	giverWithin = time.Second
	giverAgain  = 20 * time.Millisecond
	giveWithin  = time.Second // for one answer
	// mostGiven is how long an answer may be.
	mostGiven = 3 << 20
	// givenOver is the most that a head, or a record beside its key and value, takes.
	givenOver = 1 + 4*binary.MaxVarintLen64
)

var (
	errGiven = errors.New("cluster: what a node gives cannot be read")
	// nothingGiven is the answer of a node that gives nothing now.
	nothingGiven = []byte{0}
)

// given is one record of a node's memory.
type given struct {
	version uint8
	value   []byte
	at      time.Duration // BootTime at which it was written
}

// givable is what a node holds of a bucket, with its values.
type givable struct {
	mu    sync.Mutex
	parts [giveParts]map[string]given
}

func (g *givable) put(key string, x given, deleted bool) {
	n := partOf(key)
	g.mu.Lock()
	defer g.mu.Unlock()
	if deleted {
		delete(g.parts[n], key)
		return
	}
	if g.parts[n] == nil {
		g.parts[n] = map[string]given{}
	}
	g.parts[n][key] = x
}

// copyInto adds a part to a map.
func (g *givable) copyInto(all map[string]given, part int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, x := range g.parts[part] {
		all[key] = x
	}
}

// givenHead comes before the records of a part.
type givenHead struct {
	seq   uint64 // of the last record that the store had acknowledged: what is given is no older
	epoch uint64 // of the node that serves,
	begun uint64 // and the sequence of the record that closed the bucket for earlier ones
}

// gives is a part of a bucket as this node would have it written; false while it does not serve, or the store is away.
func (w *writer) gives(b *bucket, part int) (head givenHead, all map[string]given, ok bool) {
	all = map[string]given{}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, whole := b.holding.get(); !whole || b.lacks || w.epoch == 0 || w.degraded || len(w.backlog) > 0 || !w.e.lease.Held() {
		return head, nil, false
	}
	b.fence.mu.Lock()
	head = givenHead{b.acked, b.fence.epoch, b.fence.seq}
	b.fence.mu.Unlock()
	if head.epoch != w.epoch || head.seq < head.begun { // its first record of the epoch is on its way
		return head, nil, false
	}
	b.givable.copyInto(all, part)
	for _, f := range w.latest {
		switch {
		case f.w.Bucket != b.Name || f.w.Key == fenceName || partOf(f.w.Key) != part:
		case f.w.Delete || f.w.TTL > 0:
			delete(all, f.w.Key)
		default:
			all[f.w.Key] = f.given()
		}
	}
	return head, all, true
}

func (f *flight) given() given { return given{f.w.Version, f.w.Value, BootTime() - time.Since(f.put)} }

// acknowledged notes what the store has answered to a write. The caller holds the lock.
func (w *writer) acknowledged(f *flight, answer []byte) {
	b, seq := w.e.buckets[f.w.Bucket], seqOfAck(answer)
	if seq == 0 {
		return
	}
	b.acked = seq
	switch {
	case f.w.Key == fenceName:
		b.fence.raise(w.epoch, seq)
	case b.givable != nil:
		b.givable.put(f.w.Key, f.given(), f.w.Delete || f.w.TTL > 0)
	}
}

// seqOfAck is the sequence in the store's answer to a write; 0: there is none.
func seqOfAck(answer []byte) (seq uint64) {
	_, rest, _ := bytes.Cut(answer, []byte(`"seq":`))
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		seq = seq*10 + uint64(c-'0')
	}
	return seq
}

// give answers a member that starts: "bucket part".
func (e *Engine) give(question []byte) []byte {
	name, number, _ := strings.Cut(string(question), " ")
	part, err := strconv.Atoi(number)
	b := e.buckets[name]
	if err != nil || b == nil || b.givable == nil || part < 0 || part >= giveParts {
		return nothingGiven
	}
	head, all, ok := e.writer.gives(b, part)
	if !ok {
		return nothingGiven
	}
	return appendGiven(nil, head, all, BootTime())
}

func appendGiven(to []byte, head givenHead, all map[string]given, now time.Duration) []byte {
	size := givenOver * (1 + len(all))
	for key, x := range all {
		size += len(key) + len(x.value)
	}
	to = append(slices.Grow(to, size), form)
	for _, n := range []uint64{head.seq, head.epoch, head.begun, uint64(len(all))} {
		to = binary.AppendUvarint(to, n)
	}
	for key, x := range all {
		to = binary.AppendUvarint(to, uint64(len(key)))
		to = append(to, key...)
		to = append(to, x.version)
		to = binary.AppendUvarint(to, ago(now, x.at))
		to = binary.AppendUvarint(to, uint64(len(x.value)))
		if to = append(to, x.value...); len(to) > mostGiven {
			return nothingGiven
		}
	}
	return to
}

// readGiven reads an answer. The values of its records lie in it.
func readGiven(bucket string, text []byte) (head givenHead, all []Record, err error) {
	if len(text) == 0 || text[0] != form {
		return head, nil, errGiven
	}
	text = text[1:]
	number := func() uint64 {
		x, n := binary.Uvarint(text)
		if n <= 0 {
			err, text = errGiven, nil
			return 0
		}
		text = text[n:]
		return x
	}
	bytes := func(n uint64) []byte {
		if n > uint64(len(text)) {
			err, text = errGiven, nil
			return nil
		}
		x := text[:n:n]
		text = text[n:]
		return x
	}
	head = givenHead{number(), number(), number()}
	count := number()
	if err != nil || count > uint64(len(text)) {
		return head, nil, errGiven
	}
	all = make([]Record, 0, count)
	for range count {
		r := Record{Bucket: bucket, Epoch: head.epoch}
		r.Key = string(bytes(number()))
		if x := bytes(1); len(x) == 1 {
			r.Version = x[0]
		}
		r.Age = time.Duration(number()) * time.Millisecond
		r.Value = bytes(number())
		if err != nil {
			return head, nil, err
		}
		all = append(all, r)
	}
	return head, all, nil
}

// given asks the node that serves for what it holds of the bucket, gives it to the reader, and goes on after it. False: nobody gives all of
// it, and the store must be read.
func (f *Follower) given(ctx context.Context) bool {
	if f.b.givable == nil || !f.counts {
		return false
	}
	name, ok := f.giver(ctx)
	if !ok {
		return false
	}
	heads := make([]givenHead, giveParts)
	failed := make([]bool, max(1, min(f.lanes, maxLanes)))
	inLanes(len(failed), func(lane int) {
		for n := lane; n < giveParts && !failed[lane]; n += len(failed) {
			var all []Record
			var err error
			if heads[n], all, err = f.askPatiently(ctx, name, n); err != nil {
				failed[lane] = true
			}
			now := BootTime()
			for _, r := range all {
				f.hand(r, now)
			}
		}
	})
	if slices.Contains(failed, true) {
		return false
	}
	last := heads[0].seq
	for _, h := range heads {
		last = min(last, h.seq)
		f.b.fence.raise(h.epoch, h.begun)
	}
	f.read(last)
	return true
}

// giver is the node that gives.
func (f *Follower) giver(ctx context.Context) (name string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, giverWithin)
	defer cancel()
	for {
		away := false
		for _, name := range f.e.Switches() {
			switch _, _, err := f.askGiven(ctx, name, 0); {
			case err == nil:
				return name, true
			case errors.Is(err, ErrNobody):
				away = true
			}
		}
		if !away {
			return "", false
		}
		select {
		case <-ctx.Done():
			return "", false
		case <-time.After(giverAgain):
		}
	}
}

// askPatiently is askGiven of a node that has given before. While its lease has lapsed for a moment, or the store is slow, it does not: that
// costs less than to read all of the store.
func (f *Follower) askPatiently(ctx context.Context, name string, part int) (head givenHead, all []Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, giverWithin)
	defer cancel()
	for {
		if head, all, err = f.askGiven(ctx, name, part); err == nil {
			return head, all, nil
		}
		select {
		case <-ctx.Done():
			return head, nil, err
		case <-time.After(giverAgain):
		}
	}
}

func (f *Follower) askGiven(ctx context.Context, name string, part int) (givenHead, []Record, error) {
	ctx, cancel := context.WithTimeout(ctx, giveWithin)
	defer cancel()
	text, err := f.e.Ask(ctx, name, giveTopic, []byte(f.b.Name+" "+strconv.Itoa(part)))
	if err != nil {
		return givenHead{}, nil, err
	}
	return readGiven(f.b.Name, text)
}
