package dialplan

import (
	"strings"
)

// Numbering says what digits mean where the phones stand. The zero Numbering leaves every number as it was dialled.
type Numbering struct {
	Country       string // ISO 3166, of the phones; empty: numbers are left alone
	Code          string // country code without plus: "44"
	International string // dialled before a country code: "00"
	National      string // dialled before a number of another part of the country: "0"; empty: none
	Least, Most   int    // digits of a national number without prefix
	Whole         bool   // a national number needs no prefix
}

// world answers by the longest prefix which country a number is in, and by country which prefixes it has.
var world = func() (t struct {
	country map[string]string
	code    map[string]string // the first, which for a country with a plan of its own is the country code
}) {
	t.country, t.code = map[string]string{}, map[string]string{}
	for _, entry := range strings.Fields(worldPrefixes) {
		iso, prefixes, _ := strings.Cut(entry, ":")
		for prefix := range strings.SplitSeq(prefixes, ",") {
			t.country[prefix] = iso
			if t.code[iso] == "" {
				t.code[iso] = prefix
			}
		}
	}
	return t
}()

// longestPrefix is that of the Vatican, 3906698.
const longestPrefix = 7

// Country is the ISO 3166 code of the country that an E.164 number belongs to ("001" for networks of no country), and
// is empty for a number that is not E.164 or whose prefix is not assigned.
func Country(number string) string {
	digits, ok := strings.CutPrefix(number, "+")
	if !ok {
		return ""
	}
	for n := min(longestPrefix, len(digits)); n > 0; n-- {
		if iso := world.country[digits[:n]]; iso != "" {
			return iso
		}
	}
	return ""
}

// countryCode is what stands behind the plus for a country: 1 for all of North America.
func countryCode(iso string) string {
	code := world.code[iso]
	switch {
	case strings.HasPrefix(code, "1"):
		return "1"
	case strings.HasPrefix(code, "44"):
		return "44"
	case iso == "KZ":
		return "7"
	case iso == "VA":
		return "39"
	case len(code) > 3:
		return code[:3]
	}
	return code
}

// newNumbering is the numbering of a country, as far as it is known: an unknown country gives false, one whose way of
// dialling is not in the table has empty prefixes and complete is false.
func newNumbering(iso string) (n Numbering, complete, ok bool) {
	code := countryCode(iso)
	if code == "" || iso == "001" {
		return Numbering{}, false, false
	}
	n = Numbering{Country: iso, Code: code, Least: 5, Most: 13}
	d, complete := diallings[iso]
	if complete {
		n.International, n.National, n.Least, n.Most, n.Whole = d.international, d.national, d.least, d.most, d.whole
	}
	return n, complete, true
}

// E164 makes a dialled number one of E.164, +442079460018 for 02079460018 in Britain. What is no number of the public
// network, such as an extension or a code that begins with a star, is returned as it is.
func (n *Numbering) E164(dialled string) string {
	if n.Code == "" || dialled == "" || !allDigits(dialled) {
		return dialled
	}
	if rest, ok := cutPrefix(dialled, n.International); ok && len(rest) >= 5 && len(rest) <= 15 && rest[0] != '0' {
		return "+" + rest
	}
	if rest, ok := cutPrefix(dialled, n.National); ok && n.fits(rest) {
		return "+" + n.Code + rest
	}
	if n.Whole && n.fits(dialled) {
		return "+" + n.Code + dialled
	}
	return dialled
}

func (n *Numbering) fits(national string) bool {
	return len(national) >= n.Least && len(national) <= n.Most
}

// Dial is the way back: how a person here would dial an E.164 number. Other numbers are returned as they are.
func (n *Numbering) Dial(number string) string {
	digits, ok := strings.CutPrefix(number, "+")
	if !ok || n.Code == "" {
		return number
	}
	if rest, ok := strings.CutPrefix(digits, n.Code); ok && n.fits(rest) {
		return n.National + rest
	}
	return n.International + digits
}

// cutPrefix removes a prefix that is not empty.
func cutPrefix(s, prefix string) (string, bool) {
	if prefix == "" {
		return s, false
	}
	return strings.CutPrefix(s, prefix)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// withoutSeparators removes the visual separators of RFC 3966 §3 (and blanks) from a number as a person writes it,
// "+44 (20) 7946-0018". What is no number with them either is returned as it is.
func withoutSeparators(s string) string {
	separators := false
	for i := range len(s) {
		switch c := s[i]; {
		case symbolOf[c] != noSymbol:
		case strings.IndexByte(" -.()", c) >= 0:
			separators = true
		default:
			return s
		}
	}
	if !separators {
		return s
	}
	return strings.Map(func(r rune) rune {
		if symbolOf[byte(r)] == noSymbol {
			return -1
		}
		return r
	}, s)
}
