package dialplan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// deck is a carrier's price list, as far as people ask for it.
type deck struct {
	name string
	rows int
	text string // what the block says, and a hash of the file
}

var (
	deckSchema  = block.Schema("file trunk currency exchange timezone")
	deckColumns = []string{"prefix", "rate", "currency", "from", "until", "trunk"}
)

// deckReader reads one deck.
type deckReader struct {
	*sheet
	table    *rateTable
	trunk    string // of rows that name none
	currency string // the same
	exchange map[string]float64
	zone     *time.Location // of dates
	file     uint16
}

// mostDecks bounds the files of a table, as a row has 16 bits for its own.
const mostDecks = 1000

// rateDeck reads a rate_deck block and its table.
func (c *compiler) rateDeck(b *hcl.Block) {
	r := c.open(b.Body, deckSchema)
	r.Require("file")
	if c.plan.rates == nil {
		c.plan.rates = &rateTable{common: -1}
	}
	t := c.plan.rates
	d := &deckReader{table: t, currency: r.Text("currency", ""), exchange: map[string]float64{}, zone: c.plan.zone}
	if r.Has("timezone") {
		d.zone = c.timezone(r)
	}
	if e := r.Expr("trunk"); e != nil {
		if ref, ok := r.Ref(e, "trunk"); ok && lookup(c, ref, c.plan.trunks) != nil {
			d.trunk = ref.Name
		}
	}
	c.exchange(d, r)
	name := r.Text("file", "")
	if name == "" {
		return
	}
	var text []byte
	if d.sheet, text = c.sheet(name, r.Range("file")); d.sheet == nil {
		return
	}
	if len(t.files) >= mostDecks {
		c.fail(b.DefRange, "too many decks", "There are at most %d.", mostDecks)
		return
	}
	d.file = uint16(len(t.files))
	t.files = append(t.files, d.path)
	c.deckLines = append(c.deckLines, d.lines)
	before := len(t.rates)
	needed := []string{"prefix", "rate"}
	if !r.Has("trunk") {
		needed = append(needed, "trunk")
	}
	d.read(r.Range("file"), deckColumns, needed, d.enter)
	sum := sha256.Sum256(text)
	t.decks = append(t.decks, deck{b.Labels[0], len(t.rates) - before, fmt.Sprintf("%s trunk %s currency %s exchange %v zone %s",
		hex.EncodeToString(sum[:6]), d.trunk, d.currency, d.exchange, d.zone)})
}

// exchange reads what one unit of other currencies is worth in the one that decks are compared in.
func (c *compiler) exchange(d *deckReader, r *block.Reader) {
	v, ok := r.Value("exchange", cty.Map(cty.Number))
	if !ok {
		return
	}
	worth := v.AsValueMap()
	for _, currency := range slices.Sorted(maps.Keys(worth)) {
		f := 0.0
		if !worth[currency].IsNull() {
			f, _ = worth[currency].AsBigFloat().Float64()
		}
		if f < 1e-6 || f > 1e6 {
			c.fail(r.Range("exchange"), "not a worth", "One %s is worth a number between 0.000001 and 1000000 of the currency that decks are compared in.", currency)
			continue
		}
		d.exchange[currency] = f
	}
}

// enter takes one row.
func (d *deckReader) enter(row []string) {
	before := d.wrong
	out := rate{from: ever, until: forever, line: int32(d.line()), file: d.file}
	trunk, currency, currencyAt := d.trunk, d.currency, 0
	for i, c := range d.columns {
		value := strings.TrimSpace(row[i])
		switch c {
		case "prefix":
			out.prefix = d.prefix(i, value)
		case "rate":
			var ok bool
			if out.rate, ok = parseRate(value); !ok {
				d.bad(d.at(i), "not a rate", "%q is no price of a minute: write digits and a dot, as in 0.0042, up to 9 behind the dot.", value)
			}
		case "currency":
			if value != "" {
				currency, currencyAt = value, i
			}
		case "from":
			if value != "" {
				out.from = d.moment(i, value, false)
			}
		case "until":
			if value != "" {
				out.until = d.moment(i, value, true)
			}
		case "trunk":
			if value != "" {
				trunk = d.namesTrunk(i, value)
			}
		}
	}
	if trunk == "" && d.wrong == before {
		d.bad(d.at(0), "no trunk", "The row names no trunk, and neither does the block.")
	}
	if out.from >= out.until && d.wrong == before {
		d.bad(d.at(0), "never in force", "The row ends before it begins.")
	}
	if d.wrong > before {
		return
	}
	var ok bool
	if out.cost, out.currency, ok = d.convert(out.rate, currency, currencyAt); !ok {
		return
	}
	if out.trunk, ok = d.column(trunk); ok {
		d.table.rates = append(d.table.rates, out)
		d.table.dated = d.table.dated || out.from != ever || out.until != forever
	}
}

