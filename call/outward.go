package call

import (
	"strings"

	"tandem/sip"
	"tandem/trunk"
)

// outwardCaller is who calls, as a carrier may be told: the number of the plan where it is a public one, else the
// extension's own.
func (c *Call) outwardCaller() trunk.Caller {
	plan, id := c.settings.Plan, c.decision.CallerID
	who := trunk.Caller{Number: c.home().E164(id.Number), Name: id.Name, Private: trunk.Withheld(c.invitation())}
	if !strings.HasPrefix(who.Number, "+") {
		x, _ := plan.Extension(c.facts.From)
		who.Number = x.DID
	}
	if number := c.preferred(); number != "" {
		who.Number, who.Allowed = number, true
	}
	who.Ours = plan.Owns(who.Number)
	if h := c.hunt; h != nil && h.trunk != nil && h.trunk.Associates(who.Number, c.home()) {
		who.Allowed = true
	}
	return who
}

// preferred is the number that a phone asks to show (RFC 3325 §9.2), where it may; empty: none.
func (c *Call) preferred() string {
	if c.facts.From == "" || c.decision.Emergency || c.shown != nil {
		return ""
	}
	for e := range c.invitation().Elements(sip.HeaderPPreferredIdentity) {
		a, err := sip.ParseNameAddr(e)
		if err != nil || a.Star {
			continue
		}
		u, err := sip.ParseURI(a.URI)
		if number := c.home().E164(u.Number()); err == nil && strings.HasPrefix(number, "+") && c.settings.Plan.MayShow(c.facts.From, number) {
			return number
		}
	}
	return ""
}
