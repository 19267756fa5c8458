package node

import (
	"context"
	"net/netip"
	"time"

	"tandem/cluster"
	"tandem/registrar"
)

const (
	// wakeRate is how many clients a second are told that their connection is gone: each comes back with a handshake at once, and a
	// thousand handshakes take a core.
	wakeRate = 400
	// wakeRounds is how often those are told who have not come back: a segment may be lost.
	wakeRounds = 3
	wakePage   = 500
	wakePause  = 2 * time.Second
)

// wake tells the phones and browsers whose connections died with the node before that they have to connect anew. Without it they learn
// that at their next keep-alive.
func (n *Node) wake(ctx context.Context) error {
	if !paired(n.config.Load()) {
		return nil // a process's connections are ended by its own kernel
	}
	var w cluster.Waker
	defer w.Close()
	tick := time.NewTicker(time.Second / wakeRate)
	defer tick.Stop()
	for round := range wakeRounds {
		told, failed := 0, error(nil)
		n.lost(func(local, remote netip.AddrPort) bool {
			if err := w.Wake(local, remote); err != nil {
				failed = err
			} else {
				told++
			}
			select {
			case <-tick.C:
				return true
			case <-ctx.Done():
				return false
			}
		})
		switch {
		case failed != nil:
			n.log.Warn("clients are not told that their connections are gone: they learn it at their next keep-alive", "err", failed)
		case told > 0:
			n.log.Info("clients told that their connections are gone", "clients", told, "round", round+1)
		}
		select {
		case <-time.After(wakePause):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// lost gives the connections of bindings that ended with another process, until tell is false.
func (n *Node) lost(tell func(local, remote netip.AddrPort) bool) {
	var at registrar.Cursor
	for done := false; !done; {
		var page []registrar.Binding
		page, at, done = n.bindings.All(at, wakePage, time.Now())
		for i := range page {
			f := page[i].Flow
			if !f.Valid() || !f.Proto().Reliable() || f.Alive() || !f.Local().IsValid() || !f.Remote().IsValid() {
				continue
			}
			if !tell(f.Local(), f.Remote()) {
				return
			}
		}
	}
}
