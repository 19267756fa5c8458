package dialplan

import (
	"encoding/binary"
	"slices"
)

// regions walks several matchers side by side and finds, for every set of patterns that some number is in at once, one
// of the shortest such numbers. What it looks at grows with the size of the trees and not with the numbers: two plans
// are compared on all of their numbers by comparing them on one of each region.
type regions struct {
	matchers []*matcher
	seen     map[string]bool // states that have been met
	queue    []regionState
	found    []string // the numbers
	keyOf    func(number string, accepted [][]int32) string
	keys     map[string]bool
	full     bool // mostRegionStates was reached: there may be more
	only     int  // numbers outside of this matcher's patterns are left out; -1: none are
}

// mostRegionStates bounds a walk: with half a kilobyte each, it holds 200 MB at the most.
const mostRegionStates = 400_000

// regionState is where a number stands in all matchers, and how it came there.
type regionState struct {
	at     []side
	world  uint64 // positions of publicNumber; 0: the number has no plus
	number string
}

// side is where a number stands in one matcher.
type side struct {
	nodes []int32  // sorted
	loops []int32  // patterns that have accepted and take further digits, sorted
	loose []uint64 // sets of positions of the patterns beside the tree
}

// dead tells whether no number that goes on from here is in a pattern.
func (s *side) dead() bool { return len(s.nodes) == 0 && len(s.loops) == 0 && len(s.loose) == 0 }

// regionsOf gives a number for each region. key tells regions apart that matter: it is given the number and the
// patterns of each matcher that it is in. Where only is not negative, regions that are in none of that matcher's
// patterns are left out.
func regionsOf(matchers []*matcher, only int, key func(string, [][]int32) string) (numbers []string, complete bool) {
	g := regions{matchers: matchers, only: only, seen: map[string]bool{}, keys: map[string]bool{}, keyOf: key}
	start := regionState{at: make([]side, len(matchers))}
	for i, m := range matchers {
		start.at[i].nodes = []int32{0}
		for _, l := range m.loose {
			start.at[i].loose = append(start.at[i].loose, m.patterns[l].start())
		}
	}
	g.queue = append(g.queue, start)
	for k := 0; k < len(g.queue); k++ {
		if len(g.queue) > mostRegionStates {
			g.full = true
			break
		}
		g.visit(g.queue[k])
		g.queue[k] = regionState{number: g.queue[k].number}
	}
	return g.found, !g.full
}

// visit notes the region of a state and goes on to those after it.
func (g *regions) visit(s regionState) {
	if s.number != "" && (s.world == 0 || publicNumber.accepts(s.world)) {
		g.note(s)
	}
	if s.settled() {
		g.pad(s)
		return
	}
	for _, sym := range regionOrder {
		if sym == plus && s.number != "" {
			continue
		}
		next, ok := g.step(s, sym)
		if !ok || g.only >= 0 && next.at[g.only].dead() {
			continue
		}
		if k := next.key(); !g.seen[k] {
			g.seen[k] = true
			g.queue = append(g.queue, next)
		}
	}
}

// regionOrder is the symbols in the order in which they are tried: the numbers that are found look like numbers.
var regionOrder = [symbols]uint8{2, 3, 4, 5, 6, 7, 8, 9, 1, 0, 10, 11, plus}

// settled tells whether further digits lead to no other pattern.
func (s *regionState) settled() bool {
	for _, x := range s.at {
		if len(x.nodes) > 0 || len(x.loose) > 0 {
			return false
		}
	}
	return true
}

// pad makes a settled number as long as one with a plus must be.
func (g *regions) pad(s regionState) {
	if s.world == 0 || publicNumber.accepts(s.world) {
		return
	}
	for s.world != 0 && !publicNumber.accepts(s.world) {
		s.number += "2"
		s.world = publicNumber.step(s.world, 1<<2)
	}
	if s.world != 0 {
		g.note(s)
	}
}

func (g *regions) note(s regionState) {
	accepted := make([][]int32, len(s.at))
	for i, x := range s.at {
		m := g.matchers[i]
		list := slices.Clone(x.loops)
		for _, n := range x.nodes {
			for e := m.nodes[n].end; e >= 0; e = m.ends[e].next {
				list = include(list, m.ends[e].pattern)
			}
		}
		for j, set := range x.loose {
			if m.patterns[m.loose[j]].accepts(set) {
				list = append(list, m.loose[j])
			}
		}
		slices.Sort(list)
		accepted[i] = list
	}
	if g.only >= 0 && len(accepted[g.only]) == 0 {
		return
	}
	if k := g.keyOf(s.number, accepted); !g.keys[k] {
		g.keys[k] = true
		g.found = append(g.found, s.number)
	}
}

// step is the state after a symbol; false: no number goes on so.
func (g *regions) step(s regionState, sym uint8) (regionState, bool) {
	next := regionState{at: make([]side, len(s.at)), world: s.world, number: s.number + alphabet[sym:sym+1]}
	switch {
	case s.number == "" && sym == plus:
		next.world = publicNumber.step(1, 1<<plus)
	case s.world != 0:
		if next.world = publicNumber.step(s.world, 1<<sym); next.world == 0 {
			return next, false
		}
	}
	for i := range s.at {
		next.at[i] = g.matchers[i].advance(&s.at[i], sym)
	}
	return next, true
}

// advance is one side after a symbol.
func (m *matcher) advance(s *side, sym uint8) side {
	var next side
	for _, n := range s.nodes {
		for _, e := range m.edges[m.nodes[n].first:m.nodes[n].last] {
			if e.mask>>sym&1 == 1 {
				next.nodes = append(next.nodes, e.to)
			}
		}
	}
	slices.Sort(next.nodes)
	if sym < 10 {
		next.loops = slices.Clone(s.loops)
		for _, n := range s.nodes {
			for e := m.nodes[n].end; e >= 0; e = m.ends[e].next {
				if m.ends[e].loop {
					next.loops = include(next.loops, m.ends[e].pattern)
				}
			}
		}
		slices.Sort(next.loops)
	}
	alive := false
	for j, set := range s.loose {
		set = m.patterns[m.loose[j]].step(set, 1<<sym)
		next.loose = append(next.loose, set)
		alive = alive || set != 0
	}
	if !alive {
		next.loose = nil
	}
	return next
}

// key is equal for states from which the same lies ahead.
func (s *regionState) key() string {
	b := binary.AppendUvarint(make([]byte, 0, 64), s.world)
	for _, x := range s.at {
		b = binary.AppendUvarint(b, uint64(len(x.nodes)))
		for _, n := range x.nodes {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = binary.AppendUvarint(b, uint64(len(x.loops)))
		for _, l := range x.loops {
			b = binary.AppendUvarint(b, uint64(l))
		}
		b = binary.AppendUvarint(b, uint64(len(x.loose)))
		for _, set := range x.loose {
			b = binary.AppendUvarint(b, set)
		}
	}
	return string(b)
}
