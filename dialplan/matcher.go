package dialplan

// matcher finds which of many patterns match a number. It is a tree whose edges are sets of symbols: patterns with a
// common beginning share it, so the walk looks at a few nodes a digit whatever the number of patterns. Patterns that
// repeat in the middle and would unfold into too many branches are kept beside the tree and tried one by one.
type matcher struct {
	patterns []*Pattern
	nodes    []node
	edges    []edge
	ends     []end
	loose    []int32 // indexes of patterns beside the tree
}

// node has its edges in edges[first:last] and its ends in a list that begins at end, -1: none.
type node struct {
	first, last int32
	end         int32
}

type edge struct {
	mask uint16
	to   int32
}

// end says that a pattern accepts at a node, with loop: after further digits too.
type end struct {
	pattern int32
	next    int32
	loop    bool
}

// maxBranches is how many paths one pattern may unfold into before it is kept beside the tree.
const maxBranches = 64

// newMatcher builds the tree. The patterns must differ in key().
func newMatcher(patterns []*Pattern) *matcher {
	m := &matcher{patterns: patterns}
	b := newBuilder(m)
	for i, p := range patterns {
		if p.branches() > maxBranches {
			m.loose = append(m.loose, int32(i))
			continue
		}
		b.insert(0, p, 0, int32(i))
	}
	b.freeze()
	return m
}

// branches counts the paths that a pattern unfolds into: the run at the end costs nothing.
func (p *Pattern) branches() int {
	n := 1
	for i := 0; i < p.trail && n <= maxBranches; {
		past := p.pastRun(i)
		if past == i {
			i++
			continue
		}
		n *= past - i + 1
		i = past
	}
	return n
}

// pastRun is the first position from i on that is not optional with the same symbols. To skip one position of a run
// and take the next is no different from taking the first, so a branch skips all that is left of it.
func (p *Pattern) pastRun(i int) int {
	for first := i; i < len(p.mask) && p.optional>>i&1 == 1 && p.mask[i] == p.mask[first]; {
		i++
	}
	return i
}

// builder grows the tree, the edges of a node in a list; freeze packs them side by side.
type builder struct {
	m     *matcher
	first []int32 // by node: its first edge, -1: none
	ends  []int32 // by node
	edges []link
}

type link struct {
	edge
	next int32 // the next edge of the node, -1: none
}

func newBuilder(m *matcher) *builder { return &builder{m: m, first: []int32{-1}, ends: []int32{-1}} }

func (b *builder) insert(at int32, p *Pattern, i int, id int32) {
	for ; i < len(p.mask); i++ {
		if p.optional>>i&1 == 1 {
			if i >= p.trail {
				b.accept(at, id, p.loop)
			} else {
				b.insert(at, p, p.pastRun(i), id)
			}
		}
		at = b.child(at, p.mask[i])
	}
	b.accept(at, id, p.loop)
}

func (b *builder) child(at int32, mask uint16) int32 {
	for i := b.first[at]; i >= 0; i = b.edges[i].next {
		if b.edges[i].mask == mask {
			return b.edges[i].to
		}
	}
	to := int32(len(b.first))
	b.edges = append(b.edges, link{edge{mask, to}, b.first[at]})
	b.first[at] = int32(len(b.edges) - 1)
	b.first = append(b.first, -1)
	b.ends = append(b.ends, -1)
	return to
}

func (b *builder) accept(at, id int32, loop bool) {
	for i := b.ends[at]; i >= 0; i = b.m.ends[i].next {
		if b.m.ends[i].pattern == id {
			return
		}
	}
	b.m.ends = append(b.m.ends, end{id, b.ends[at], loop})
	b.ends[at] = int32(len(b.m.ends) - 1)
}

func (b *builder) freeze() {
	b.m.nodes = make([]node, len(b.first))
	b.m.edges = make([]edge, 0, len(b.edges))
	for at, i := range b.first {
		first := int32(len(b.m.edges))
		for ; i >= 0; i = b.edges[i].next {
			b.m.edges = append(b.m.edges, b.edges[i].edge)
		}
		b.m.nodes[at] = node{first, int32(len(b.m.edges)), b.ends[at]}
	}
}

