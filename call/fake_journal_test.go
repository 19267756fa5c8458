package call

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/registrar"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// fakeJournal keeps states in memory. Each switch that is started has one of its own, with what the one before left.
type fakeJournal struct {
	mu     sync.Mutex
	states map[string][]byte
	puts   int
	dead   bool          // its process was killed: nothing arrives any more
	slow   time.Duration // until a state is held
	answer error         // what done is given
	old    atomic.Bool   // a node of the version before reads it
}

func (j *fakeJournal) Put(call string, state []byte, done func(error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return // its callers are dead too
	}
	j.puts++
	j.states[call] = state
	if done == nil {
		return
	}
	err := j.answer
	time.AfterFunc(j.slow, func() { done(err) })
}

func (j *fakeJournal) Rings() bool { return !j.old.Load() }

func (j *fakeJournal) Note(string, string, []byte) {}

func (j *fakeJournal) Delete(call string, done func(error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return
	}
	delete(j.states, call)
	if done != nil {
		time.AfterFunc(j.slow, func() { done(nil) })
	}
}

// cut has nothing arrive any more.
func (j *fakeJournal) cut() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead = true
}

func (j *fakeJournal) size() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.states)
}

// keeps lets the switch of a test keep its calls: it starts anew with a journal.
func (o *office) keeps() {
	o.journal = &fakeJournal{states: map[string][]byte{}}
	o.killed(0)
	o.start()
}

// killed ends the switch as kill -9 does, without a word to anybody, and leaves it dead for a while. start brings it back.
func (o *office) killed(away time.Duration) {
	o.Helper()
	o.settle()
	left := &fakeJournal{states: maps.Clone(o.journal.states)}
	o.journal.cut()
	o.ledger.cut(true)
	o.udp.Close()
	o.tcp.Close()
	o.before += o.board.stats.Started.Load()
	o.stop()
	<-o.stopped
	o.endTable()
	o.ledger.cut(false)
	o.journal = left
	o.pass(away)
}

// adopt gives the switch what the journal has.
func (o *office) adopt() {
	o.Helper()
	if o.journal == nil {
		return
	}
	attach := func(f registrar.FlowRecord) transport.Flow {
		if f.Proto == transport.UDP {
			return o.udp.Flow(f.Remote.String())
		}
		return transport.NewFlow(o.lost, f.Local, f.Remote)
	}
	written := map[string]bool{}
	for _, r := range o.ledger.all() {
		written[r.Call] = true
	}
	isWritten := func(call string) bool { return written[call] }
	if o.standby != nil {
		o.revived = o.standby.Promote(attach, isWritten)
		return
	}
	states := slices.Collect(maps.Values(o.journal.states))
	if o.order != nil {
		states, o.order = o.order, nil
	}
	r := o.board.Adopt(states, func(string, string) []byte { return nil }, attach, isWritten)
	o.revived = r
}

// revive kills the switch and starts it again.
func (o *office) revive() {
	o.Helper()
	o.killed(2 * time.Second)
	o.start()
	o.settle()
}

// deadLink is a connection of a dead switch.
type deadLink struct{ *siptest.Discard }

func (deadLink) Alive() bool { return false }

func (deadLink) Send(_, _ netip.AddrPort, _ []byte) error { return transport.ErrClosed }
