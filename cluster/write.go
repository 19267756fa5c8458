package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors that Done is given.
var (
	// ErrDegraded means that the store did not take the record in time, and that a majority has agreed since that this node serves. It waits
	// in memory and will be written; until then a second fault loses it. Who answers a request goes on and answers.
	ErrDegraded = errors.New("cluster: the record is not yet held by another node")
	// ErrFenced means that this node is not the active one any more. Nothing may be answered.
	ErrFenced = errors.New("cluster: this node is not the active one")
	// ErrFull means that the backlog is full: the record is in this process's objects only. A new call may be refused.
	ErrFull = errors.New("cluster: too much waits for the store")
	// ErrClosed means that the engine has been closed.
	ErrClosed = errors.New("cluster: closed")
)

// sweepEvery is how often unanswered writes are looked at; it adds to AckWithin.
const sweepEvery = 5 * time.Millisecond

// retryEvery is how often one waiting record is tried while the store is away.
const retryEvery = 100 * time.Millisecond

// retryWithin is how long a record that has waited may be on its way before it waits again: nobody is kept waiting by it.
const retryWithin = time.Second

// calmFor is how long the store must answer in time before people are told that it does: on a machine that is short of time it comes and goes
// several times a second. Writers wait for it again at once.
const calmFor = time.Second

// flushAtOnce is how many waiting records are on their way at a time: enough to fill the pipe, few enough that those of new
// calls are not stuck behind them.
const flushAtOnce = 512

// writer pipelines writes. One mutex guards it; nothing is sent or called back under it but the publish, which appends to
// the connection's buffer.
type writer struct {
	e      *Engine
	inbox  string // replies arrive at inbox + number of the flight
	sub    *nats.Subscription
	mu     sync.Mutex
	closed bool
	epoch  uint64 // that writes belong to; 0: this node is not the active one
	next   uint64
	flying map[uint64]*flight // sent, and not yet answered
	order  []uint64           // flying and some that are answered already, in the order of sending
	latest map[string]*flight // by subject: the last write of a key that flies or waits
	// What waits, by subject, with its bytes. It is bounded by Config.Backlog.
	backlog map[string]*flight
	bytes   int
	// Late ones whose writers are not told yet: a store that does not answer may mean that nobody hears this node, and that another one
	// serves in a moment, without these. They wait for the word of a majority, at most as long as a lease.
	doubtful []*flight
	doubts   chan struct{} // room for one: a majority is to be asked
	words    chan struct{} // room for one: it has been
	degraded bool
	probing  bool            // degraded, and nothing has been answered since
	caughtUp uint64          // degraded: the last flight that was sent when nothing waited any more; 0: something waits
	dropped  map[string]bool // buckets of which records were dropped since
	retried  time.Time
	alarmed  bool      // "replication degraded" was told, and "restored" not yet
	calm     time.Time // since when it is not degraded
	stats    writerStats
}

type writerStats struct{ put, acked, late, lost atomic.Uint64 }

// flight is one write on its way.
type flight struct {
	w       Write
	subject string
	data    []byte
	sent    time.Time
	put     time.Time
	held    bool          // this node has had the right to serve since it was put, so somebody may have been answered
	told    bool          // Done has run
	doubted time.Duration // BootTime since when it is doubtful; 0: it is not
	bucket  *bucket       // that counts it once it is held; nil: it is not counted
	sum     uint64
}

func newWriter(e *Engine) (*writer, error) {
	w := &writer{
		e: e, inbox: nats.NewInbox() + ".", doubts: make(chan struct{}, 1), words: make(chan struct{}, 1), flying: map[uint64]*flight{}, latest: map[string]*flight{}, backlog: map[string]*flight{}, dropped: map[string]bool{},
	}
	var err error
	if w.sub, err = e.conn.Subscribe(w.inbox+"*", w.answer); err != nil {
		return nil, err
	}
	return w, w.sub.SetPendingLimits(-1, -1) // answers are as many as flights
}

// Put writes a record, see Write and the comment of the package.
func (e *Engine) Put(w Write) {
	b := e.buckets[w.Bucket]
	if b == nil {
		finish(w.Done, fmt.Errorf("cluster: no bucket %q", w.Bucket))
		return
	}
	e.writer.put(b, w)
}

