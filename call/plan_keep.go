package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/trunk"
)

// Memory keeps what people have set and what calls have used up where another process finds it. Its methods do not block; those of one
// key keep their order.
type Memory interface {
	// Keep keeps a value under a key; nil: the key is forgotten. done, where it is not nil, runs once, from any goroutine: when the value
	// is held, or when the switch has to go on without. Only after ErrDeposed was nothing kept.
	Keep(key string, value []byte, done func(error))
}

// The kinds of keys: each is followed by a name.
const (
	keyFeatures = "features/" // extension; JSON of its dialplan.Features
	keySwitch   = "schedule/" // schedule; JSON of true (open by hand) or false
	keyUsage    = "usage/"    // extension; JSON of a keptUsage
	keyMinutes  = "minutes/"  // trunk; JSON of a trunk.Minutes
)

// Everywhere tells whether a key is that of a setting, which holds wherever a call comes in, and not of what the calls of one switch use up.
func Everywhere(key string) bool {
	kind, _ := splitKey(key)
	return kind == keyFeatures || kind == keySwitch
}

// keptUsage is what an extension has used up.
type keptUsage struct {
	Day       string   `json:"day,omitempty"` // of the minutes
	Minutes   float64  `json:"minutes,omitempty"`
	Countries []string `json:"countries,omitempty"`
}

// keepMinutes is how often the minutes of calls in progress over trunks are kept; what a crash forgets of them is no more than that.
const keepMinutes = 10 * time.Second

// note has a key written at the next settle. The caller holds the lock.
func (g *groupState) note(key string) {
	if g.memory == nil {
		return
	}
	if g.due == nil {
		g.due = map[string]struct{}{}
	}
	g.due[key] = struct{}{}
}

// settle writes what has been noted. Writes leave in the order of the changes: keeping is held from the look until the last one is put.
func (g *groupState) settle() {
	if g.memory == nil {
		return
	}
	g.keeping.Lock()
	defer g.keeping.Unlock()
	g.mu.Lock()
	due := g.due
	g.due = nil
	values := make(map[string][]byte, len(due))
	for key := range due {
		values[key] = g.value(key)
	}
	g.mu.Unlock()
	for key, value := range values {
		g.memory.Keep(key, value, nil)
	}
}

// hold writes a key, and waits until it is held as commit does. It fails where another node serves.
func (g *groupState) hold(key string, stats *Stats) error {
	if g.memory == nil {
		return nil
	}
	done := make(chan error, 1)
	g.keeping.Lock()
	g.mu.Lock()
	value := g.value(key)
	g.mu.Unlock()
	g.memory.Keep(key, value, func(err error) { done <- err })
	g.keeping.Unlock()
	limit := time.NewTimer(holdWithin)
	defer limit.Stop()
	select {
	case err := <-done:
		if errors.Is(err, ErrDeposed) {
			return err
		}
	case <-limit.C:
		stats.Unheld.Add(1)
	}
	return nil
}

// value is what is kept under a key; nil: nothing. The caller holds the lock.
func (g *groupState) value(key string) []byte {
	kind, name := splitKey(key)
	var v any
	switch kind {
	case keyFeatures:
		f, set := g.state.Features[name]
		if !set {
			return nil
		}
		v = f
	case keySwitch:
		open, byHand := g.state.Switches[name]
		if !byHand {
			return nil
		}
		v = open
	case keyUsage:
		u := g.state.Usage[name]
		if u.MinutesToday == 0 && len(u.Countries) == 0 {
			return nil
		}
		v = keptUsage{g.day, u.MinutesToday, u.Countries}
	case keyMinutes:
		m, used := g.trunks.MinutesOf(name, time.Now())
		if !used {
			return nil
		}
		v = m
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing in them can fail
	}
	return raw
}

// DoubtSetting says that the memory may not have what is under a key, or, without one, under any: it is written again.
func (s *Switchboard) DoubtSetting(key string) {
	g := &s.groups
	g.mu.Lock()
	if key != "" {
		g.note(key)
	} else {
		for extension := range g.state.Features {
			g.note(keyFeatures + extension)
		}
		for schedule := range g.state.Switches {
			g.note(keySwitch + schedule)
		}
		for extension := range g.state.Usage {
			g.note(keyUsage + extension)
		}
		for _, t := range s.trunks.All() {
			g.note(keyMinutes + t.Name())
		}
	}
	g.mu.Unlock()
	g.settle()
}

func splitKey(key string) (kind, name string) {
	i := strings.IndexByte(key, '/') + 1
	return key[:i], key[i:]
}

// Remember takes what another process has kept under a key; nil: it was forgotten. A key of another room is left alone. But for
// settings (Everywhere) no call may be in progress here.
func (s *Switchboard) Remember(key string, raw []byte) error {
	if err := s.groups.remember(key, raw); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (g *groupState) remember(key string, raw []byte) error {
	kind, name := splitKey(key)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch kind {
	case keyFeatures:
		return remember(&g.state.Features, name, raw)
	case keySwitch:
		return remember(&g.state.Switches, name, raw)
	case keyUsage:
		var u keptUsage
		if raw != nil {
			if err := json.Unmarshal(raw, &u); err != nil {
				return err
			}
		}
		g.used(name, u)
	case keyMinutes:
		var m trunk.Minutes
		if raw != nil {
			if err := json.Unmarshal(raw, &m); err != nil {
				return err
			}
		}
		g.trunks.Remember(name, m)
	}
	return nil
}

// remember enters a value into a map, or takes it out.
func remember[V any](all *map[string]V, name string, raw []byte) error {
	if raw == nil {
		delete(*all, name)
		return nil
	}
	var v V
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	if *all == nil {
		*all = map[string]V{}
	}
	(*all)[name] = v
	return nil
}

// used sets what an extension has used. The minutes of a later day end those of all others; those of an earlier one are nothing.
func (g *groupState) used(extension string, u keptUsage) {
	switch {
	case u.Day > g.day:
		for other, x := range g.state.Usage {
			x.MinutesToday = 0
			g.use(other, x)
		}
		g.day = u.Day
	case u.Day < g.day:
		u.Minutes = 0
	}
	now := g.state.Usage[extension]
	now.MinutesToday, now.Countries = u.Minutes, u.Countries
	g.use(extension, now)
}

// run keeps the minutes of trunks while calls use them up, until ctx ends, and then a last time.
func (g *groupState) run(ctx context.Context) {
	if g.memory == nil {
		return
	}
	tick := time.NewTicker(keepMinutes)
	defer tick.Stop()
	kept := g.trunks.Minutes(time.Now())
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		now := g.trunks.Minutes(time.Now())
		g.mu.Lock()
		for name, m := range now {
			if !kept[name].Same(m) {
				g.note(keyMinutes + name)
			}
		}
		g.mu.Unlock()
		kept = now
		g.settle()
	}
}
