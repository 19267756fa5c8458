package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Health is how well a node could serve: 0 is well, and each thing that is wrong adds its weight. A node that serves and is clearly
// worse than its standby for a while hands over before it dies. It never comes back by itself: only the standby's own bad health
// moves the role again.
type Health struct {
	Score   int      `json:"score"`
	Reasons []string `json:"reasons,omitempty"`
}

// What is wrong, and how much it weighs. One of them is enough to hand over to a node that is well.
const (
	weighCarrier = 100 // phones cannot reach this node at all
	weighGateway = 60  // only those beyond the gateway cannot
	weighDisk    = 60  // records and call records cannot be written here
	weighLag     = 40  // packets leave late
)

// When a hand-over is due: this much worse, for so long, and so long after the role has last moved.
const (
	clearlyWorse = 40
	worseFor     = 3 * time.Second
	stayFor      = 20 * time.Second
	// A node that phones cannot reach at all, beside one that they can, has nothing to lose.
	unreachable    = 100
	unreachableFor = time.Second
)

const (
	healthEvery = 500 * time.Millisecond
	lagEvery    = 50 * time.Millisecond
	lagTooLong  = 250 * time.Millisecond // a packet of speech that is so late is lost
	diskTooSlow = 3 * time.Second
	diskLeft    = 16 << 20
)

// probes measure; a test has others.
type probes struct {
	carrier func() string        // interface without one; "": none
	gateway func() string        // that does not answer; "": none
	disk    func() error         // nil: it can be written
	lag     func() time.Duration // longest of late
}

// health measures this node.
type health struct {
	probes
	mu   sync.Mutex
	now  Health
	told string
}