// place is a node reached after some digits of a number.
type place struct{ node, depth int32 }

// match appends the index of every pattern that the number is in, each once, in no order.
func (m *matcher) match(number string, found []int32) []int32 {
	if number == "" {
		return found
	}
	tail := digitTail(number)
	var room [32]place
	stack := append(room[:0], place{0, 0})
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := &m.nodes[at.node]
		for i := n.end; i >= 0; i = m.ends[i].next {
			if e := &m.ends[i]; int(at.depth) == len(number) || e.loop && int(at.depth) >= tail {
				found = include(found, e.pattern)
			}
		}
		if int(at.depth) == len(number) {
			continue
		}
		s := symbolOf[number[at.depth]]
		if s == noSymbol {
			return found[:0]
		}
		for _, e := range m.edges[n.first:n.last] {
			if e.mask>>s&1 == 1 {
				stack = append(stack, place{e.to, at.depth + 1})
			}
		}
	}
	for _, i := range m.loose {
		if m.patterns[i].Matches(number) {
			found = append(found, i)
		}
	}
	return found
}

// include appends a pattern once: one with a run in the middle may end on several nodes of the tree.
func include(found []int32, id int32) []int32 {
	for _, f := range found {
		if f == id {
			return found
		}
	}
	return append(found, id)
}

// digitTail is where the digits begin that the number ends with; the length where it ends otherwise.
func digitTail(number string) int {
	i := len(number)
	for i > 0 && number[i-1] >= '0' && number[i-1] <= '9' {
		i--
	}
	return i
}

// neighbours finds the patterns that have a number in common with one. It is kept between patterns for its room.
type neighbours struct {
	m     *matcher
	seen  []int32 // by pattern: the pattern, plus one, that it was last reported for
	stack []walk
}

// walk is a node of the tree, and the positions of the pattern that the same numbers lead to.
type walk struct {
	node int32
	set  uint64
}

func newNeighbours(m *matcher) *neighbours {
	return &neighbours{m: m, seen: make([]int32, len(m.patterns))}
}

// of calls f with the index of every pattern after the given one that has a number in common with it, each once. It
// walks pattern and tree side by side: a pattern of few digits sees a few nodes, whatever the size of the plan.
func (g *neighbours) of(index int, f func(other int)) {
	p := g.m.patterns[index]
	tail := p.digitsToEnd()
	g.stack = append(g.stack[:0], walk{0, p.start()})
	for len(g.stack) > 0 {
		at := g.stack[len(g.stack)-1]
		g.stack = g.stack[:len(g.stack)-1]
		n := &g.m.nodes[at.node]
		for i := n.end; i >= 0; i = g.m.ends[i].next {
			if e := &g.m.ends[i]; p.accepts(at.set) || e.loop && at.set&tail != 0 {
				g.report(index, e.pattern, f)
			}
		}
		for _, e := range g.m.edges[n.first:n.last] {
			if set := p.step(at.set, e.mask); set != 0 {
				g.stack = append(g.stack, walk{e.to, set})
			}
		}
	}
	for _, i := range g.m.loose {
		if int(i) > index {
			if _, ok := overlap(p, g.m.patterns[i]); ok {
				g.report(index, i, f)
			}
		}
	}
}

func (g *neighbours) report(index int, other int32, f func(int)) {
	if int(other) > index && g.seen[other] != int32(index)+1 {
		g.seen[other] = int32(index) + 1
		f(int(other))
	}
}

// digitsToEnd is the set of positions from which digits alone lead to acceptance.
func (p *Pattern) digitsToEnd() uint64 {
	set := uint64(1) << len(p.mask)
	for i := len(p.mask) - 1; i >= 0; i-- {
		after := set>>(i+1)&1 == 1
		if after && (p.mask[i]&anyDigit != 0 || p.optional>>i&1 == 1) {
			set |= 1 << i
		}
	}
	return set
}
