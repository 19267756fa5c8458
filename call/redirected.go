package call

import (
	"time"

	"tandem/sip"
)

// mostRedirects bounds the redirections that one call follows.
const mostRedirects = 5

// redirected follows the 3xx of a carrier whose trunk says so: to the number of its first Contact that the plan lets the caller
// call, on the way that the plan has for it. Where the Contact points counts for nothing: that is a stranger's word (RFC 3261
// §21.3 leaves it to us). It is false where none is followed.
func (c *Call) redirected(l *Leg, m *sip.Message) bool {
	if l.trunk == nil || !l.trunk.Config().Redirects || c.hunt == nil || c.hunt.heard || c.decision.Emergency || c.phase != phaseRouting || l.state == legGone {
		return false
	}
	cfg, home := l.trunk.Config(), c.home()
	for contact := range m.Elements(sip.HeaderContact) {
		if c.redirects >= mostRedirects {
			return false
		}
		number := cfg.ContactNumber(contact, home)
		if number == "" {
			continue
		}
		facts := c.facts
		facts.To, facts.Now = number, time.Now()
		d := c.board.route(c.settings.Plan, facts)
		if d.Reject.Status != 0 || len(d.Steps) == 0 {
			c.log.Info("redirection not followed", "trunk", l.trunk.Name(), "number", printable(number), "status", d.Reject.Status)
			continue
		}
		c.redirects++
		c.log.Info("redirection followed", "trunk", l.trunk.Name(), "number", printable(number), "route", d.Route)
		c.record.attemptFailed(l.attempt, &failure{status: m.Status(), reason: m.Reason()}, time.Now())
		c.ringing = without(c.ringing, l)
		c.dropBranch(l)
		c.endHunt(sip.CauseNormal)
		c.steps = d.Steps
		c.nextStep()
		return true
	}
	return false
}
