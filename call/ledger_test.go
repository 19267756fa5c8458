package call

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/media"
)

// bookkeeper is a FileLedger at work, with its log.
type bookkeeper struct {
	*FileLedger
	t    *testing.T
	log  *bytes.Buffer
	done chan error
	end  context.CancelFunc
}

func keepBooks(t *testing.T, path string) *bookkeeper {
	log := &bytes.Buffer{}
	b := &bookkeeper{t: t, log: log, done: make(chan error, 1)}
	b.FileLedger = NewFileLedger(path, slog.New(slog.NewTextHandler(&lockedWriter{w: log}, nil)))
	return b
}

func (b *bookkeeper) start() {
	ctx, end := context.WithCancel(context.Background())
	b.end = end
	go func() { b.done <- b.Run(ctx) }()
}

// stop ends the ledger; the log may be read then.
func (b *bookkeeper) stop() {
	b.t.Helper()
	b.end()
	select {
	case err := <-b.done:
		if err != nil {
			b.t.Error(err)
		}
	case <-time.After(10 * time.Second):
		b.t.Fatal("does not stop")
	}
}

// counts waits until so many records are dealt with.
func (b *bookkeeper) counts(written, failed uint64) {
	b.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if w, f := b.Counts(); w == written && f == failed {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w, f := b.Counts()
			b.t.Fatalf("%d written and %d failed, want %d and %d", w, f, written, failed)
		}
	}
}

func calls(t *testing.T, path string) (names []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		names = append(names, r.Call)
	}
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		t.Error("last line has no end")
	}
	return names
}

// Everything that was queued is on the disk when Run has returned, one line each, and reads back as it was.
func TestLedgerDrainsAtStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	b := keepBooks(t, path)
	for i := range 100 {
		b.Write(Record{Call: fmt.Sprint(i), Attempts: []Attempt{{Reason: "line\nend"}}, Legs: []LegEntry{{Leg: "a", Media: media.Stats{Codec: "PCMA"}}}}, func() {})
	}
	b.start()
	b.stop()
	if got := calls(t, path); len(got) != 100 || got[99] != "99" {
		t.Errorf("%v", got)
	}
	raw, _ := os.ReadFile(path)
	if line, _, _ := strings.Cut(string(raw), "\n"); !strings.Contains(line, `"reason":"line\nend"`) || !strings.Contains(line, `"duration":0`) {
		t.Error(line)
	}
	if info, _ := os.Stat(path); info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may read it: %v", info.Mode())
	}
}

// Whoever rotates the file asks for it to be opened anew.
func TestLedgerReopens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	b := keepBooks(t, path)
	b.start()
	b.Write(Record{Call: "one"}, func() {})
	b.counts(1, 0)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	b.Write(Record{Call: "two"}, func() {})
	b.counts(2, 0)
	b.Reopen()
	b.Reopen() // one that waits already is enough
	deadline := time.After(10 * time.Second)
	for i := uint64(3); ; i++ { // the request may be taken after a record that is written now
		b.Write(Record{Call: "three"}, func() {})
		b.counts(i, 0)
		if _, err := os.Stat(path); err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatal("never opened anew")
		default:
		}
	}
	b.stop()
	if got := calls(t, path+".1"); got[0] != "one" || got[1] != "two" {
		t.Errorf("old file %v", got)
	}
	if got := calls(t, path); len(got) == 0 || got[0] != "three" {
		t.Errorf("new file %v", got)
	}
}

// waits waits until the file takes nothing, and so many records wait for it.
func (b *bookkeeper) waits(records int, why string) {
	b.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		n, what := b.Waiting()
		if n == records && strings.Contains(what, why) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("%d records wait since %q, want %d since %q", n, what, records, why)
		}
	}
}

// What cannot be written waits, and nobody is told that it is on the disk; when the disk is there again, so is the file, with every record in
// its order. The log has one line when it begins and one when it ends.
func TestLedgerWithoutADisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "missing", "cdr.jsonl")
	b := keepBooks(t, path)
	b.start()
	var told atomic.Int32
	for i := range 3 {
		b.Write(Record{Call: fmt.Sprint(i)}, func() { told.Add(1) })
		b.waits(i+1, "no such file")
	}
	if w, f := b.Counts(); w+f != 0 || told.Load() != 0 {
		t.Errorf("%d written, %d failed, %d told", w, f, told.Load())
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	b.counts(3, 0)
	b.waits(0, "")
	b.stop()
	if got := calls(t, path); !slices.Equal(got, []string{"0", "1", "2"}) || told.Load() != 3 {
		t.Errorf("%v, %d told", got, told.Load())
	}
	if log := b.log.String(); strings.Count(log, "level=ERROR") != 1 || strings.Count(log, "level=INFO") != 1 {
		t.Errorf("log: %s", log)
	}
}

// Half a line that a full disk left is taken back, so that the next one is whole.
func TestLedgerTakesBackHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	half := &halfFile{File: file, room: 20}
	if err := appendLine(half, Record{Call: "half"}); err == nil {
		t.Fatal("no error")
	}
	if err := appendLine(file, Record{Call: "whole"}); err != nil {
		t.Fatal(err)
	}
	if got := calls(t, path); len(got) != 1 || got[0] != "whole" {
		t.Errorf("%v", got)
	}
}

// halfFile has room for so many bytes.
type halfFile struct {
	*os.File
	room int
}

func (h *halfFile) Write(p []byte) (int, error) {
	n, err := h.File.Write(p[:h.room])
	if err == nil {
		err = fmt.Errorf("no space left")
	}
	return n, err
}

// A disk that does not keep up: the queue is bounded, nobody waits, and what does not fit is in the log.
func TestLedgerQueueIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	b := keepBooks(t, path)
	for i := range ledgerQueue + 5 {
		b.Write(Record{Call: fmt.Sprint(i)}, func() {})
	}
	if _, failed := b.Counts(); failed != 5 || !strings.Contains(b.log.String(), fmt.Sprintf(`\"call\":\"%d\"`, ledgerQueue+4)) {
		t.Errorf("%d failed", failed)
	}
	b.start()
	b.stop()
	if got := calls(t, path); len(got) != ledgerQueue {
		t.Errorf("%d lines", len(got))
	}
}

func TestLedgerWithoutAPath(t *testing.T) {
	b := keepBooks(t, "")
	b.start()
	b.Write(Record{Call: "one"}, func() {})
	b.stop()
	if w, f := b.Counts(); w+f != 0 {
		t.Errorf("%d written, %d failed", w, f)
	}
}
