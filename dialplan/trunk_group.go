package dialplan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// How a trunk group chooses among members of one priority.
const (
	ByWeight   = "weight"   // each its share of the calls
	ByOrder    = "order"    // the next one only where the one before fails
	ByCapacity = "capacity" // first who has the most free channels
	ByCost     = "cost"     // first who is the cheapest for the number, by the rate decks
)

// What a group by cost does with a member that has no price for a number.
const (
	unpricedSkip = "skip"
	unpricedLast = "last"
)

// mostLimit bounds channels and calls a second: more is a slip of the keyboard.
const mostLimit = 10_000

// mostMembers bounds a group: its members are ordered for every call.
const mostMembers = 32

// TrunkGroup is several trunks under one name, which stands wherever a trunk may.
type TrunkGroup struct {
	Name     string
	Strategy string
	Members  []Member
	Channels [3]int // at once over all members: both ways, in, out; 0: no limit
	CPS      [3]int // new calls in a second

	unpriced string
	place    Place
}

// Member is one trunk of a group.
type Member struct {
	Trunk    string
	Priority int // the least is tried first
	Weight   int // its share among the members of one priority

	when   *expression // it takes part only while this holds; nil: always
	priced int         // its column in the rate table; -1: no deck names it
}

var (
	trunkGroupSchema = block.Schema("trunks strategy unpriced channels channels_in channels_out cps cps_in cps_out", "member")
	memberSchema     = block.Schema("trunk priority weight when")
)

func (c *compiler) trunkGroup(b *hcl.Block) {
	g := c.plan.trunkGroups[b.Labels[0]]
	r := c.open(b.Body, trunkGroupSchema)
	g.Strategy = r.OneOf("strategy", ByWeight, ByWeight, ByOrder, ByCapacity, ByCost)
	g.unpriced = r.OneOf("unpriced", unpricedSkip, unpricedSkip, unpricedLast)
	if r.Has("unpriced") && g.Strategy != ByCost {
		c.fail(r.Range("unpriced"), "no prices here", "\"unpriced\" is for strategy = \"cost\".")
	}
	for i, suffix := range []string{"", "_in", "_out"} {
		g.Channels[i] = r.Int("channels"+suffix, 0, 1, mostLimit)
		g.CPS[i] = r.Int("cps"+suffix, 0, 1, mostLimit)
	}
	for _, ref := range r.Refs("trunks", "trunk") {
		c.addMember(g, ref, Member{Priority: 1, Weight: 1})
	}
	for _, inner := range r.Blocks {
		c.member(g, inner)
	}
	if len(g.Members) == 0 && !c.diags.HasErrors() {
		c.fail(b.DefRange, "no trunk", "A trunk group needs trunks: trunks = [trunk.a, trunk.b], or a member block for each.")
	}
	if len(g.Members) > mostMembers {
		c.fail(b.DefRange, "too many trunks", "A trunk group has at most %d members.", mostMembers)
	}
}

func (c *compiler) member(g *TrunkGroup, b *hcl.Block) {
	r := c.open(b.Body, memberSchema)
	r.Require("trunk")
	m := Member{Priority: r.Int("priority", 1, 1, 1000), Weight: r.Int("weight", 1, 1, 10_000)}
	if e := r.Expr("when"); e != nil {
		m.when = c.expression(e, cty.Bool, "A condition")
	}
	if e := r.Expr("trunk"); e != nil {
		if ref, ok := r.Ref(e, "trunk"); ok {
			c.addMember(g, ref, m)
		}
	}
}

func (c *compiler) addMember(g *TrunkGroup, ref block.Ref, m Member) {
	if lookup(c, ref, c.plan.trunks) == nil {
		return
	}
	if slices.ContainsFunc(g.Members, func(x Member) bool { return x.Trunk == ref.Name }) {
		c.fail(ref.At, "named twice", "Trunk %s is a member already.", ref.Name)
		return
	}
	m.Trunk, m.priced = ref.Name, -1
	g.Members = append(g.Members, m)
}

// outward reads a list of trunks and trunk groups as targets that a call resolves.
func (c *compiler) outward(r *block.Reader, name string) []Target {
	var out []Target
	for _, ref := range r.Refs(name, "trunk", "trunk_group") {
		switch {
		case ref.Kind == "trunk_group":
			if lookup(c, ref, c.plan.trunkGroups) != nil {
				out = append(out, Target{Group: ref.Name})
			}
		case lookup(c, ref, c.plan.trunks) != nil:
			out = append(out, Target{Trunk: ref.Name})
		}
	}
	return out
}

// named is the target of a table or a hook that writes names: a, trunk.a or trunk_group.uk.
func (p *Plan) named(text string) (Target, bool) {
	if name, ok := strings.CutPrefix(text, "trunk_group."); ok {
		return Target{Group: name}, p.trunkGroups[name] != nil
	}
	name := strings.TrimPrefix(text, "trunk.")
	return Target{Trunk: name}, p.trunks[name] != nil
}

// members is the trunks of a target: of a group all of them, by priority and weight.
func (p *Plan) members(t Target) []string {
	if t.Group == "" {
		return []string{t.Trunk}
	}
	g := p.trunkGroups[t.Group]
	sorted := slices.Clone(g.Members)
	slices.SortStableFunc(sorted, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight))
	})
	names := make([]string, len(sorted))
	for i, m := range sorted {
		names[i] = m.Trunk
	}
	return names
}

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

// TrunkGroups gives the trunk groups, sorted by name.
func (p *Plan) TrunkGroups() []TrunkGroup {
	var all []TrunkGroup
	for _, name := range keys(p.trunkGroups) {
		all = append(all, *p.trunkGroups[name])
	}
	return all
}

func (g *TrunkGroup) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of", g.Strategy)
	for _, m := range g.Members {
		fmt.Fprintf(&b, " %s priority %d weight %d", m.Trunk, m.Priority, m.Weight)
		if m.when != nil {
			b.WriteString(" when " + m.when.source)
		}
	}
	if g.Strategy == ByCost {
		b.WriteString(" unpriced " + g.unpriced)
	}
	fmt.Fprintf(&b, " channels %v cps %v", g.Channels, g.CPS)
	return b.String()
}
