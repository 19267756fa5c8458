package media

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"tandem/media/relay"
	"tandem/media/sdp"
)

// ErrNoPorts says that all media ports are in use or resting (SIP: 503).
var ErrNoPorts = relay.ErrNoPorts

// An Engine makes Sessions and runs their packets.
type Engine struct {
	log      *slog.Logger
	relay    *relay.Relay
	own      own
	print    string // fingerprint of the certificate that browsers see
	settings atomic.Pointer[settings]

	recorders sync.WaitGroup // goroutines that write recordings

	mu       sync.Mutex
	calls    map[string][]*Session    // open sessions by Options.Call, for placing the legs of a call side by side
	sessions map[*relay.Port]*Session // the same, each by its port
}

// settings are what a reload changes, as a whole.
type settings struct {
	Config
	codecs     []sdp.Codec
	answerable []sdp.Codec // codecs with telephone-event in every clock
}

// NewEngine checks the configuration and opens what does not depend on calls. Run must be called for media to flow.
func NewEngine(c Config, log *slog.Logger) (*Engine, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	e := &Engine{log: log, calls: make(map[string][]*Session), sessions: make(map[*relay.Port]*Session)}
	if err := e.set(c); err != nil {
		return nil, err
	}
	var err error
	e.relay, err = relay.New(relay.Config{First: c.FirstPort, Last: c.LastPort, Quarantine: c.Quarantine, Loops: c.Loops,
		Web: relay.WebConfig{Port: c.webPort(), TCP: !c.NoWebTCP, Certificate: c.Certificate}}, log)
	if err != nil {
		return nil, err
	}
	e.print = e.relay.Fingerprint().String()
	return e, nil
}

// Run carries media until ctx is done, and returns when all of it has stopped. Sessions left over are then dead: Close them.
func (e *Engine) Run(ctx context.Context) error {
	defer e.recorders.Wait()
	defer e.stopRecordings()
	return e.relay.Run(ctx)
}

// Update takes a changed configuration for the sessions that begin, and the offers and answers that are made, from now on. It changes
// nothing on an error, which is ErrNeedsRestart for another port range or number of loops.
func (e *Engine) Update(c Config) error {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return err
	}
	was := e.config()
	if c.FirstPort != was.FirstPort || c.LastPort != was.LastPort || c.webPort() != was.webPort() || c.NoWebTCP != was.NoWebTCP || c.Loops != was.Loops {
		return ErrNeedsRestart
	}
	if err := e.set(c); err != nil {
		return err
	}
	e.relay.SetQuarantine(c.Quarantine)
	return nil
}

func (e *Engine) set(c Config) error {
	codecs, err := parseCodecs(c.Codecs)
	if err != nil {
		return err
	}
	e.settings.Store(&settings{Config: c, codecs: codecs, answerable: answerable(codecs)})
	return nil
}

// Gate lets media flow only while held is true: on a node that stands by, or that has been deposed, ports are open and nothing is
// taken or sent. held is asked for each packet and must not block.
func (e *Engine) Gate(held func() bool) { e.relay.Gate(held) }

func (e *Engine) config() *settings { return e.settings.Load() }

// Totals is what the engine did since it began, and what it holds now.
type Totals struct {
	Sessions    int // open
	PortsInUse  int // pairs of RTP and RTCP
	Quarantined int // pairs at rest
	PortsFree   int // pairs, over the local addresses used so far

	PacketsIn, PacketsOut uint64
	BytesIn, BytesOut     uint64            // UDP payload
	Drops                 map[string]uint64 // packets by reason; every reason is there
	Panics                uint64            // packets and ticks that were given up because of a bug
}

// Stats is for metrics and the status page. It waits a moment for each relay loop.
func (e *Engine) Stats() Totals {
	r := e.relay.Totals()
	e.mu.Lock()
	n := len(e.sessions)
	e.mu.Unlock()
	return Totals{
		Sessions: n, PortsInUse: r.InUse, Quarantined: r.Resting, PortsFree: r.Free,
		PacketsIn: r.PacketsIn, PacketsOut: r.PacketsOut, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		Drops: dropsByName(&r.Drops, true), Panics: r.Panics,
	}
}

// dropsByName turns counters into labels; with all, those of 0 too.
func dropsByName(d *relay.Drops, all bool) map[string]uint64 {
	out := make(map[string]uint64)
	d.All(func(reason relay.Drop, n uint64) {
		if all || n > 0 {
			out[reason.String()] = n
		}
	})
	return out
}

// near gives the port of an open session of the same call, to be placed beside.
func (e *Engine) near(call string) *relay.Port {
	e.mu.Lock()
	defer e.mu.Unlock()
	if legs := e.calls[call]; call != "" && len(legs) > 0 {
		return legs[0].port
	}
	return nil
}

// stopRecordings ends those of the sessions left over.
func (e *Engine) stopRecordings() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, legs := range e.calls {
		for _, s := range legs {
			s.stopRecording()
		}
	}
}

// enter notes an open session.
func (e *Engine) enter(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[s.opts.Call] = append(e.calls[s.opts.Call], s)
	e.sessions[s.port] = s
}

// leave forgets a closed one.
func (e *Engine) leave(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s.port)
	legs := e.calls[s.opts.Call]
	for i, other := range legs {
		if other == s {
			legs[i] = legs[len(legs)-1]
			legs = legs[:len(legs)-1]
			break
		}
	}
	if e.calls[s.opts.Call] = legs; len(legs) == 0 {
		delete(e.calls, s.opts.Call)
	}
}

// NewSession opens a leg's ports. It returns ErrNoPorts when none are free.
func (e *Engine) NewSession(o Options) (*Session, error) {
	s, err := e.newSession(o)
	if err != nil {
		return nil, fmt.Errorf("media: call %s leg %s: %w", o.Call, o.Leg, err)
	}
	e.enter(s)
	return s, nil
}
