package call

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// What was read of a ledger before is not read again, as long as it is the same file: a node that takes over does not wait for it.
func TestTailIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	line := func(id string) string { return fmt.Sprintf(`{"call":%q,"status":200}`+"\n", id) }
	put := func(at int64, text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	ledger := NewFileLedger(path, nil)
	has := func(what string, want ...string) {
		t.Helper()
		written, err := ledger.Written()
		if err != nil || len(written) != len(want) {
			t.Errorf("%s: %v, %v", what, written, err)
		}
		for _, id := range want {
			if !written[id] {
				t.Errorf("%s: %s is missing", what, id)
			}
		}
		clear(written) // it is the caller's
	}
	has("no file")
	put(0, line("one"))
	half := int64(len(line("one")))
	put(half, line("two")[:10])
	has("half a line", "one")
	put(0, line("ONE"))
	put(half, line("two"))
	put(half*2, `{"settled_for":"a","call":"six"}`+"\n"+`{"call":"bad",`+"\n"+`{"call":"a\"b"}`+"\n")
	has("the rest of it", "one", "two", "six", `a"b`)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	has("rotated away")
	put(0, line("new"))
	has("rotated", "new")
	put(half, string(bytes.Repeat([]byte(line("big")), 2*tailLength/int(half)+1)))
	has("grown by more than a tail", "big")
}