func (h *health) get() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// measure looks once; changed is a sentence when what is wrong has changed.
func (h *health) measure() (now Health, changed string) {
	if name := h.carrier(); name != "" {
		now.add(weighCarrier, "interface "+name+" has no carrier")
	}
	if gateway := h.gateway(); gateway != "" {
		now.add(weighGateway, "gateway "+gateway+" does not answer ARP")
	}
	if err := h.disk(); err != nil {
		now.add(weighDisk, "disk of the state: "+err.Error())
	}
	if lag := h.lag(); lag > lagTooLong {
		now.add(weighLag, fmt.Sprintf("this process runs %v late", lag.Round(10*time.Millisecond)))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
	if was := h.told; was != fmt.Sprint(now.Score) {
		h.told = fmt.Sprint(now.Score)
		switch {
		case now.Score > 0:
			changed = fmt.Sprintf("%v (score %d)", now.Reasons, now.Score)
		case was != "":
			changed = "everything is well again"
		}
	}
	return now, changed
}

func (h *Health) add(weight int, reason string) {
	h.Score += weight
	h.Reasons = append(h.Reasons, reason)
}

// judge decides when a node that serves hands over for its health. It is a value, stepped with the time.
type judge struct {
	worse time.Time // since when this node is clearly worse; zero: it is not
	moved time.Time // when the role was last seen to move
	epoch uint64
}

// step is asked a few times a second; epoch is that of this node, 0 while it does not serve.
func (j *judge) step(now time.Time, epoch uint64, own, other int) (handOver bool) {
	if epoch != j.epoch {
		j.epoch, j.moved, j.worse = epoch, now, time.Time{}
	}
	switch {
	case epoch == 0 || own-other < clearlyWorse:
		j.worse = time.Time{}
		return false
	case j.worse.IsZero():
		j.worse = now
	}
	if own-other >= unreachable {
		return now.Sub(j.worse) >= unreachableFor
	}
	return now.Sub(j.worse) >= worseFor && now.Sub(j.moved) >= stayFor
}

// watchHealth measures until ctx ends, and hands over when that is due.
func (e *Engine) watchHealth(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	var j judge
	for {
		own, changed := e.health.measure()
		if changed != "" {
			e.tell(Event{Name: "health", Alarm: own.Score > 0, Detail: changed})
		}
		if peer, other := e.bestStandby(time.Now()); peer != "" && j.step(time.Now(), e.lease.Epoch(), own.Score, other) {
			e.tell(Event{Name: "handing over for health", Alarm: true, Detail: fmt.Sprintf("to node %s, since here %v", peer, own.Reasons)})
			once, cancel := context.WithTimeout(ctx, 5*time.Second)
			if err := e.handOver(once, true); err != nil {
				e.tell(Event{Name: "not handed over", Alarm: true, Detail: err.Error()})
			}
			cancel()
			j.worse = time.Time{}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// bestStandby is a standby that was heard lately, and its score; "" if there is none.
func (e *Engine) bestStandby(now time.Time) (name string, score int) {
	e.peers.mu.Lock()
	defer e.peers.mu.Unlock()
	for _, p := range e.peers.all {
		if p.Role == "standby" && now.Sub(p.Heard) < heardWithin && p.Health != nil && (name == "" || p.Health.Score < score) {
			name, score = p.Node, p.Health.Score
		}
	}
	return name, score
}

// keepHealth begins to measure a switch; a witness serves nobody. One that is alone has nobody to hand over to: it tells of its disk only.
func (e *Engine) keepHealth(ctx context.Context) {
	if e.self.Witness {
		return
	}
	e.health = e.newHealth(ctx)
	e.keeping.Go(func() { e.watchHealth(ctx) })
}

// newHealth measures with what this machine has; what runs for it ends with ctx.
func (e *Engine) newHealth(ctx context.Context) *health {
	if len(e.cfg.Members) == 0 {
		none := func() string { return "" }
		return &health{probes: probes{carrier: none, gateway: none, disk: e.disk.state, lag: func() time.Duration { return 0 }}}
	}
	lag := &lagMeter{}
	e.keeping.Go(func() { lag.run(ctx) })
	gateway := &gatewayProbe{e: e}
	return &health{probes: probes{carrier: e.deadInterface, gateway: gateway.silent, disk: e.disk.state, lag: lag.worst}}
}

// lagMeter measures how late a goroutine runs that should every lagEvery.
type lagMeter struct {
	mu    sync.Mutex
	worse [4]time.Duration // of the last seconds, the present one first
}

func (l *lagMeter) run(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	last, second := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		late := now.Sub(last) - lagEvery
		last = now
		l.mu.Lock()
		if now.Sub(second) >= time.Second {
			second = now
			copy(l.worse[1:], l.worse[:3])
			l.worse[0] = 0
		}
		l.worse[0] = max(l.worse[0], late)
		l.mu.Unlock()
	}
}

// worst is the least of the worst of the last full seconds: one bad moment is not a bad machine.
func (l *lagMeter) worst() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(l.worse[1], l.worse[2], l.worse[3])
}

// diskProbe writes a little every second. A disk that hangs blocks its goroutine, not the one that asks.
type diskProbe struct {
	dir   string
	mu    sync.Mutex
	began time.Time // of the write that is under way; zero: none is
	err   error
}

func (d *diskProbe) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		d.mu.Lock()
		d.began = time.Now()
		d.mu.Unlock()
		err := d.write()
		d.mu.Lock()
		d.began, d.err = time.Time{}, err
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *diskProbe) write() error {
	var s unix.Statfs_t
	if err := unix.Statfs(d.dir, &s); err != nil {
		return err
	}
	if left := s.Bavail * uint64(s.Bsize); left < diskLeft {
		return fmt.Errorf("%d MB are left", left>>20)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "probe"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintf(f, "%-64d\n", time.Now().UnixNano()); err != nil {
		return err
	}
	return f.Sync()
}

func (d *diskProbe) state() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.began.IsZero() && time.Since(d.began) > diskTooSlow {
		return fmt.Errorf("a write has been under way for %v", time.Since(d.began).Round(time.Second))
	}
	return d.err
}
