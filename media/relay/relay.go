package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// fullLoop is how many ports a loop has before the next one is brought in: a thousand streams of 50 packets a second take about half a
// core, and two half-idle loops cost more than one busy one, for each wakes up for fewer packets.
const fullLoop = 1000

// Config is what a relay needs.
type Config struct {
	First, Last uint16        // port range
	Quarantine  time.Duration // rest of a released pair
	Loops       int           // 0: one for each core
	Web         WebConfig
	Now         func() time.Time
}

// A Relay owns ports and loops.
type Relay struct {
	log        *slog.Logger
	now        func() time.Time
	pool       *Pool
	quarantine atomic.Int64
	loops      []*Loop
	web        *web
}

// New opens what the loops need. Run must be called for them to work, and frees it.
func New(c Config, log *slog.Logger) (*Relay, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &Relay{log: log, now: c.Now}
	r.SetQuarantine(c.Quarantine)
	rest := func() time.Duration { return time.Duration(r.quarantine.Load()) }
	var err error
	if r.pool, err = NewPool(c.First, c.Last, rest, c.Now); err != nil {
		return nil, err
	}
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	for range c.Loops {
		l := &Loop{log: log}
		l.clock.init(time.Now())
		if err := l.open(); err != nil {
			l.shut()
			r.shut()
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	if err := r.newWeb(c.Web); err != nil {
		r.shut()
		return nil, err
	}
	return r, nil
}

// SetQuarantine changes the rest of what is released from now on.
func (r *Relay) SetQuarantine(d time.Duration) { r.quarantine.Store(int64(d)) }

// Pool tells which ports are in use.
func (r *Relay) Pool() *Pool { return r.pool }

// Run runs the loops until ctx is done, and then closes what ports are left. The Relay is of no use after it.
func (r *Relay) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(r.loops))
	var wg sync.WaitGroup
	for i, l := range r.loops {
		wg.Go(func() {
			if errs[i] = l.run(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	for _, l := range r.loops {
		var left []*Port
		l.do(func() { left = append(left, l.ports...) })
		for _, p := range left {
			p.Close()
		}
	}
	r.web.handshakes.Wait() // their legs are closed, which has ended them
	r.shut()
	return errors.Join(errs...)
}

func (r *Relay) shut() {
	if r.web != nil {
		r.web.loop.do(r.web.shut)
	}
	for _, l := range r.loops {
		l.do(l.shut)
	}
}

// Open binds a pair of ports on local and gives it to a loop: to that of near, a port it will likely be joined to, or if that is nil to
// the first with room. The errors are ErrNoPorts and what the kernel says.
func (r *Relay) Open(local netip.Addr, near *Port, events func(Event)) (*Port, error) {
	number, rtp, rtcp, err := r.pool.open(local)
	if err != nil {
		return nil, err
	}
	p := r.newPort(netip.AddrPortFrom(local, number), events, rand.Uint32(), cname())
	if err := r.place(p, rtp, rtcp, near, nil); err != nil {
		return nil, err
	}
	return p, nil
}

// place gives a port its sockets and a loop, in which first is run before anything else is with the port; nil: nothing.
func (r *Relay) place(p *Port, rtp, rtcp *socket, near *Port, first func()) (err error) {
	p.rtp, p.rtcp = rtp, rtcp
	rtp.port, rtcp.port = p, p
	l := r.choose(near)
	p.mu.Lock()
	defer p.mu.Unlock()
	l.do(func() {
		if err = l.adopt(p); err == nil && first != nil {
			first()
		}
	})
	if err != nil {
		p.closed = true
		rtp.close()
		rtcp.close()
		r.pool.give(p.local.Addr(), []uint16{p.local.Port()})
		return fmt.Errorf("relay: watch port %d: %w", p.local.Port(), err)
	}
	return nil
}

// choose fills one loop before it takes the next, and when all are full the one that has least.
func (r *Relay) choose(near *Port) *Loop {
	if near != nil {
		near.mu.RLock()
		defer near.mu.RUnlock()
		return near.loop
	}
	least := r.loops[0]
	for _, l := range r.loops {
		n := l.load.Load()
		if n < fullLoop {
			return l
		}
		if n < least.load.Load() {
			least = l
		}
	}
	return least
}
