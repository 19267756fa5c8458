package voicemail

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Elsewhere is what the same boxes hold in other shards of a cluster: a message belongs to the shard where it was left, and its owner
// hears all of them. nil: there are no others. List and Empty answer from memory, the other methods block.
type Elsewhere interface {
	List(box string) []Message
	Empty() bool
	// Fetch writes the sound of a message to w.
	Fetch(ctx context.Context, m Message, w io.Writer) error
	Mark(box, id string) error
	Delete(box, id string) error
}

// whole is what a box holds here and elsewhere, oldest first.
func (s *Store) whole(box string) []Message {
	s.mu.RLock()
	list := slices.Clone(s.boxes[box])
	s.mu.RUnlock()
	if s.cfg.Elsewhere != nil {
		list = append(list, s.cfg.Elsewhere.List(box)...)
		slices.SortFunc(list, func(a, b Message) int { return cmp.Compare(a.ID, b.ID) })
	}
	return list
}

func (s *Store) isElsewhere(box, id string) bool {
	return s.cfg.Elsewhere != nil && !s.Has(box, id)
}

const borrowed = "borrowed-"

// Borrow is the file with the sound of a message; one that is elsewhere is fetched for as long as it is wanted. giveBack must be
// called when it has been read.
func (s *Store) Borrow(ctx context.Context, m Message) (file string, giveBack func(), err error) {
	if !s.isElsewhere(m.Box, m.ID) {
		return s.path(m), func() {}, nil
	}
	if err := s.spare(); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return "", nil, err
	}
	f, err := os.CreateTemp(s.cfg.Dir, borrowed+"*.wav")
	if err != nil {
		return "", nil, err
	}
	giveBack = func() { _ = os.Remove(f.Name()) }
	err = s.cfg.Elsewhere.Fetch(ctx, m, f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		giveBack()
		return "", nil, err
	}
	return f.Name(), giveBack, nil
}

// removeBorrowed takes away what a crash has left.
func removeBorrowed(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, borrowed+"*.wav"))
	for _, file := range left {
		_ = os.Remove(file)
	}
}
