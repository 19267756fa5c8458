package trunk

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// inboxSize bounds the events that wait for one trunk: an answer and a way for each registration, and one for each
// target probed. What finds it full is lost like a datagram, and its request runs out of patience.
const inboxSize = 256

// freshness is how often names are looked up again; the resolver answers from what it knows until its TTL is over.
const freshness = 15 * time.Second

// farewell is how long the carriers have to acknowledge that we take our registrations back.
const farewell = 2 * time.Second

// runner is a trunk at work under one configuration: what it owns is touched by its goroutine alone.
type runner struct {
	*Trunk
	config  *Config
	ctx     context.Context
	inbox   chan any
	wg      sync.WaitGroup
	regs    []registering
	probing time.Time // when the next round of OPTIONS leaves
	fresh   time.Time // when names are looked up again
}

// registering is a Registration with the hops of its round.
type registering struct {
	Registration
	proxies []transport.Target
	tried   []transport.Hop
	hop     transport.Hop
	flow    transport.Flow
}

type (
	wayEvent struct { // a flow for a REGISTER
		reg  int
		hop  transport.Hop
		flow transport.Flow
		err  error
		done bool // no hop is left to try
	}
	answerEvent struct {
		reg int
		m   *sip.Message
	}
	silenceEvent struct {
		reg int
		seq uint32
		why transaction.Failure
	}
	probeEvent struct {
		hop      transport.Hop
		answered bool
		why      string
	}
)

// run serves one configuration after the other until ctx ends.
func (t *Trunk) run(ctx context.Context) {
	for ctx.Err() == nil {
		t.mu.Lock()
		changed, cfg := t.changed, t.cfg.Load()
		t.mu.Unlock()
		work, cancel := context.WithCancel(context.Background())
		r := &runner{Trunk: t, config: cfg, ctx: work, inbox: make(chan any, inboxSize)}
		r.begin()
		r.serve(ctx, changed)
		r.leave()
		cancel()
		r.wg.Wait()
	}
}

func (r *runner) begin() {
	now := time.Now()
	for _, reg := range r.config.Registers {
		if !reg.Each {
			r.regs = append(r.regs, registering{Registration: newRegistration(r.config, reg, r.line), proxies: r.config.Proxies})
			continue
		}
		for _, p := range r.config.Proxies {
			r.regs = append(r.regs, registering{Registration: newRegistration(r.config, reg, r.line), proxies: []transport.Target{p}})
		}
	}
	if r.config.Probe.Interval > 0 {
		r.probing = now
	}
	r.fresh = now
}

// serve runs until ctx ends or the configuration changes.
func (r *runner) serve(ctx context.Context, changed <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.tick(time.Now())
		r.publish()
		timer.Reset(r.untilNext(time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-changed:
			return
		case e := <-r.inbox:
			r.handle(time.Now(), e)
		case <-timer.C:
		}
	}
}

func (r *runner) untilNext(now time.Time) time.Duration {
	next := r.fresh
	if !r.probing.IsZero() && r.probing.Before(next) {
		next = r.probing
	}
	for i := range r.regs {
		if d := r.regs[i].Deadline(); d.Before(next) {
			next = d
		}
		if e := r.regs[i].expires; !e.IsZero() && e.Before(next) {
			next = e
		}
	}
	return max(next.Sub(now), 0)
}

func (r *runner) tick(now time.Time) {
	for i := range r.regs {
		waited := !r.regs[i].asking.IsZero()
		if r.regs[i].Tick(now) {
			r.findWay(i)
		} else if waited && r.regs[i].asking.IsZero() { // it ran out of patience
			r.Failed(now, r.regs[i].hop, 0, "REGISTER was not answered")
		}
	}
	if !r.probing.IsZero() && !now.Before(r.probing) {
		every := r.config.Probe.Interval
		r.probing = now.Add(every*9/10 + rand.N(every/5+1))
		r.probe()
	}
	if !now.Before(r.fresh) {
		r.fresh = now.Add(freshness)
		r.spawn(r.freshen)
	}
}

// spawn runs what may block; run waits for it. A panic in it is logged.
func (r *runner) spawn(work func(ctx context.Context)) {
	r.wg.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				r.panics.Add(1)
				r.log.Error("trunk panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		ctx, cancel := context.WithTimeout(r.ctx, patience)
		defer cancel()
		work(ctx)
	})
}

func (r *runner) post(e any) {
	select {
	case r.inbox <- e:
	default:
	}
}

// freshen looks up the names from which calls are taken, and the proxies.
func (r *runner) freshen(ctx context.Context) {
	hops, err := r.lookUp(ctx)
	if err != nil {
		r.log.Warn("carrier cannot be found", "err", err)
	}
	if !r.config.Accept.On {
		return
	}
	var found []netip.Addr
	if r.config.Accept.nothing() {
		for _, h := range hops {
			found = append(found, h.Addr.Addr())
		}
	}
	complete := err == nil
	for _, host := range r.config.Accept.Hosts {
		hops, err := r.rooms.Network.Resolve(ctx, transport.Target{Host: host, Port: 5060})
		if err != nil {
			r.log.Warn("address of the carrier cannot be found", "host", host, "err", err)
			complete = false
		}
		for _, h := range hops {
			found = append(found, h.Addr.Addr())
		}
	}
	if complete {
		r.accept(r.config, found)
	}
}

