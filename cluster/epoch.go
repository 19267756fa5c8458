package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// fence is where the present epoch began in a bucket: what an earlier one wrote after that place does not count.
type fence struct {
	mu    sync.Mutex
	epoch uint64
	seq   uint64
}

// raise notes the beginning of an epoch.
func (f *fence) raise(epoch, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch > f.epoch {
		f.epoch, f.seq = epoch, seq
	}
}

// stale tells whether a record was written by a deposed node after its successor had begun.
func (f *fence) stale(r Record) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return r.Epoch < f.epoch && r.Seq > f.seq
}

// begunAfter tells whether the present epoch began after a sequence and what follows it at once.
func (f *fence) begunAfter(seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq > seq+1
}

// nextEpoch counts the starts of a single node. It has no rival, but its records tell which process wrote them.
func nextEpoch(dir string) (uint64, error) {
	last, err := lastEpoch(dir)
	if err != nil {
		return 0, err
	}
	return last + 1, writeFile(epochFile(dir), []byte(strconv.FormatUint(last+1, 10)+"\n"), 0o600)
}

func epochFile(dir string) string { return filepath.Join(dir, "epoch") }

// lastEpoch is that of the last start as a single node; 0: there was none.
func lastEpoch(dir string) (uint64, error) {
	text, err := os.ReadFile(epochFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is no number: remove the file", epochFile(dir), text)
	}
	return last, nil
}
