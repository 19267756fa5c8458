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
const maxSets = 1 << 16

// relate compares two patterns exactly. Where some number matches both, the shortest such is the witness.
func relate(a, b *Pattern) (relation, string) {
	witness, ok := overlap(a, b)
	if !ok {
		return apart, ""
	}
	ab, known1 := subset(a, b)
	ba, known2 := subset(b, a)
	switch {
	case !known1 || !known2:
		return unknown, witness
	case ab && ba:
		return equal, witness
	case ab:
		return inside, witness
	case ba:
		return around, witness
	}
	return crossing, witness
}

// pair is a position of each of two patterns, or a position of one and a set of positions of the other.
type pair struct {
	at  int
	set uint64
}

// visit is a node of the searches below, with the way that led to it.
type visit struct {
	pair
	from   int // index of the visit before, -1 at the start
	symbol uint8
}

// overlap finds the shortest number that both match, or tells that there is none: a breadth-first search over pairs of
// positions.
func overlap(a, b *Pattern) (string, bool) {
	var queue []visit
	seen := map[pair]bool{}
	push := func(i int, set uint64, from int, s uint8) {
		for j := 0; set != 0; j, set = j+1, set>>1 {
			if n := (pair{i, uint64(j)}); set&1 == 1 && !seen[n] {
				seen[n] = true
				queue = append(queue, visit{n, from, s})
			}
		}
	}
	each(a.start(), func(i int) { push(i, b.start(), -1, 0) })
	for k := 0; k < len(queue); k++ {
		n := queue[k]
		if n.at == len(a.mask) && n.set == uint64(len(b.mask)) {
			return way(queue, k), true
		}
		for s := range symbols {
			right := b.step(1<<n.set, 1<<s)
			if right == 0 {
				continue
			}
			each(a.step(1<<n.at, 1<<s), func(i int) { push(i, right, k, s) })
		}
	}
	return "", false
}

// subset tells whether every number of a matches b: a search for one that does not, over positions of a and sets of
// positions of b.
func subset(a, b *Pattern) (yes, known bool) {
	var queue []pair
	seen := map[pair]bool{}
	push := func(left, right uint64) {
		each(left, func(i int) {
			if n := (pair{i, right}); !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		})
	}
	push(a.start(), b.start())
	for k := 0; k < len(queue); k++ {
		if len(queue) > maxSets {
			return false, false
		}
		n := queue[k]
		if n.at == len(a.mask) && !b.accepts(n.set) {
			return false, true
		}
		for s := range symbols {
			if left := a.step(1<<n.at, 1<<s); left != 0 {
				push(left, b.step(n.set, 1<<s))
			}
		}
	}
	return true, true
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
