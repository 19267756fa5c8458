package cluster

import (
	"context"
	"fmt"
	"time"
)

// serve serves in one turn, until somebody else does. answer is called when it serves, or does not.
func (h *hand) serve(ctx context.Context, t turn, answer func(error)) {
	select {
	case <-h.deposed: // of an earlier turn
	default:
	}
	on, stop := context.WithCancel(ctx)
	defer stop()
	if err := h.begin(on, t); err != nil {
		h.demote()
		h.e.tell(Event{Name: "promotion failed", Alarm: true, Detail: err.Error()})
		answer(err)
		return
	}
	answer(nil)
	for {
		select {
		case <-ctx.Done():
			h.leave()
			return
		case <-h.deposed:
			h.demote()
			return
		case f := <-h.failover:
			gone, err := h.planned()
			f.answer <- err
			if gone {
				h.demote()
				return
			}
		case o := <-h.orders:
			if h.ends(h.newest(o)) {
				return
			}
		}
	}
}

// begin begins a turn: it is written down, the other is told if it listens, and what it has sent before counts no more.
func (h *hand) begin(ctx context.Context, t turn) error {
	began := time.Now()
	h.become("promoting")
	if h.t.turns.get() != t {
		if changed, err := h.t.turns.learn(t); err != nil || !changed {
			return fmt.Errorf("the turn %d could not be written: %w", t.Epoch, err)
		}
		told, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		if h.t.link.conn.IsConnected() {
			_, _ = h.t.link.ask(told, h.t.word())
		}
		cancel()
		h.t.link.shutOut()
	}
	h.e.lease.begin(t.Epoch)
	if now := h.t.turns.get(); now.Epoch != t.Epoch || now.Node != t.Node { // it came while this one asked, when there was nothing to depose yet
		return fmt.Errorf("node %s serves in turn %d", now.Node, now.Epoch)
	}
	h.grant(BootTime())
	h.e.writer.begin(t.Epoch)
	if err := h.sw.Promote(ctx, t.Epoch); err != nil {
		return err
	}
	h.e.lease.admit()
	h.e.address.up()
	h.become("active")
	h.alarmed = false
	h.e.log.Info("this node is active", "epoch", t.Epoch, "took", time.Since(began).Round(10*time.Microsecond))
	h.sw.Serve(t.Epoch)
	return nil
}

// ends obeys while this node serves; true when it serves no more.
func (h *hand) ends(o order) bool {
	switch {
	case o.notify != "" && o.notify != keepalivedMaster:
		h.told = o.notify
		h.e.yield(h.sw)
		h.demote()
		o.answer(nil)
		return true
	case o.notify != "":
		h.told = o.notify
	}
	o.answer(nil) // it serves already
	return false
}

// leave hands over when the process stops, so that nobody waits, if the other holds everything.
func (h *hand) leave() {
	if h.e.cfg.Decides == ByHand {
		_, _ = h.planned()
	} else {
		h.e.yield(h.sw)
	}
	h.demote()
}

// planned gives the turn to the other node while everything works. gone means that this node may not serve any more.
func (h *hand) planned() (gone bool, err error) {
	peer := h.t.link.peer.Name
	if h.e.cfg.Decides == ByKeepalived {
		return false, fmt.Errorf("keepalived decides which node serves: lower this node's priority there, or raise that of %s", peer)
	}
	if holds, _, _ := h.t.mirror.state(); !holds {
		return false, fmt.Errorf("node %s does not hold every record at this moment, so it cannot take over", peer)
	}
	h.e.yield(h.sw)
	h.yielding.Store(true)
	defer h.yielding.Store(false)
	h.revoke(false)
	if holds, _, _ := h.t.mirror.state(); !holds {
		h.resume()
		return false, fmt.Errorf("node %s did not take the last records, so nothing has changed", peer)
	}
	h.e.address.down()
	next := turn{Epoch: h.e.lease.Epoch() + 1, Node: peer, Alone: true}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	answer, err := h.t.link.ask(ctx, word{Node: h.e.cfg.Node, Turn: next, Take: true})
	switch {
	case err != nil:
		// It may have begun. Nobody serving is repaired by a person; two serving are not.
		_, _ = h.t.turns.learn(next)
		return true, fmt.Errorf("node %s did not answer whether it took over: this one serves no more: %w", peer, err)
	case answer.Err != "":
		h.resume()
		return false, fmt.Errorf("node %s did not take over, and this one goes on: %s", peer, answer.Err)
	}
	return true, nil
}

