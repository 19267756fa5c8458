package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"tandem/certificate"
	"tandem/cluster"
	"tandem/configs"
	"tandem/console"
	"tandem/record"
	"tandem/registrar"
	"tandem/sip/transport"
)

// Directory is what all shards know of each other: every node of a cluster follows the registrations of every shard, so that a
// phone which registered at one is called through another without asking anybody, and what people have set and left there. All
// shards of a process share one.
type Directory struct {
	shards   []*distantShard // in the order of the configuration; the slice never changes
	settings *settings
	// certificates are those that the first shard obtains from an authority; nil: no listener asks for one.
	certificates *certificate.Followed
}

// distantShard is a shard as others see it.
type distantShard struct {
	name     string
	listener string         // the name of everybody's UDP listener
	edge     netip.AddrPort // where it takes requests for its phones
	seen     netip.Addr     // what stands in its Contacts and Routes: that of edge, but for a NAT
	store    atomic.Pointer[registrar.Store]
	messages atomic.Pointer[messageList]
	known    atomic.Bool          // what it has been asked for once
	part     atomic.Pointer[part] // of this process in the shard; nil while there is none

	lastServed atomic.Int64 // BootTime when some node was last seen to serve it; 0: none was
}

// part is what tells who serves a shard, and asks him: its engine.
type part struct {
	serving func() string
	ask     ask
}

// NewDirectory makes an empty one for the shards of a configuration.
func NewDirectory(cfg *configs.Config) *Directory {
	d := &Directory{settings: newSettings()}
	if cfg.ACME != nil {
		d.certificates = certificate.NewFollowed(cfg.ACME.Domains)
	}
	for i, s := range cfg.Cluster.Shards {
		x := &distantShard{name: s.Name, seen: s.Seen()}
		x.listener, x.edge = cfg.SIPAddress(i)
		x.store.Store(registrar.NewStore(nil))
		x.messages.Store(newMessageList())
		d.shards = append(d.shards, x)
	}
	return d
}

// follow keeps one shard's part current until ctx ends. What was known before stays until it is known anew.
func (d *Directory) follow(ctx context.Context, shard string, e *cluster.Engine, log *slog.Logger) error {
	x := d.shard(shard)
	if x == nil {
		return nil
	}
	here := &part{e.Serving, e.Ask}
	x.part.Store(here)
	defer x.part.CompareAndSwap(here, nil)
	retry := time.NewTicker(followEvery)
	defer retry.Stop()
	for {
		store, end, err := d.read(ctx, x, e, log)
		if err == nil {
			log.Info("registrations of a shard are known", "shard", shard)
			x.sweep(ctx, store)
			end()
			return nil
		}
		log.Debug("registrations of a shard cannot be followed yet", "shard", shard, "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		}
	}
}

// read begins to follow a shard; when it returns all that the shard has is known. end ends it.
func (d *Directory) read(ctx context.Context, x *distantShard, e *cluster.Engine, log *slog.Logger) (store *registrar.Store, end func(), err error) {
	var links uint64
	store = registrar.NewStore(nil)
	phones, err := e.Follow(ctx, bucketRegistrations, func(r cluster.Record) { applyDistant(store, r, &links, log) })
	if err != nil {
		return nil, nil, err
	}
	x.store.Store(store)
	messages := newMessageList()
	state, err := e.Follow(ctx, bucketState, func(r cluster.Record) { d.applyState(messages, r, log) })
	if err != nil {
		phones.Close()
		return nil, nil, err
	}
	x.messages.Store(messages)
	x.known.Store(true)
	return store, func() { state.Close(); phones.Close() }, nil
}

// applyState takes what a shard has set and what was left there. The rest is its own affair.
func (d *Directory) applyState(messages *messageList, r cluster.Record, log *slog.Logger) {
	kind, name, _ := strings.Cut(r.Key, "/")
	var err error
	switch kind + "/" {
	case keyEverywhere:
		err = d.settings.takeRecord(r)
	case keyMessage:
		err = messages.take(name, r)
	case keyACME:
		err = d.takeCertificate(name, r)
	}
	if err != nil {
		log.Error("a record of another shard cannot be followed", "key", r.Key, "form", r.Version, "err", err)
	}
}

// takeCertificate takes a file of the shard that obtains certificates.
func (d *Directory) takeCertificate(name string, r cluster.Record) error {
	switch {
	case d.certificates == nil:
		return nil
	case r.Deleted:
		return d.certificates.Take(name, nil)
	case r.Version > stateForm:
		return fmt.Errorf("it is of form %d", r.Version)
	}
	return d.certificates.Take(name, r.Value)
}

// everywhere are the settings of all shards; nil: there are none.
func (d *Directory) everywhere() *settings {
	if d == nil {
		return nil
	}
	return d.settings
}

// leaveDirectory ends what the directory tells this node.
func (n *Node) leaveDirectory() {
	if s := n.opts.Directory.everywhere(); s != nil && n.board != nil {
		s.leave(n.board)
	}
}

// knownWithin is how long a shard that begins to serve waits for what the others have: one whose machines are all away says nothing.
const knownWithin = 3 * time.Second

// await waits until what all shards have is known.
func (d *Directory) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, knownWithin)
	defer cancel()
	look := time.NewTicker(followEvery)
	defer look.Stop()
	for _, x := range d.shards {
		for !x.known.Load() {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
		}
	}
}

