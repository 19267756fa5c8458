package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A machine that is broken is exchanged by another one under its name, with an empty folder. Raft knows members by name, and its log is in
// memory in any case; the store knows its servers by name too, and gives the newcomer what it lacks. What must not be is two of three
// that have lost everything at once: they would be a majority that knows nothing, and outvote the one that has the records.

// newcomer is the last machine that took a name over, until it has everything.
type newcomer struct {
	mu   sync.Mutex
	name string
}

// known tells whether a machine has had this name.
func (id *Identity) known(name string) bool {
	return id.lowest()[name] > 0 || id.authority.Subject.CommonName == authorityName(name)
}

// mayJoin says why no machine may join under a name now.
func (e *Engine) mayJoin(name string) error {
	switch {
	case e.member(name) == nil:
		return fmt.Errorf("node %q does not stand in the cluster block of node %s", name, e.cfg.Node)
	case e.peers.heard(name, time.Now()):
		return fmt.Errorf("node %s runs and is heard: stop it before another machine takes its name", name)
	case !e.cfg.Identity.known(name):
		return nil
	}
	if e.twin != nil {
		if e.lease.Epoch() == 0 {
			return fmt.Errorf("node %s does not serve: it would be given the empty state of a new machine; make sure that the other one is off, and run `tandem failover --force` on node %s first", e.cfg.Node, e.cfg.Node)
		}
		return nil
	}
	return e.exchange(name)
}

// exchange lets one machine after the other take a name over.
func (e *Engine) exchange(name string) error {
	e.newcomer.mu.Lock()
	defer e.newcomer.mu.Unlock()
	if before := e.newcomer.name; before != "" && before != name {
		if err := e.complete(before); err != nil {
			return fmt.Errorf("node %s was exchanged before, and %w: one machine at a time, since two that come back empty could outvote the one that has the records", before, err)
		}
	}
	e.newcomer.name = name
	return nil
}

// complete says what a member lacks.
func (e *Engine) complete(name string) error {
	if !e.peers.heard(name, time.Now()) {
		return errors.New("is not heard yet")
	}
	if e.cfg.Store.outside() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinWithin/2)
	defer cancel()
	for _, b := range e.buckets {
		s, err := e.manage.Stream(ctx, b.stream)
		if err != nil {
			return fmt.Errorf("the store does not say whether it has everything (%v)", err)
		}
		c := s.CachedInfo().Cluster
		if c == nil || c.Leader == name {
			continue
		}
		i := slices.IndexFunc(c.Replicas, func(p *jetstream.PeerInfo) bool { return p.Name == name })
		if i < 0 || !c.Replicas[i].Current || c.Replicas[i].Offline {
			return errors.New("has not all records yet")
		}
	}
	return nil
}

// Remove takes the machine that has a name out of the cluster: it is let in no more, whatever certificate it has. Another one may take the
// name over by an invitation, which does the same. An error says why nothing changed.
func (e *Engine) Remove(name string) error {
	id := e.cfg.Identity
	switch {
	case len(e.cfg.Members) == 0:
		return errors.New("a single node has no members")
	case name == e.cfg.Node:
		return fmt.Errorf("node %s does not remove itself: ask another one", name)
	case e.member(name) == nil:
		return fmt.Errorf("node %q does not stand in the cluster block, so it is let in nowhere", name)
	case e.peers.heard(name, time.Now()):
		return fmt.Errorf("node %s runs and is heard: stop it first", name)
	}
	if _, err := id.signer(); err != nil {
		return err
	}
	id.signing.Lock()
	defer id.signing.Unlock()
	n, err := id.next(name)
	if err != nil {
		return err
	}
	e.tell(Event{Name: "machine taken out", Detail: fmt.Sprintf("the one that was node %s is let in no more; the next one is number %d", name, n)})
	return nil
}

// hearMachines takes over which machines another member lets in.
func (e *Engine) hearMachines(from string, lowest map[string]int) {
	out, err := e.cfg.Identity.raise(lowest)
	if err != nil {
		e.log.Error("which machines are out could not be written", "from", from, "err", err)
	}
	if len(out) > 0 {
		e.tell(Event{Name: "machine taken out", Detail: fmt.Sprintf("node %s tells that the machine that was node %s is let in no more", from, strings.Join(out, ", "))})
	}
}
