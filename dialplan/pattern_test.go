package dialplan

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPatternMatchesWholeNumber(t *testing.T) {
	cases := []struct {
		pattern  string
		yes, not []string
	}{
		{"1xxx", []string{"1000", "1999"}, []string{"100", "10000", "2000", "+1000", "1a00", ""}},
		{"z", []string{"1", "9"}, []string{"0", "*"}},
		{"n", []string{"2", "9"}, []string{"0", "1"}},
		{"+[1-9]x{6,14}", []string{"+1234567", "+442079460018", "+123456789012345"}, []string{"+123456", "+1234567890123456", "1234567", "+0234567"}},
		{"*98", []string{"*98"}, []string{"98", "*9", "**98"}},
		{"#[*#5-7]", []string{"#*", "##", "#6"}, []string{"#4", "#8"}},
		{"00...", []string{"00", "001", "0099999999999999999999999"}, []string{"0", "00*", "01"}},
		{"...", []string{"1", "123"}, []string{"", "+1", "*"}},
		{"0{2}", []string{"00"}, []string{"0", "000"}},
		{"1x{0,2}5", []string{"15", "105", "1005", "155", "1555"}, []string{"1", "10", "10005"}},
		{"1*{0,2}5{0,2}", []string{"1", "15", "1*5", "1**55", "155"}, []string{"1***", "15*"}},
	}
	for _, c := range cases {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatalf("%s: %v", c.pattern, err)
		}
		m := newMatcher([]*Pattern{p})
		for _, n := range c.yes {
			if !p.Matches(n) || len(m.match(n, nil)) != 1 {
				t.Errorf("%s must match %s", c.pattern, n)
			}
		}
		for _, n := range c.not {
			if p.Matches(n) || len(m.match(n, nil)) != 0 {
				t.Errorf("%s must not match %q", c.pattern, n)
			}
		}
	}
}

func TestPatternErrors(t *testing.T) {
	cases := map[string]string{
		"":           "cannot be empty",
		"1XXX":       `"x", not "X"`,
		"_1xxx":      `no "_"`,
		"9.":         `written "..."`,
		"9!":         `no meaning`,
		"1+2":        "only begin",
		"...1":       "must be the end",
		"[12":        `"[" without "]"`,
		"[]":         "no digit",
		"[5-2]":      "from low to high",
		"[a]":        "cannot stand in [...]",
		"x{3":        `"{" without "}"`,
		"x{,3}":      "not a count",
		"x{3,}":      "has no end",
		"x{5,2}":     "backwards",
		"x{0}":       "from 1 to",
		"{3}":        "must follow",
		"x{40}x{40}": "longer than",
		"alice":      "cannot stand in a pattern",
		"x{0,3}":     "empty number",
		"x{0,3}...":  "empty number",
		"1é":         "'é'",
		"+":          "no number can match",
		"+44xx":      "no number can match",
		"+0...":      "no number can match",
	}
	for text, want := range cases {
		if _, err := ParsePattern(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"1xxx", "+[1-9]x{6,14}", "...", "*98", "x{1,2}*{0,3}5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if p.Matches("") {
			t.Fatalf("%q matches nothing at all", text)
		}
		witness, ok := overlap(p, p)
		if !ok || !p.Matches(witness) {
			t.Fatalf("%q has no number of its own: %q", text, witness)
		}
	})
}

// randomPattern is a pattern over few symbols, so that random ones meet.
func randomPattern(r *rand.Rand) *Pattern {
	for {
		var b strings.Builder
		elements := []string{"0", "1", "2", "*", "x", "z", "n", "[01]", "[1*]", "[02-9]"}
		if r.IntN(5) == 0 {
			b.WriteByte('+')
		}
		for range 1 + r.IntN(4) {
			b.WriteString(elements[r.IntN(len(elements))])
			switch r.IntN(6) {
			case 0:
				low := r.IntN(3)
				fmt.Fprintf(&b, "{%d,%d}", low, low+1+r.IntN(2))
			case 1:
				b.WriteString("{2}")
			}
		}
		if r.IntN(4) == 0 {
			b.WriteString("...")
		}
		if p, err := ParsePattern(b.String()); err == nil {
			return p
		}
	}
}

// numbers is every number over five symbols that stand for all of them, up to a length: 0, 1, 2 (for 2-9), * and a
// leading +.
func numbers(most int) []string {
	all := []string{}
	last := []string{"", "+"}
	for range most {
		var next []string
		for _, n := range last {
			for _, s := range []string{"0", "1", "2", "*"} {
				next = append(next, n+s)
			}
		}
		all = append(all, next...)
		last = next
	}
	return append(all, "+")
}

// asRegexp says the same in another language: an independent reading of the pattern.
func asRegexp(p *Pattern) *regexp.Regexp {
	s := strings.NewReplacer("...", "[0-9]*", "*", `\*`, "+", `\+`, "x", "[0-9]", "z", "[1-9]", "n", "[2-9]").Replace(p.text)
	return regexp.MustCompile("^(?:" + s + ")$")
}

func TestPatternsAgainstRegularExpressions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	all := numbers(5)
	for range 400 {
		p := randomPattern(r)
		re := asRegexp(p)
		for _, n := range all {
			if p.Matches(n) != re.MatchString(n) {
				t.Fatalf("%s and %s disagree on %s", p, re, n)
			}
		}
	}
}

