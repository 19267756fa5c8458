package dialplan

import "slices"

// relation is how the numbers of one pattern lie to those of another.
type relation uint8

const (
	apart    relation = iota // no number matches both
	equal                    // the same numbers
	inside                   // all of the first match the second too
	around                   // all of the second match the first too
	crossing                 // some match both, and each has some of its own
	unknown                  // too intricate to decide within maxSets
)

// maxSets bounds the sets of positions that are looked at to decide one inclusion. A plan for people needs dozens; only
// patterns that repeat around a digit in the middle, such as x{0,30}5x{0,30}, come near it.
const maxSets = 1 << 14

// publicNumber is what a number with a plus must be to be one at all (E.164: 15 digits at most; the shortest in use have
// 7 with the country code). Route refuses others, so they play no part in how patterns lie to each other: +44... lies
// inside +[1-9]x{6,14}.
var publicNumber = &Pattern{
	text: "+[1-9]x{6,14}", optional: 0xff << 8,
	mask: []uint16{
		1 << plus, anyDigit &^ 1,
		anyDigit, anyDigit, anyDigit, anyDigit, anyDigit, anyDigit, anyDigit,
		anyDigit, anyDigit, anyDigit, anyDigit, anyDigit, anyDigit, anyDigit,
	},
}

// world is where the numbers of a pattern lie: nil where any will do.
func (p *Pattern) world() *Pattern {
	if len(p.mask) > 0 && p.mask[0] == 1<<plus {
		return publicNumber
	}
	return nil
}

// within and over let a nil world be all numbers.
func (p *Pattern) within(set uint64, s uint8) uint64 {
	if p == nil {
		return 1
	}
	return p.step(set, 1<<s)
}

func (p *Pattern) over(set uint64) bool { return p == nil || p.accepts(set) }

// relate compares two patterns exactly. Where some number matches both, the shortest such is the witness.
func relate(a, b *Pattern) (relation, string) {
	r := a.relation(b)
	if r == apart {
		return r, ""
	}
	witness, _ := overlap(a, b)
	return r, witness
}

// relateBySearch is relate for patterns of any form.
func relateBySearch(a, b *Pattern) (relation, string) {
	witness, ok := overlapBySearch(a, b)
	if !ok {
		return apart, ""
	}
	ab, known1 := subset(a, b)
	ba, known2 := subset(b, a)
	if !known1 || !known2 {
		return unknown, witness
	}
	return relationOf(ab, ba), witness
}

// pair is a position of each of two patterns, or a position of one and a set of positions of the other; and where the
// number stands in its world.
type pair struct {
	at    int
	set   uint64
	world uint64
}

// visit is a node of the searches below, with the way that led to it.
type visit struct {
	pair
	from   int // index of the visit before, -1 at the start
	symbol uint8
}

// overlap finds the shortest number that both match, or tells that there is none.
func overlap(a, b *Pattern) (string, bool) {
	if !a.plain() || !b.plain() {
		return overlapBySearch(a, b)
	}
	length, ok := meetsPlain(a, b)
	if !ok {
		return "", false
	}
	return shared(a, b, length), true
}

// overlapBySearch is overlap for patterns of any form: a breadth-first search over pairs of positions.
func overlapBySearch(a, b *Pattern) (string, bool) {
	var queue []visit
	seen := map[pair]bool{}
	push := func(i int, set, in uint64, from int, s uint8) {
		each(set, func(j int) {
			if n := (pair{i, uint64(j), in}); !seen[n] {
				seen[n] = true
				queue = append(queue, visit{n, from, s})
			}
		})
	}
	w := a.world()
	each(a.start(), func(i int) { push(i, b.start(), 1, -1, 0) })
	for k := 0; k < len(queue); k++ {
		n := queue[k]
		if n.at == len(a.mask) && n.set == uint64(len(b.mask)) && w.over(n.world) {
			return way(queue, k), true
		}
		for s := range symbols {
			if a.leads(n.at)>>s&1 == 0 {
				continue
			}
			right, in := b.step(1<<n.set, 1<<s), w.within(n.world, s)
			if right == 0 || in == 0 {
				continue
			}
			each(a.step(1<<n.at, 1<<s), func(i int) { push(i, right, in, k, s) })
		}
	}
	return "", false
}

// subset tells whether every number of a matches b: a search for one that does not, over positions of a and sets of
// positions of b.
func subset(a, b *Pattern) (yes, known bool) {
	var queue []pair
	seen := map[pair]bool{}
	push := func(left, right, in uint64) {
		each(left, func(i int) {
			if n := (pair{i, right, in}); !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		})
	}
	w := a.world()
	push(a.start(), b.start(), 1)
	for k := 0; k < len(queue); k++ {
		if len(queue) > maxSets {
			return false, false
		}
		n := queue[k]
		if n.at == len(a.mask) && !b.accepts(n.set) && w.over(n.world) {
			return false, true
		}
		for s := range symbols {
			if a.leads(n.at)>>s&1 == 0 {
				continue
			}
			if in := w.within(n.world, s); in != 0 {
				push(a.step(1<<n.at, 1<<s), b.step(n.set, 1<<s), in)
			}
		}
	}
	return true, true
}

// leads is the symbols that lead on from a position.
func (p *Pattern) leads(at int) uint16 {
	switch {
	case at < len(p.mask):
		return p.mask[at]
	case p.loop:
		return anyDigit
	}
	return 0
}

// each calls f with every position of a set.
func each(set uint64, f func(int)) {
	for i := 0; set != 0; i, set = i+1, set>>1 {
		if set&1 == 1 {
			f(i)
		}
	}
}

// way spells the number that led to a visit.
func way(queue []visit, k int) string {
	var number []byte
	for ; queue[k].from >= 0; k = queue[k].from {
		number = append(number, alphabet[queue[k].symbol])
	}
	slices.Reverse(number)
	return string(number)
}
