package voicemail

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Draft is a message that is being recorded. It ends with Commit or Discard.
type Draft struct {
	*os.File // of the sound: a WAV file is to be written from its beginning
	store    *Store
	message  Message
	over     bool
}

// Begin makes room for a message. ErrFull, ErrBox, or an error of the disk.
func (s *Store) Begin(box string) (*Draft, error) {
	if !validBox(box) {
		return nil, fmt.Errorf("%w: %q", ErrBox, box)
	}
	s.disk.Lock()
	defer s.disk.Unlock()
	if err := s.room(box); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.cfg.Dir, box)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("voicemail: %w", err)
	}
	now := time.Now()
	m := Message{ID: newID(now), Box: box, Recorded: now.UTC()}
	f, err := os.OpenFile(s.path(m)+partSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("voicemail: %w", err)
	}
	s.mu.Lock()
	s.drafts[box]++
	s.mu.Unlock()
	return &Draft{File: f, store: s, message: m}, nil
}

// room tells whether one more message may be recorded. The caller holds the disk.
func (s *Store) room(box string) error {
	s.mu.RLock()
	list, drafts := s.boxes[box], s.drafts[box]
	s.mu.RUnlock()
	if len(list)+drafts >= s.cfg.MaxMessages {
		return fmt.Errorf("%w: %d messages", ErrFull, len(list)+drafts)
	}
	size := int64(0)
	for _, m := range list {
		if info, err := os.Stat(s.path(m)); err == nil {
			size += info.Size()
		}
	}
	if size >= s.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes", ErrFull, size)
	}
	return s.spare()
}

// spare tells whether the disk has room for messages: what is left belongs to calls and their records.
func (s *Store) spare() error {
	var disk unix.Statfs_t
	dir := s.cfg.Dir
	for unix.Statfs(dir, &disk) != nil { // it may not be there yet
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
	return spare(int64(disk.Bavail)*disk.Bsize, int64(disk.Blocks)*disk.Bsize, s.cfg.Reserve)
}

// spare is nil while a disk has more left than messages leave to others: the reserve, or a tenth of a small disk.
func spare(free, size, reserve int64) error {
	if keep := min(reserve, size/10); free < keep {
		return fmt.Errorf("%w: the disk has %d bytes left, and messages leave %d", ErrFull, free, keep)
	}
	return nil
}

// Commit puts the message in its box: from now on it is there, whatever happens. What was recorded must be complete.
// Call, From, Caller and Seconds are taken from m. It returns when other nodes have the message too, as far as there are any.
func (d *Draft) Commit(m Message) (Message, error) {
	m.ID, m.Box, m.Recorded, m.Heard, m.Shared = d.message.ID, d.message.Box, d.message.Recorded, false, false
	s := d.store
	defer d.end()
	if err := s.save(m, d.File); err != nil {
		return m, fmt.Errorf("voicemail: %w", err)
	}
	switch err := s.share(&m); {
	case errors.Is(err, ErrElsewhere):
		return m, err // it is offered again when this node serves
	case err != nil:
		s.log.Warn("message is on this node alone for the moment", "box", m.Box, "message", m.ID, "err", err)
	}
	s.enter(m)
	s.log.Info("message left", "box", m.Box, "message", m.ID, "call", m.Call, "from", m.From+m.Caller, "seconds", m.Seconds)
	return m, nil
}

// save completes the files of a message: the sound, which is open under its name for parts, and then the description.
func (s *Store) save(m Message, sound *os.File) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	err := sound.Sync()
	if closed := sound.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(s.path(m)+partSuffix, s.path(m))
	}
	if err == nil {
		err = s.write(m)
	}
	if err != nil {
		_ = os.Remove(s.path(m))
		_ = os.Remove(s.path(m) + partSuffix)
		return err
	}
	if err := syncDir(filepath.Join(s.cfg.Dir, m.Box)); err != nil {
		s.log.Warn("message may not outlive a crash of the machine", "box", m.Box, "err", err)
	}
	return nil
}

// share lists a message whose files are complete and which is in no box yet, and waits for its copy.
func (s *Store) share(m *Message) error {
	s.disk.Lock()
	err := s.list(m)
	s.disk.Unlock()
	if err == nil {
		s.cfg.Index.Copied(*m)
	}
	return err
}

// offer is share for a message that is in its box, as it is now.
func (s *Store) offer(box, id string) error {
	var listed *Message
	err := s.change(box, id, func(m *Message) error {
		if m.Shared {
			return nil
		}
		listed = m
		return s.list(m)
	})
	if err == nil && listed != nil {
		s.cfg.Index.Copied(*listed)
	}
	return err
}

// list lists a message, and notes on the disk that it is: from then on it goes when it is listed no more. The disk's lock is held.
func (s *Store) list(m *Message) error {
	if err := s.cfg.Index.Put(*m); err != nil {
		return err
	}
	m.Shared = true
	if err := s.write(*m); err != nil {
		s.log.Warn("message is not marked as shared", "box", m.Box, "message", m.ID, "err", err)
	}
	return nil
}

// enter puts a message into memory, or what has become of it, and tells of it.
func (s *Store) enter(m Message) {
	s.put(m)
	s.tell(m.Box)
}

// put enters a message in its place.
func (s *Store) put(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.boxes[m.Box]
	i, there := slices.BinarySearchFunc(list, m.ID, func(m Message, id string) int { return cmp.Compare(m.ID, id) })
	if there {
		list[i] = m
	} else {
		s.boxes[m.Box] = slices.Insert(list, i, m)
	}
}

// tell says that a box has changed.
func (s *Store) tell(box string) {
	s.mu.RLock()
	changed := s.changed
	s.mu.RUnlock()
	changed(box)
}

// Discard throws the draft away; after Commit it does nothing.
func (d *Draft) Discard() {
	if d.over {
		return
	}
	_ = d.File.Close()
	_ = os.Remove(d.store.path(d.message) + partSuffix)
	d.end()
}

// end takes the draft off its box.
func (d *Draft) end() {
	d.over = true
	s := d.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drafts[d.message.Box]--; s.drafts[d.message.Box] <= 0 {
		delete(s.drafts, d.message.Box)
	}
}