// PutWait writes a record and waits until it is held; ErrDegraded is not waited out.
func (e *Engine) PutWait(ctx context.Context, w Write) error {
	done := make(chan error, 1)
	then := w.Done
	w.Done = func(err error) {
		finish(then, err)
		done <- err
	}
	e.Put(w)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func finish(done func(error), err error) {
	if done != nil {
		done(err)
	}
}

func (w *writer) put(b *bucket, x Write) {
	epoch := w.e.lease.Epoch()
	if epoch == 0 {
		finish(x.Done, ErrFenced)
		return
	}
	f := w.flight(b, x, epoch)
	w.stats.put.Add(1)
	w.mu.Lock()
	var err error
	switch {
	case w.closed:
		err = ErrClosed
	case w.epoch != epoch:
		err = ErrFenced
	case w.degraded || !w.e.lease.Held():
		f.held = w.e.lease.Held() // without it no answer leaves
		if !w.wait(f) {
			err, f.told = ErrFull, true
		} else if !f.held || !w.doubt(f) {
			err, f.told = ErrDegraded, true
		}
	default:
		w.send(f)
	}
	w.mu.Unlock()
	if err != nil {
		finish(x.Done, err)
	}
}

// doubt has a late write wait for the word of a majority; false where there is none to ask.
func (w *writer) doubt(f *flight) bool {
	if w.e.lease.agreed.Load() == forever {
		return false
	}
	f.doubted = BootTime()
	w.doubtful = append(w.doubtful, f)
	return true
}

// nudge sends what one is enough of.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// agreed tells the writers of those that were late when a majority has agreed since that this node serves.
func (w *writer) agreed() {
	var late []*flight
	w.mu.Lock()
	w.doubtful = slices.DeleteFunc(w.doubtful, func(f *flight) bool {
		if f.told {
			return true
		}
		if !w.e.lease.since(f.doubted) {
			return false
		}
		f.told, f.held = true, true
		late = append(late, f)
		return true
	})
	w.mu.Unlock()
	for _, f := range late {
		finish(f.w.Done, ErrDegraded)
	}
}

// flight makes a write ready to leave.
func (w *writer) flight(b *bucket, x Write, epoch uint64) *flight {
	var s *sealer
	if b.Sealed {
		s = w.e.seal
	}
	token := escape(x.Key)
	if x.Key == fenceName {
		token, s = fenceKey, nil
	}
	f := &flight{w: x, subject: b.subject + token, data: wrap(x, epoch, w.e.cfg.Node, s), put: time.Now()}
	if len(w.e.cfg.Members) > 0 && token != fenceKey && b.MaxAge == 0 {
		f.bucket, f.sum = b, sumOf(x.Key, x.Version, x.Value)
	}
	if b.givable == nil {
		f.w.Value = nil
	}
	return f
}

// again writes once more what this node holds of a key, or that it holds nothing; false where that is not so any more, or about to change, or
// the store is away.
func (w *writer) again(b *bucket, x Write) bool {
	epoch := w.e.lease.Epoch()
	f := w.flight(b, x, epoch)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || epoch == 0 || w.epoch != epoch || w.degraded || !w.e.lease.Held() || w.latest[f.subject] != nil || !b.holding.has(x.Key, f.sum, x.Delete) {
		return false
	}
	w.stats.put.Add(1)
	w.send(f)
	return true
}

// send publishes under the lock, so that writes of one key leave in their order.
func (w *writer) send(f *flight) {
	w.next++
	n := w.next
	f.sent = time.Now()
	f.held = true
	w.flying[n], w.latest[f.subject] = f, f
	w.order = append(w.order, n)
	m := &nats.Msg{Subject: f.subject, Reply: w.inbox + strconv.FormatUint(n, 36), Data: f.data}
	if ttl := f.w.ttl(len(w.e.cfg.Members) == 0 && w.e.buckets[f.w.Bucket].Brief); ttl != "" {
		m.Header = nats.Header{"Nats-TTL": []string{ttl}}
	}
	_ = w.e.publish(m) // one that did not leave is not answered, and so tried again
}

// How long the mark of a deleted key stays. Who follows must see it: with others, longer than one of them may be cut off and still
// go on with what it has. And the store must have written down what it has before the mark goes, which it does every two and a half minutes:
// when it reads its files after a kill, it knows of a value that a mark has replaced only by that list or by the mark. Each mark costs some
// 2 KB of memory, and each call leaves one: that of a brief bucket goes as soon as who follows, in this process, has seen it.
const (
	deletedFor      = 5 * time.Minute
	deletedForBrief = time.Second
)

func (w *Write) ttl(brief bool) string {
	ttl := w.TTL
	switch {
	case w.Delete && brief:
		ttl = deletedForBrief
	case w.Delete:
		ttl = deletedFor
	}
	if ttl <= 0 {
		return ""
	}
	return strconv.Itoa(int((ttl+time.Second-1)/time.Second)) + "s"
}

// wait puts a record into the backlog in the place of an older one of its key; false if there is no room.
func (w *writer) wait(f *flight) bool {
	size := len(f.data) + len(f.subject)
	if old := w.backlog[f.subject]; old != nil {
		w.bytes -= len(old.data) + len(old.subject)
		delete(w.backlog, f.subject)
	}
	if w.bytes+size > w.e.cfg.Backlog {
		w.stats.lost.Add(1)
		w.dropped[f.w.Bucket] = true
		w.e.buckets[f.w.Bucket].lacks = true
		if w.latest[f.subject] == f {
			delete(w.latest, f.subject)
		}
		return false
	}
	w.bytes += size
	w.backlog[f.subject], w.latest[f.subject] = f, f
	return true
}

// answer takes the store's answer to one write.
func (w *writer) answer(m *nats.Msg) {
	n, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, w.inbox), 36, 64)
	if err != nil {
		return
	}
	if isRefusal(m) {
		w.refused(n, m)
		return
	}
	w.mu.Lock()
	f := w.flying[n]
	delete(w.flying, n)
	var told bool
	if f != nil {
		if f.bucket != nil {
			f.bucket.holding.put(f.w.Key, f.sum, f.w.Delete || f.w.TTL > 0)
		}
		w.acknowledged(f, m.Data)
		if w.latest[f.subject] == f {
			delete(w.latest, f.subject)
		}
		told, f.told = f.told, true
	}
	w.probing = false // also by what comes late: the store answers, and what waits is not kept waiting
	w.mu.Unlock()
	w.stats.acked.Add(1)
	if f != nil && !told {
		finish(f.w.Done, nil)
	}
}

