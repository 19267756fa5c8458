package dialplan

// Most patterns are plain: each position has one set of symbols, whatever stands before it, and only how many there are
// may vary. Of these every question is answered by going along the positions once, which a plan of a million routes
// needs; relation.go answers for the others.

// endless is the longest length of a pattern that takes any number of further digits.
const endless = 1 << 30

// plain tells whether the pattern's positions do not depend on each other. What is optional lies at the end, in one run
// of the same symbols, and further digits follow only where they could not be taken for some of it.
func (p *Pattern) plain() bool {
	return p.optional&(1<<p.trail-1) == 0 && (!p.loop || p.trail == len(p.mask) || p.mask[p.trail] == anyDigit)
}

// lengths is how short and how long the numbers of a plain pattern are, those with a plus by E.164.
func (p *Pattern) lengths() (least, most int) {
	least, most = p.trail, len(p.mask)
	if p.loop {
		most = endless
	}
	if p.public() {
		least, most = max(least, 1+7), min(most, 1+15)
	}
	return least, most
}

// public tells whether the numbers begin with a plus.
func (p *Pattern) public() bool { return len(p.mask) > 0 && p.mask[0] == 1<<plus }

// symbolsAt is the symbols that may stand at a position, from 0, of a number of a plain pattern that is longer.
func (p *Pattern) symbolsAt(i int) uint16 {
	m := anyDigit
	if i < len(p.mask) {
		m = p.mask[i]
	}
	if i > 0 && p.public() {
		if m &= anyDigit; i == 1 {
			m &^= 1
		}
	}
	return m
}

// meetsPlain tells whether two plain patterns have a number in common, and how long the shortest is.
func meetsPlain(a, b *Pattern) (length int, yes bool) {
	leastA, mostA := a.lengths()
	leastB, mostB := b.lengths()
	if length = max(leastA, leastB); length > min(mostA, mostB) {
		return 0, false
	}
	for i := range length {
		if a.symbolsAt(i)&b.symbolsAt(i) == 0 {
			return 0, false
		}
	}
	return length, true
}

// insidePlain tells whether every number of a plain pattern is one of another, too.
func insidePlain(a, b *Pattern) bool {
	leastA, mostA := a.lengths()
	leastB, mostB := b.lengths()
	if leastA < leastB {
		return false
	}
	for i := range min(mostA, max(len(a.mask), len(b.mask), leastA)+1) {
		m := a.symbolsAt(i)
		if m == 0 && i >= leastA {
			return true // no number of a is longer
		}
		if i >= mostB || m&^b.symbolsAt(i) != 0 {
			return false
		}
	}
	return mostA <= mostB || mostA == endless && mostB == endless
}

// relation is how the numbers of one pattern lie to those of another.
func (a *Pattern) relation(b *Pattern) relation {
	if !a.plain() || !b.plain() {
		r, _ := relateBySearch(a, b)
		return r
	}
	if _, meets := meetsPlain(a, b); !meets {
		return apart
	}
	return relationOf(insidePlain(a, b), insidePlain(b, a))
}

func relationOf(ab, ba bool) relation {
	switch {
	case ab && ba:
		return equal
	case ab:
		return inside
	case ba:
		return around
	}
	return crossing
}

// shared is the shortest number that two plain patterns have in common, the first of those in the alphabet's order.
func shared(a, b *Pattern, length int) string {
	number := make([]byte, length)
	for i := range number {
		m := a.symbolsAt(i) & b.symbolsAt(i)
		s := 0
		for m>>s&1 == 0 {
			s++
		}
		number[i] = alphabet[s]
	}
	return string(number)
}
