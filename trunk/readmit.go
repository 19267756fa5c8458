package trunk

import "time"

// Readmit takes the channel of a call that another process admitted: no limit stands in its way, and it counts as no new attempt.
// answered is when the call was; zero: not yet.
func (t *Trunk) Readmit(d Direction, began, answered time.Time) *Channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits.busy[d]++
	return &Channel{trunk: t, direction: d, began: began, rang: answered, answered: answered}
}

// Direction is which way the call of the channel goes.
func (c *Channel) Direction() Direction {
	if c == nil {
		return Out
	}
	return c.direction
}
