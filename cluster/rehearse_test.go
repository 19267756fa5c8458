package cluster

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Nothing is handed over to a standby that has not read everything yet, and the rehearsal says so with its name.
func TestNothingIsHandedOverToWhoStillReads(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	var ready atomic.Bool
	cfg := p.cfg["b"]
	cfg.Ready = ready.Load
	p.cfg["b"] = cfg
	a := p.serveWith("a")
	b := p.start("b")
	defer p.endAll()
	p.eventually("b stands by, and reads", func() bool { return p.role("b") == "standby" && a.engine.peers.standby(time.Now()) })
	epoch := a.engine.Lease().Epoch()
	if r := a.engine.Rehearse(); r.Possible || !strings.Contains(strings.Join(r.Why, " "), "node b") {
		t.Errorf("the rehearsal says %+v", r)
	}
	if err := a.engine.Failover(t.Context()); err == nil {
		t.Error("it was handed over")
	}
	if did := a.did(); did != "promote serve" || b.did() != "" || a.engine.Lease().Epoch() != epoch {
		t.Errorf("a was told to %q, and b to %q", did, b.did())
	}
	ready.Store(true)
	p.eventually("it can be", func() bool { return a.engine.Rehearse().Possible })
}
