package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// routeReports is after how many attempts, one each second, the log says again that another member's store cannot be reached: who is not
// heard is in the status.
const routeReports = 600

// routes makes the embedded server part of the cluster's store.
func (e *Engine) routes(opts *server.Options) error {
	me := e.member(e.cfg.Node)
	// The server starts no routes without a listener for clients. It gets one that nobody can use: on the loopback, with a
	// token that only this process knows.
	opts.DontListen, opts.Host, opts.Port = false, "127.0.0.1", server.RANDOM_PORT
	if e.token == "" { // not when the store is started anew
		e.token = rand.Text() + rand.Text()
	}
	opts.Authorization = e.token
	opts.Cluster = server.ClusterOpts{
		Name: "tandem-" + e.cfg.Identity.Fingerprint[:16] + e.cfg.Shard, Host: me.Host, Port: me.Port + 1,
		TLSConfig: e.cfg.Identity.tls(e.names()), TLSTimeout: handshakeWithin.Seconds(), NoAdvertise: true,
		// A peer whose machine is gone says no goodbye.
		PingInterval: time.Second, MaxPingsOut: 2,
	}
	opts.ReconnectErrorReports = routeReports
	for _, m := range e.cfg.Members {
		if m.Name == me.Name {
			continue
		}
		u, err := url.Parse("nats-route://" + m.state())
		if err != nil {
			return fmt.Errorf("member %s: %w", m.Name, err)
		}
		opts.Routes = append(opts.Routes, u)
	}
	return nil
}

func (e *Engine) member(name string) *Member {
	for i := range e.cfg.Members {
		if e.cfg.Members[i].Name == name {
			return &e.cfg.Members[i]
		}
	}
	return nil
}

func (e *Engine) names() map[string]bool {
	names := map[string]bool{}
	for _, m := range e.cfg.Members {
		names[m.Name] = true
	}
	return names
}

// others are the names of the other members.
func (e *Engine) others() (names []string) {
	for _, m := range e.cfg.Members {
		if m.Name != e.cfg.Node {
			names = append(names, m.Name)
		}
	}
	return names
}

// startMember starts what only a pair has.
func (e *Engine) startMember(run context.Context) (err error) {
	e.self = *e.member(e.cfg.Node)
	if e.door, err = openDoor(e.cfg.Identity, e.names(), e.self.role(), e.mayJoin, e.cfg.Timers, e.log); err != nil {
		return err
	}
	if err := e.peers.listen(e); err != nil {
		return err
	}
	if err := e.Answer(renewTopic, e.renewFor); err != nil {
		return err
	}
	if err := e.Answer(agesTopic, e.tellAges); err != nil {
		return err
	}
	for _, b := range e.buckets {
		if b.Given && !b.Sealed {
			b.givable = &givable{}
		}
	}
	if err := e.Answer(giveTopic, e.give); err != nil {
		return err
	}
	if err := e.keepAgreement(run); err != nil {
		return err
	}
	if err := e.startClocks(run); err != nil {
		return err
	}
	e.agesKnown = make(chan struct{})
	e.keepHealth(run)
	e.keeping.Go(func() { e.keepCertificate(run) })
	e.keeping.Go(func() { e.keep(run) })
	e.keeping.Go(func() { e.ages(run) })
	e.keeping.Go(func() { e.peers.report(run, e) })
	return nil
}