// The bound of nine symbols is beyond what four elements of at most four symbols can tell apart here, so brute force
// over a small alphabet decides what the automata must say.
func TestRelationAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := slices.DeleteFunc(numbers(7), func(n string) bool { return n[0] == '+' && !publicNumber.Matches(n) })
	counts := map[relation]int{}
	for range 700 {
		a, b := randomPattern(r), randomPattern(r)
		if r.IntN(20) == 0 { // the same written otherwise
			b, _ = ParsePattern(strings.NewReplacer("x", "[0-9]", "z", "[1-9]", "n", "[2-9]").Replace(a.text))
		}
		rel, witness := relate(a, b)
		counts[rel]++
		both, onlyA, onlyB := "", "", ""
		for _, n := range all {
			switch inA, inB := a.Matches(n), b.Matches(n); {
			case inA && inB && (both == "" || len(n) < len(both)):
				both = n
			case inA && !inB:
				onlyA = n
			case !inA && inB:
				onlyB = n
			}
		}
		if rel != apart && (!a.Matches(witness) || !b.Matches(witness)) {
			t.Fatalf("%s and %s: %q is no witness", a, b, witness)
		}
		if both != "" && (rel == apart || len(witness) > len(both)) {
			t.Fatalf("%s and %s: both match %s, and the answer is %d with %q", a, b, both, rel, witness)
		}
		if onlyA != "" && (rel == inside || rel == equal) || onlyB != "" && (rel == around || rel == equal) {
			t.Fatalf("%s and %s: %d, though %q is only in the first and %q only in the second", a, b, rel, onlyA, onlyB)
		}
		// What brute force cannot see within its length it cannot refute, so the other direction counts the answers.
		if rel == crossing && onlyA == "" && onlyB == "" {
			t.Fatalf("%s and %s are said to cross, and no number is in only one", a, b)
		}
	}
	for _, rel := range []relation{apart, equal, inside, around, crossing} {
		if counts[rel] == 0 {
			t.Errorf("no random pair was %d: %v", rel, counts)
		}
	}
}

func TestRelationOfKnownPairs(t *testing.T) {
	cases := []struct {
		a, b    string
		want    relation
		witness string
	}{
		{"1xxx", "1x{3}", equal, "1000"},
		{"x{1,2}x", "xx{1,2}", equal, "00"},
		{"1001", "1xxx", inside, "1001"},
		{"+44...", "+442079460018", around, "+442079460018"},
		{"1xx5", "15xx", crossing, "1505"},
		{"1xxx", "2xxx", apart, ""},
		{"00...", "0...", inside, "00"},
		{"+44...", "+[1-9]x{6,14}", inside, "+4400000"},
		{"+...", "+[1-9]x{6,14}", equal, "+1000000"},
		{"+44...", "+x{7}", crossing, "+4400000"},
		{"*x", "#x", apart, ""},
		{"[12]x", "[23]x", crossing, "20"},
		{"x{0,30}5x{0,30}", "x{0,31}6x{0,29}", crossing, "65"},
		{"x{30}5x{20}", "x{0,30}5x{20}", unknown, strings.Repeat("0", 30) + "5" + strings.Repeat("0", 20)},
	}
	for _, c := range cases {
		a, _ := ParsePattern(c.a)
		b, _ := ParsePattern(c.b)
		if got, w := relate(a, b); got != c.want || w != c.witness {
			t.Errorf("%s, %s: %d %q, want %d %q", c.a, c.b, got, w, c.want, c.witness)
		}
	}
}

func TestMatcherAgainstEachPatternAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	all := numbers(5)
	for range 60 {
		seen := map[string]bool{}
		var patterns []*Pattern
		for range 1 + r.IntN(40) {
			if p := randomPattern(r); !seen[p.key()] {
				seen[p.key()] = true
				patterns = append(patterns, p)
			}
		}
		m := newMatcher(patterns)
		for _, n := range all {
			var want []int32
			for i, p := range patterns {
				if p.Matches(n) {
					want = append(want, int32(i))
				}
			}
			got := m.match(n, nil)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: the tree says %v, the patterns %v", n, got, want)
			}
		}
		for i := range patterns {
			var got []int
			newNeighbours(m).of(i, func(j int) { got = append(got, j) })
			slices.Sort(got)
			var want []int
			for j := i + 1; j < len(patterns); j++ {
				if _, ok := overlap(patterns[i], patterns[j]); ok {
					want = append(want, j)
				}
			}
			// The tree knows nothing of how long a number with a plus may be.
			got = slices.DeleteFunc(got, func(j int) bool { return patterns[i].world() != nil && !slices.Contains(want, j) })
			if !slices.Equal(got, want) {
				t.Fatalf("%s overlaps %v, the tree says %v", patterns[i], want, got)
			}
		}
	}
}

// Patterns that unfold into too many branches are kept beside the tree and answer all the same.
func TestMatcherLoosePatterns(t *testing.T) {
	var patterns []*Pattern
	for _, text := range []string{"x{0,10}5x{0,10}6x{0,10}7", "1234567", "x{0,12}*x{0,12}#x{0,12}1"} {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	m := newMatcher(patterns)
	if len(m.loose) != 2 {
		t.Fatalf("loose: %v", m.loose)
	}
	if got := m.match("1234567", nil); !slices.Contains(got, 0) || !slices.Contains(got, 1) || len(got) != 2 {
		t.Errorf("1234567: %v", got)
	}
	var met []int
	newNeighbours(m).of(0, func(j int) { met = append(met, j) })
	if !slices.Equal(met, []int{1}) {
		t.Errorf("the first overlaps %v, want the second", met)
	}
}
