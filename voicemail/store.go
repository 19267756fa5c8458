package voicemail

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	// ErrFull says that a box takes no more messages.
	ErrFull = errors.New("voicemail: box is full")
	// ErrBox says that a number cannot be a box.
	ErrBox = errors.New("voicemail: no such box")
	// ErrElsewhere says that another node serves: nothing was changed.
	ErrElsewhere = errors.New("voicemail: another node serves")
	// ErrNotHeld says that the index will list it, and that nobody else knows of it until then.
	ErrNotHeld = errors.New("voicemail: not held by another node yet")
	// ErrNoMessage says that a message is gone.
	ErrNoMessage = errors.New("voicemail: no such message")
)

const partSuffix = ".part"

// Config says where messages are kept and how many. Zero fields take their defaults.
type Config struct {
	Dir         string    // made when the first message comes
	MaxMessages int       // of one box; default 100
	MaxBytes    int64     // of one box; default 256 MB
	Reserve     int64     // bytes of the disk that messages leave to others, a tenth of it at most; default 256 MB
	Index       Index     // of the messages of all nodes; nil: this is the only one
	Elsewhere   Elsewhere // what the boxes hold in other shards; nil: there are none
}

// Index lists the messages of all nodes. Its methods block for a moment; ErrElsewhere is why nothing was listed.
type Index interface {
	// Put lists a message, or what has become of it; it returns when that is held, or with ErrNotHeld.
	Put(m Message) error
	// Delete takes a message off the list.
	Delete(box, id string) error
	// Copied returns when another node has the sound of a message too, or cannot be expected to have it soon.
	Copied(m Message)
}

// nowhere is the index of a store that is alone.
type nowhere struct{}

func (nowhere) Put(Message) error           { return nil }
func (nowhere) Delete(string, string) error { return nil }
func (nowhere) Copied(Message)              {}

// Store keeps the boxes. Its methods write and read files, so they are not for goroutines that must not block; Count
// and List answer from memory.
type Store struct {
	cfg Config
	log *slog.Logger

	disk sync.Mutex // one change of files at a time

	mu      sync.RWMutex
	boxes   map[string][]Message // oldest first
	drafts  map[string]int       // messages that are being recorded, by box
	changed func(box string)
}

// Open reads what is there. Files that no message names are removed: a crash left them.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	cfg.MaxMessages = cmp.Or(cfg.MaxMessages, 100)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 256<<20)
	cfg.Reserve = cmp.Or(cfg.Reserve, 256<<20)
	if cfg.Index == nil {
		cfg.Index = nowhere{}
	}
	removeBorrowed(cfg.Dir)
	s := &Store{cfg: cfg, log: log, boxes: map[string][]Message{}, drafts: map[string]int{}, changed: func(string) {}}
	folders, err := os.ReadDir(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("voicemail: %w", err)
	}
	for _, d := range folders {
		if !d.IsDir() || !validBox(d.Name()) {
			continue
		}
		if err := s.openBox(d.Name()); err != nil {
			return nil, fmt.Errorf("voicemail: %w", err)
		}
	}
	return s, nil
}

func (s *Store) openBox(box string) error {
	files, err := os.ReadDir(filepath.Join(s.cfg.Dir, box))
	if err != nil {
		return err
	}
	var list []Message
	known := map[string]bool{greetingFile: true}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".json" {
			continue
		}
		m, err := readMessage(s.cfg.Dir, box, f.Name())
		if err != nil {
			s.log.Warn("message not readable", "box", box, "err", err)
			known[strings.TrimSuffix(f.Name(), ".json")+".wav"] = true // a person may mend it
			continue
		}
		if _, err := os.Stat(s.path(m)); err != nil {
			s.log.Warn("message without sound", "box", box, "message", m.ID)
			_ = os.Remove(filepath.Join(s.cfg.Dir, box, f.Name()))
			continue
		}
		known[m.ID+".wav"] = true
		list = append(list, m)
	}
	for _, f := range files {
		if name := f.Name(); strings.HasSuffix(name, partSuffix) || filepath.Ext(name) == ".wav" && !known[name] {
			s.log.Info("remains of an unfinished message removed", "box", box, "file", name)
			_ = os.Remove(filepath.Join(s.cfg.Dir, box, name))
		}
	}
	slices.SortFunc(list, func(a, b Message) int { return cmp.Compare(a.ID, b.ID) })
	if len(list) > 0 {
		s.boxes[box] = list
	}
	return nil
}

