package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"tandem/call"
	"tandem/cluster"
)

// keyEverywhere is followed by a key of the switchboard: what somebody has set at one shard and holds at all; JSON of a setting.
const keyEverywhere = "everywhere/"

// setting is a value of the switchboard's, and when it was set. Of two the later one holds.
type setting struct {
	At    int64           `json:"at"`    // nanoseconds since 1970; later than that of what it replaced, whatever the clocks say
	Value json.RawMessage `json:"value"` // null: what the files say holds again
}

// before tells whether another setting of the same key stands before this one, on every node alike.
func (s setting) before(other setting) bool {
	return s.At < other.At || s.At == other.At && bytes.Compare(s.Value, other.Value) < 0
}

// settings are forwards, do-not-disturb and night switches of a cluster with shards. Each is kept by the shard where it was set,
// every node follows those of all, and the last one of a key holds. It is bounded by the extensions and schedules there are.
type settings struct {
	mu     sync.Mutex // guards what follows, and keeps the changes of the switchboards in order
	newest map[string]setting
	boards map[*call.Switchboard]*slog.Logger
}

func newSettings() *settings {
	return &settings{newest: map[string]setting{}, boards: map[*call.Switchboard]*slog.Logger{}}
}

// join gives a switchboard what holds, now and from now on until it leaves.
func (s *settings) join(b *call.Switchboard, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boards[b] = log
	for key, x := range s.newest {
		remember(b, log, key, x)
	}
}

func (s *settings) leave(b *call.Switchboard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.boards, b)
}

// take takes a setting that some shard has kept; an older one than is known changes nothing.
func (s *settings) take(key string, x setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, there := s.newest[key]; there && x.before(known) {
		return
	}
	s.newest[key] = x
	for b, log := range s.boards {
		remember(b, log, key, x)
	}
}

// stamp makes a value the setting that holds, before it is kept. The switchboard that has it already is told nothing until it is
// kept; undo takes it back where it could not be.
func (s *settings) stamp(now time.Time, key string, value []byte) (x setting, undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, there := s.newest[key]
	x = setting{max(now.UnixNano(), before.At+1), value}
	s.newest[key] = x
	return x, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.newest[key].At != x.At:
		case there:
			s.newest[key] = before
		default:
			delete(s.newest, key)
		}
	}
}

func remember(b *call.Switchboard, log *slog.Logger, key string, x setting) {
	value := []byte(x.Value)
	if bytes.Equal(value, []byte("null")) {
		value = nil
	}
	if err := b.Remember(key, value); err != nil {
		log.Error("a setting of another shard cannot be read: it is left out", "key", key, "err", err)
	}
}

// takeRecord takes a record of the bucket of state of some shard.
func (s *settings) takeRecord(r cluster.Record) error {
	key, ours := strings.CutPrefix(r.Key, keyEverywhere)
	if !ours || r.Deleted {
		return nil
	}
	if r.Version > stateForm {
		return fmt.Errorf("it is of form %d", r.Version)
	}
	var x setting
	if err := json.Unmarshal(r.Value, &x); err != nil {
		return fmt.Errorf("%s: %w", r.Key, err)
	}
	s.take(key, x)
	return nil
}

// keepEverywhere keeps a setting in the shard that took it.
func (m callMemory) keepEverywhere(key string, value []byte, done func(error)) {
	x, undo := m.settings.stamp(time.Now(), key, value)
	raw, err := json.Marshal(x)
	if err != nil {
		panic(err) // the value is JSON that the switchboard has made
	}
	m.engine.Put(cluster.Write{Bucket: bucketState, Key: keyEverywhere + key, Value: raw, Version: stateForm, Done: func(err error) {
		err = deposedOr(err)
		if errors.Is(err, call.ErrDeposed) {
			undo()
		}
		if done != nil {
			done(err)
		}
	}})
}
