package cluster

import (
	"fmt"
	"sync/atomic"
	"time"
)

// plans watches that the switches run one configuration: a call must not go another way because another node serves.
type plans struct {
	since  time.Time // they differ; of the goroutine that reports
	differ atomic.Bool
}

// differAfter is how long two switches may run different plans while both are being reloaded.
const differAfter = 10 * time.Second

// otherPlan says which switch has been heard to run another plan than this one; empty: none. A witness has no plan.
func (e *Engine) otherPlan(now time.Time) string {
	if e.cfg.Plan == nil {
		return ""
	}
	own := e.cfg.Plan()
	if own == "" {
		return ""
	}
	e.peers.mu.Lock()
	defer e.peers.mu.Unlock()
	for _, m := range e.cfg.Members {
		if p := e.peers.all[m.Name]; p.Plan != "" && p.Plan != own && m.Name != e.cfg.Node && now.Sub(p.Heard) < heardWithin {
			return fmt.Sprintf("node %s runs plan %s and this one %s: give both the same files, and `tandem reload` each", m.Name, p.Plan, own)
		}
	}
	return ""
}

// watch tells when the plans have differed for a while, and when they are one again.
func (p *plans) watch(e *Engine, now time.Time) {
	switch what := e.otherPlan(now); {
	case what == "":
		p.since = time.Time{}
		if p.differ.Swap(false) {
			e.tell(Event{Name: "one plan", Detail: "all switches run the same plan again"})
		}
	case p.since.IsZero():
		p.since = now
	case now.Sub(p.since) > differAfter && !p.differ.Swap(true):
		e.tell(Event{Name: "different plans", Alarm: true, Detail: what})
	}
}
