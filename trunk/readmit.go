package trunk

import "time"

// Readmit takes the channel of a call that another process admitted: no limit stands in its way, and it counts as no new attempt.
// answered is when the call was; zero: not yet.
func (t *Trunk) Readmit(d Direction, began, answered time.Time) *Channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits.busy[d]++
	for _, g := range t.groups {
		g.mu.Lock()
		g.limits.busy[d]++
		g.mu.Unlock()
	}
	c := &Channel{trunk: t, direction: d, began: began, groups: t.groups, rang: answered, answered: answered}
	if d == Out && !answered.IsZero() {
		c.metered = answered
		if t.meters.kept.After(answered) { // what it talked until then stands in the minutes that were kept
			c.metered = t.meters.kept
		}
		t.meters.begin(c.metered, time.Now())
	}
	return c
}

// Direction is which way the call of the channel goes.
func (c *Channel) Direction() Direction {
	if c == nil {
		return Out
	}
	return c.direction
}
