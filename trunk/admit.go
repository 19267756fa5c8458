package trunk

import (
	"strings"
	"time"
)

// Admit takes a channel for one more call, or says why there is none, in words for an operator. must: the call has to
// pass whatever the limits and the state say.
func (t *Trunk) Admit(now time.Time, d Direction, must bool) (c *Channel, refusal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !must {
		if refusal = t.refusal(now, d, false); refusal != "" {
			return nil, t.refuse(d, refusal)
		}
	}
	return t.take(now, d, must)
}

// AdmitDown takes a channel of a trunk that is down: for a call that has no other way left.
func (t *Trunk) AdmitDown(now time.Time) (c *Channel, refusal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refusal = t.refusal(now, Out, true); refusal != "" {
		return nil, refusal
	}
	return t.take(now, Out, false)
}

// refusal is what stands in the way of one more call: the operator, the state, minutes, a limit of the trunk or of a group
// of it. down: that the trunk is down does not matter. The lock is held.
func (t *Trunk) refusal(now time.Time, d Direction, down bool) string {
	state, why := t.state(now)
	switch {
	case state == Drained:
		return "drained"
	case state == Down && d == Out && !down:
		return "down: " + why
	}
	if d == Out {
		if why := t.meters.refuse(now, t.cfg.Load()); why != "" {
			return why
		}
	}
	if why := t.limits.refuse(now, d); why != "" {
		return why
	}
	return wouldTake(t.groups, now, d)
}

// take counts a call in the trunk and its groups. The lock is held.
func (t *Trunk) take(now time.Time, d Direction, must bool) (c *Channel, refusal string) {
	if refusal = take(t.groups, now, d, must); refusal != "" {
		return nil, t.refuse(d, refusal)
	}
	t.limits.take(now, d)
	t.pace.add(now)
	t.counts[d].Attempts++
	return &Channel{trunk: t, direction: d, began: now, groups: t.groups}, ""
}

// IsDown tells whether a refusal of Admit was for the trunk being down.
func IsDown(refusal string) bool { return strings.HasPrefix(refusal, "down: ") }

func (t *Trunk) refuse(d Direction, why string) string {
	t.counts[d].Refused++
	kind, _, _ := strings.Cut(why, ":")
	t.counts[d].Refusals[kind]++
	return why
}
