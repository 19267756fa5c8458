package trunk

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// Network finds hops and flows. Both methods may block until ctx ends.
type Network interface {
	Resolve(ctx context.Context, t transport.Target) ([]transport.Hop, error)
	Connect(ctx context.Context, h transport.Hop, size int) (transport.Flow, error)
}

// Sender sends requests of ours: transaction.Table.
type Sender interface {
	Send(f transport.Flow, raw []byte, sink transaction.Sink) (*transaction.Client, error)
}

// Rooms are what a trunk works with.
type Rooms struct {
	Network Network
	Sender  Sender
	Product string // User-Agent
}

// ErrStranger means that a challenge does not come from the carrier: it is not answered.
var ErrStranger = errors.New("trunk: challenge of somebody who is not the carrier")

// Trunk is one carrier. Its methods may be called from any goroutine.
type Trunk struct {
	name  string
	line  string // of our contact: 26 characters that only the carrier is told
	rooms Rooms
	log   *slog.Logger
	cfg   atomic.Pointer[Config]

	moved  func() // its addresses have changed; called with no lock held
	panics atomic.Uint64

	mu       sync.Mutex // guards what follows, for a few lines at a time
	limits   limits
	groups   []*group // whose limits its calls count against, by name
	meters   meters
	pace     pace
	quality  quality
	targets  Targets
	hops     []transport.Hop // the last good look-up of all proxies
	edges    []transport.Hop // where the Service-Route of a registration leads
	accepted []netip.Prefix  // of Accept.Addresses and Accept.Hosts
	counts   [2]Counts
	drained  bool
	regs     []RegistrationState
	homes    []transport.Hop // where we are registered now
	routes   []string        // of the registration that stands
	changed  chan struct{}
}

func newTrunk(cfg Config, rooms Rooms, log *slog.Logger) *Trunk {
	t := &Trunk{moved: func() {}, name: cfg.Name, line: sip.NewTag(), rooms: rooms, log: log.With("trunk", cfg.Name), changed: make(chan struct{})}
	for d := range t.counts {
		t.counts[d].Causes, t.counts[d].Refusals = map[uint8]uint64{}, map[string]uint64{}
	}
	t.configure(cfg)
	return t
}

