package call

import (
	"context"
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/trunk"
)

// nextTrunk goes to the first trunk that admits the call, among trunks of a group that stand equal to the one whose turn it
// is. One that does not admit is passed over, and the record says why.
func (c *Call) nextTrunk() {
	h := c.hunt
	for {
		if len(h.left) == 0 && len(h.down) > 0 && !h.desperate {
			h.left, h.down, h.desperate = h.down, nil, true
		}
		if len(h.left) == 0 {
			c.endHunt(sip.CauseNoCircuit)
			c.branchesFailed()
			return
		}
		equals := h.equals()
		h.left = h.left[len(equals):]
		if len(equals) > 1 {
			if c.enterOneOf(h, equals) {
				return
			}
		} else if c.enterTrunk(h, equals[0]) {
			return
		}
	}
}

// equals is the trunks whose turn it is: one, or several of one rank of a group, which share the calls.
func (h *hunt) equals() []dialplan.Target {
	n := 1
	if first := &h.left[0]; first.Group != "" && !h.desperate {
		for n < len(h.left) && h.left[n].Group == first.Group && h.left[n].Rank == first.Rank {
			n++
		}
	}
	return h.left[:n:n]
}

// enterOneOf takes a channel of the trunk whose turn it is among equals; those that admit and were not chosen are tried
// next.
func (c *Call) enterOneOf(h *hunt, equals []dialplan.Target) bool {
	candidates := make([]trunk.Candidate, len(equals))
	for i, t := range equals {
		candidates[i] = trunk.Candidate{Trunk: t.Trunk, Weight: t.Weight}
	}
	chosen, channel, refusals := c.board.trunks.Choose(time.Now(), equals[0].Group, candidates, c.decision.Emergency)
	var left []dialplan.Target
	for i, t := range equals {
		switch {
		case i == chosen:
		case refusals[i] != "":
			c.refused(h, t, refusals[i])
		default:
			left = append(left, t)
		}
	}
	h.left = append(left, h.left...)
	if channel == nil {
		return false
	}
	c.goOver(h, equals[chosen], channel)
	return true
}

// enterTrunk takes a channel of one trunk.
func (c *Call) enterTrunk(h *hunt, target dialplan.Target) bool {
	t := c.board.trunks.Find(target.Trunk)
	if t == nil { // a reload has taken it away
		c.passOver(target, "no such trunk any more")
		return false
	}
	now := time.Now()
	channel, refusal := t.Admit(now, trunk.Out, c.decision.Emergency)
	if channel == nil && h.desperate && trunk.IsDown(refusal) {
		channel, refusal = t.AdmitDown(now)
	}
	if channel == nil {
		c.refused(h, target, refusal)
		return false
	}
	c.goOver(h, target, channel)
	return true
}

// refused passes a trunk over; one that is down is tried when nothing else is left.
func (c *Call) refused(h *hunt, target dialplan.Target, refusal string) {
	if trunk.IsDown(refusal) && !h.desperate {
		h.down = append(h.down, target)
	}
	c.passOver(target, refusal)
}

// goOver looks the targets of a trunk up that has a channel for the call.
func (c *Call) goOver(h *hunt, target dialplan.Target, channel *trunk.Channel) {
	t, now := channel.Trunk(), time.Now()
	h.trunk, h.target, h.channel = t, target, channel
	timeout := h.step.Timeout
	if timeout <= 0 {
		timeout = c.board.cfg.RingTimeout
	}
	c.stepEnds = now.Add(min(timeout, c.board.cfg.RingTimeout))
	c.board.spawn(func(ctx context.Context) {
		hops, routes, err := t.Hops(ctx)
		c.postOnce(huntEvent{h, t, hops, routes, err})
	}, func() { c.postOnce(huntEvent{hunt: h, trunk: t, err: errPanic}) })
}

// passOver records a trunk that took no call.
func (c *Call) passOver(target dialplan.Target, why string) {
	f := &failure{status: 503, reason: why, cause: sip.CauseNoCircuit, ours: true}
	now := time.Now()
	c.record.attemptFailed(c.record.attemptTrunk(target, "", now), f, now)
	c.best = better(c.best, f)
}
