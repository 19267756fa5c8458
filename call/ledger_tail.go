package call

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
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

// Written tells which calls have a record at the end of the ledger: those need none any more.
func (f *FileLedger) Written() (map[string]bool, error) {
	out := map[string]bool{}
	if f.path == "" {
		return out, nil
	}
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return out, err
	}
	if _, err := file.Seek(max(info.Size()-tailLength, 0), io.SeekStart); err != nil {
		return out, err
	}
	lines := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if id := callOf(line); err == nil && id != "" {
			out[id] = true
		}
		if err != nil {
			return out, nil // the rest is no whole line
		}
	}
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
	var r struct {
		Call string `json:"call"`
	}
	if json.Unmarshal(line, &r) != nil {
		return ""
	}
	return r.Call
}
