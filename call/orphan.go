package call

import (
	"time"
)

// orphanAfter is how long both sides of an adopted call may be silent before they are asked whether they are still there.
const orphanAfter = 20 * time.Second

// endedByOrphan is what the record of an adopted call says that nobody was left in.
const endedByOrphan = "failover-orphan"

// heardSoFar counts the packets of both sides.
func (c *Call) heardSoFar() (n uint64) {
	for l := range c.activeLegs() {
		if l.media != nil {
			n += l.media.Stats().In.Packets
		}
	}
	return n
}

// lookForOrphan asks both sides of an adopted call that has been silent since. Whoever does not answer, or knows nothing of the call, has
// gone while nobody was here to be told.
func (c *Call) lookForOrphan() {
	c.orphanAt = time.Time{}
	if c.phase != phaseUp || c.heardSoFar() != c.heardThen {
		return
	}
	c.orphan = true
	for l := range c.activeLegs() {
		if l.state == legUp && l.farewell == nil {
			c.probe(l)
		}
	}
}
