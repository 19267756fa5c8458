package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pageSize is how many records are asked for at a time. The store sends a page at once, so it bounds memory too: one is being applied, one
// waits, one is on its way.
const pageSize = 10_000

// pageWithin is how long a page may take. The replica that answers is on this machine, or a hop away; but after a kill it reads its
// disk first, and a switch must not refuse to start because the machine is busy.
const pageWithin = 20 * time.Second

// pages reads a bucket from a sequence on, in the order of writing. While the reader is busy with a page the next one is on its way. An
// error ends it. How long who was asked may be silent at first says within.
func pages(ctx context.Context, conn *nats.Conn, b *bucket, from uint64, within time.Duration) iter.Seq2[[]*nats.Msg, error] {
	type answer struct {
		page []*nats.Msg
		err  error
	}
	return func(yield func([]*nats.Msg, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		left := make(chan struct{})
		ahead := make(chan answer, 1)
		var asking sync.WaitGroup
		asking.Go(func() {
			defer close(ahead)
			for more := true; more; {
				var x answer
				if x.page, more, x.err = messages(ctx, conn, b, from, within); x.err != nil {
					more = false
				}
				if len(x.page) > 0 {
					from = sequenceOf(x.page[len(x.page)-1]) + 1
				}
				select {
				case ahead <- x:
				case <-left:
					return
				}
			}
		})
		defer asking.Wait()
		defer stop()
		defer close(left)
		for x := range ahead {
			if !yield(x.page, x.err) {
				return
			}
		}
	}
}

func sequenceOf(m *nats.Msg) uint64 {
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	return seq
}

// How long a page may stay without an answer at first; then it is asked for again, with twice the patience. The store gives each question to any
// replica, also to one that has just died and whose connection nobody has closed. Who reads everything has whole pages sent, and is patient; who
// has read everything before asks for what is new, and may be about to serve.
const (
	replyWithin     = 150 * time.Millisecond
	replySoonWithin = 20 * time.Millisecond
)

// messages are what a page of a store holds. Whoever was asked first may only be slow: the first to answer is listened to.
func messages(ctx context.Context, conn *nats.Conn, b *bucket, from uint64, within time.Duration) (page []*nats.Msg, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	q := question{conn: conn, b: b, from: from, answers: make(chan *nats.Msg, pageSize+2)}
	defer q.forget("")
	silent := time.NewTimer(0)
	defer silent.Stop()
	patience, answering := time.Duration(0), ""
	for {
		var m *nats.Msg
		select {
		case m = <-q.answers:
			if answering != "" && m.Subject != answering {
				continue
			}
			silent.Reset(max(patience, replyWithin))
		case <-silent.C:
			if len(page) > 0 {
				return page, true, nil // whoever answered is gone; the rest is asked of another
			}
			if err := q.ask(); err != nil {
				return nil, false, fmt.Errorf("cluster: read bucket %s: %w", b.Name, err)
			}
			patience = max(2*patience, within)
			silent.Reset(patience)
			continue
		case <-ctx.Done():
			return nil, false, fmt.Errorf("cluster: read bucket %s: %w", b.Name, ctx.Err())
		}
		switch m.Header.Get("Status") {
		case "404": // nothing from there on
			return page, false, nil
		case "204": // the end of the page
			pending, _ := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			return page, len(page) > 0 && (pending > 0 || before(m) != lastOf(page)), nil
		case "503", "408":
			return nil, false, fmt.Errorf("cluster: read bucket %s: no replica answers", b.Name)
		}
		if answering == "" {
			answering = m.Subject
			q.forget(answering)
		}
		if before(m) != lastOf(page) {
			return page, true, nil // something between was lost on its way
		}
		page = append(page, m)
	}
}

// before is the sequence of the record that was sent before this one, or before the end of a page; 0: none was.
func before(m *nats.Msg) uint64 {
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
	return seq
}

// lastOf is the sequence of a page's last record; 0: it is empty.
func lastOf(page []*nats.Msg) uint64 {
	if len(page) == 0 {
		return 0
	}
	return sequenceOf(page[len(page)-1])
}

// question is one page that is asked for, until somebody answers.
type question struct {
	conn    *nats.Conn
	b       *bucket
	from    uint64
	answers chan *nats.Msg       // bounded to a page; what two who answer at once make it lose is noticed, see before
	asked   []*nats.Subscription // one for each time; pageWithin bounds them
}

// ask asks. The bucket has its stream for itself, so no subject is asked for: the store would look for it in its whole index, for each page
// and each record.
func (q *question) ask() error {
	text, _ := json.Marshal(map[string]any{"seq": q.from, "batch": pageSize})
	inbox := nats.NewInbox()
	sub, err := q.conn.ChanSubscribe(inbox, q.answers)
	if err != nil {
		return err
	}
	q.asked = append(q.asked, sub)
	return q.conn.PublishRequest("$JS.API.DIRECT.GET."+q.b.stream, inbox, text)
}

// forget hears no more of answers but those that come to one inbox.
func (q *question) forget(but string) {
	for _, sub := range q.asked {
		if sub.Subject != but {
			_ = sub.Unsubscribe() // the one that is left is forgotten at the end
		}
	}
}
