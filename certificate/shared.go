package certificate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// told is a folder of files whose changes another node hears of. Certmagic works in it with goroutines that it does not wait for.
type told struct {
	*certmagic.FileStorage
	tell func(name string, value []byte)
	work *work
}

// Store implements certmagic.Storage.
func (s told) Store(ctx context.Context, name string, value []byte) error {
	if !s.work.begin() {
		return errClosed
	}
	defer s.work.end()
	err := s.FileStorage.Store(ctx, name, value)
	if err == nil && !ofThisMachine(name) {
		s.tell(name, value)
	}
	return err
}

// Delete implements certmagic.Storage. Later than Close it takes away what was begun before, and tells nobody.
func (s told) Delete(ctx context.Context, name string) error {
	goesOn := s.work.begin()
	if goesOn {
		defer s.work.end()
	}
	err := s.FileStorage.Delete(ctx, name)
	if err == nil && goesOn && !ofThisMachine(name) {
		s.tell(name, nil)
	}
	return err
}

// Lock implements certmagic.Locker: the work lasts until Unlock.
func (s told) Lock(ctx context.Context, name string) error {
	if !s.work.begin() {
		return errClosed
	}
	err := s.FileStorage.Lock(ctx, name)
	if err != nil {
		s.work.end()
	}
	return err
}

// TryLock implements certmagic.TryLocker: the work lasts until Unlock.
func (s told) TryLock(ctx context.Context, name string) (bool, error) {
	if !s.work.begin() {
		return false, errClosed
	}
	locked, err := s.FileStorage.TryLock(ctx, name)
	if err != nil || !locked {
		s.work.end()
	}
	return locked, err
}

// Unlock implements certmagic.Locker.
func (s told) Unlock(ctx context.Context, name string) error {
	defer s.work.end()
	return s.FileStorage.Unlock(ctx, name)
}

var errClosed = errors.New("certificate: nothing is kept any more")

// work is what goes on at the moment. Once it is closed nothing begins, but as a part of what goes on.
type work struct {
	mu     sync.Mutex
	n      int
	closed bool
	over   chan struct{}
}

func newWork() *work { return &work{over: make(chan struct{})} }

func (w *work) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed && w.n == 0 {
		return false
	}
	w.n++
	return true
}

func (w *work) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n--; w.closed && w.n == 0 {
		close(w.over)
	}
}

// close waits for what goes on, whose contexts have ended, no longer than the limit.
func (w *work) close(limit time.Duration) {
	w.mu.Lock()
	w.closed = true
	if w.n == 0 {
		close(w.over)
	}
	w.mu.Unlock()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-w.over:
	case <-late.C:
	}
}

// ofThisMachine tells whether a file says nothing to another node: what is locked at the moment, and by what certmagic tries the disk.
func ofThisMachine(name string) bool {
	return strings.HasPrefix(name, "locks/") || strings.HasPrefix(name, "rw_test_")
}

// Tell has every file told, for nodes that have not heard of them: the account, its key, and the certificates with theirs.
func (a *ACME) Tell(ctx context.Context) error {
	names, err := a.files.List(ctx, "", true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if info, err := a.files.Stat(ctx, name); err != nil || !info.IsTerminal || ofThisMachine(name) {
			continue
		}
		if value, err := a.files.Load(ctx, name); err == nil {
			a.files.tell(name, value)
		}
	}
	return err
}

// Remember takes a file that another node has told of; nil: it was deleted there. It is found when Run begins.
func (a *ACME) Remember(ctx context.Context, name string, value []byte) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("certificate: a file %.80q lies elsewhere", name)
	}
	if value != nil {
		return a.files.FileStorage.Store(ctx, name, value)
	}
	if err := a.files.FileStorage.Delete(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
