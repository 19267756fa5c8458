package node

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"tandem/cluster"
	"tandem/configs"
	"tandem/console"
	"tandem/record"
	"tandem/registrar"
	"tandem/sip/transport"
)

// Directory is where the phones of all shards are: every node of a cluster follows the registrations of every shard, so that a
// phone which registered at one is called through another without asking anybody. All shards of a process share one.
type Directory struct {
	shards []*distantShard // in the order of the configuration; the slice never changes
}

// distantShard is a shard as others see it.
type distantShard struct {
	name     string
	listener string         // the name of everybody's UDP listener
	edge     netip.AddrPort // where it takes requests for its phones
	store    atomic.Pointer[registrar.Store]
	part     atomic.Pointer[part] // of this process in the shard; nil while there is none
}

// part is what tells who serves a shard: its engine.
type part struct{ serving func() string }

// NewDirectory makes an empty one for the shards of a configuration.
func NewDirectory(cfg *configs.Config) *Directory {
	d := &Directory{}
	for i, s := range cfg.Cluster.Shards {
		x := &distantShard{name: s.Name}
		x.listener, x.edge = cfg.SIPAddress(i)
		x.store.Store(registrar.NewStore(nil))
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
	here := &part{e.Serving}
	x.part.Store(here)
	defer x.part.CompareAndSwap(here, nil)
	retry := time.NewTicker(followEvery)
	defer retry.Stop()
	for {
		store := registrar.NewStore(nil)
		var links uint64
		f, err := e.Follow(ctx, bucketRegistrations, func(r cluster.Record) { applyDistant(store, r, &links, log) })
		if err == nil {
			x.store.Store(store)
			log.Info("registrations of a shard are known", "shard", shard)
			x.sweep(ctx, store)
			f.Close()
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

// served tells whether some node serves the shard, as far as this one knows.
func (x *distantShard) served() bool {
	p := x.part.Load()
	return p != nil && p.serving() != ""
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