// followShard keeps what this process knows of the shard's phones current; without shards there is nothing to do.
func (n *Node) followShard(ctx context.Context) error {
	if n.opts.Directory == nil {
		<-ctx.Done()
		return nil
	}
	return n.opts.Directory.follow(ctx, n.shard(), n.state, n.log.With("room", "directory"))
}

// sweepEvery is how often what has expired is taken out: a shard that nobody serves says nothing of it.
const sweepEvery = 25 * time.Second

func (x *distantShard) sweep(ctx context.Context, store *registrar.Store) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			store.Expire(now)
		}
	}
}

// servedFor is how long a shard counts as served that was: while its members elect somebody, and while this process's part of it is built anew.
// Over UDP who is asked there meanwhile is asked again.
const servedFor = 10 * time.Second

// served tells whether some node serves the shard, as far as this one knows.
func (x *distantShard) served() bool {
	now := cluster.BootTime()
	if p := x.part.Load(); p != nil && p.serving() != "" {
		x.lastServed.Store(int64(now))
		return true
	}
	last := x.lastServed.Load()
	return last != 0 && now-time.Duration(last) < servedFor
}

func (d *Directory) shard(name string) *distantShard {
	if d == nil {
		return nil
	}
	for _, x := range d.shards {
		if x.name == name {
			return x
		}
	}
	return nil
}

// at is the shard with an address; nil: none has it.
func (d *Directory) at(a netip.Addr) *distantShard {
	if d == nil {
		return nil
	}
	for _, x := range d.shards {
		if x.edge.Addr() == a.Unmap() {
			return x
		}
	}
	return nil
}

// named is the shard that a URI's address means, which may be the one that peers outside see.
func (d *Directory) named(a netip.Addr) *distantShard {
	if d == nil {
		return nil
	}
	for _, x := range d.shards {
		if a = a.Unmap(); x.edge.Addr() == a || x.seen == a {
			return x
		}
	}
	return nil
}

// count is the number of bindings that are known, of all shards.
func (d *Directory) count() (all int) {
	for _, x := range d.shards {
		_, n := x.store.Load().Count()
		all += n
	}
	return all
}

// shards is what the metrics tell.
func (n *Node) shards() (s console.Shards) {
	if n.opts.Directory == nil {
		return s
	}
	s.Known, s.Served = map[string]int{}, map[string]bool{}
	for _, x := range n.opts.Directory.shards {
		_, s.Known[x.name] = x.store.Load().Count()
		s.Served[x.name] = x.served()
	}
	s.In, s.Out, s.FlowLost = n.edge.Counts()
	return s
}

// knows tells whether an address is that of a shard.
func (d *Directory) knows(a netip.Addr) bool { return d.at(a) != nil }

// applyDistant takes one record; links numbers the flows. It is called from one goroutine.
func applyDistant(store *registrar.Store, r cluster.Record, links *uint64, log *slog.Logger) {
	bindings := registrar.Record{AOR: r.Key}
	if !r.Deleted {
		if err := record.Unmarshal(r.Value, &bindings); err != nil || r.Version > newestForm {
			log.Error("a registration of another shard cannot be followed", "aor", r.Key, "form", r.Version, "err", err)
			return
		}
	}
	bindings.Here(time.Now(), r.Age)
	store.Apply(time.Now(), bindings, func(f registrar.FlowRecord) transport.Flow {
		*links++
		return transport.NewFlow(distantLink{f.Proto, f.Listener, *links}, f.Local, f.Remote)
	})
}

// distantLink stands for a flow that another shard has: it tells what the phone speaks, and carries nothing. Whether it is alive
// knows that shard alone.
type distantLink struct {
	proto transport.Proto
	name  string
	id    uint64
}

func (l distantLink) Proto() transport.Proto                            { return l.proto }
func (l distantLink) ID() uint64                                        { return l.id }
func (l distantLink) Listener() string                                  { return l.name }
func (l distantLink) SentBy(local netip.AddrPort) string                { return local.String() }
func (l distantLink) Alive() bool                                       { return true }
func (l distantLink) Send(netip.AddrPort, netip.AddrPort, []byte) error { return transport.ErrClosed }
func (l distantLink) Names() []string                                   { return nil }
