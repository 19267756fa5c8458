package token

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// minKey is the least length of a key in a file: of one that was made, all of it is there.
const minKey = 32

// ReadKey reads the key that a start of an earlier version has left in a file; nil: there is none. Keys of today are derived from the
// secret that all nodes of a cluster have.
func ReadKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key of short-lived passwords: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if len(key) < minKey {
		return nil, fmt.Errorf("key of short-lived passwords: %s is too short: remove it", path)
	}
	return []byte(key), nil
}