// resume goes on after a planned change that did not come about.
func (h *hand) resume() {
	h.yielding.Store(false)
	h.e.lease.admit()
	h.grant(BootTime())
	h.e.address.up()
}

// demote ends the turn: first the right to send, then the address, then the switch.
func (h *hand) demote() {
	h.granting.Lock()
	h.e.lease.end()
	h.granting.Unlock()
	h.e.address.down()
	h.e.writer.end()
	h.sw.Demote()
	h.become("standby")
}

// life is how long the right to serve lasts without being renewed. Nobody else is promoted by a person sooner, and a node that
// keepalived has deposed is told so by keepalived.
func (h *hand) life() time.Duration { return max(2*h.e.cfg.Timers, time.Second) }

// grant gives the right to serve for a while from a moment, at which nothing spoke against it.
func (h *hand) grant(now time.Duration) {
	h.granting.Lock()
	defer h.granting.Unlock()
	if h.e.lease.Epoch() == 0 || h.yielding.Load() || h.t.turns.get().Node != h.e.cfg.Node {
		return
	}
	h.granted.Store(int64(now))
	h.doubted.Store(0)
	h.e.lease.grant(now + h.life())
}

func (h *hand) revoke(doubt bool) {
	h.granting.Lock()
	defer h.granting.Unlock()
	if doubt {
		h.doubted.CompareAndSwap(0, int64(BootTime()))
	}
	h.e.lease.revoke()
}

// renew keeps the right to serve. A node that was stopped for longer than that lasts, or whose interface was dead, has lost it
// meanwhile, and asks the other one first whether it is still its turn.
func (h *hand) renew(ctx context.Context) {
	tick := time.NewTicker(h.e.cfg.Timers / 6)
	defer tick.Stop()
	for {
		if h.e.lease.Epoch() != 0 && !h.yielding.Load() {
			h.renewOnce(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *hand) renewOnce(ctx context.Context) {
	now := BootTime()
	late := now-time.Duration(h.granted.Load()) > h.life()
	dead := ""
	if _, ago, _, heard := h.t.link.last(); !heard || ago > h.t.silentAfter() {
		dead = h.e.deadInterface() // while the two hear each other nobody is promoted behind our back
	}
	if h.doubted.Load() == 0 && (late || dead != "") {
		h.revoke(true)
		why := "it stood still for longer than its right to serve lasts"
		if dead != "" {
			why = "interface " + dead + " has no carrier"
		}
		h.e.tell(Event{Name: "serving in doubt", Alarm: true, Detail: why + ": it asks the other node first"})
	}
	if h.doubted.Load() == 0 {
		h.grant(now)
	} else if dead == "" && h.settled(ctx) {
		h.grant(BootTime())
	}
}

// settled asks the other whether this node may go on. One that does not answer for a while is gone, and nobody has the address.
func (h *hand) settled(ctx context.Context) bool {
	once, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if h.t.link.conn.IsConnected() {
		if _, err := h.t.link.ask(once, h.t.word()); err == nil {
			return true // if the other serves in a later turn, heard has ended ours by now
		}
	}
	if BootTime()-time.Duration(h.doubted.Load()) < doubtFor {
		return false
	}
	for _, a := range h.e.cfg.Addresses {
		if owner, err := addressOwner(a, 200*time.Millisecond); err == nil && owner != nil {
			h.e.tell(Event{Name: "address is taken", Alarm: true, Detail: fmt.Sprintf("%s answers for %s: somebody else serves, so this node does not", owner, a.Prefix.Addr())})
			h.doubted.Store(int64(BootTime())) // asked again in a while
			return false
		}
	}
	return true
}
