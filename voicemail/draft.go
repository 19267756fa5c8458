package voicemail

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
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
	return nil
}

// Commit puts the message in its box: from now on it is there, whatever happens. What was recorded must be complete.
// Call, From, Caller and Seconds are taken from m.
func (d *Draft) Commit(m Message) (Message, error) {
	m.ID, m.Box, m.Recorded, m.Heard = d.message.ID, d.message.Box, d.message.Recorded, false
	s := d.store
	s.disk.Lock()
	defer s.disk.Unlock()
	err := d.File.Sync()
	if closed := d.File.Close(); err == nil {
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
		d.end()
		return m, fmt.Errorf("voicemail: %w", err)
	}
	if err := syncDir(filepath.Join(s.cfg.Dir, m.Box)); err != nil {
		s.log.Warn("message may not outlive a crash of the machine", "box", m.Box, "err", err)
	}
	s.mu.Lock()
	s.boxes[m.Box] = append(s.boxes[m.Box], m)
	changed := s.changed
	s.mu.Unlock()
	d.end()
	s.log.Info("message left", "box", m.Box, "message", m.ID, "call", m.Call, "from", m.From+m.Caller, "seconds", m.Seconds)
	changed(m.Box)
	return m, nil
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
