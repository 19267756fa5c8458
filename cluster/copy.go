package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// copyAtOnce is how many records are on their way to the other node at a time while it is made whole.
const copyAtOnce = 1024

var errAlone = errors.New("the other node has gone again")

// copyAll makes the other node's store the same as ours, while writes go on: what differs is sent, what it has beyond ours is
// forgotten. A record that is written meanwhile goes to both anyway, and is not copied over.
func (m *mirror) copyAll(ctx context.Context, epoch uint64) error {
	began := time.Now()
	before, up := m.begin()
	if err := m.untilHere(ctx, before); err != nil {
		m.down("what it lacks could not be read")
		return err
	}
	c := &copying{m: m, up: up, epoch: strconv.FormatUint(epoch, 10), seed: maphash.MakeSeed(), room: make(chan struct{}, copyAtOnce)}
	for _, b := range m.e.cfg.Buckets {
		if err := c.bucket(ctx, m.e.buckets[b.Name]); err != nil {
			m.down("what it lacks could not be copied")
			return fmt.Errorf("bucket %s: %w", b.Name, err)
		}
	}
	if err := c.wait(ctx); err != nil {
		m.down("it did not take what it lacks")
		return err
	}
	if !m.whole(up) {
		return errAlone
	}
	m.e.log.Info("the other node holds every record", "copied", c.sent, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// begin lets writes go to both stores. It returns the number of the first that does.
func (m *mirror) begin() (first, up uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turns++
	m.up, m.fresh = m.turns, map[string]struct{}{}
	return m.next + 1, m.up
}

// untilHere waits until our own store holds everything that was sent to it alone.
func (m *mirror) untilHere(ctx context.Context, before uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*slowAfter)
	defer cancel()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		m.mu.Lock()
		left := 0
		for n, f := range m.flying {
			if n < before && !f.here {
				left++
			}
		}
		m.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// whole ends the copying.
func (m *mirror) whole(up uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.up != up {
		return false
	}
	m.fresh, m.holds, m.since = nil, true, time.Now()
	return true
}

// copying is one run of copyAll.
type copying struct {
	m     *mirror
	up    uint64
	epoch string
	seed  maphash.Seed
	room  chan struct{} // holds one for each record on its way
	sent  int
}

// bucket makes one bucket the same.
func (c *copying) bucket(ctx context.Context, b *bucket) error {
	theirs := map[string]uint64{}
	for x, err := range stored(ctx, c.m.link.conn, b) {
		if err != nil {
			return fmt.Errorf("read the other's: %w", err)
		}
		theirs[x.Header.Get("Nats-Subject")] = maphash.Bytes(c.seed, x.Data)
	}
	for x, err := range stored(ctx, c.m.e.conn, b) {
		if err != nil {
			return err
		}
		subject := x.Header.Get("Nats-Subject")
		sum, has := theirs[subject]
		delete(theirs, subject)
		if has && sum == maphash.Bytes(c.seed, x.Data) {
			continue
		}
		if head, alive := c.head(x); alive {
			if err := c.send(ctx, subject, x.Data, head); err != nil {
				return err
			}
		}
	}
	for subject := range theirs {
		key, ok := unescape(subject[len(b.subject):])
		if !ok {
			continue
		}
		w := Write{Bucket: b.Name, Key: key, Delete: true}
		head := nats.Header{copyHeader: []string{c.epoch}, "Nats-TTL": []string{w.ttl(false)}}
		epoch, _ := strconv.ParseUint(c.epoch, 10, 64)
		if err := c.send(ctx, subject, wrap(w, epoch, c.m.e.cfg.Node, nil), head); err != nil {
			return err
		}
	}
	return nil
}

// head is that of a copy: what is left of the record's life. A record whose life has ended is not alive.
func (c *copying) head(x *nats.Msg) (h nats.Header, alive bool) {
	h = nats.Header{copyHeader: []string{c.epoch}}
	if life, err := time.ParseDuration(x.Header.Get("Nats-TTL")); err == nil {
		at, _ := time.Parse(time.RFC3339Nano, x.Header.Get("Nats-Time-Stamp"))
		left := life - time.Since(at)
		if left <= 0 {
			return nil, false
		}
		h.Set("Nats-TTL", strconv.Itoa(int((left+time.Second-1)/time.Second))+"s")
	}
	return h, true
}

// send copies one record unless a newer one is on its way.
func (c *copying) send(ctx context.Context, subject string, data []byte, head nats.Header) error {
	select {
	case c.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.up != c.up {
		return errAlone
	}
	if _, newer := m.fresh[subject]; newer {
		<-c.room
		return nil
	}
	c.sent++
	n := m.fly(&mirrored{here: true, answered: func(bool) { <-c.room }})
	m.toPeer(n, subject, data, head)
	return nil
}

// wait returns when the other has taken all that was sent.
func (c *copying) wait(ctx context.Context) error {
	for range copyAtOnce {
		select {
		case c.room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stored gives every message of a bucket in one of the two stores.
func stored(ctx context.Context, conn *nats.Conn, b *bucket) func(func(*nats.Msg, error) bool) {
	return func(yield func(*nats.Msg, error) bool) {
		for from := uint64(1); ; {
			page, more, err := messages(ctx, conn, b, from, replyWithin)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, m := range page {
				seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
				from = seq + 1
				if !yield(m, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// copiedIn is the epoch in which a record was copied from the other node; 0: it was not.
func copiedIn(m *nats.Msg) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(copyHeader), 10, 64)
	return n
}
