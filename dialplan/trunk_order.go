package dialplan

import (
	"fmt"
	"slices"
)

// overTrunks tells whether a dial leads outside.
func overTrunks(targets []Target) bool {
	return len(targets) > 0 && (targets[0].Trunk != "" || targets[0].Group != "")
}

// expand gives the trunks to try in turn: those that stand by themselves, and the members of groups; each once.
func (e *env) expand(list []Target) []Target {
	out := make([]Target, 0, len(list)+4)
	for _, t := range list {
		if t.Group != "" && t.Trunk == "" {
			out = e.expandGroup(out, e.plan.trunkGroups[t.Group])
		} else if !tries(out, t.Trunk) {
			out = append(out, Target{Trunk: t.Trunk, Number: e.number})
		}
	}
	return out
}

func tries(list []Target, trunk string) bool {
	return slices.ContainsFunc(list, func(t Target) bool { return t.Trunk == trunk })
}

// expandGroup appends the members that take part, in the order that the plan can know: by priority, and then by cost, or
// by weight. Those of one rank share the calls, and who is next among them the room of the trunks says.
func (e *env) expandGroup(out []Target, g *TrunkGroup) []Target {
	var room [mostMembers]quote
	rank, before := 0, quote{}
	for i, q := range g.order(e, room[:0]) {
		m := &g.Members[q.member]
		if i > 0 && (g.Strategy == ByOrder || g.Members[before.member].Priority != m.Priority || before.cost != q.cost) {
			rank++
		}
		before = q
		if tries(out, m.Trunk) {
			continue
		}
		t := Target{Trunk: m.Trunk, Number: e.number, Group: g.Name, Rank: rank, Weight: m.Weight}
		if q.rate >= 0 {
			t.Price = e.plan.rates.price(q.rate, e.number)
		}
		out = append(out, t)
	}
	return out
}

// quote is a member of a group for one call.
type quote struct {
	member int32
	rate   int32 // of the rate table; -1: none
	cost   Rate  // by cost: in the common currency
}

// dearest is what a member without a price counts as, where it is tried last.
const dearest = Rate(1<<63 - 1)

// order appends the members that take part to room, ordered. It allocates nothing unless reasons are asked for.
func (g *TrunkGroup) order(e *env, room []quote) []quote {
	var rates [mostPriced]int32
	if g.Strategy == ByCost {
		e.plan.rates.lookup(e.number, e.facts.Now.Unix(), rates[:])
		e.asked = e.asked || e.plan.rates != nil && e.plan.rates.dated
	}
	for i := range g.Members {
		m, q := &g.Members[i], quote{member: int32(i), rate: -1}
		if m.when != nil {
			e.asked = true
			if open, err := m.when.holds(e); err != nil || !open {
				e.tell(g, Lost, "trunk %s: its condition is false: %s", m.Trunk, m.when.source)
				continue
			}
		}
		if g.Strategy == ByCost {
			if m.priced >= 0 {
				q.rate = rates[m.priced]
			}
			switch {
			case q.rate >= 0:
				q.cost = e.plan.rates.rates[q.rate].cost
			case g.unpriced == unpricedSkip:
				e.tell(g, Lost, "trunk %s has no price for %s", m.Trunk, e.number)
				continue
			default:
				q.cost = dearest
			}
		}
		room = append(room, q)
		for j := len(room) - 1; j > 0 && g.before(room[j], room[j-1]); j-- { // few members: the plainest sort is the fastest
			room[j], room[j-1] = room[j-1], room[j]
		}
	}
	if e.explain {
		g.explain(e, room)
	}
	return room
}

// before tells whether a member is tried before another.
func (g *TrunkGroup) before(a, b quote) bool {
	x, y := &g.Members[a.member], &g.Members[b.member]
	switch {
	case x.Priority != y.Priority:
		return x.Priority < y.Priority
	case a.cost != b.cost:
		return a.cost < b.cost
	case g.Strategy == ByOrder || x.Weight == y.Weight:
		return a.member < b.member
	}
	return x.Weight > y.Weight
}

// tell is a reason that only an explanation pays for.
func (e *env) tell(g *TrunkGroup, v Verdict, format string, args ...any) {
	if e.explain {
		e.reason(Reason{"trunk_group", g.Name, g.place, v, fmt.Sprintf(format, args...)})
	}
}

// explain says of each member why it stands where it does.
func (g *TrunkGroup) explain(e *env, list []quote) {
	for i, q := range list {
		m := &g.Members[q.member]
		why := fmt.Sprintf("%d. trunk %s: priority %d", i+1, m.Trunk, m.Priority)
		switch {
		case q.rate >= 0:
			why += ", costs " + e.plan.rates.explain(q.rate, e.number)
		case q.cost == dearest:
			why += ", has no price"
		}
		if g.Strategy != ByOrder {
			why += fmt.Sprintf(", weight %d", m.Weight)
		}
		e.tell(g, Applied, "%s", why)
	}
}

// noTrunk is what happens when no trunk takes part: what the route says for 404, or that, as a network without a route to
// the destination answers (RFC 3398: cause 3).
func (e *env) noTrunk(on []Handler) []Step {
	e.reason(Reason{Rule: "dial", Verdict: Lost, Why: "no trunk is there for " + e.number + ": no price, or none at this time"})
	if h := HandlerFor(on, 404, false); h != nil {
		return resolveSteps(e, h.Steps)
	}
	return []Step{Reject{Status: 404, Reason: "Not Found", Cause: 3}}
}