// refused leaves a write to the sweep, which finds it late: an empty answer says that nobody leads the stream, an error
// that it takes nothing now (a full disk, an election).
func (w *writer) refused(n uint64, m *nats.Msg) {
	if len(m.Data) > 0 {
		w.e.log.Debug("store refused a record", "answer", string(m.Data))
	}
	w.mu.Lock()
	if f := w.flying[n]; f != nil {
		f.sent = time.Time{}
	}
	w.mu.Unlock()
}

// run looks after writes that are not answered until ctx ends.
func (w *writer) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.stop()
			return
		case <-w.words:
			w.agreed()
		case <-tick.C:
			w.sweep(time.Now())
		}
	}
}

// sweep moves what is late to the backlog, tells its writers, and sends what waits.
func (w *writer) sweep(now time.Time) {
	var events []Event
	var doubted []string
	w.mu.Lock()
	late, found := w.overdue(now)
	if found && !w.degraded && w.epoch != 0 {
		w.degraded, w.probing, w.retried = true, true, now
		if !w.alarmed {
			w.alarmed = true
			events = append(events, Event{Name: "replication degraded", Alarm: true, Backlog: len(w.backlog),
				Detail: fmt.Sprintf("the store did not answer within %v; records wait in memory", w.e.cfg.AckWithin)})
		}
	}
	if len(w.doubtful) > 0 { // once a sweep: asking costs a heartbeat
		nudge(w.doubts)
	}
	if len(w.backlog) > 0 && !w.degraded { // the lease was gone for a moment
		w.degraded, w.probing, w.retried = true, true, now
	}
	if w.degraded {
		if w.e.lease.Held() {
			w.flush(now)
		}
		if w.restored() {
			w.degraded, w.calm = false, now
			doubted = slices.Collect(maps.Keys(w.dropped))
			clear(w.dropped)
		}
	}
	if w.alarmed && !w.degraded && now.Sub(w.calm) >= calmFor {
		w.alarmed = false
		events = append(events, Event{Name: "replication restored"})
	}
	w.mu.Unlock()
	for _, f := range late {
		finish(f.w.Done, ErrDegraded)
	}
	for _, ev := range events {
		w.e.tell(ev)
	}
	for _, bucket := range doubted {
		w.e.cfg.Doubt(bucket, "")
	}
}

// overdue takes what is unanswered for too long out of the air, and tells whether any of it was late just now; it returns those whose writers are
// to be told at once. An old value of a key that has a newer one is not written again.
func (w *writer) overdue(now time.Time) (late []*flight, found bool) {
	for len(w.order) > 0 {
		n := w.order[0]
		f := w.flying[n]
		if f != nil {
			limit := w.e.cfg.AckWithin
			if w.degraded && (f.told || f.doubted != 0) { // somebody waits for those that left before it was
				limit = retryWithin
			}
			if now.Sub(f.sent) < limit {
				return late, found
			}
			delete(w.flying, n)
			w.probing = w.degraded
			w.stats.late.Add(1)
			if w.latest[f.subject] == f {
				w.wait(f)
			}
			if !f.told && f.doubted == 0 {
				found = true
				if !w.doubt(f) {
					f.told = true
					late = append(late, f)
				}
			}
		}
		w.order = w.order[1:]
	}
	w.order = nil
	return late, found
}

