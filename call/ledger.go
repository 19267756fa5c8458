package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
)

// ledgerQueue bounds the records that wait for a slow disk: a minute of calls at 100 a second. When it is full
// the record goes to the log instead, whole, so that it is not lost.
const ledgerQueue = 6000

// FileLedger appends each record as one JSON line to a file.
type FileLedger struct {
	path    string
	log     *slog.Logger
	queue   chan entry
	reopen  chan struct{}
	written atomic.Uint64
	failed  atomic.Uint64
}

// NewFileLedger makes a ledger; Run opens the file. An empty path keeps nothing.
func NewFileLedger(path string, log *slog.Logger) *FileLedger {
	return &FileLedger{path: path, log: log, queue: make(chan entry, ledgerQueue), reopen: make(chan struct{}, 1)}
}

// entry is a record that waits, and who wants to know when it is on the disk.
type entry struct {
	Record
	done func()
}

// Write queues a record; it never blocks. done runs when the record has been flushed to the disk, or stands in the log instead.
func (f *FileLedger) Write(r Record, done func()) {
	if f.path == "" {
		done()
		return
	}
	select {
	case f.queue <- entry{r, done}:
	default:
		f.toLog(r, fmt.Errorf("%d records wait for the disk", ledgerQueue))
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
			file = f.putAll(file, e)
		case <-f.reopen:
			_ = file.Close()
			file = nil
		case <-ctx.Done():
			for len(f.queue) > 0 {
				file = f.putAll(file, <-f.queue)
			}
			return nil
		}
	}
}

// flushAtOnce bounds the records that share one flush.
const flushAtOnce = 256

// putAll writes a record and those that wait behind it, flushes them together, and tells who wants to know.
func (f *FileLedger) putAll(file *os.File, first entry) *os.File {
	done := []func(){first.done}
	file = f.put(file, first.Record)
	for len(f.queue) > 0 && len(done) < flushAtOnce {
		e := <-f.queue
		done = append(done, e.done)
		file = f.put(file, e.Record)
	}
	if file != nil {
		if err := file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // what is no file on a disk cannot be flushed
			f.log.Error("records of calls not flushed to the disk", "path", f.path, "err", err)
		}
	}
	for _, d := range done {
		d()
	}
	return file
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
