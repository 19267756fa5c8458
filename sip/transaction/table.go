package transaction

import (
	"context"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"tandem/sip"
	"tandem/sip/transport"
	"time"
)

// User is told what the transactions do not settle by themselves. None of its methods may block; all but
// Terminated are called from the goroutine that read the message, in the order of the wire.
type User interface {
	// Stateless is asked first for a request that matches no transaction and is not merged, one that breaks
	// the grammar included. True: it has been answered, or needs no answer, and no transaction is made
	// (REGISTER, OPTIONS, 400, 401). Never ACK or CANCEL. m is valid during the call.
	Stateless(f transport.Flow, m *sip.Message) bool
	// Request brings a new server transaction; never ACK or CANCEL. m is tx.Request() and may be kept.
	Request(tx *Server, m *sip.Message)
	// Ack brings an ACK that matches no INVITE transaction, or one that was answered 2xx: it belongs to a
	// dialog, or to an INVITE that was refused statelessly. m is valid during the call.
	Ack(f transport.Flow, m *sip.Message)
	// Cancel brings the first CANCEL for an INVITE that has no final response. It has been answered 200; the
	// INVITE has not: the user answers 487, or as a proxy cancels its branches (RFC 3261 §9.2, §16.10). A
	// CANCEL that matches nothing has been answered 481. m is valid during the call.
	Cancel(tx *Server, m *sip.Message)
	// Stray brings a response that matches no transaction, such as the 2xx of a fork that comes after its
	// transaction has ended. m is valid during the call.
	Stray(f transport.Flow, m *sip.Message)
	// Closed tells that a connection is gone. The unfinished clients on it have failed by then.
	Closed(f transport.Flow)
	// Terminated tells that the final response of an INVITE, not a 2xx, was never acknowledged (Timer H).
	Terminated(tx *Server, why Failure)
}

// Failure is why a transaction came to nothing.
type Failure uint8

// Failures.
const (
	Timeout        Failure = iota // no final response (timers B, C, F), or no ACK (H)
	TransportError                // the request could not be sent again, or its connection closed
	failures
)

// String is the failure as logs and metrics have it.
func (f Failure) String() string {
	if f == Timeout {
		return "timeout"
	}
	return "transport-error"
}

// Status is the response that stands for the failure (RFC 3261 §8.1.3.1).
func (f Failure) Status() int {
	if f == Timeout {
		return 408
	}
	return 503
}

// Table runs the transactions. It is a transport.Handler. Safe for use by many goroutines.
type Table struct {
	cfg    Config
	timers Timers
	user   User
	log    *slog.Logger
	start  time.Time
	shards []*shard
	merged mergeIndex
	seeds  [3]maphash.Seed // shards and merges, merges again, tags
	live   atomic.Int64
	loose  looseCounters
}

// New makes a table. Its timers stand still until Run.
func New(cfg Config, user User, log *slog.Logger) *Table {
	cfg = cfg.withDefaults()
	t := &Table{
		cfg: cfg, timers: cfg.timers(), user: user, log: log,
		// An instant of 0 means no timer, so time begins a little before now.
		start:  cfg.Now().Add(-time.Second),
		shards: make([]*shard, cfg.Shards),
	}
	for i := range t.seeds {
		t.seeds[i] = maphash.MakeSeed()
	}
	for i := range t.shards {
		t.shards[i] = newShard()
	}
	t.merged.init(cfg.Shards)
	return t
}

// Run runs the timers until ctx ends, and returns nil when all its goroutines have. Transactions that are
// still alive then stay as they are.
func (t *Table) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range t.shards {
		wg.Go(func() { s.run(ctx, t) })
	}
	wg.Wait()
	return nil
}

// Closed fails the unfinished clients of the connection and passes the news on to the user.
func (t *Table) Closed(f transport.Flow) {
	for _, s := range t.shards {
		s.closed(t, f)
	}
	defer t.guard(event{})
	t.user.Closed(f)
}

func (t *Table) now() time.Duration { return t.cfg.Now().Sub(t.start) }

func (t *Table) shard(key []byte) *shard {
	return t.shards[maphash.Bytes(t.seeds[0], key)&uint64(len(t.shards)-1)]
}

// full tells whether no more transactions are admitted. One inside a dialog, or our own, belongs to a call
// that was admitted already.
func (t *Table) full(inDialog bool) bool {
	limit := t.cfg.Max
	if inDialog {
		limit += t.cfg.Max / 8
	}
	return t.live.Load() >= int64(limit)
}

// guard ends a panic of a callback: the stack is logged, and a request that is still unanswered gets a 500.
func (t *Table) guard(ev event) {
	cause := recover()
	if cause == nil {
		return
	}
	t.loose.panics.Add(1)
	t.log.Error("panic in a transaction's user", "panic", cause, "stack", string(debug.Stack()))
	if ev.what == callRequest {
		req := ev.server.Request()
		_ = ev.server.Respond(sip.AppendResponse(nil, req, 500, "", ev.server.Tag()))
	}
}
