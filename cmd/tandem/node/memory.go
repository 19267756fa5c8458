package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tandem/call"
	"tandem/cluster"
)

// stateForm is the newest form of values in the bucket of state that this version writes. It reads them and all older ones.
const stateForm = 1

// callMemory keeps what people set and calls use up in the engine.
type callMemory struct {
	engine   *cluster.Engine
	settings *settings // of all shards; nil: there are none
}

// Keep implements call.Memory.
func (m callMemory) Keep(key string, value []byte, done func(error)) {
	if m.settings != nil && call.Everywhere(key) {
		m.keepEverywhere(key, value, done)
		return
	}
	w := cluster.Write{Bucket: bucketState, Key: key, Value: value, Delete: value == nil, Version: stateForm}
	if done != nil {
		w.Done = func(err error) { done(deposedOr(err)) }
	}
	m.engine.Put(w)
}

// deposedOr says in the switchboard's words that this node serves no more.
func deposedOr(err error) error {
	if errors.Is(err, cluster.ErrFenced) || errors.Is(err, cluster.ErrClosed) {
		return call.ErrDeposed
	}
	return err
}

// remember takes a record of the bucket of state.
func (n *Node) remember(r cluster.Record) {
	err := error(nil)
	if r.Version > stateForm {
		err = fmt.Errorf("it is of form %d", r.Version)
	} else {
		value := r.Value
		if r.Deleted {
			value = nil
		}
		switch kind, name, _ := strings.Cut(r.Key, "/"); kind + "/" {
		case keyMessage:
			err = n.rememberMessage(name, value)
		case keyLamp:
			err = n.rememberLamp(name, value)
		case keyACME:
			err = n.rememberFile(name, value)
		case keyEverywhere: // the directory may read it later than this node serves
			if all := n.opts.Directory.everywhere(); all != nil {
				err = all.takeRecord(r)
			}
		default:
			err = n.board.Remember(r.Key, value)
		}
	}
	if err != nil {
		n.log.Error("a record of state cannot be read: it is left out", "key", r.Key, "err", err)
	}
}

// reviveMemory brings back what people have set and calls have used up.
func (n *Node) reviveMemory(ctx context.Context) error {
	none := true
	for r, err := range n.state.Load(ctx, bucketState) {
		if err != nil {
			return err
		}
		none = false
		n.remember(r)
	}
	if none {
		n.takeOldState()
	}
	n.replica.Settle()
	return nil
}

// takeOldState takes over the file in which earlier versions kept the same, once: it is put aside then. One that cannot be read is put
// aside too, and said so in the log; the switch then begins with nothing set, for it must take calls.
func (n *Node) takeOldState() {
	file := filepath.Join(n.config.Load().Node.StateDir, "state.json")
	all, err := call.ReadOldState(file)
	aside := file + ".taken"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		aside = file + ".broken-" + time.Now().UTC().Format("20060102T150405")
		n.log.Error("the old state cannot be read: forwards, do-not-disturb, night switches and counters begin empty",
			"file", file, "err", err, "put_aside", aside)
	}
	ctx, cancel := context.WithTimeout(context.Background(), reviveWithin)
	defer cancel()
	for key, value := range all {
		n.remember(cluster.Record{Key: key, Value: value})
		err := n.state.PutWait(ctx, cluster.Write{Bucket: bucketState, Key: key, Value: value, Version: stateForm})
		if err != nil && !errors.Is(err, cluster.ErrDegraded) {
			n.log.Error("the old state is not kept yet: the next start takes it over", "file", file, "err", err)
			return
		}
	}
	if err := os.Rename(file, aside); err != nil {
		n.log.Error("the old state stays where it was", "file", file, "err", err)
		return
	}
	n.log.Info("old state taken over", "file", file, "settings", len(all))
}