// flush sends one waiting record now and then to find out whether the store is back, and, once something has been
// answered, as many as the pipe takes.
func (w *writer) flush(now time.Time) {
	room := flushAtOnce - len(w.flying)
	if w.probing {
		if len(w.flying) > 0 || now.Sub(w.retried) < retryEvery {
			return
		}
		room, w.retried = 1, now
	}
	for subject, f := range w.backlog {
		if room <= 0 {
			return
		}
		room--
		delete(w.backlog, subject)
		w.bytes -= len(f.data) + len(f.subject)
		w.send(f)
	}
}

// restored tells that the store answers again: all that waited has been held. Under load there is always something on its way: what was
// written since does not count.
func (w *writer) restored() bool {
	switch {
	case len(w.backlog) == 0 && len(w.flying) == 0:
	case w.probing || len(w.backlog) > 0:
		w.caughtUp = 0
		return false
	case w.caughtUp == 0:
		w.caughtUp = w.next
		return false
	case len(w.order) > 0 && w.order[0] <= w.caughtUp: // overdue has taken those that are answered
		return false
	}
	w.caughtUp = 0
	return true
}

// begin lets writes of an epoch in, and closes every bucket for earlier ones by a record of its own.
func (w *writer) begin(epoch uint64) {
	w.mu.Lock()
	w.epoch = epoch
	w.mu.Unlock()
	for _, b := range w.e.buckets {
		w.put(b, Write{Bucket: b.Name, Key: fenceName})
	}
}

// end ends the epoch. What was answered for and waits goes to Config.Left: the next active node may lack it.
func (w *writer) end() {
	w.mu.Lock()
	w.epoch = 0
	owed := w.owed()
	left := w.empty()
	w.mu.Unlock()
	for _, f := range left {
		finish(f.w.Done, ErrFenced)
	}
	if len(owed) > 0 {
		w.e.log.Warn("another node serves before the store has taken all that was answered for: it is told of the registrations", "records", len(owed))
		w.e.cfg.Left(owed)
	}
}

// isOwed tells whether a write was answered for and is not held. What goes by itself is nobody's loss.
func (w *writer) isOwed(f *flight) bool {
	return f.told && f.held && f.w.Key != fenceName && w.e.buckets[f.w.Bucket].MaxAge == 0 && f.w.TTL == 0
}

// owed is what was answered for and is not held, by what was written last of each key.
func (w *writer) owed() (all []Record) {
	for subject, f := range w.latest {
		if !w.isOwed(f) {
			continue
		}
		r, err := unwrap(f.w.Bucket, f.w.Key, f.data, w.e.open)
		if err != nil {
			w.e.log.Error("record that waited cannot be read", "subject", subject, "err", err)
			continue
		}
		r.Age = time.Since(f.put)
		all = append(all, r)
	}
	return all
}

// empty forgets everything that flies or waits; it returns those whose writers have not been told.
func (w *writer) empty() (left []*flight) {
	for _, f := range slices.Concat(w.doubtful, slices.Collect(maps.Values(w.flying))) {
		if !f.told {
			f.told = true
			left = append(left, f)
		}
	}
	w.doubtful = nil
	clear(w.flying)
	clear(w.backlog)
	clear(w.latest)
	w.order, w.bytes, w.degraded, w.probing, w.caughtUp, w.alarmed = nil, 0, false, false, 0, false
	return left
}

// owes is how many records were answered for and are not held by another node.
func (w *writer) owes() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.latest {
		if w.isOwed(f) {
			n++
		}
	}
	return n
}

// waits is how many records are not held yet.
func (w *writer) waits() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.backlog) + len(w.flying)
}

// drain waits until everything is written, at most for limit.
func (w *writer) drain(limit time.Duration) {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		w.mu.Lock()
		idle := len(w.flying) == 0 && len(w.backlog) == 0
		w.mu.Unlock()
		if idle {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			return
		}
	}
}

// stop tells those who still wait.
func (w *writer) stop() {
	_ = w.sub.Unsubscribe()
	w.mu.Lock()
	w.closed = true
	left := w.empty()
	w.mu.Unlock()
	for _, f := range left {
		finish(f.w.Done, ErrClosed)
	}
}