// findWay finds the flow of a REGISTER: to the first hop that this round has not tried.
func (r *runner) findWay(i int) {
	g := &r.regs[i]
	if g.attempt == 0 && g.answered == 0 {
		g.tried = nil
	}
	tried, proxies := slices.Clone(g.tried), g.proxies
	r.spawn(func(ctx context.Context) {
		var hops []transport.Hop
		var err error
		for _, p := range proxies {
			found, e := r.rooms.Network.Resolve(ctx, p)
			err = errors.Join(err, e)
			hops = append(hops, found...)
		}
		r.mu.Lock()
		if len(hops) == 0 && len(proxies) == len(r.config.Proxies) {
			hops = r.hops
		}
		hops = r.targets.Order(time.Now(), hops)
		r.mu.Unlock()
		for _, h := range hops {
			if slices.Contains(tried, h) {
				continue
			}
			f, e := r.Connect(ctx, h, 0)
			if e == nil {
				r.post(wayEvent{reg: i, hop: h, flow: f})
				return
			}
			err = errors.Join(err, e)
			tried = append(tried, h)
		}
		r.post(wayEvent{reg: i, err: err, done: true})
	})
}

func (r *runner) handle(now time.Time, e any) {
	switch e := e.(type) {
	case wayEvent:
		r.wayFound(now, e)
	case answerEvent:
		r.answered(now, e)
	case silenceEvent:
		g := &r.regs[e.reg]
		if e.seq == g.seq && !g.asking.IsZero() {
			g.Registration.Failed(now, "no answer: "+e.why.String())
			r.Failed(now, g.hop, 0, "REGISTER was not answered")
		}
	case probeEvent:
		r.mu.Lock()
		before, _ := r.targets.State(now)
		r.targets.Probed(now, e.hop, e.answered, e.why)
		after := r.revived(now, before)
		r.mu.Unlock()
		r.tellChange(before, after, e.why)
	}
}

func (r *runner) wayFound(now time.Time, e wayEvent) {
	g := &r.regs[e.reg]
	if g.asking.IsZero() {
		return
	}
	if e.done {
		why := ""
		if e.err != nil {
			why = e.err.Error()
		}
		r.log.Warn("not registered", "aor", g.cfg.User+"@"+g.domain, "why", first(why, g.why))
		g.Exhausted(now, why, r.otherFlow(e.reg))
		return
	}
	g.hop, g.flow = e.hop, e.flow
	g.tried = append(g.tried, e.hop)
	r.register(now, e.reg)
}

// otherFlow tells whether another registration of the trunk stands: then there is less haste (RFC 5626 §4.5).
func (r *runner) otherFlow(but int) bool {
	for i := range r.regs {
		if i != but && r.regs[i].state == Registered {
			return true
		}
	}
	return false
}

// register sends the REGISTER of a registration down its flow.
func (r *runner) register(now time.Time, i int) {
	g := &r.regs[i]
	w := sip.NewWriter(make([]byte, 0, 1024))
	g.Write(w, g.flow.Via(sip.NewBranch()), contactHost(g.flow), r.rooms.Product)
	raw, err := w.Bytes()
	if err == nil {
		_, err = r.rooms.Sender.Send(g.flow, raw, &registerSink{r, i, g.seq})
	}
	if err != nil {
		g.Registration.Failed(now, err.Error())
		r.Failed(now, g.hop, 0, "REGISTER cannot be sent")
	}
}

// contactHost is our host:port on a flow with the parameters of its transport.
func contactHost(f transport.Flow) string { return f.Contact("")[len("sip:"):] }

// registerSink posts what becomes of a REGISTER.
type registerSink struct {
	r   *runner
	reg int
	seq uint32
}

func (s *registerSink) Response(_ *transaction.Client, m *sip.Message) {
	if m.Status() >= 200 {
		kept := *m
		s.r.post(answerEvent{s.reg, &kept})
	}
}

func (s *registerSink) Failed(_ *transaction.Client, why transaction.Failure) {
	s.r.post(silenceEvent{s.reg, s.seq, why})
}

func (r *runner) answered(now time.Time, e answerEvent) {
	g := &r.regs[e.reg]
	was := g.state
	switch g.Receive(now, e.m) {
	case Again:
		r.register(now, e.reg)
	case Next:
		if e.m.Status() == 503 {
			r.FailedWith(now, g.hop, e.m)
		}
	default:
		if g.state == Registered {
			r.Worked(now, g.hop)
		}
	}
	switch {
	case g.state == was:
	case g.state == Registered:
		r.log.Info("registered", "aor", g.cfg.User+"@"+g.domain, "hop", g.hop.String(), "expires", g.expires)
	case g.state == RegRefused:
		r.log.Error("carrier refuses the registration", "why", g.why)
	}
}

// publish shows the registrations to those who ask.
func (r *runner) publish() {
	var states []RegistrationState
	var routes []string
	var homes []transport.Hop
	for i := range r.regs {
		g := &r.regs[i]
		s := RegistrationState{AOR: g.cfg.User + "@" + g.domain, State: g.state.String(), Why: g.why, Expires: g.expires, Associated: g.uris}
		if g.state == Registered {
			s.Hop = g.hop.String()
			homes = append(homes, g.hop)
			if routes == nil {
				routes = g.routes
			}
		}
		states = append(states, s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.Load() == r.config {
		r.Trunk.regs, r.routes, r.homes = states, routes, homes
	}
}

// leave takes the registrations back, and waits a little for the carriers' word.
func (r *runner) leave() {
	now := time.Now()
	open := 0
	for i := range r.regs {
		g := &r.regs[i]
		if g.Leave(now) && g.flow.Alive() && g.Tick(now) {
			r.register(now, i)
			open++
		}
	}
	end := time.NewTimer(farewell)
	defer end.Stop()
	for open > 0 {
		select {
		case e := <-r.inbox:
			if a, ok := e.(answerEvent); ok {
				if r.regs[a.reg].Receive(time.Now(), a.m) == Again {
					r.register(time.Now(), a.reg)
				} else if r.regs[a.reg].asking.IsZero() {
					open--
				}
			}
		case <-end.C:
			return
		}
	}
}
