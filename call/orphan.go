package call

import (
	"time"
)

// orphanAfter is how long both sides of an adopted call may be silent before they are asked whether they are still there.
const orphanAfter = 20 * time.Second

// endedByOrphan is what the record of an adopted call says that nobody was left in.
const endedByOrphan = "failover-orphan"

// received counts the packets of a leg's peer.
func (l *Leg) received() uint64 {
	if l.media == nil {
		return 0
	}
	return l.media.Stats().In.Packets
}

// beginAnew remembers what had been heard when the call was adopted.
func (c *Call) beginAnew() {
	c.orphanAt = time.Now().Add(orphanAfter)
	for l := range c.activeLegs() {
		l.adoptedAt = l.received()
	}
}

// lookForOrphan asks those sides of an adopted call that have been silent since. Whoever does not answer, or knows nothing of the call, has
// gone while nobody was here to be told, or told a process that had no time left to keep it. Where the other side speaks only the latter counts:
// a phone that holds, or is muted, is silent too, and some answer no OPTIONS.
func (c *Call) lookForOrphan() {
	c.orphanAt = time.Time{}
	if c.phase != phaseUp {
		return
	}
	c.orphan = true
	var silent []*Leg
	for l := range c.activeLegs() {
		if l.received() != l.adoptedAt {
			c.orphan = false
		} else if l.state == legUp && l.farewell == nil {
			silent = append(silent, l)
		}
	}
	for _, l := range silent {
		l.mayBeMute = !c.orphan
		c.probe(l)
	}
}
