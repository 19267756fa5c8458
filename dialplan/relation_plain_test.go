package dialplan

import (
	"math/rand/v2"
	"testing"
)

// What is told of plain patterns by going along them is what the search finds, the number that both match included.
func TestPlainRelationsAgainstTheSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	plain, seen := 0, map[relation]int{}
	draw := func() *Pattern {
		if r.IntN(4) > 0 {
			return randomPattern(r)
		}
		texts := []string{"+44...", "+[1-9]x{6,14}", "+x...", "+4x{7,9}", "+44[1-9]x{0,20}...", "...", "x{3}...", "[2-9]x{2,5}", "+1x{5,6}", "x{1,4}..."}
		p, err := ParsePattern(texts[r.IntN(len(texts))])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for range 20000 {
		a, b := draw(), draw()
		if !a.plain() || !b.plain() {
			continue
		}
		plain++
		want, witness := relateBySearch(a, b)
		if want == unknown {
			continue
		}
		got, number := relate(a, b)
		seen[got]++
		if got != want || number != witness {
			t.Fatalf("%s and %s: %d with %q, want %d with %q", a, b, got, number, want, witness)
		}
	}
	for _, rel := range []relation{apart, equal, inside, around, crossing} {
		if seen[rel] < 50 {
			t.Errorf("only %d pairs of %d are of relation %d", seen[rel], plain, rel)
		}
	}
}
