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

	mu    sync.Mutex
	calls map[string]*standing // bounded by the calls of the active node
}

// standing is one call that stands by.
type standing struct {
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
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls[st.Call]
	if c == nil {
		c = &standing{legs: map[string]*ready{}, notes: map[string][]byte{}}
		b.calls[st.Call] = c
	}
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
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls[call]
	if c == nil {
		return nil // it is over, or its state is still to come
	}
	c.notes[leg] = raw
	if r := c.legs[leg]; r != nil {
		return r.session.Follow(st)
	}
	return nil
}

// Delete forgets a call that has ended.
func (b *Standby) Delete(call string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.calls[call]; c != nil {
		delete(b.calls, call)
		for leg := range c.legs {
			c.drop(leg)
		}
	}
}

// Count is how many calls stand by, and how many of them have all their media.
func (b *Standby) Count() (calls, ready int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if len(c.legs) == len(c.state.live()) {
			ready++
		}
	}
	return len(b.calls), ready
}

// Promote makes the calls live here: see Switchboard.Adopt. The Standby is empty then.
func (b *Standby) Promote(attach Attach, written func(call string) bool) (r Revived) {
	b.mu.Lock()
	calls := b.calls
	b.calls = map[string]*standing{}
	b.mu.Unlock()
	now := time.Now()
	for id, c := range calls {
		if written(id) {
			for leg := range c.legs {
				c.drop(leg)
			}
			b.board.journal.Delete(id)
			continue
		}
		r.goOn(&adoption{
			board: b.board, st: c.state, now: now, attach: attach, ready: c.legs,
			notes: func(_, leg string) []byte { return c.notes[leg] },
		})
		for leg := range c.legs { // of legs that were not taken
			c.drop(leg)
		}
	}
	return r
}

// Close closes what stands by.
func (b *Standby) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, c := range b.calls {
		delete(b.calls, id)
		for leg := range c.legs {
			c.drop(leg)
		}
	}
}