// configure puts a configuration in force; counts and channels stay.
func (t *Trunk) configure(cfg Config) {
	cfg = cfg.WithDefaults()
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.cfg.Load(); old == nil || !slices.Equal(old.Proxies, cfg.Proxies) {
		t.targets, t.hops, t.edges = newTargets(cfg.Probe), nil, nil
	}
	t.cfg.Store(&cfg)
	t.limits.adopt(cfg.Channels, cfg.CPS)
	t.meters.configure(cfg.Timezone)
	t.targets.probe = cfg.Probe
	t.accepted, t.routes, t.regs, t.homes = slices.Clone(cfg.Accept.Addresses), nil, nil, nil
	for _, p := range cfg.Proxies { // what needs no look-up counts from the first moment
		if a, err := netip.ParseAddr(p.Host); err == nil && cfg.Accept.On && cfg.Accept.nothing() {
			t.accepted = append(t.accepted, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		}
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

func (a *Accept) nothing() bool { return len(a.Addresses)+len(a.Hosts)+len(a.Names) == 0 }

// Name is the trunk's name in the configuration.
func (t *Trunk) Name() string { return t.name }

// Config is what is in force now.
func (t *Trunk) Config() *Config { return t.cfg.Load() }

// state is how the trunk stands; the lock is held.
func (t *Trunk) state(now time.Time) (State, string) {
	if t.drained {
		return Drained, "by the operator"
	}
	s, why := t.targets.State(now)
	if s == Up {
		for _, r := range t.regs {
			if r.State != Registered.String() {
				return Degraded, "registration " + r.State + ": " + r.Why
			}
		}
		if why := t.quality.poor(now, &t.cfg.Load().Health); why != "" {
			return Degraded, why
		}
	}
	return s, why
}

// State is how the trunk stands, and why where it is not up.
func (t *Trunk) State(now time.Time) (State, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state(now)
}

// Drain keeps new calls off the trunk, or lets them on again; those in progress go on.
func (t *Trunk) Drain(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drained = on
}

// Failed notes that a call found a hop dead; wait is the Retry-After of its 503, or 0.
func (t *Trunk) Failed(now time.Time, h transport.Hop, wait time.Duration, why string) {
	t.mu.Lock()
	before, _ := t.targets.State(now)
	t.targets.Failed(now, h, wait, why)
	after, _ := t.targets.State(now)
	t.mu.Unlock()
	t.tellChange(before, after, why)
}

// FailedWith notes a 503: with Retry-After the hop rests that long, and without it was one call's bad luck (RFC 3261
// §21.5.4).
func (t *Trunk) FailedWith(now time.Time, h transport.Hop, m *sip.Message) {
	if wait := retryAfter(m); wait > 0 {
		t.Failed(now, h, wait, itoa(m.Status())+" "+m.Reason())
	}
}

// Worked notes that a hop has answered.
func (t *Trunk) Worked(now time.Time, h transport.Hop) {
	t.mu.Lock()
	before, _ := t.targets.State(now)
	t.targets.Worked(h)
	after := t.revived(now, before)
	t.mu.Unlock()
	t.tellChange(before, after, "")
}

// revived is the state after a sign of life. What a dead trunk did to its calls is not held against the one that is back.
// The lock is held.
func (t *Trunk) revived(now time.Time, before State) State {
	after, _ := t.targets.State(now)
	if before != Up && after == Up {
		t.quality = quality{}
	}
	return after
}

// tellChange logs that the trunk has become better or worse.
func (t *Trunk) tellChange(before, after State, why string) {
	switch {
	case before == after:
	case after == Down:
		t.log.Error("trunk is down", "why", why)
	default:
		t.log.Info("trunk is "+after.String(), "was", before.String(), "why", why)
	}
}

// Answer makes the credentials that a 401 or 407 asks for, when it comes from the carrier itself and for the realm of
// the configuration. f is the flow that it came on, method, uri and body those of the request that will be sent.
func (t *Trunk) Answer(s *digest.Session, f transport.Flow, resp *sip.Message, method, uri string, body []byte) (name, value string, err error) {
	cred := t.cfg.Load().Credential
	switch {
	case cred.Username == "":
		return "", "", digest.ErrChallenge
	case !t.carrier(f):
		return "", "", ErrStranger
	}
	name, value, err = s.Answer(resp, cred, method, uri, body)
	if errors.Is(err, digest.ErrRealm) {
		t.log.Warn("challenge of another realm is not answered", "why", explain(err, resp, cred.Realm))
	}
	return name, value, err
}

// Authorize makes credentials ahead of a challenge, where the carrier has challenged this session before.
func (t *Trunk) Authorize(s *digest.Session, f transport.Flow, method, uri string, body []byte) (name, value string, ok bool) {
	if s.Algorithm == 0 || !t.carrier(f) {
		return "", "", false
	}
	name, value, err := s.Authorize(t.cfg.Load().Credential, method, uri, body)
	return name, value, err == nil
}

// Leads tells whether a flow leads to a target of the trunk.
func (t *Trunk) Leads(f transport.Flow) bool { return t.carrier(f) }

// carrier tells whether a flow leads to a target of the trunk, or to one that it named when it registered us: its address,
// and over TLS its name too.
func (t *Trunk) carrier(f transport.Flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range slices.Concat(t.hops, t.edges) {
		if f.Valid() && h.Addr.Addr().Unmap() == f.Remote().Addr().Unmap() {
			return h.Proto != transport.TLS || slices.ContainsFunc(f.Names(), func(n string) bool { return strings.EqualFold(n, h.ServerName) })
		}
	}
	return false
}
