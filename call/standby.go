package call

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tandem/media"
	"tandem/record"
)

// A Standby follows the calls of the active node: the ports of each are open here, with keys and counters, so that after Promote the first
// packet that arrives goes out at once. Its methods may be called from any goroutine.
type Standby struct {
	board *Switchboard
	log   *slog.Logger

	mu    sync.Mutex           // taken before that of a call
	calls map[string]*standing // bounded by the calls of the active node
}

// standing is one call that stands by. Its lock is its own, for ports are opened under it: calls are made ready beside each other.
type standing struct {
	mu    sync.Mutex
	state *State
	legs  map[string]*ready
	notes map[string][]byte // the last of each leg, JSON of a media.StreamState
}

// ready is the media of one leg that stands by.
type ready struct {
	session Session
	agreed  string // what it was opened for: its media.State without the streams
	leg     atomic.Pointer[Leg]
}

// hear passes on what the media room tells, once there is a leg to tell.
func (r *ready) hear(ev media.Event) {
	if l := r.leg.Load(); l != nil {
		l.in().hear(l, ev)
	}
}

// Standby begins to follow. The board's media must be shut meanwhile, see media.Engine.Gate.
func (s *Switchboard) Standby() *Standby {
	return &Standby{board: s, log: s.log, calls: map[string]*standing{}}
}

// Put takes a call as it was written so long ago.
func (b *Standby) Put(raw []byte, age time.Duration) error {
	st, err := stateOf(raw)
	if err != nil {
		return err
	}
	st.here(time.Now(), age)
	c := b.hold(st.Call, true)
	defer c.mu.Unlock()
	c.state = st
	live := map[string]bool{}
	for _, l := range st.live() {
		live[l.Leg] = true
		if err := c.prepare(b.board, l); err != nil {
			b.log.Error("call stands by without its media", "call", st.Call, "leg", l.Leg, "err", err)
		}
	}
	for name := range c.legs {
		if !live[name] {
			c.drop(name)
		}
	}
	return nil
}

// hold gives a call with its lock held; one that is not there is made, or is nil. Delete and its kin find the call in the list no more once
// they have begun, so whoever holds one that is in it holds one that is not closed.
func (b *Standby) hold(call string, make bool) *standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls[call]
	if c == nil && make {
		c = &standing{legs: map[string]*ready{}, notes: map[string][]byte{}}
		b.calls[call] = c
	}
	if c != nil {
		c.mu.Lock()
	}
	return c
}

// prepare opens the ports of a leg, or brings those that are open to where its streams are.
func (c *standing) prepare(s *Switchboard, l *LegState) error {
	agreed := *l.Media
	agreed.Port = media.StreamState{Local: agreed.Port.Local}
	text, err := record.Marshal(agreed)
	if err != nil {
		return err
	}
	if r := c.legs[l.Leg]; r != nil && r.agreed == string(text) {
		return r.session.Follow(l.Media.Port)
	}
	c.drop(l.Leg)
	r := &ready{agreed: string(text)}
	if r.session, err = s.media.Adopt(*l.Media, c.state.Call, l.Leg, r.hear); err != nil {
		return err
	}
	c.legs[l.Leg] = r
	return nil
}

func (c *standing) drop(leg string) {
	if r := c.legs[leg]; r != nil {
		delete(c.legs, leg)
		r.session.Close()
	}
}

// Note takes how far the streams of a leg have come.
func (b *Standby) Note(call, leg string, raw []byte) error {
	var st media.StreamState
	if err := record.Unmarshal(raw, &st); err != nil {
		return fmt.Errorf("call %s leg %s: %w", call, leg, err)
	}
	c := b.hold(call, false)
	if c == nil {
		return nil // it is over, or its state is still to come
	}
	defer c.mu.Unlock()
	c.notes[leg] = raw
	if r := c.legs[leg]; r != nil {
		return r.session.Follow(st)
	}
	return nil
}

// Delete forgets a call that has ended.
func (b *Standby) Delete(call string) {
	b.mu.Lock()
	c := b.calls[call]
	delete(b.calls, call)
	b.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// close closes what stands by of a call.
func (c *standing) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for leg := range c.legs {
		c.drop(leg)
	}
}

// Count is how many calls stand by, and how many of them have all their media.
func (b *Standby) Count() (calls, ready int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if c.whole() {
			ready++
		}
	}
	return len(b.calls), ready
}

// whole tells whether a call has all its media.
func (c *standing) whole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.legs) == len(c.state.live())
}

// Promote makes the calls live here: see Switchboard.Adopt. The Standby is empty then.
func (b *Standby) Promote(attach Attach, written func(call string) bool) (r Revived) {
	calls := b.empty()
	now := time.Now()
	for id, c := range calls {
		if written(id) {
			c.close()
			b.board.journal.Delete(id, nil)
			continue
		}
		c.mu.Lock()
		a := &adoption{
			board: b.board, st: c.state, now: now, attach: attach, ready: c.legs,
			notes: func(_, leg string) []byte { return c.notes[leg] },
		}
		a.build()
		r.goOn(a)
		c.mu.Unlock()
		c.close() // of legs that were not taken
	}
	return r
}

// empty takes every call out.
func (b *Standby) empty() map[string]*standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = map[string]*standing{}
	return calls
}

// Close closes what stands by.
func (b *Standby) Close() {
	for _, c := range b.empty() {
		c.close()
	}
}
