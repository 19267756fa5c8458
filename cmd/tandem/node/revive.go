package node

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/record"
	"tandem/registrar"
	"tandem/sip/transport"
)

// reviveWithin bounds what is read of the state when the switch starts.
const reviveWithin = 30 * time.Second

// attach finds the flow that a binding or a call of another process had.
func (n *Node) attach(f registrar.FlowRecord) transport.Flow {
	return n.layer.Attach(f.Proto, f.Listener, f.Local, f.Remote)
}

// revive brings back what another process left: who is registered, and the calls in progress with their media. What cannot be read is
// logged and left out: the switch must take calls.
func (n *Node) revive() error {
	ctx, cancel := context.WithTimeout(context.Background(), reviveWithin)
	defer cancel()
	began := time.Now()
	if err := n.reviveMemory(ctx); err != nil { // before the calls, whose minutes go on from it
		return fmt.Errorf("settings: %w", err)
	}
	bindings, err := n.reviveBindings(ctx, began)
	if err != nil {
		return fmt.Errorf("registrations: %w", err)
	}
	calls, err := n.reviveCalls(ctx)
	if err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	for _, err := range calls.Failed {
		n.log.Error("a call could not be resumed", "err", err)
	}
	if bindings+calls.Calls+calls.Ended > 0 {
		n.log.Info("state resumed", "registrations", bindings, "calls", calls.Calls, "ended", calls.Ended, "took", time.Since(began))
	}
	return nil
}

// reviveBindings reads bindings from the store while those that were read before are applied.
func (n *Node) reviveBindings(ctx context.Context, now time.Time) (int, error) {
	var count atomic.Int64
	var readers sync.WaitGroup
	records := make(chan cluster.Record, 1024)
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			for r := range records {
				var bindings registrar.Record
				if err := record.Unmarshal(r.Value, &bindings); err != nil || r.Version > newestForm {
					n.log.Error("a registration could not be resumed", "aor", r.Key, "form", r.Version, "err", err)
					continue
				}
				n.bindings.Apply(now, bindings, n.attach)
				count.Add(1)
			}
		})
	}
	var failed error
	for r, err := range n.state.Load(ctx, bucketRegistrations) {
		if err != nil {
			failed = err
			break
		}
		records <- r
	}
	close(records)
	readers.Wait()
	return int(count.Load()), failed
}

func (n *Node) reviveCalls(ctx context.Context) (call.Revived, error) {
	notes := map[string][]byte{}
	for r, err := range n.state.Load(ctx, bucketMedia) {
		if err != nil {
			return call.Revived{}, err
		}
		if r.Version <= newestForm && strings.Contains(r.Key, "/") {
			notes[r.Key] = r.Value
		}
	}
	var states [][]byte
	for r, err := range n.state.Load(ctx, bucketCalls) {
		if err != nil {
			return call.Revived{}, err
		}
		if r.Version > newestForm {
			n.log.Error("a call could not be resumed", "call", r.Key, "form", r.Version)
			continue
		}
		states = append(states, r.Value)
	}
	if len(states) == 0 {
		return call.Revived{}, nil
	}
	written, err := n.ledger.Written()
	if err != nil {
		n.log.Error("call records cannot be read: one may be written twice", "err", err)
	}
	return n.board.Adopt(states, func(id, leg string) []byte { return notes[noteKey(id, leg)] }, n.attach,
		func(id string) bool { return written[id] }), nil
}
