package trunk

import (
	"context"
	"log/slog"
	"reflect"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Set is all trunks of the configuration.
type Set struct {
	rooms Rooms
	log   *slog.Logger
	table atomic.Pointer[table]
	known atomic.Pointer[peers]

	learning sync.Mutex

	keeping sync.Mutex         // guards kept
	kept    map[string]Minutes // of trunks that are not there: restored, or taken away by a reload

	mu      sync.Mutex // guards what follows; held while trunks start and stop
	ctx     context.Context
	running map[*Trunk]context.CancelFunc
	wg      sync.WaitGroup
}

// table is the trunks that are there: it never changes.
type table struct {
	byName  map[string]*Trunk
	list    []*Trunk // by name
	groups  map[string]*group
	configs []GroupConfig // by name
}

// New makes a set without trunks. Rooms that are not there yet are given by Use.
func New(rooms Rooms, log *slog.Logger) *Set {
	s := &Set{rooms: rooms, log: log, running: map[*Trunk]context.CancelFunc{}}
	s.table.Store(&table{byName: map[string]*Trunk{}})
	s.known.Store(&peers{})
	return s
}

// Use gives the set the sender of its requests; it is called before Update.
func (s *Set) Use(sender Sender) { s.rooms.Sender = sender }

// Update puts these trunks in force. One that is the same as before is not touched; one that changed registers anew and
// keeps its calls and counts. Groups keep their counts too.
func (s *Set) Update(configs []Config, groups ...GroupConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.table.Load()
	next := &table{byName: map[string]*Trunk{}}
	next.group(old, groups)
	for _, c := range configs {
		t := old.byName[c.Name]
		switch {
		case t == nil:
			t = newTrunk(c, s.rooms, s.log)
			t.moved = s.learn
			s.recall(t, time.Now())
		case !reflect.DeepEqual(*t.Config(), c.WithDefaults()):
			t.configure(c)
		}
		next.byName[c.Name] = t
		next.list = append(next.list, t)
		t.joins(next)
		s.start(t)
	}
	sort.Slice(next.list, func(i, j int) bool { return next.list[i].name < next.list[j].name })
	s.table.Store(next)
	s.learn()
	for _, t := range old.list {
		if next.byName[t.name] != nil {
			continue
		}
		s.remember(t, time.Now())
		if s.running[t] != nil {
			s.running[t]()
			delete(s.running, t)
		}
	}
}

// group enters the groups: those that were there go on counting.
func (x *table) group(old *table, groups []GroupConfig) {
	x.groups = map[string]*group{}
	x.configs = slices.Clone(groups)
	slices.SortFunc(x.configs, func(a, b GroupConfig) int { return strings.Compare(a.Name, b.Name) })
	for i := range x.configs {
		c := &x.configs[i]
		g := old.groups[c.Name]
		same := slices.IndexFunc(old.configs, func(o GroupConfig) bool { return reflect.DeepEqual(o, *c) })
		if g == nil {
			g = newGroup(c.Name)
		}
		if same < 0 {
			g.configure(c)
		}
		x.groups[c.Name] = g
	}
}

// joins gives a trunk the groups that it is in, in the order of their names.
func (t *Trunk) joins(x *table) {
	var groups []*group
	for _, c := range x.configs {
		if slices.Contains(c.Trunks, t.name) {
			groups = append(groups, x.groups[c.Name])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.groups = groups
}

// start runs a trunk, once the set runs; s.mu is held.
func (s *Set) start(t *Trunk) {
	if s.ctx == nil || s.ctx.Err() != nil || s.running[t] != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.running[t] = cancel
	s.wg.Go(func() {
		for ctx.Err() == nil {
			s.guard(ctx, t)
		}
	})
}

// guard runs a trunk until it ends or panics; then it begins anew, after a pause.
func (s *Set) guard(ctx context.Context, t *Trunk) {
	defer func() {
		if p := recover(); p != nil {
			t.panics.Add(1)
			t.log.Error("trunk panicked", "panic", p, "stack", string(debug.Stack()))
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	t.run(ctx)
}

// Run runs all trunks until ctx ends, and returns when each has taken its registrations back.
func (s *Set) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	for _, t := range s.table.Load().list {
		s.start(t)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock() // whoever starts trunks has gone: no other begins after ctx
	clear(s.running)
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// Find is the trunk of that name, or nil.
func (s *Set) Find(name string) *Trunk { return s.table.Load().byName[name] }

// All is every trunk, by name.
func (s *Set) All() []*Trunk { return s.table.Load().list }
