package call

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"sync"
)

// tailLength is how much of a ledger's end is read to find records that a dead process wrote last: some ten thousand. The state of
// a call is forgotten a moment after its record was written, so only the last few matter.
const tailLength = 16 << 20

// openLedger opens a ledger for appending. Half a line at its end, of a machine that lost its power, is cut off: its record was
// never said to be on the disk.
func openLedger(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return file, nil // what it is, writing will tell
	}
	from := max(info.Size()-tailLength, 0)
	tail := make([]byte, info.Size()-from)
	if _, err := file.ReadAt(tail, from); err != nil || tail[len(tail)-1] == '\n' {
		return file, nil
	}
	if end := bytes.LastIndexByte(tail, '\n'); end >= 0 || from == 0 {
		_ = file.Truncate(from + int64(end) + 1)
	}
	return file, nil
}

// tail is what has been read of a ledger's end.
type tail struct {
	mu    sync.Mutex
	file  os.FileInfo
	from  int64           // where reading began
	end   int64           // behind the last whole line
	calls map[string]bool // bounded by two lengths of a tail
}

// Written tells which calls have a record at the end of the ledger: those need none any more. What it has read before it does not read again, so
// that a node that takes over need not wait for it: see Remember.
func (f *FileLedger) Written() (map[string]bool, error) {
	f.tail.mu.Lock()
	defer f.tail.mu.Unlock()
	err := f.tail.read(f.path)
	return maps.Clone(f.tail.calls), err
}

// Remember reads the end of the ledger before anybody waits for it.
func (f *FileLedger) Remember() error {
	f.tail.mu.Lock()
	defer f.tail.mu.Unlock()
	return f.tail.read(f.path)
}

// read goes on where it has ended; in another file, and in one that has grown by more than a tail since, it begins anew.
func (t *tail) read(path string) error {
	if t.calls == nil {
		t.calls = map[string]bool{}
	}
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.begin(nil, 0)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if t.file == nil || !os.SameFile(t.file, info) || info.Size() < t.end || info.Size()-t.from > 2*tailLength {
		t.begin(info, max(info.Size()-tailLength, 0))
	}
	if _, err := file.Seek(t.end, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the rest is no whole line
		}
		t.end += int64(len(line))
		if id := callOf(line); id != "" {
			t.calls[id] = true
		}
	}
}

func (t *tail) begin(file os.FileInfo, at int64) {
	t.file, t.from, t.end = file, at, at
	clear(t.calls)
}

// Settle writes those of claimed records, JSON lines, that this node's file does not have: it died between claiming and writing them. No
// other goroutine may write meanwhile.
func (f *FileLedger) Settle(lines []byte) error {
	if f.path == "" {
		return nil
	}
	written, err := f.Written()
	if err != nil {
		return err
	}
	var missing []byte
	for line := range bytes.Lines(lines) {
		if id := callOf(line); id != "" && !written[id] {
			missing = append(missing, line...)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	file, err := openLedger(f.path)
	if err != nil {
		return err
	}
	_, err = file.Write(missing)
	return errors.Join(err, file.Sync(), file.Close())
}

// taking is a Take that waits.
type taking struct {
	lines []byte
	done  chan error // capacity 1
}

// Take is Settle while Run writes: of records that another node had claimed.
func (f *FileLedger) Take(ctx context.Context, lines []byte) error {
	t := taking{lines, make(chan error, 1)}
	select {
	case f.takes <- t:
		return <-t.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Claimed are the calls of claimed records.
func Claimed(lines []byte) (calls []string) {
	for line := range bytes.Lines(lines) {
		if id := callOf(line); id != "" {
			calls = append(calls, id)
		}
	}
	return calls
}

// callOf is the call of a record's line; empty: it is none.
func callOf(line []byte) string {
	if rest, ok := bytes.CutPrefix(line, []byte(`{"call":"`)); ok && json.Valid(line) { // as it is written, with half the work
		if id, _, _ := bytes.Cut(rest, []byte(`"`)); !bytes.ContainsRune(id, '\\') {
			return string(id)
		}
	}
	var r struct {
		Call string `json:"call"`
	}
	if json.Unmarshal(line, &r) != nil {
		return ""
	}
	return r.Call
}
