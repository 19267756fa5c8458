package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// ledgerQueue bounds the records that wait for a slow disk: a minute of calls at 100 a second. When it is full
// the record goes to the log instead, whole, so that it is not lost.
const ledgerQueue = 6000

// FileLedger appends each record as one JSON line to a file.
type FileLedger struct {
	path    string
	log     *slog.Logger
	queue   chan entry
	claims  Claims // nil: no other node could write them
	reopen  chan struct{}
	takes   chan taking
	written atomic.Uint64
	failed  atomic.Uint64
}

// NewFileLedger makes a ledger; Run opens the file. An empty path keeps nothing.
func NewFileLedger(path string, log *slog.Logger) *FileLedger {
	return &FileLedger{path: path, log: log, queue: make(chan entry, ledgerQueue), reopen: make(chan struct{}, 1), takes: make(chan taking)}
}

// Claims tell the other nodes of a pair whose file a record goes into. Each node has a file of its own, and any of them may die between
// writing a line and saying so: hence it says so before.
type Claims interface {
	// Claim says that this node writes these records, JSON lines. It returns when the other nodes know; after an error they write those of
	// calls that a Journal has, and this node must not.
	Claim(ctx context.Context, lines []byte) (claim string, err error)
	// Release forgets a claim whose records are on the disk, after the states of their calls. It does not block.
	Release(claim string, calls []string)
}

// Use sets the claims, before Run.
func (f *FileLedger) Use(c Claims) { f.claims = c }

// entry is a record that waits, and who wants to know when it is on the disk; nil: nobody, its call has no state anywhere.
type entry struct {
	Record
	done func()
}

// Write queues a record; it never blocks. done runs when the record has been flushed to the disk, or stands in the log instead; with
// Claims those are told instead.
func (f *FileLedger) Write(r Record, done func()) {
	if f.path == "" {
		tell(done)
		return
	}
	select {
	case f.queue <- entry{r, done}:
	default:
		f.toLog(r, fmt.Errorf("%d records wait for the disk", ledgerQueue))
		tell(done)
	}
}

func tell(done func()) {
	if done != nil {
		done()
	}
}

// Reopen closes the file and opens it again: for whoever rotates it.
func (f *FileLedger) Reopen() {
	select {
	case f.reopen <- struct{}{}:
	default:
	}
}

// Counts are the records written to the file, and those that had to go to the log.
func (f *FileLedger) Counts() (written, failed uint64) { return f.written.Load(), f.failed.Load() }

// Run writes until ctx ends, and then what is still queued.
func (f *FileLedger) Run(ctx context.Context) error {
	if f.path == "" {
		<-ctx.Done()
		return nil
	}
	var file *os.File
	defer func() { _ = file.Close() }()
	for {
		select {
		case e := <-f.queue:
			file = f.putAll(ctx, file, f.gather(e))
		case <-f.reopen:
			_ = file.Close()
			file = nil
		case t := <-f.takes:
			_ = file.Close()
			file = nil
			t.done <- f.Settle(t.lines)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimAtLast)
			defer cancel()
			for len(f.queue) > 0 {
				file = f.putAll(last, file, f.gather(<-f.queue))
			}
			return nil
		}
	}
}

const (
	// flushAtOnce bounds the records that share one flush.
	flushAtOnce = 256
	// claimAtLast bounds the wait for the other nodes when the switch stops.
	claimAtLast = time.Second
)

// gather takes what waits behind a record.
func (f *FileLedger) gather(first entry) []entry {
	batch := []entry{first}
	for len(f.queue) > 0 && len(batch) < flushAtOnce {
		batch = append(batch, <-f.queue)
	}
	return batch
}

// putAll writes records, flushes them together, and tells who wants to know.
func (f *FileLedger) putAll(ctx context.Context, file *os.File, batch []entry) *os.File {
	claim, batch := f.claim(ctx, batch)
	for _, e := range batch {
		file = f.put(file, e.Record)
	}
	if file != nil {
		if err := file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // what is no file on a disk cannot be flushed
			f.log.Error("records of calls not flushed to the disk", "path", f.path, "err", err)
		}
	}
	if claim == "" {
		for _, e := range batch {
			tell(e.done)
		}
		return file
	}
	var calls []string
	for _, e := range batch {
		if e.done != nil {
			calls = append(calls, e.Call)
		}
	}
	f.claims.Release(claim, calls)
	return file
}

// claim gives what this node may write of a batch.
func (f *FileLedger) claim(ctx context.Context, batch []entry) (string, []entry) {
	if f.claims == nil {
		return "", batch
	}
	var lines []byte
	for _, e := range batch {
		if line, err := json.Marshal(e.Record); err == nil {
			lines = append(append(lines, line...), '\n')
		}
	}
	claim, err := f.claims.Claim(ctx, lines)
	if err == nil {
		return claim, batch
	}
	f.log.Warn("another node writes the records of these calls", "calls", len(batch), "err", err)
	return "", slices.DeleteFunc(batch, func(e entry) bool { return e.done != nil })
}

// put writes one record, and opens the file where it is not open. What cannot be written goes to the log, and the
// file is opened anew for the next one.
func (f *FileLedger) put(file *os.File, r Record) *os.File {
	err := error(nil)
	if file == nil {
		file, err = openLedger(f.path)
	}
	if err == nil {
		err = appendLine(file, r)
	}
	if err != nil {
		f.toLog(r, err)
		_ = file.Close()
		return nil
	}
	f.written.Add(1)
	return file
}

// lineFile is an os.File as far as a line needs it.
type lineFile interface {
	io.Writer
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
}

// appendLine writes a record as one line, whole or not at all: half a line of a full disk would spoil the next one.
func appendLine(file lineFile, r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n, err := file.Write(append(line, '\n'))
	if err != nil && n > 0 {
		if info, statErr := file.Stat(); statErr == nil {
			_ = file.Truncate(info.Size() - int64(n))
		}
	}
	return err
}

func (f *FileLedger) toLog(r Record, err error) {
	f.failed.Add(1)
	line, _ := json.Marshal(r)
	f.log.Error("record of a call not written to its file", "path", f.path, "err", err, "record", string(line))
}
