package call

import (
	"tandem/dialplan"
	"tandem/trunk"
)

// mostDiversions is how often a call may have been sent on before a forward of ours sends it back where it came from: two
// switches that forward to each other would go on for ever.
const mostDiversions = 10

// diversions is who has sent a call on that a step takes to a carrier: those that a carrier has told us of, then ours.
func (c *Call) diversions(s dialplan.Dial) []trunk.Diversion {
	var all []trunk.Diversion
	if c.a.trunk != nil {
		all, _ = c.a.trunk.Config().Diversions(c.invitation(), c.home())
	}
	for _, d := range s.Diverted {
		all = append(all, trunk.Diversion{Number: d.Number, Why: trunk.Reason(d.Why)})
	}
	return all
}

// divertedBefore is how often the call was sent on before it came, beyond those that have a name.
func (c *Call) divertedBefore() int {
	if c.a.trunk == nil {
		return 0
	}
	named, count := c.a.trunk.Config().Diversions(c.invitation(), c.home())
	return max(count-len(named), 0)
}
