package transport

import (
	"sync"
	"time"
)

// pace spreads connections that come all at once, as when every phone of a node that died connects anew: so many a second are taken, and the
// others wait in the kernel's queue, where they cost us nothing. It is the scheduler of GCRA, see budget.
type pace struct {
	mu  sync.Mutex
	due time.Time // when the next one would come at an even rate
}

// paceBurst is how much of a second's connections may come at once.
const paceBurst = time.Second / 4

// take counts a connection, and tells how long the next one waits.
func (p *pace) take(now time.Time, rate int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Second / time.Duration(rate))
	return p.due.Sub(now) - paceBurst
}
