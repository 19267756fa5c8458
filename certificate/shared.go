package certificate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/caddyserver/certmagic"
)

// told is a folder of files whose changes another node hears of.
type told struct {
	*certmagic.FileStorage
	tell func(name string, value []byte)
}

// Store implements certmagic.Storage.
func (s told) Store(ctx context.Context, name string, value []byte) error {
	err := s.FileStorage.Store(ctx, name, value)
	if err == nil {
		s.tell(name, value)
	}
	return err
}

// Delete implements certmagic.Storage.
func (s told) Delete(ctx context.Context, name string) error {
	err := s.FileStorage.Delete(ctx, name)
	if err == nil {
		s.tell(name, nil)
	}
	return err
}

// locks is the folder of what is locked at the moment: it says something of this machine alone.
const locks = "locks/"

// Tell has every file told, for nodes that have not heard of them: the account, its key, and the certificates with theirs.
func (a *ACME) Tell(ctx context.Context) error {
	names, err := a.files.List(ctx, "", true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if info, err := a.files.Stat(ctx, name); err != nil || !info.IsTerminal || strings.HasPrefix(name, locks) {
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
