package dialplan

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// alphabet is what a dialled number may consist of. A symbol is an index into it.
const alphabet = "0123456789*#+"

const (
	symbols = uint8(len(alphabet))
	plus    = uint8(12)

	anyDigit = uint16(1<<10 - 1)
)

// noSymbol stands for a byte outside the alphabet.
const noSymbol = uint8(255)

var symbolOf = func() (t [256]uint8) {
	for i := range t {
		t[i] = noSymbol
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = uint8(i)
	}
	return t
}()

// longestPattern bounds the positions of one pattern: with the accepting one they fit a word.
const longestPattern = 62

// A Pattern is a set of numbers, written in the language of routes:
//
//	0-9 * #     themselves        x  0-9     z  1-9     n  2-9
//	+           itself, first     [2-57]     one of these digits
//	a{3}        a three times     a{6,14}    a six to fourteen times
//	...         any number of further digits, none included; last (alone: one at least)
//
// A pattern matches the whole number or not at all. The zero Pattern matches nothing. A number with a plus is one of
// E.164 with 7 to 15 digits wherever it comes from, so +44... means those of them that begin so.
//
// Inside it is an automaton over positions: at position i a symbol of mask[i] leads to i+1, a position of optional may
// also be skipped, and the last position accepts, where loop is set after further digits too. Sets of positions are
// words of 64 bits, one bit for each.
type Pattern struct {
	text     string
	mask     []uint16 // symbols that lead on, by position
	optional uint64
	loop     bool
	// trail is where the optional run begins that the pattern ends with, or len(mask). A pattern whose optional
	// positions all lie there is a plain path in the matcher's tree.
	trail int
}

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// ParsePattern reads a pattern. The error's text is for the person who wrote it.
func ParsePattern(text string) (*Pattern, error) {
	p := &Pattern{text: text}
	if text == "" {
		return nil, fmt.Errorf("a pattern cannot be empty")
	}
	for rest := text; rest != ""; {
		if p.loop {
			return nil, fmt.Errorf("\"...\" must be the end of a pattern")
		}
		if strings.HasPrefix(rest, "...") {
			p.loop, rest = true, rest[3:]
			continue
		}
		mask, after, err := element(rest, len(rest) == len(text))
		if err != nil {
			return nil, err
		}
		least, most, after, err := repeat(after)
		if err != nil {
			return nil, err
		}
		if err := p.add(mask, least, most); err != nil {
			return nil, err
		}
		rest = after
	}
	if text == "..." { // alone it needs one digit: nobody dials nothing
		p.mask = []uint16{anyDigit}
	}
	if p.accepts(p.start()) {
		return nil, fmt.Errorf("the pattern matches the empty number")
	}
	p.trail = len(p.mask)
	for p.trail > 0 && p.optional>>(p.trail-1)&1 == 1 && p.mask[p.trail-1] == p.mask[len(p.mask)-1] {
		p.trail--
	}
	if _, some := overlap(p, p); !some {
		return nil, fmt.Errorf("no number can match: one with a plus has 7 to 15 digits, and the first is not 0")
	}
	return p, nil
}

func (p *Pattern) add(mask uint16, least, most int) error {
	if len(p.mask)+most > longestPattern {
		return fmt.Errorf("the pattern is longer than %d digits", longestPattern)
	}
	for i := range most {
		if i >= least {
			p.optional |= 1 << len(p.mask)
		}
		p.mask = append(p.mask, mask)
	}
	return nil
}

// element reads one symbol class from the front.
func element(s string, first bool) (mask uint16, rest string, err error) {
	switch c := s[0]; {
	case c >= '0' && c <= '9' || c == '*' || c == '#':
		return 1 << symbolOf[c], s[1:], nil
	case c == '+' && first:
		return 1 << plus, s[1:], nil
	case c == '+':
		return 0, "", fmt.Errorf("\"+\" can only begin a pattern")
	case c == 'x':
		return anyDigit, s[1:], nil
	case c == 'z':
		return anyDigit &^ 1, s[1:], nil
	case c == 'n':
		return anyDigit &^ 3, s[1:], nil
	case c == '[':
		return set(s)
	case c == 'X' || c == 'Z' || c == 'N':
		return 0, "", fmt.Errorf("classes of digits are written small: %q, not %q", strings.ToLower(s[:1]), s[:1])
	case c == '_' && first:
		return 0, "", fmt.Errorf("a pattern needs no \"_\" in front")
	case c == '.':
		return 0, "", fmt.Errorf("\"any further digits\" is written \"...\", at the end")
	case c == '!':
		return 0, "", fmt.Errorf("\"!\" has no meaning here: any further digits are written \"...\", at the end")
	case strings.IndexByte("^$|()?\\", c) >= 0:
		return 0, "", fmt.Errorf("%q cannot stand in a pattern, which is no regular expression: it matches the whole number, and other forms of it are other routes", string(c))
	case strings.IndexByte(" -/", c) >= 0:
		return 0, "", fmt.Errorf("a pattern has no blanks and no separators: those that people dial are taken away before routes are tried")
	case c == '{':
		return 0, "", fmt.Errorf("\"{\" must follow what is repeated")
	}
	return 0, "", fmt.Errorf("%s cannot stand in a pattern: it is made of digits, * # x z n [...] {m,n}, a + in front and \"...\" at the end", firstRune(s))
}

