package call

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
)

// ledgerQueue bounds the records that wait for a slow disk: a minute of calls at 100 a second. When it is full
// the record goes to the log instead, whole, so that it is not lost.
const ledgerQueue = 6000

// FileLedger appends each record as one JSON line to a file.
type FileLedger struct {
	path    string
	log     *slog.Logger
	queue   chan Record
	reopen  chan struct{}
	written atomic.Uint64
	failed  atomic.Uint64
}

// NewFileLedger makes a ledger; Run opens the file. An empty path keeps nothing.
func NewFileLedger(path string, log *slog.Logger) *FileLedger {
	return &FileLedger{path: path, log: log, queue: make(chan Record, ledgerQueue), reopen: make(chan struct{}, 1)}
}

// Write queues a record; it never blocks.
func (f *FileLedger) Write(r Record) {
	if f.path == "" {
		return
	}
	select {
	case f.queue <- r:
	default:
		f.toLog(r, fmt.Errorf("%d records wait for the disk", ledgerQueue))
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
		case r := <-f.queue:
			file = f.put(file, r)
		case <-f.reopen:
			_ = file.Close()
			file = nil
		case <-ctx.Done():
			for {
				select {
				case r := <-f.queue:
					file = f.put(file, r)
				default:
					return nil
				}
			}
		}
	}
}

// put writes one record, and opens the file where it is not open. What cannot be written goes to the log, and the
// file is opened anew for the next one.
func (f *FileLedger) put(file *os.File, r Record) *os.File {
	err := error(nil)
	if file == nil {
		file, err = os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
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
