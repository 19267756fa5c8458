package call

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/transport"
)

// fakeLocator knows where phones are because the test says so.
type fakeLocator struct {
	mu       sync.Mutex
	bindings map[string][]registrar.Binding
}

func (l *fakeLocator) Lookup(aor string, _ time.Time) []registrar.Binding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.bindings[aor])
}

func (l *fakeLocator) add(aor string, b registrar.Binding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bindings[aor] = append(l.bindings[aor], b)
}

func (l *fakeLocator) drop(aor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.bindings, aor)
}

// fakeLedger keeps records.
type fakeLedger struct {
	mu      sync.Mutex
	records []Record
	dead    bool // its process was killed

	unclaimed []string // calls whose records it writes whatever other nodes say
}

func (l *fakeLedger) cut(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
}

func (l *fakeLedger) Write(r Record, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	defer tell(done)
	l.records = append(l.records, r)
	if done == nil {
		l.unclaimed = append(l.unclaimed, r.Call)
	}
}

func (l *fakeLedger) all() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// fakeRouter reaches what the test says.
type fakeRouter struct {
	reach func(ctx context.Context, uri sip.URI, size int) (transport.Flow, error)
}

func (r *fakeRouter) Reach(ctx context.Context, uri sip.URI, size int) (transport.Flow, error) {
	if r.reach == nil {
		return transport.Flow{}, fmt.Errorf("no way to %s", uri.Host)
	}
	return r.reach(ctx, uri, size)
}

// fakeRegistrar answers every REGISTER with 401, and notes closed connections.
type fakeRegistrar struct {
	mu     sync.Mutex
	closed int
}

func (r *fakeRegistrar) AppendReceive(dst []byte, _ time.Time, _ transport.Flow, m *sip.Message) []byte {
	return sip.AppendResponse(dst, m, 401, "", "reg")
}

func (r *fakeRegistrar) Closed(transport.Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
}