// Play takes part in who is active until ctx ends, and calls sw when this node's role changes. A single node is active at
// once. It returns when the role has been given up.
func (e *Engine) Play(ctx context.Context, sw Switch) error {
	e.address = newAddresses(e)
	defer e.address.close()
	if len(e.cfg.Members) == 0 {
		return e.playAlone(ctx, sw)
	}
	r, err := e.openDecider(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // stopped before it had begun
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.role = r
	e.mu.Unlock()
	return r.run(ctx, sw)
}

func (e *Engine) playAlone(ctx context.Context, sw Switch) error {
	epoch := e.lease.Epoch()
	if err := sw.Promote(ctx, epoch); err != nil {
		return err
	}
	e.address.up()
	sw.Serve(epoch)
	<-ctx.Done()
	e.address.down()
	sw.Demote()
	return nil
}

// keepEvery is how often the streams and their leaders are looked at.
const keepEvery = 250 * time.Millisecond

// keep makes the streams as soon as a majority is there, and pins their leaders to the standby: the death of the active node
// then needs no election of the store, which would take 4 to 9 seconds.
func (e *Engine) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	made := map[string]bool{}
	asked := map[string]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, b := range e.buckets {
				if !made[b.Name] {
					made[b.Name] = e.tryStream(ctx, b)
					continue
				}
				e.pin(b, asked, now)
			}
			e.watchLeaders(now)
		}
	}
}

func (e *Engine) tryStream(ctx context.Context, b *bucket) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := e.makeStream(ctx, b)
	if err != nil {
		e.log.Debug("bucket is not there yet", "bucket", b.Name, "err", err)
	}
	return err == nil
}

// pin asks for the lead of a stream if this node is the standby and has caught up, once a second at most.
func (e *Engine) pin(b *bucket, asked map[string]time.Time, now time.Time) {
	if state, _, active := e.standing(); state != "standby" || active == "" || now.Sub(asked[b.Name]) < time.Second {
		return
	}
	s := e.server.Load()
	if s == nil || e.leadsStream(b.stream) || !s.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, b.stream) {
		return
	}
	asked[b.Name] = now
	ask, _ := json.Marshal(map[string]any{"placement": map[string]any{"preferred": e.cfg.Node}})
	_ = e.conn.Publish("$JS.API.STREAM.LEADER.STEPDOWN."+b.stream, ask)
}

// Serving is the member that serves, as far as this one has heard; empty: nobody, or it is being decided. A member that has
// only just begun knows nobody either.
func (e *Engine) Serving() string {
	_, _, active := e.standing()
	return active
}

// playing is what decides the role; nil until it is asked.
func (e *Engine) playing() decider {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.role
}

// standing is how this node stands, since when, and who is active as far as it knows.
func (e *Engine) standing() (state string, since time.Time, active string) {
	if r := e.playing(); r != nil {
		return r.standing()
	}
	return "starting", time.Time{}, ""
}

// leads are the buckets whose streams this node leads.
func (e *Engine) leads() (names []string) {
	for _, b := range e.cfg.Buckets {
		if e.leadsStream(streamName(b.Name)) {
			names = append(names, b.Name)
		}
	}
	return names
}

// coincideAfter is how long the active node may lead a stream while there is a standby to lead it.
const coincideAfter = 2 * time.Second

// watchLeaders tells when the death of this active node would make the store elect. It belongs to keep.
func (e *Engine) watchLeaders(now time.Time) { e.judgeLeaders(now, len(e.leads()) > 0) }

func (e *Engine) judgeLeaders(now time.Time, leads bool) {
	switch bad := e.lease.Epoch() != 0 && e.peers.standby(now) && leads; {
	case !bad:
		e.coincideSince = now
		if e.coincide.Swap(false) {
			e.tell(Event{Name: "leader and active apart", Detail: "the standby leads the streams again"})
		}
	case now.Sub(e.coincideSince) > coincideAfter && !e.coincide.Swap(true):
		e.tell(Event{Name: "leader and active coincide", Alarm: true,
			Detail: "the active node leads streams of the store: if it died now, the store would stand still for seconds"})
	}
}

// peers is what the members say of themselves, once a second.
type peers struct {
	mu  sync.Mutex
	all map[string]Peer
	sub *nats.Subscription
}

