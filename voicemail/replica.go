package voicemail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Replica brings the boxes of this node in line with the index: it gets the sound of messages that were left at another node, and
// removes what was deleted there. Its methods may be called from any goroutine.
type Replica struct {
	store   *Store
	fetch   Fetch
	log     *slog.Logger
	serving atomic.Bool

	mu    sync.Mutex
	known map[place]Message // the index as it has been told; bounded by it
	due   map[place]bool    // of them, and of those that are gone: what is still to be done here
	ready chan struct{}     // capacity 1: a signal that waits already is enough
}

// Fetch writes the sound of a message to w, as another node has it. ErrNoMessage: there is no other node, so it is lost.
type Fetch func(ctx context.Context, m Message, w io.Writer) error

type place struct{ box, id string }

// NewReplica makes the replica of a store. Run does its work.
func NewReplica(s *Store, fetch Fetch, log *slog.Logger) *Replica {
	return &Replica{store: s, fetch: fetch, log: log, known: map[place]Message{}, due: map[place]bool{}, ready: make(chan struct{}, 1)}
}

// Put takes a message that the index has, as it is now. It does not block.
func (r *Replica) Put(m Message) error {
	if !validBox(m.Box) || !validID(m.ID) {
		return fmt.Errorf("%w: %.80q in %.80q", ErrNoMessage, m.ID, m.Box)
	}
	m.Shared = true
	r.mu.Lock()
	at := place{m.Box, m.ID}
	r.known[at], r.due[at] = m, true
	r.mu.Unlock()
	r.wake()
	return nil
}

// Delete takes the end of a message. It does not block.
func (r *Replica) Delete(box, id string) {
	r.mu.Lock()
	at := place{box, id}
	delete(r.known, at)
	r.due[at] = true
	r.mu.Unlock()
	r.wake()
}

func (r *Replica) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Settle is called when the whole index has been told: what is here and was listed, and is listed no more, was deleted elsewhere.
func (r *Replica) Settle() {
	for _, m := range r.store.All() {
		r.mu.Lock()
		if _, there := r.known[place{m.Box, m.ID}]; !there && m.Shared {
			r.due[place{m.Box, m.ID}] = true
		}
		r.mu.Unlock()
	}
	r.wake()
}

// Serve lists the messages that only this node has: those of a time when it was alone, or of which it could not tell the others.
func (r *Replica) Serve() {
	r.serving.Store(true)
	r.offer()
}

// offer lists what is not listed. What is deleted or heard meanwhile is so.
func (r *Replica) offer() {
	for _, m := range r.store.All() {
		if m.Shared {
			continue
		}
		if err := r.store.offer(m.Box, m.ID); err != nil && !errors.Is(err, ErrNoMessage) {
			r.log.Warn("message is on this node alone", "box", m.Box, "message", m.ID, "err", err)
		}
	}
}

// Missing is how many messages the index has and this node has not.
func (r *Replica) Missing() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := range r.due {
		if m, there := r.known[at]; there {
			if _, here := r.store.Find(m.Box, m.ID); !here {
				n++
			}
		}
	}
	return n
}

const (
	// retryEvery is how often a sound is asked for again that no node could give.
	retryEvery = 2 * time.Second
	// offerEvery is how often what could not be listed is offered again.
	offerEvery = 30 * time.Second
)

// Run does what is due until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	offer := time.NewTicker(offerEvery)
	defer offer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.ready:
		case <-retry.C:
		case <-offer.C:
			if r.serving.Load() {
				r.offer()
			}
		}
		r.mu.Lock()
		due := slices.Collect(maps.Keys(r.due))
		r.mu.Unlock()
		for _, at := range due {
			if ctx.Err() == nil {
				r.do(ctx, at)
			}
		}
	}
}

// do brings one message in line. What fails stays due.
func (r *Replica) do(ctx context.Context, at place) {
	r.mu.Lock()
	want, there := r.known[at]
	delete(r.due, at)
	r.mu.Unlock()
	err := error(nil)
	have, here := r.store.Find(at.box, at.id)
	switch {
	case there && !here:
		err = r.store.take(ctx, want, r.fetch)
	case there && have != want:
		err = r.store.revise(want)
	case !there && here:
		err = r.store.forget(at.box, at.id)
	default:
		return
	}
	if errors.Is(err, ErrNoMessage) && r.serving.Load() {
		r.log.Error("message without sound taken off the list", "box", at.box, "message", at.id)
		err = r.store.cfg.Index.Delete(at.box, at.id)
	}
	if err != nil {
		r.log.Debug("message is not in line with the index yet", "box", at.box, "message", at.id, "err", err)
		r.mu.Lock()
		r.due[at] = true
		r.mu.Unlock()
		return
	}
	if r.serving.Load() {
		r.store.tell(at.box)
	}
}

// All is every message here.
func (s *Store) All() (all []Message) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, list := range s.boxes {
		all = append(all, list...)
	}
	return all
}

// Find gives a message that is here.
func (s *Store) Find(box, id string) (Message, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := slices.IndexFunc(s.boxes[box], func(m Message) bool { return m.ID == id })
	if i < 0 {
		return Message{}, false
	}
	return s.boxes[box][i], true
}

// Has tells whether a message is here with its sound.
func (s *Store) Has(box, id string) bool {
	_, here := s.Find(box, id)
	return here
}

// Read gives a piece of the sound of a message from an offset on, and how long it is in all. The message may be one that is complete on
// the disk and not in its box yet, since its copy is waited for.
func (s *Store) Read(box, id string, offset int64, length int) (piece []byte, size int64, err error) {
	if !validBox(box) || !validID(id) {
		return nil, 0, ErrNoMessage
	}
	f, err := os.Open(s.path(Message{Box: box, ID: id}))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	piece = make([]byte, length)
	n, err := f.ReadAt(piece, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	return piece[:n], info.Size(), nil
}

// take gets a message of another node: first the sound whole, then its description.
func (s *Store) take(ctx context.Context, m Message, fetch Fetch) error {
	if err := s.spare(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.cfg.Dir, m.Box), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path(m)+partSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := fetch(ctx, m, f); err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return err
	}
	if err := s.save(m, f); err != nil {
		return err
	}
	s.put(m)
	return nil
}

// revise writes what has become of a message at another node.
func (s *Store) revise(m Message) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if !s.Has(m.Box, m.ID) {
		return nil // it was deleted meanwhile
	}
	if err := s.write(m); err != nil {
		return err
	}
	s.put(m)
	return nil
}

// forget removes a message that was deleted at another node.
func (s *Store) forget(box, id string) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	m, here := s.Find(box, id)
	if !here {
		return nil
	}
	if err := s.remove(&m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(box, id)
	return nil
}
