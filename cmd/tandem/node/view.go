package node

import (
	"context"
	"net/http"
	"runtime"
	"sort"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"tandem/call"
	"tandem/console"
	"tandem/media"
	"tandem/registrar"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// view is what the console sees of a Node.
type view struct{ n *Node }

// Status is the state in one look.
func (v view) Status() console.Status {
	n := v.n
	totals, cfg := n.media.Stats(), n.config.Load()
	s := console.Status{
		Node: cfg.Node.Name, Version: n.opts.Version, Started: n.started, Plan: cfg.Plan.Version(),
		Draining: n.board.Draining(), Calls: n.board.Live(), Dialogs: n.board.Dialogs(),
		Registrations: n.registrations(), Transactions: n.transactions(),
		MediaSessions: totals.Sessions, PortsInUse: totals.PortsInUse, Goroutines: runtime.NumGoroutine(),
	}
	s.RecordsWait, _ = n.ledger.Waiting()
	for _, l := range n.layer.Listeners() {
		s.Listeners = append(s.Listeners, console.Listener{Name: l.Name, Transport: l.Proto.String(), Address: l.Addr.String()})
	}
	return s
}

// transactions is the number of live ones.
func (n *Node) transactions() int {
	s := n.table.Stats()
	return s.Total()
}

// Calls are the calls in progress.
func (v view) Calls() []call.Snapshot { return v.n.board.Calls() }

// Registrations are the bindings, by extension.
func (v view) Registrations(limit int) []console.Registration {
	var out []console.Registration
	now := time.Now()
	var at registrar.Cursor
	for done := false; !done && len(out) < limit; {
		var page []registrar.Binding
		page, at, done = v.n.bindings.All(at, min(limit-len(out), 1000), now)
		for _, b := range page {
			out = append(out, registrationOf(b))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Extension < out[j].Extension })
	return out
}

func registrationOf(b registrar.Binding) console.Registration {
	r := console.Registration{
		Extension: b.AOR, Contact: b.Contact, Source: b.Source.String(),
		UserAgent: b.UserAgent, NAT: b.NAT, Registered: b.Registered, Expires: b.Expires,
	}
	if b.Flow.Valid() {
		r.Transport = b.Flow.Proto().String()
	}
	return r
}

// registrations is the number of bindings.
func (n *Node) registrations() int {
	_, bindings := n.bindings.Count()
	return bindings
}

// HangUp ends a call.
func (v view) HangUp(id string) bool { return v.n.board.HangUp(id) }

// Diff says what another configuration would change.
func (v view) Diff(config string) (console.Difference, error) { return v.n.Diff(config) }

// Reload reads the configuration anew.
func (v view) Reload(force bool) (console.Change, error) { return v.n.Reload(force) }

// Drain refuses new calls, or takes them again.
func (v view) Drain(on bool) { v.n.board.Drain(on) }

// Ready is nil when calls are taken.
func (v view) Ready() error {
	if v.n.board.Draining() {
		return console.ErrDraining
	}
	if !v.n.state.Lease().Held() {
		return console.ErrStandsBy
	}
	return nil
}

// watchdog tells systemd that the switch is ready and, as often as it asks, that it lives: only when the rooms answer.
func (n *Node) watchdog(ctx context.Context) error {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
			return nil
		case <-tick.C:
			view{n}.Status() // waits for every room's locks and loops: a stuck one misses the deadline
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}
}

// metrics serves the counters of all rooms.
func (n *Node) metrics() http.Handler {
	return console.Metrics(console.Sources{
		Version:       n.opts.Version,
		Calls:         func() (int, int, *call.Stats) { return n.board.Live(), n.board.Dialogs(), n.board.Stats() },
		Registrations: n.registrations,
		TurnedAway:    func() uint64 { return n.registrar.Stats().TurnedAway },
		Nonces:        n.authority.NoncesInUse,
		Transactions:  func() transaction.Stats { return n.table.Stats() },
		Transports:    func() []transport.Counts { return n.layer.Stats() },
		Media:         func() media.Totals { return n.media.Stats() },
		Records:       n.ledger.Counts,
		RecordsWait:   func() int { waits, _ := n.ledger.Waiting(); return waits },
		Trunks:        view{n}.Trunks,
		Cluster:       n.state.Status,
		TrunkGroups:   n.trunks.Groups,
		TURN:          n.relayCounts,
		Shards:        n.shards,
	})
}