func firstRune(s string) string {
	for _, r := range s {
		return strconv.QuoteRune(r)
	}
	return `""`
}

// set reads [2-57*].
func set(s string) (mask uint16, rest string, err error) {
	inner, rest, closed := strings.Cut(s[1:], "]")
	if !closed {
		return 0, "", fmt.Errorf("\"[\" without \"]\"")
	}
	if inner == "" {
		return 0, "", fmt.Errorf("\"[]\" matches no digit")
	}
	for i := 0; i < len(inner); i++ {
		from := symbolOf[inner[i]]
		if from == noSymbol || from == plus {
			return 0, "", fmt.Errorf("%s cannot stand in [...]: it holds digits, ranges such as 2-5, * and #", firstRune(inner[i:]))
		}
		to := from
		if i+2 < len(inner) && inner[i+1] == '-' {
			if to = symbolOf[inner[i+2]]; from > 9 || to > 9 || to < from {
				return 0, "", fmt.Errorf("%q is not a range of digits from low to high", inner[i:i+3])
			}
			i += 2
		}
		for ; from <= to; from++ {
			mask |= 1 << from
		}
	}
	return mask, rest, nil
}

// repeat reads {3} or {6,14} where it stands, and is once otherwise.
func repeat(s string) (least, most int, rest string, err error) {
	if s == "" || s[0] != '{' {
		return 1, 1, s, nil
	}
	inner, rest, closed := strings.Cut(s[1:], "}")
	if !closed {
		return 0, 0, "", fmt.Errorf("\"{\" without \"}\"")
	}
	low, high, two := strings.Cut(inner, ",")
	if !two {
		high = low
	}
	if two && high == "" {
		return 0, 0, "", fmt.Errorf("\"{%s}\" has no end: write {m,n}, or \"...\" at the end of the pattern", inner)
	}
	least, err1 := strconv.Atoi(low)
	most, err2 := strconv.Atoi(high)
	switch {
	case err1 != nil || err2 != nil || least < 0:
		return 0, 0, "", fmt.Errorf("\"{%s}\" is not a count: write {3} or {6,14}", inner)
	case most < least:
		return 0, 0, "", fmt.Errorf("\"{%s}\" counts backwards", inner)
	case most == 0 || most > longestPattern:
		return 0, 0, "", fmt.Errorf("\"{%s}\" must count from 1 to %d at most", inner, longestPattern)
	}
	return least, most, rest, nil
}

// Matches tells whether the whole number is in the pattern.
func (p *Pattern) Matches(number string) bool {
	if len(p.mask) == 0 && !p.loop {
		return false
	}
	set := p.start()
	for i := range len(number) {
		s := symbolOf[number[i]]
		if s == noSymbol {
			return false
		}
		if set = p.step(set, 1<<s); set == 0 {
			return false
		}
	}
	return p.accepts(set)
}

// start is the set of positions before the first symbol.
func (p *Pattern) start() uint64 { return p.close(1) }

// step is the set of positions after a symbol of the mask. Where the mask holds several symbols it is what any of them
// may reach.
func (p *Pattern) step(set uint64, mask uint16) uint64 {
	var next uint64
	for rest := set &^ (1 << len(p.mask)); rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if p.mask[i]&mask != 0 {
			next |= 1 << (i + 1)
		}
	}
	if p.loop && mask&anyDigit != 0 {
		next |= set & (1 << len(p.mask))
	}
	return p.close(next)
}

// close adds what skipping optional positions reaches.
func (p *Pattern) close(set uint64) uint64 {
	for {
		more := set | (set&p.optional)<<1
		if more == set {
			return set
		}
		set = more
	}
}

func (p *Pattern) accepts(set uint64) bool { return set>>len(p.mask)&1 == 1 }

// key is equal for two patterns that are written differently and mean the same positions, such as xx and x{2}.
func (p *Pattern) key() string {
	b := make([]byte, 0, 2*len(p.mask)+9)
	for _, m := range p.mask {
		b = append(b, byte(m), byte(m>>8))
	}
	for i := range 8 {
		b = append(b, byte(p.optional>>(8*i)))
	}
	if p.loop {
		return string(append(b, 1))
	}
	return string(append(b, 0))
}
