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