// Notify has f called after each change of a box, on the goroutine that made it; f must not block.
func (s *Store) Notify(f func(box string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = f
}

const greetingFile = "greeting.wav"

// Greeting is the file that the owner of a box greets with; empty: there is none.
func (s *Store) Greeting(box string) string {
	if !validBox(box) {
		return ""
	}
	path := filepath.Join(s.cfg.Dir, box, greetingFile)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// Count tells how many messages a box holds, those elsewhere too.
func (s *Store) Count(box string) (n Count) {
	for _, m := range s.whole(box) {
		if m.Heard {
			n.Heard++
		} else {
			n.New++
		}
	}
	return n
}

// Empty tells whether no box holds a message, here or elsewhere.
func (s *Store) Empty() bool {
	s.mu.RLock()
	none := len(s.boxes) == 0
	s.mu.RUnlock()
	return none && (s.cfg.Elsewhere == nil || s.cfg.Elsewhere.Empty())
}

// Boxes are the numbers of the boxes that hold messages here, sorted.
func (s *Store) Boxes() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]string, 0, len(s.boxes))
	for box := range s.boxes {
		out = append(out, box)
	}
	slices.Sort(out)
	return out
}

// List gives the messages of a box in the order in which they are heard: new ones first, each kind oldest first.
func (s *Store) List(box string) []Message {
	list := s.whole(box)
	slices.SortStableFunc(list, func(a, b Message) int {
		switch {
		case a.Heard == b.Heard:
			return 0
		case b.Heard:
			return -1
		}
		return 1
	})
	return list
}

// Sound is the file of a message that is here.
func (s *Store) Sound(m Message) string { return s.path(m) }

func (s *Store) path(m Message) string { return filepath.Join(s.cfg.Dir, m.Box, m.ID+".wav") }

// Mark notes that a message was heard.
func (s *Store) Mark(box, id string) error {
	if s.isElsewhere(box, id) {
		return s.cfg.Elsewhere.Mark(box, id)
	}
	return s.change(box, id, func(m *Message) error {
		if m.Heard {
			return nil
		}
		m.Heard = true
		if err := s.cfg.Index.Put(*m); err != nil && !errors.Is(err, ErrNotHeld) {
			return err
		}
		return s.write(*m)
	})
}

// Delete removes a message: from the index first, so that one which a crash leaves here is known to be gone.
func (s *Store) Delete(box, id string) error {
	if s.isElsewhere(box, id) {
		return s.cfg.Elsewhere.Delete(box, id)
	}
	return s.change(box, id, func(m *Message) error {
		if err := s.cfg.Index.Delete(box, id); err != nil {
			return err
		}
		return s.remove(m)
	})
}

// remove takes the files of a message away, the description first, and empties its ID.
func (s *Store) remove(m *Message) error {
	if err := os.Remove(s.json(*m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Remove(s.path(*m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("sound of a deleted message stays until the next start", "box", m.Box, "err", err)
	}
	m.ID = ""
	return nil
}

// change does something with a message on the disk, and then in memory. A message whose ID it empties is gone.
func (s *Store) change(box, id string, do func(*Message) error) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	m, here := s.Find(box, id)
	if !here {
		return ErrNoMessage
	}
	if err := do(&m); err != nil {
		return fmt.Errorf("voicemail: %w", err)
	}
	if m.ID == "" {
		s.mu.Lock()
		s.drop(box, id)
		s.mu.Unlock()
	} else {
		s.put(m)
	}
	s.tell(box)
	return nil
}

// drop takes a message out of memory. The caller holds the lock.
func (s *Store) drop(box, id string) {
	list := slices.DeleteFunc(s.boxes[box], func(m Message) bool { return m.ID == id })
	if s.boxes[box] = list; len(list) == 0 {
		delete(s.boxes, box)
	}
}

func (s *Store) json(m Message) string { return filepath.Join(s.cfg.Dir, m.Box, m.ID+".json") }

func (s *Store) write(m Message) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(s.json(m), append(b, '\n'))
}

// newID is a name that sorts by time and that nobody guesses.
func newID(now time.Time) string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return now.UTC().Format("20060102T150405") + "-" + hex.EncodeToString(b[:])
}
