package block

import (
	"fmt"
	"sort"
	"strings"
)

// DidYouMean is " Did you mean …?" for the candidate nearest to what was written, or nothing when none is near.
func DidYouMean(given string, candidates []string) string {
	if s := Nearest(given, candidates); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}

// Nearest is the candidate with the fewest slips of the pen from the given word, at most one in three letters; of
// equals the first by alphabet. A word that holds the given one counts as near, too. Empty when none is.
func Nearest(given string, candidates []string) string {
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	most := (len(given) + 2) / 3
	best, nearest := most+1, ""
	for _, c := range sorted {
		if abs(len(c)-len(given)) >= best {
			continue
		}
		if n := slips(strings.ToLower(given), strings.ToLower(c)); n < best {
			best, nearest = n, c
		}
	}
	for _, c := range sorted {
		if nearest == "" && len(given) >= 3 && strings.Contains(c, given) {
			nearest = c
		}
	}
	return nearest
}

// slips counts insertions, deletions, replacements and swaps of neighbours between two words (optimal string
// alignment).
func slips(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
