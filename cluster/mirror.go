package cluster

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// mirror writes each record into the store of this node and into that of the other one. Each of the two stores is whole by
// itself, with one replica, so the death of one node leaves the other's as it is: no election, no quorum that is missing.
//
// A write is answered when both hold it. When the other does not answer for a while, or its connection is gone, this node
// goes on alone, and copies what the other lacks when it is back (copy.go).
type mirror struct {
	e     *Engine
	link  *link
	inbox string
	out   chan outgoing // to the other node; when it is full the other counts as gone, rather than that a write waits

	mu     sync.Mutex
	next   uint64
	flying map[uint64]*mirrored
	order  []uint64            // flying, and some that are answered
	up     uint64              // counts the times that the other follows; 0: it does not
	turns  uint64              // the last value that up had
	fresh  map[string]struct{} // subjects written since copying began; nil: nothing is being copied
	holds  bool                // the other holds every record
	since  time.Time           // of holds
	// What settle has to do.
	settled []*mirrored
	why     string
	wake    chan struct{} // room for one
}

// mirrored is one write on its way to both stores.
type mirrored struct {
	reply    string // of the writer, or of copy
	answer   []byte // of this node's store
	here     bool   // this node's store has it
	there    bool   // the other's has it, or does not count
	sent     time.Time
	answered func(ok bool) // of copy
}

type outgoing struct {
	msg *nats.Msg
	up  uint64
}

// mirrorQueue bounds what waits for the other's connection: some tenths of a second of the most that a pair writes.
const mirrorQueue = 8192

// slowAfter is how long the other may take over one record before this node goes on without it.
const slowAfter = time.Second

// copyHeader marks a record that was copied: the epoch in which that was done counts for the fence, not that of the record.
const copyHeader = "Tandem-Copy"

func newMirror(e *Engine, l *link) (*mirror, error) {
	m := &mirror{e: e, link: l, inbox: nats.NewInbox() + ".", out: make(chan outgoing, mirrorQueue), flying: map[uint64]*mirrored{}, since: time.Now(), wake: make(chan struct{}, 1)}
	for i, c := range []*nats.Conn{e.conn, l.conn} {
		sub, err := c.Subscribe(m.inbox+"*", func(x *nats.Msg) { m.answer(x, i == 0) })
		if err != nil {
			return nil, err
		}
		_ = sub.SetPendingLimits(-1, -1) // as many as flights
	}
	l.cut = func() { m.down("its connection is gone") }
	return m, nil
}

// publish stands in for the store: the message's reply is answered when both have it.
func (m *mirror) publish(x *nats.Msg) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.fly(&mirrored{reply: x.Reply})
	if m.up != 0 {
		if m.fresh != nil {
			m.fresh[x.Subject] = struct{}{}
		}
		m.toPeer(n, x.Subject, x.Data, x.Header)
	} else {
		m.flying[n].there = true
	}
	return m.e.conn.PublishMsg(&nats.Msg{Subject: x.Subject, Reply: m.inbox + strconv.FormatUint(n, 36), Data: x.Data, Header: x.Header})
}

func (m *mirror) fly(f *mirrored) uint64 {
	m.next++
	f.sent = time.Now()
	m.flying[m.next] = f
	m.order = append(m.order, m.next)
	return m.next
}

// toPeer must be called with the lock held.
func (m *mirror) toPeer(n uint64, subject string, data []byte, head nats.Header) {
	x := outgoing{&nats.Msg{Subject: subject, Reply: m.inbox + strconv.FormatUint(n, 36), Data: data, Header: head}, m.up}
	select {
	case m.out <- x:
	default:
		m.goDown("it does not take what is sent")
	}
}

// send is the one goroutine that writes to the other's connection, until ctx ends.
func (m *mirror) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-m.out:
			m.mu.Lock()
			old := x.up != m.up
			m.mu.Unlock()
			if !old && m.e.lease.Held() {
				_ = m.link.conn.PublishMsg(x.msg) // one that did not leave is missed by sweep
			}
		}
	}
}

// answer takes the answer of one of the two stores.
func (m *mirror) answer(x *nats.Msg, here bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(x.Subject, m.inbox), 36, 64)
	if err != nil {
		return
	}
	refused := isRefusal(x)
	m.mu.Lock()
	f := m.flying[n]
	switch {
	case f == nil:
	case here && refused:
		delete(m.flying, n) // the writer is told, and tries again
		f.answer = x.Data
	case here:
		f.here, f.answer = true, x.Data
	case refused:
		m.goDown("its store refuses a record: " + string(x.Data))
		f = nil
	default:
		f.there = true
	}
	if f != nil && f.here && f.there {
		delete(m.flying, n)
	} else if f != nil && !(here && refused) {
		f = nil
	}
	m.mu.Unlock()
	if f != nil {
		m.finish(f, !(here && refused))
	}
}

// isRefusal tells whether a store did not take a record: an empty answer says that nobody leads the stream.
func isRefusal(m *nats.Msg) bool {
	return bytes.Contains(m.Data, []byte(`"error"`)) || len(m.Data) == 0
}

func (m *mirror) finish(f *mirrored, ok bool) {
	if f.answered != nil {
		f.answered(ok)
		return
	}
	m.e.writer.answer(&nats.Msg{Subject: f.reply, Data: f.answer})
}

// sweep looks for records that the other node has had for too long. It is called a few times a second.
func (m *mirror) sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.order) > 0 {
		f := m.flying[m.order[0]]
		if f != nil {
			if now.Sub(f.sent) < slowAfter {
				return
			}
			if !f.there && m.up != 0 {
				m.goDown("it did not take a record within " + slowAfter.String())
			}
			if !f.here && now.Sub(f.sent) < 10*slowAfter {
				return
			}
			delete(m.flying, m.order[0]) // the writer has given it up long ago
		}
		m.order = m.order[1:]
	}
	m.order = nil
}

// down lets this node go on alone.
func (m *mirror) down(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.goDown(why)
}

// goDown must be called with the lock held. Writers are answered by settle: whoever is here may hold their lock.
func (m *mirror) goDown(why string) {
	if m.up == 0 {
		return
	}
	m.up, m.fresh, m.why = 0, nil, why
	if m.holds {
		m.holds, m.since = false, time.Now()
	}
	for n, f := range m.flying {
		f.there = true
		if f.answered != nil || f.here {
			delete(m.flying, n)
			m.settled = append(m.settled, f)
		}
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// settle answers those who waited for the other node when it was given up, until ctx ends.
func (m *mirror) settle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		}
		m.mu.Lock()
		done, why := m.settled, m.why
		m.settled = nil
		m.mu.Unlock()
		m.e.twin.alone(true, why)
		for _, f := range done {
			m.finish(f, f.answered == nil)
		}
	}
}

// state is whether the other holds everything, since when, and whether it is being copied.
func (m *mirror) state() (holds bool, since time.Time, copying bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holds, m.since, m.fresh != nil
}
