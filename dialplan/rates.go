package dialplan

import (
	"cmp"
	"encoding/json"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Rate is money for a minute, in billionths of a currency's unit.
type Rate int64

// perUnit is the billionths of a unit.
const perUnit = 1_000_000_000

// String is the rate as people write it: 0.0042.
func (r Rate) String() string {
	text := strconv.FormatInt(int64(r)/perUnit, 10)
	if part := int64(r) % perUnit; part != 0 {
		text += "." + strings.TrimRight(strconv.FormatInt(part+perUnit, 10)[1:], "0")
	}
	return text
}

// parseRate reads 0.0042; ok is false for what is no such number, finer than a billionth, or a million and more.
func parseRate(text string) (r Rate, ok bool) {
	whole, part, dotted := strings.Cut(text, ".")
	if !allDigits(whole+part) || whole+part == "" || len(whole) > 6 || len(part) > 9 || dotted && part == "" {
		return 0, false
	}
	n, err := strconv.ParseInt("0"+whole+part+"000000000"[len(part):], 10, 64)
	return Rate(n), err == nil
}

// Price is what a minute over a trunk costs, and where that stands.
type Price struct {
	Rate     Rate
	Currency string
	Prefix   string // of the number, that the rate is for
	Place    Place
}

// IsZero tells whether there is no price.
func (p Price) IsZero() bool { return p.Place.Line == 0 }

// String is 0.0042 EUR for +336 (green.csv:12:1).
func (p Price) String() string {
	return strings.TrimSpace(p.Rate.String()+" "+p.Currency) + " for " + p.Prefix + " (" + p.Place.String() + ")"
}

// MarshalJSON writes the rate as a text, which no reader rounds.
func (p Price) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Rate     string `json:"rate"`
		Currency string `json:"currency,omitempty"`
		Prefix   string `json:"prefix"`
		Place    Place  `json:"place"`
	}{p.Rate.String(), p.Currency, p.Prefix, p.Place})
}

// mostPriced bounds the trunks that have prices: one look-up finds them all.
const mostPriced = 64

// rateTable is the prices of all decks: a tree of digits, laid out in two arrays. It never changes.
type rateTable struct {
	trunks     []string // the columns
	currencies []string
	common     int // the currency that rates are compared in; -1: none yet
	files      []string
	nodes      []rateNode // the root first; the children of one lie together
	rates      []rate     // by prefix, trunk, and beginning: the latest first
	decks      []deck
	dated      bool // some rate begins or ends: the moment of a call matters
}

// rateNode is one prefix. 12 bytes: a hundred thousand prefixes stay in a processor's cache.
type rateNode struct {
	digits uint16 // bit d: there is a child for the digit d
	count  uint16 // of its rates
	child  int32  // the first child
	rate   int32  // the first of its rates
}

// rate is one row of a deck.
type rate struct {
	prefix      string
	cost        Rate // in the common currency
	rate        Rate
	from, until int64 // Unix seconds; until is excluded
	line        int32
	trunk       uint8
	currency    uint8
	file        uint16
}

// always is a rate's time without beginning or end.
const (
	ever    = math.MinInt64
	forever = math.MaxInt64
)

// build lays the rows out. It is done once for all decks.
func (t *rateTable) build() {
	slices.SortStableFunc(t.rates, func(a, b rate) int {
		return cmp.Or(strings.Compare(a.prefix, b.prefix), cmp.Compare(a.trunk, b.trunk), cmp.Compare(b.from, a.from))
	})
	type span struct{ from, to, depth int }
	t.nodes = append(t.nodes, rateNode{})
	spans := []span{{0, len(t.rates), 0}}
	for i := 0; i < len(spans); i++ { // breadth first: children are appended together
		s := spans[i]
		n := rateNode{rate: int32(s.from), child: int32(len(t.nodes))}
		for s.from < s.to && len(t.rates[s.from].prefix) == s.depth {
			s.from++
			n.count++
		}
		for s.from < s.to {
			digit, end := t.rates[s.from].prefix[s.depth], s.from
			for end < s.to && t.rates[end].prefix[s.depth] == digit {
				end++
			}
			n.digits |= 1 << (digit - '0')
			t.nodes = append(t.nodes, rateNode{})
			spans = append(spans, span{s.from, end, s.depth + 1})
			s.from = end
		}
		t.nodes[i] = n
	}
}

// lookup fills in, for every trunk, the rate of the longest prefix that is in force at an instant; -1: none. found has
// room for mostPriced. One walk down the digits serves all trunks, and it allocates nothing.
func (t *rateTable) lookup(number string, at int64, found []int32) {
	for i := range found {
		found[i] = -1
	}
	if t == nil || len(t.nodes) == 0 || number == "" || number[0] != '+' {
		return
	}
	number = number[1:]
	n := &t.nodes[0]
	for i := 0; ; i++ {
		for k := n.rate; k < n.rate+int32(n.count); k++ {
			// Of one trunk the latest beginning comes first: the first that is in force is the one.
			if r := &t.rates[k]; at >= r.from && at < r.until && (found[r.trunk] < 0 || len(t.rates[found[r.trunk]].prefix) < i) {
				found[r.trunk] = k
			}
		}
		if i == len(number) {
			return
		}
		d := uint(number[i] - '0')
		if d > 9 || n.digits>>d&1 == 0 {
			return
		}
		n = &t.nodes[int(n.child)+bits.OnesCount16(n.digits&(1<<d-1))]
	}
}

// price is a rate for people, of a number that it is for.
func (t *rateTable) price(k int32, number string) Price {
	r := &t.rates[k]
	return Price{r.rate, t.currencies[r.currency], number[:1+len(r.prefix)], Place{t.files[r.file], int(r.line), 1}}
}

// explain is a rate for people, with what it is compared by where that is another currency.
func (t *rateTable) explain(k int32, number string) string {
	r, p := &t.rates[k], t.price(k, number)
	if r.cost == r.rate || t.common < 0 {
		return p.String()
	}
	return strings.TrimSpace(r.rate.String()+" "+p.Currency) + " = " + strings.TrimSpace(r.cost.String()+" "+t.currencies[t.common]) + " for " + p.Prefix + " (" + p.Place.String() + ")"
}
