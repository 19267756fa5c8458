package token

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// minKey is the least length of a key in a file: of one that was made, all of it is there.
const minKey = 32

// LoadKey reads the key in a file that only its owner may read, and makes both where there is none. The file is whole
// or absent, whenever the machine stops.
func LoadKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key of short-lived passwords: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if len(key) < minKey {
		return nil, fmt.Errorf("key of short-lived passwords: %s is too short: remove it, and another is made", path)
	}
	return []byte(key), nil
}

func makeKey(path string) ([]byte, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the process instead
	key := hex.EncodeToString(raw[:])
	if err := writeWhole(path, key+"\n"); err != nil {
		return nil, fmt.Errorf("key of short-lived passwords: %w", err)
	}
	return []byte(key), nil
}

func writeWhole(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when it was renamed
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
