package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Address is one that moves with the role.
type Address struct {
	Prefix    netip.Prefix // the address with the length of its network
	Interface string
}

func (a Address) String() string { return a.Prefix.String() + " on " + a.Interface }

// addresses puts the moving addresses on this machine and takes them off. The kernel is told to forget each after two
// seconds, and reminded while the lease holds: a process that is killed or stopped loses them without doing anything.
type addresses struct {
	e       *Engine
	tell    func(Address) error // the neighbours
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu   sync.Mutex
	here bool   // they should be on this machine
	turn uint64 // of up and down, so that late announcements of an earlier turn are left out
}

const (
	addressLife    = 2 // seconds
	addressRefresh = 300 * time.Millisecond
)

// announceAt is when the neighbours are told after the address came: at once, thrice, and again for those whose switches were
// busy.
var announceAt = []time.Duration{0, 0, 0, 50 * time.Millisecond, 250 * time.Millisecond, 1250 * time.Millisecond}

func newAddresses(e *Engine) *addresses {
	ctx, cancel := context.WithCancel(context.Background())
	a := &addresses{e: e, tell: announceAddress, cancel: cancel}
	if len(e.cfg.Addresses) > 0 && !e.self.Witness {
		a.take(false) // an earlier process may have left them
		a.working.Go(func() { a.refresh(ctx) })
	}
	if e.cfg.Hook.set() {
		a.working.Go(func() { e.cfg.Hook.run(ctx, e, a) })
	}
	return a
}

// close takes the addresses off and waits.
func (a *addresses) close() {
	a.down()
	a.cancel()
	a.working.Wait()
}

// up puts the addresses on this machine and tells the neighbours; it returns when the kernel has them.
func (a *addresses) up() {
	a.mu.Lock()
	a.here = true
	a.turn++
	turn := a.turn
	a.mu.Unlock()
	if len(a.e.cfg.Addresses) == 0 {
		return
	}
	a.take(true)
	a.working.Go(func() { a.announce(turn) })
}

// down takes them off.
func (a *addresses) down() {
	a.mu.Lock()
	was := a.here
	a.here = false
	a.turn++
	a.mu.Unlock()
	if was {
		a.take(false)
	}
}

// take puts the addresses on, for addressLife, or takes them off. The lease is asked as late as can be.
func (a *addresses) take(on bool) {
	for _, x := range a.e.cfg.Addresses {
		var err error
		switch {
		case !on:
			err = removeAddress(x)
		case a.e.lease.Held():
			if err = putAddress(x, addressLife); err == nil && !a.e.lease.Held() { // the process stood still meanwhile
				err = removeAddress(x)
			}
		}
		if err != nil {
			a.e.tell(Event{Name: "address", Alarm: true, Detail: fmt.Sprintf("%s: %v", x, err)})
		}
	}
}

func (a *addresses) refresh(ctx context.Context) {
	tick := time.NewTicker(addressRefresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.mu.Lock()
			if a.here { // under the lock: down must not come between the question and the deed
				a.take(true)
			}
			a.mu.Unlock()
		}
	}
}

// leaseLook is how often it is looked whether a lease that is gone for a moment is back.
const leaseLook = 10 * time.Millisecond

// announce tells the neighbours who has the addresses now. A word that may not be said at its time, since the lease is gone for a moment, is said
// when it is back: without it they would go on to speak to the dead node until they ask by themselves, after half a minute.
func (a *addresses) announce(turn uint64) {
	begin := time.Now()
	for _, at := range announceAt {
		wait := at - time.Since(begin)
		for {
			if wait > 0 {
				<-time.After(wait)
			}
			a.mu.Lock()
			still := a.here && a.turn == turn
			a.mu.Unlock()
			if !still {
				return
			}
			if a.e.lease.Held() {
				break
			}
			wait = leaseLook
		}
		for _, x := range a.e.cfg.Addresses {
			if err := a.tell(x); err != nil {
				a.e.log.Warn("address could not be announced", "address", x.String(), "err", err)
			}
		}
	}
}
