package dialplan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// mostClashes bounds the messages about routes that clash: the first hundred say what is wrong with the rest.
const mostClashes = 100

// order puts the routes into the order in which a number tries them, and reports what has none. The rule: of the
// routes whose pattern a number is in and that admit its caller, the one with the more specific pattern wins, where
// specific means that all of its numbers are in the other's pattern too. Guarded routes on one pattern are tried by
// line, and one without a guard is their else. Wherever that leaves two routes that one caller could take with one
// number, it is an error.
func (c *compiler) order() {
	o := orderer{compiler: c}
	o.collect()
	o.compare()
	o.rungs()
	o.levels()
}

type orderer struct {
	*compiler
	byPattern [][]*route
	same      []int     // pattern → the first pattern that means the same numbers
	around    [][]int32 // pattern → patterns that it lies inside of
	clashes   int
}

// collect gathers the routes by pattern, in an order that file names have no part in.
func (o *orderer) collect() {
	index := map[string]int{}
	var patterns []*Pattern
	for _, r := range o.plan.routes {
		key := r.to.key()
		i, ok := index[key]
		if !ok {
			i = len(patterns)
			index[key] = i
			patterns = append(patterns, r.to)
			o.byPattern = append(o.byPattern, nil)
		}
		o.byPattern[i] = append(o.byPattern[i], r)
	}
	o.plan.matcher = newMatcher(patterns)
	o.around = make([][]int32, len(patterns))
	o.same = make([]int, len(patterns))
	for i := range o.same {
		o.same[i] = i
	}
}

// compare relates every two patterns that have a number in common.
func (o *orderer) compare() {
	patterns := o.plan.matcher.patterns
	near := newNeighbours(o.plan.matcher)
	for i, p := range patterns {
		near.of(i, func(j int) {
			switch p.relation(patterns[j]) {
			case equal:
				o.same[j] = min(o.same[j], o.same[i])
			case inside:
				o.around[i] = append(o.around[i], int32(j))
			case around:
				o.around[j] = append(o.around[j], int32(i))
			case crossing:
				o.clash(i, j, "ambiguous routes", "neither pattern lies inside the other, so nothing says which is meant")
			case unknown:
				o.clash(i, j, "patterns too intricate", "whether one pattern lies inside the other cannot be decided")
			}
		})
	}
}

// clash reports two patterns, once, where some caller may use routes on both.
func (o *orderer) clash(i, j int, summary, why string) {
	if o.clashes > mostClashes {
		return
	}
	for _, r := range o.byPattern[i] {
		for _, s := range o.byPattern[j] {
			if r.meets(s, o.plan) {
				witness, _ := overlap(r.to, s.to)
				o.report(r, s, summary, why, witness)
				return
			}
		}
	}
}

// report names both places, the later one first: that is what a person added.
func (o *orderer) report(r, s *route, summary, why, witness string) {
	if o.clashes++; o.clashes > mostClashes {
		return
	}
	if precedes(r.at, s.at) {
		r, s = s, r
	}
	d := block.Errorf(r.toAt, summary, "Route %q (%s) and route %q (%s) at %s both match %s, and %s.",
		r.name, r.to, s.name, s.to, placeOf(s.at), witness, why)
	o.diags = append(o.diags, d)
}

func precedes(a, b hcl.Range) bool {
	if a.Filename != b.Filename {
		return a.Filename < b.Filename
	}
	return a.Start.Byte < b.Start.Byte
}

// rungs joins patterns that mean the same and orders the routes on each.
func (o *orderer) rungs() {
	o.plan.rungOf = make([]int32, len(o.same))
	at := make([]int32, len(o.same)) // by pattern: its rung, plus one
	for i, first := range o.same {
		k := at[first] - 1
		if k < 0 {
			k = int32(len(o.plan.rungs))
			at[first] = k + 1
			o.plan.rungs = append(o.plan.rungs, rung{})
		}
		o.plan.rungOf[i] = k
		o.plan.rungs[k].routes = append(o.plan.rungs[k].routes, o.byPattern[i]...)
	}
	for k, rung := range o.plan.rungs {
		slices.SortStableFunc(rung.routes, byTurn)
		for turn, r := range rung.routes {
			r.rung, r.turn = int32(k), turn
		}
		o.samePattern(rung.routes)
	}
}

// byTurn puts guarded routes first, by line, and the others after them.
func byTurn(a, b *route) int {
	switch {
	case (a.when != nil) != (b.when != nil):
		if a.when != nil {
			return -1
		}
		return 1
	case precedes(a.at, b.at):
		return -1
	}
	return 1
}

// samePattern reports routes on one pattern whose order means nothing.
func (o *orderer) samePattern(routes []*route) {
	for i, r := range routes {
		for _, s := range routes[i+1:] {
			if (r.when == nil) != (s.when == nil) || !r.meets(s, o.plan) {
				continue
			}
			witness, _ := overlap(r.to, s.to)
			if r.when == nil {
				o.report(r, s, "two routes on one pattern", "without a condition (when) on one of them nothing says which is meant", witness)
			} else if r.at.Filename != s.at.Filename {
				o.report(r, s, "conditions in two files", "routes with conditions are tried by line, which means nothing between two files", witness)
			}
		}
	}
}

// levels counts for each rung the patterns around it.
func (o *orderer) levels() {
	level := make([]int, len(o.around))
	var depth func(i int) int
	depth = func(i int) int {
		if level[i] == 0 {
			level[i] = 1
			for _, outer := range o.around[i] {
				level[i] = max(level[i], depth(int(outer))+1)
			}
		}
		return level[i]
	}
	for i := range o.around {
		r := &o.plan.rungs[o.plan.rungOf[i]]
		r.level = max(r.level, depth(i))
	}
}
