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

const (
	// ledgerQueue bounds the records that wait for a slow or full disk: a minute of calls at 100 a second. When it is full
	// the record goes to the log instead, whole, so that it is not lost.
	ledgerQueue = 6000
	// writeAgain is how often a file that takes nothing is tried.
	writeAgain = time.Second
)

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
	held    atomic.Int64           // records that have left the queue and are not in the file
	trouble atomic.Pointer[string] // why the file takes nothing; nil: it does
	tail    tail
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

// Waiting is how many records are not in the file yet, and why not; "": the file takes them, or has not been tried.
func (f *FileLedger) Waiting() (records int, why string) {
	if t := f.trouble.Load(); t != nil {
		why = *t
	}
	return len(f.queue) + int(f.held.Load()), why
}

// Run writes until ctx ends, and then what is still queued. While the file takes nothing, as on a full disk, records wait for it: those of
// answered calls have their states meanwhile, or a claim, from which a later process writes them.
func (f *FileLedger) Run(ctx context.Context) error {
	if f.path == "" {
		<-ctx.Done()
		return nil
	}
	var file *os.File
	defer func() { _ = file.Close() }()
	again := time.NewTimer(writeAgain)
	defer again.Stop()
	var b batch
	for {
		queue := f.queue
		if len(b.left) > 0 {
			queue = nil
		}
		select {
		case e := <-queue:
			b = f.claim(ctx, f.gather(e))
		case <-again.C:
		case <-f.reopen:
			_ = file.Close()
			file = nil
		case t := <-f.takes:
			_ = file.Close()
			file = nil
			t.done <- f.Settle(t.lines)
		case <-ctx.Done():
			file = f.finish(ctx, file, b)
			return nil
		}
		if file = f.putAll(file, &b); len(b.left) > 0 {
			again.Reset(writeAgain)
		}
	}
}

// finish writes what is left when the switch stops.
func (f *FileLedger) finish(ctx context.Context, file *os.File, b batch) *os.File {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimAtLast)
	defer cancel()
	for {
		if file = f.putAll(file, &b); len(b.left) > 0 {
			f.leave(b)
		}
		if len(f.queue) == 0 {
			return file
		}
		b = f.claim(last, f.gather(<-f.queue))
	}
}

// leave gives up what the file does not take until the switch stops. What was claimed stays so, and this node writes it when it is back.
func (f *FileLedger) leave(b batch) {
	why := errors.New(*f.trouble.Load())
	if b.claim != "" {
		f.log.Error("records of calls are not in their file: this node has claimed them, and writes them when it is back", "path", f.path, "err", why, "calls", len(b.left))
		return
	}
	for _, e := range b.left {
		f.toLog(e.Record, why)
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

// batch is records that are flushed together.
type batch struct {
	claim string   // "": none
	left  []entry  // those that are not in the file
	calls []string // those whose states are to be forgotten with the claim
}

// putAll writes records, flushes them together, and tells who wants to know. What the file does not take is left.
func (f *FileLedger) putAll(file *os.File, b *batch) *os.File {
	if len(b.left) == 0 {
		return file
	}
	put, err := 0, error(nil)
	for put < len(b.left) && err == nil {
		if file, err = f.put(file, b.left[put].Record); err == nil {
			put++
		}
	}
	done := b.left[:put]
	b.left = b.left[put:]
	f.held.Store(int64(len(b.left)))
	f.tried(err)
	if file != nil {
		if err := file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // what is no file on a disk cannot be flushed
			f.log.Error("records of calls not flushed to the disk", "path", f.path, "err", err)
		}
	}
	for _, e := range done {
		if b.claim == "" {
			tell(e.done)
		} else if e.done != nil {
			b.calls = append(b.calls, e.Call)
		}
	}
	if b.claim != "" && len(b.left) == 0 {
		f.claims.Release(b.claim, b.calls)
	}
	return file
}

// tried notes whether the file takes records; the log has one line when that changes.
func (f *FileLedger) tried(err error) {
	was := f.trouble.Load()
	switch {
	case err == nil && was != nil:
		f.trouble.Store(nil)
		f.log.Info("records of calls are written again", "path", f.path)
	case err != nil:
		why := err.Error()
		f.trouble.Store(&why)
		if was == nil {
			waits, _ := f.Waiting()
			f.log.Error("records of calls wait in memory, since their file does not take them", "path", f.path, "err", err, "waiting", waits)
		}
	}
}

// claim gives what this node may write of some records.
func (f *FileLedger) claim(ctx context.Context, all []entry) batch {
	f.held.Store(int64(len(all)))
	if f.claims == nil {
		return batch{left: all}
	}
	var lines []byte
	for _, e := range all {
		if line, err := json.Marshal(e.Record); err == nil {
			lines = append(append(lines, line...), '\n')
		}
	}
	claim, err := f.claims.Claim(ctx, lines)
	if err == nil {
		return batch{claim: claim, left: all}
	}
	f.log.Warn("another node writes the records of these calls", "calls", len(all), "err", err)
	all = slices.DeleteFunc(all, func(e entry) bool { return e.done != nil })
	f.held.Store(int64(len(all)))
	return batch{left: all}
}

// put writes one record, and opens the file where it is not open; after an error it is opened anew.
func (f *FileLedger) put(file *os.File, r Record) (*os.File, error) {
	err := error(nil)
	if file == nil {
		file, err = openLedger(f.path)
	}
	if err == nil {
		err = appendLine(file, r)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	f.written.Add(1)
	return file, nil
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