// Peer is a member as it was last heard.
type Peer struct {
	Node   string             `json:"node"`
	Role   string             `json:"role"`
	Epoch  uint64             `json:"epoch,omitempty"`
	Held   bool               `json:"held,omitempty"`  // it holds the lease
	Ready  bool               `json:"ready,omitempty"` // it has read everything
	Waits  int                `json:"waits,omitempty"`
	Leads  []string           `json:"leads,omitempty"`
	Form   uint8              `json:"form,omitempty"` // newest form of values that it reads; 0: 1
	Plan   string             `json:"plan,omitempty"` // checksum of what it is configured to do
	Health *Health            `json:"health,omitempty"`
	Report json.RawMessage    `json:"report,omitempty"`
	Holds  map[string]Holding `json:"holds,omitempty"` // by bucket; of a switch that has read everything
	Heard  time.Time          `json:"heard"`

	Certificate time.Time      `json:"certificate,omitzero"` // when it ends
	Machines    map[string]int `json:"machines,omitempty"`   // the lowest that are let in, by name
	Election    time.Duration  `json:"election,omitempty"`   // that it is configured with
	Late        time.Duration  `json:"late,omitempty"`       // heartbeats, or their answers at the leader: the worst of the last minute
	Clock       *Clock         `json:"clock,omitempty"`      // against that of the node whose Status this is; nil: it has not been measured
}

// heardWithin is how old a member's word may be.
const heardWithin = 3 * time.Second

const peerSubject = "peer."

func (p *peers) listen(e *Engine) (err error) {
	p.mu.Lock() // newcomers may be asking already
	p.all = map[string]Peer{}
	p.mu.Unlock()
	p.sub, err = e.conn.Subscribe(peerSubject+"*", func(m *nats.Msg) {
		var x Peer
		if json.Unmarshal(m.Data, &x) != nil || e.member(x.Node) == nil {
			return
		}
		x.Heard, x.Clock = time.Now(), nil
		p.mu.Lock()
		p.all[x.Node] = x
		p.mu.Unlock()
		e.hearMachines(x.Node, x.Machines)
		e.agree()
		e.agrees.hear(e, x, x.Heard)
	})
	return err
}

func (p *peers) report(ctx context.Context, e *Engine) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		b, err := json.Marshal(e.asPeer())
		if err == nil {
			_ = e.conn.Publish(peerSubject+e.cfg.Node, b)
			if e.twin != nil && e.twin.link.conn.IsConnected() {
				_ = e.twin.link.conn.Publish(peerSubject+e.cfg.Node, b)
			}
		}
		e.plans.watch(e, time.Now())
		e.watchLateness(BootTime())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) asPeer() Peer {
	p := Peer{Node: e.cfg.Node, Epoch: e.lease.Epoch(), Held: e.lease.Held(), Leads: e.leads(), Waits: e.writer.waits()}
	p.Role, _, _ = e.standing()
	p.Ready = e.ready()
	p.Form, p.Holds = e.cfg.Form, e.holds()
	p.Certificate, p.Machines = e.cfg.Identity.leaf().NotAfter, e.cfg.Identity.lowest()
	if e.health != nil {
		now := e.health.get()
		p.Health = &now
	}
	if e.cfg.Decides == ByVote {
		p.Election = e.cfg.Timers
		p.Late, _ = e.late.last(BootTime(), 0)
	}
	if e.cfg.Plan != nil {
		p.Plan = e.cfg.Plan()
	}
	if e.cfg.Report != nil {
		p.Report, _ = json.Marshal(e.cfg.Report())
	}
	return p
}

// HasStandby tells whether a standby has been heard lately.
func (e *Engine) HasStandby() bool { return e.peers.standby(time.Now()) }

// heard tells whether a member has been lately.
func (p *peers) heard(name string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, ok := p.all[name]
	return ok && now.Sub(x.Heard) < heardWithin
}

// ready tells whether this node has read everything. A witness reads nothing: if it waited, it would not vote either for as long, since who waits
// for a leader believes in it.
func (e *Engine) ready() bool { return e.self.Witness || e.cfg.Ready == nil || e.cfg.Ready() }

// ready tells whether a member has said lately that it has read everything.
func (p *peers) ready(name string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.all[name]
	return x.Ready && now.Sub(x.Heard) < heardWithin
}

// standby tells whether a standby has been heard lately.
func (p *peers) standby(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.all {
		if x.Role == "standby" && now.Sub(x.Heard) < heardWithin {
			return true
		}
	}
	return false
}
