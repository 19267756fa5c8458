package transport

import (
	"errors"
	"fmt"
	"runtime"
)

// Change is a Config that was checked and bound, and is not in force yet. Either Commit or Abort it.
type Change struct {
	layer  *Layer
	policy *policy
	want   []wanted
}

// wanted is one listener of the new Config.
type wanted struct {
	cfg   Listen
	set   *settings
	place place
	fresh listener // bound by Prepare; nil where a listener of ours has the place already
}

// Prepare reads the certificates and binds the listeners that c adds. A listener whose address stays keeps
// its socket, whatever else changes about it. On error nothing has changed. One change at a time: a second
// Prepare before the first is committed or aborted sees the old listeners.
func (l *Layer) Prepare(c Config) (*Change, error) {
	ch := &Change{layer: l, policy: &policy{limits: c.Limits.withDefaults(), config: c, budget: newBudget(c.Strangers)}}
	if old := l.now.Load(); old != nil && old.config.Strangers == c.Strangers {
		ch.policy.budget = old.budget // a reload does not forgive anybody
	}
	var errs []error
	out, err := newOutgoing(c)
	errs = append(errs, err)
	ch.policy.outgoing = out
	ch.policy.connections = min(ch.policy.limits.Connections, spareDescriptors())
	taken := map[place]string{}
	for _, cfg := range c.Listen {
		w, err := l.prepareListen(cfg, c, taken)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ch.want = append(ch.want, w)
	}
	if err := errors.Join(errs...); err != nil {
		ch.Abort()
		return nil, err
	}
	return ch, nil
}

func (l *Layer) prepareListen(cfg Listen, c Config, taken map[place]string) (wanted, error) {
	if cfg.Proto < UDP || cfg.Proto > WSS {
		return wanted{}, fmt.Errorf("listen %q: no transport is set: want udp, tcp, tls, ws or wss", cfg.Name)
	}
	w := wanted{cfg: cfg, set: &settings{Listen: cfg}}
	var err error
	if cfg.Proto.Secure() {
		if w.set.creds, err = newCredentials(cfg, c.Issue, c.TicketKeys, l.log); err != nil {
			return wanted{}, fmt.Errorf("listen %q: %w", cfg.Name, err)
		}
	}
	if w.place, err = resolvePlace(cfg); err != nil {
		return wanted{}, err
	}
	if other, dup := taken[w.place]; dup {
		return wanted{}, fmt.Errorf("listen %q: address %s is taken by listen %q; give each its own port", cfg.Name, cfg.Address, other)
	}
	taken[w.place] = cfg.Name
	if l.find(w.place) != nil {
		return w, nil
	}
	if cfg.Proto == UDP {
		w.fresh, err = bindUDP(l, w.place)
	} else {
		w.fresh, err = bindStream(l, w.place)
	}
	if err != nil {
		return wanted{}, bindError(cfg, err, l.overlap(w.place, taken))
	}
	return w, nil
}

// overlap is the listener of ours, running or wanted, that has the port of p already; empty: none.
func (l *Layer) overlap(p place, taken map[place]string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.listeners {
		if q := ln.at(); q.datagram == p.datagram && q.addr.Port() == p.addr.Port() {
			return ln.settings().Name
		}
	}
	for q, name := range taken {
		if q != p && q.datagram == p.datagram && q.addr.Port() == p.addr.Port() {
			return name
		}
	}
	return ""
}

func (l *Layer) find(p place) listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.listeners {
		if ln.at() == p {
			return ln
		}
	}
	return nil
}

// Abort closes what Prepare bound.
func (c *Change) Abort() {
	for _, w := range c.want {
		if w.fresh != nil {
			w.fresh.close()
		}
	}
}

// Commit puts the Config in force: new listeners serve, those that are gone close (the connections that
// they accepted live on), the others take their new settings. It cannot fail. UDPReaders of listeners that
// stay, and of new ones, remain those of New.
func (c *Change) Commit() {
	l := c.layer
	l.now.Store(c.policy)
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		c.Abort()
		return
	}
	old := map[place]listener{}
	for _, ln := range l.listeners {
		old[ln.at()] = ln
	}
	next := make([]listener, 0, len(c.want))
	for _, w := range c.want {
		ln := w.fresh
		if kept := old[w.place]; kept != nil {
			ln = kept
			delete(old, w.place)
		}
		ln.apply(w.set)
		if w.fresh != nil && l.running {
			ln.serve()
		}
		next = append(next, ln)
	}
	l.listeners = next
	l.mu.Unlock()
	for _, gone := range old {
		gone.close()
	}
}

// Update is Prepare and Commit in one.
func (l *Layer) Update(c Config) error {
	ch, err := l.Prepare(c)
	if err != nil {
		return err
	}
	ch.Commit()
	return nil
}

// readerCount is the number of sockets of a UDP listener: more than eight readers meet in the kernel's locks.
func readerCount(n int) int {
	if n <= 0 {
		n = min(8, runtime.GOMAXPROCS(0))
	}
	return n
}