func (d *deckReader) prefix(i int, value string) string {
	digits := strings.TrimPrefix(value, "+")
	if !allDigits(digits) || digits == "" || digits[0] == '0' || len(digits) > 15 {
		d.bad(d.at(i), "not a prefix", "%q does not begin an E.164 number: write the country code and what follows, as in 336 or +336.", value)
		return ""
	}
	return strings.Clone(digits)
}

// moment reads a date of the deck's zone, whose whole day counts, or an instant.
func (d *deckReader) moment(i int, value string, end bool) int64 {
	if day, err := time.ParseInLocation(time.DateOnly, value, d.zone); err == nil {
		if end {
			day = day.AddDate(0, 0, 1)
		}
		return day.Unix()
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		d.bad(d.at(i), "not a date", "%q is neither a day, such as 2026-12-31, nor a moment, such as 2026-12-31T00:00:00Z.", value)
	}
	return at.Unix()
}

func (d *deckReader) namesTrunk(i int, value string) string {
	name := strings.TrimPrefix(value, "trunk.")
	if d.plan.trunks[name] == nil {
		d.bad(d.at(i), "unknown trunk", "There is no trunk %q.%s", name, block.DidYouMean(name, keys(d.plan.trunks)))
		return ""
	}
	return strings.Clone(name)
}

// convert gives a rate in the currency that all decks are compared in: the only one that no deck says the worth of.
func (d *deckReader) convert(r Rate, currency string, at int) (cost Rate, index uint8, ok bool) {
	t := d.table
	k := slices.Index(t.currencies, currency)
	if k < 0 {
		if len(t.currencies) > 255 {
			d.bad(d.at(at), "too many currencies", "Decks have at most 256 currencies.")
			return 0, 0, false
		}
		k = len(t.currencies)
		t.currencies = append(t.currencies, strings.Clone(currency))
	}
	if worth, known := d.exchange[currency]; known {
		return Rate(math.Round(float64(r) * worth)), uint8(k), true
	}
	if t.common < 0 {
		t.common = k
	}
	if t.common != k {
		d.bad(d.at(at), "two currencies", "Other rows are in %q: say what one %s is worth in that, as in exchange = { %q = 0.92 }.", t.currencies[t.common], currency, currency)
		return 0, 0, false
	}
	return r, uint8(k), true
}

// column is the place of a trunk among those that have prices.
func (d *deckReader) column(trunk string) (uint8, bool) {
	t := d.table
	k := slices.Index(t.trunks, trunk)
	if k < 0 {
		if len(t.trunks) >= mostPriced {
			d.bad(d.at(0), "too many trunks", "At most %d trunks have prices.", mostPriced)
			return 0, false
		}
		k = len(t.trunks)
		t.trunks = append(t.trunks, trunk)
	}
	return uint8(k), true
}

// rates lays all decks out, finds rows that contradict each other, and tells the groups by cost where their prices are.
func (c *compiler) rates() {
	t := c.plan.rates
	if t == nil {
		t = &rateTable{}
	}
	t.build()
	for i := 1; i < len(t.rates); i++ {
		a, b := &t.rates[i-1], &t.rates[i]
		if a.prefix == b.prefix && a.trunk == b.trunk && a.from == b.from {
			first, second := c.rateAt(a), c.rateAt(b)
			if second.Filename == first.Filename && second.Start.Line < first.Start.Line {
				first, second = second, first
			}
			c.fail(second, "declared twice", "Trunk %s has a price for %s from the same day already, at %s.", t.trunks[a.trunk], a.prefix, placeOf(first))
		}
	}
	for _, name := range keys(c.plan.trunkGroups) {
		g := c.plan.trunkGroups[name]
		if g.Strategy != ByCost {
			continue
		}
		priced := 0
		for i := range g.Members {
			m := &g.Members[i]
			if m.priced = slices.Index(t.trunks, m.Trunk); m.priced >= 0 {
				priced++
			}
		}
		if priced == 0 && len(g.Members) > 0 && !c.diags.HasErrors() {
			c.fail(c.first["trunk_group\x00"+name], "no prices", "No rate_deck has a price of any trunk of the group, so none is ever chosen by cost.")
		}
	}
}

// rateAt is where the prefix of a rate stands.
func (c *compiler) rateAt(r *rate) hcl.Range {
	lines := c.deckLines[r.file]
	start := hcl.Pos{Line: int(r.line), Column: 1, Byte: lines[min(int(r.line), len(lines))-1]}
	end := start
	end.Column += len(r.prefix)
	end.Byte += len(r.prefix)
	return hcl.Range{Filename: c.plan.rates.files[r.file], Start: start, End: end}
}
