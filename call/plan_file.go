package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"tandem/dialplan"
	"tandem/trunk"
)

const (
	// keepPause is between two writings of the state: what is set meanwhile is written together.
	keepPause = 250 * time.Millisecond
	// keepUsage is how often counters are written; what a crash forgets of them is no more than that.
	keepUsage = 10 * time.Second
	// mostKept bounds what is read back, in bytes: some hundred for each of a hundred thousand extensions.
	mostKept = 64 << 20
)

// keptState is the file of what must survive a restart.
type keptState struct {
	Version  int                          `json:"version"` // 1
	Switches map[string]bool              `json:"switches,omitempty"`
	Features map[string]dialplan.Features `json:"features,omitempty"`
	Day      string                       `json:"day,omitempty"` // of the minutes
	Usage    map[string]keptUsage         `json:"usage,omitempty"`
	Trunks   map[string]trunk.Minutes     `json:"trunks,omitempty"` // minutes of calls to carriers
}

type keptUsage struct {
	Minutes   float64  `json:"minutes,omitempty"`
	Countries []string `json:"countries,omitempty"`
}

// load reads the state back. A file that cannot be read is put aside and said so in the log; the switch then begins
// with nothing set, for it must take calls.
func (g *groupState) load(path string, log *slog.Logger) {
	k, err := readState(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405")
		if moved := os.Rename(path, aside); moved != nil {
			aside = path + " (" + moved.Error() + ")"
		}
		log.Error("kept state cannot be read: forwards, do-not-disturb, night switches and counters begin empty",
			"file", path, "err", err, "put_aside", aside)
		return
	}
	g.day, g.state.Switches, g.state.Features = k.Day, k.Switches, k.Features
	g.trunks.Restore(k.Trunks)
	for extension, u := range k.Usage {
		g.use(extension, dialplan.Usage{MinutesToday: u.Minutes, Countries: u.Countries})
	}
}

func readState(path string) (k keptState, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return k, err
	}
	if info.Size() > mostKept {
		return k, fmt.Errorf("it is longer than %d bytes", mostKept)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(text, &k); err != nil {
		return k, err
	}
	if k.Version != 1 {
		return k, fmt.Errorf("it is of version %d, and this switch reads version 1", k.Version)
	}
	return k, nil
}

// kept is the state as it is written.
func (g *groupState) kept() keptState {
	minutes := g.trunks.Minutes(time.Now())
	g.mu.RLock()
	defer g.mu.RUnlock()
	k := keptState{
		Version: 1, Day: g.day, Switches: maps.Clone(g.state.Switches), Features: maps.Clone(g.state.Features),
		Usage: make(map[string]keptUsage, len(g.state.Usage)), Trunks: minutes,
	}
	for extension, u := range g.state.Usage {
		if u.MinutesToday > 0 || len(u.Countries) > 0 {
			k.Usage[extension] = keptUsage{u.MinutesToday, u.Countries}
		}
	}
	return k
}

// run writes the state until ctx ends, and then a last time. What is set is written at once, counters now and then; a
// disk that fails is tried again.
func (g *groupState) run(ctx context.Context, path string, log *slog.Logger) {
	if path == "" {
		return
	}
	usage := time.NewTicker(keepUsage)
	defer usage.Stop()
	owed, minutes := false, g.trunks.Minutes(time.Now())
	write := func() {
		g.used.Store(false)
		k := g.kept()
		if err := writeState(path, k); err != nil {
			owed = true
			log.Error("state not kept", "file", path, "err", err)
			return
		}
		owed, minutes = false, k.Trunks
	}
	spent := func() bool { // calls in progress use minutes up while they run
		return !maps.EqualFunc(minutes, g.trunks.Minutes(time.Now()), trunk.Minutes.Same)
	}
	for {
		select {
		case <-g.changed:
			write()
			pause := time.NewTimer(keepPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		case <-usage.C:
			if owed || g.used.Load() || spent() {
				write()
			}
		case <-ctx.Done():
			if owed || g.used.Load() || len(g.changed) > 0 || spent() {
				write()
			}
			return
		}
	}
}

// writeState puts the file in place whole, or not at all.
func writeState(path string, k keptState) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".state-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
