package dialplan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// withDecks compiles HCL with the files that it names.
func withDecks(t testing.TB, text string, files map[string]string) (*Plan, hcl.Diagnostics) {
	src := sourceOf(t, text)
	src.Resolve = func(path string) (string, error) { return path, nil }
	src.Read = func(path string) ([]byte, error) {
		if f, ok := files[path]; ok {
			return []byte(f), nil
		}
		return nil, fmt.Errorf("%s does not exist", path)
	}
	return Compile(src)
}

const trade = people + `
trunk "red" {}
trunk "green" {}
trunk "blue" {}
trunk_group "cheap" {
  trunks   = [trunk.red, trunk.green, trunk.blue]
  strategy = "cost"
}
rate_deck "all" {
  file     = "all.csv"
  currency = "EUR"
}
rate_deck "blue" {
  file     = "blue.csv"
  trunk    = trunk.blue
  currency = "USD"
  exchange = { USD = 0.5 }
  timezone = "Europe/Paris"
}
route "out" {
  to = "+33..."
  dial { trunks = [trunk_group.cheap] }
}
`

var tradeDecks = map[string]string{
	"all.csv": "prefix,rate,trunk,from,until\n" +
		"33,0.01,red,,\n+336,0.05,red,,\n33,0.02,green,,\n336,0.03,green,2026-01-01,2026-06-30\n336,0.009,green,2026-07-01,\n",
	"blue.csv": "prefix,rate,from\n33,0.03,\n3367,0.002,2026-03-01\n",
}

// order is the trunks that a call is tried over, with their prices.
func order(p *Plan, to string, at time.Time) string {
	d := p.Route(Facts{From: "1001", To: to, Now: at})
	var out []string
	for _, s := range d.Steps {
		dial, ok := s.(Dial)
		if !ok {
			return DescribeSteps(d.Steps)
		}
		for _, t := range dial.Targets {
			out = append(out, fmt.Sprintf("%s %s%s/%d", t.Trunk, t.Price.Rate, t.Price.Currency, t.Rank))
		}
	}
	return strings.Join(out, ", ")
}

func TestLeastCost(t *testing.T) {
	p, d := withDecks(t, trade, tradeDecks)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	for _, c := range []struct{ name, to, at, want string }{
		{"the whole country", "+33140000000", "2026-02-01T00:00:00Z", "red 0.01EUR/0, blue 0.03USD/1, green 0.02EUR/2"},
		{"the longest prefix", "+33640000000", "2026-02-01T00:00:00Z", "blue 0.03USD/0, green 0.03EUR/1, red 0.05EUR/2"},
		{"the last second of a price", "+33640000000", "2026-06-30T23:59:59Z", "blue 0.03USD/0, green 0.03EUR/1, red 0.05EUR/2"},
		{"and the next", "+33640000000", "2026-07-01T00:00:00Z", "green 0.009EUR/0, blue 0.03USD/1, red 0.05EUR/2"},
		{"a prefix that is not in force yet", "+33670000000", "2026-02-28T22:59:59Z", "blue 0.03USD/0, green 0.03EUR/1, red 0.05EUR/2"},
		{"the zone of the deck", "+33670000000", "2026-02-28T23:00:00Z", "blue 0.002USD/0, green 0.03EUR/1, red 0.05EUR/2"},
	} {
		if got := order(p, c.to, at(t, c.at)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	x := p.Explain(Facts{From: "1001", To: "+33670000000", Now: at(t, "2026-07-01T00:00:00Z")}).String()
	for _, want := range []string{
		"trunk_group cheap: 1. trunk blue: priority 1, costs 0.002 USD = 0.001 EUR for +3367 (blue.csv:3:1), weight 1",
		"trunk_group cheap: 2. trunk green: priority 1, costs 0.009 EUR for +336 (all.csv:6:1), weight 1",
		"leg 1     trunk blue with +33670000000 (group cheap, rank 0, weight 1) at 0.002 USD\n",
	} {
		if !strings.Contains(x, want) {
			t.Errorf("no %q in\n%s", want, x)
		}
	}
}

func TestNoPrice(t *testing.T) {
	decks := map[string]string{"all.csv": "prefix,rate,trunk\n336,1,red\n", "blue.csv": "prefix,rate\n44,1\n"}
	p, d := withDecks(t, trade, decks)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	if got := order(p, "+33640000000", time.Time{}); got != "red 1EUR/0" {
		t.Error("a trunk without a price is tried:", got)
	}
	if got := order(p, "+33140000000", time.Time{}); got != "reject 404 Not Found, cause 3" {
		t.Error("nobody has a price, and", got)
	}
	p, d = withDecks(t, strings.Replace(trade, `strategy = "cost"`, "strategy = \"cost\"\n unpriced = \"last\"", 1), decks)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	if got := order(p, "+33640000000", time.Time{}); got != "red 1EUR/0, green 0/1, blue 0/1" {
		t.Error("those without a price are not last:", got)
	}
}

// Every mistake of a deck has its line and column.
func TestDecksAreChecked(t *testing.T) {
	for _, c := range []struct{ name, deck, want string }{
		{"rate", "prefix,rate,trunk\n33,0.01,red\n34,cheap,red\n", `all.csv:3,4-9: not a rate: "cheap" is no price`},
		{"too fine", "prefix,rate,trunk\n33,0.0000000001,red\n", "all.csv:2,4-16: not a rate"},
		{"negative", "prefix,rate,trunk\n33,-1,red\n", "all.csv:2,4-6: not a rate"},
		{"prefix", "prefix,rate,trunk\n0033,1,red\n", "all.csv:2,1-5: not a prefix"},
		{"date", "prefix,rate,trunk,from\n33,1,red,1.2.2026\n", "all.csv:2,10-18: not a date"},
		{"trunk", "prefix,rate,trunk\n33,1,rad\n", `all.csv:2,6-9: unknown trunk: There is no trunk "rad". Did you mean "red"?`},
		{"no trunk", "prefix,rate,trunk\n33,1,\n", "all.csv:2,1-3: no trunk"},
		{"values", "prefix,rate,trunk\n33,1\n", "all.csv:2,4-5: wrong number of values"},
		{"column", "prefix,price,trunk\n", `all.csv:1,8-13: unknown column: "price"`},
		{"missing column", "prefix,trunk\n33,red\n", `all.csv:1,1-7: missing column: The first row must name a column "rate"`},
		{"backwards", "prefix,rate,trunk,from,until\n33,1,red,2026-02-01,2026-01-01\n", "all.csv:2,1-3: never in force"},
		{"twice", "prefix,rate,trunk\n33,1,red\n34,1,red\n33,2,red\n", "all.csv:4,1-3: declared twice: Trunk red has a price for 33 from the same day already, at all.csv:2:1"},
		{"currencies", "prefix,rate,trunk,currency\n33,1,red,\n34,1,red,GBP\n", `all.csv:3,10-13: two currencies: Other rows are in "EUR"`},
		{"semicolons", "prefix;rate;trunk\n33;1;red\n", "Values are parted by commas, not semicolons"},
	} {
		_, d := withDecks(t, trade, map[string]string{"all.csv": c.deck, "blue.csv": tradeDecks["blue.csv"]})
		if got := describeAll(d); !strings.Contains(got, c.want) {
			t.Errorf("%s: no %q in\n%s", c.name, c.want, got)
		}
	}
	many := "prefix,rate,trunk\n" + strings.Repeat("x,1,red\n", 500)
	if _, d := withDecks(t, trade, map[string]string{"all.csv": many, "blue.csv": tradeDecks["blue.csv"]}); len(d) > mostRowErrors+10 {
		t.Errorf("%d messages", len(d))
	}
}

// The tree says what a plain search through all rows says.
func TestRatesBesideAPlainSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for round := range 60 {
		table := &rateTable{trunks: []string{"a", "b", "c"}, currencies: []string{""}, files: []string{"f"}}
		seen := map[string]bool{}
		for range 1 + r.IntN(200) {
			x := rate{cost: Rate(r.IntN(1000)), from: ever, until: forever, trunk: uint8(r.IntN(3))}
			for range 1 + r.IntN(5) {
				x.prefix += string(rune('1' + r.IntN(3)))
			}
			if r.IntN(2) == 0 {
				x.from = int64(r.IntN(100))
				x.until = x.from + 1 + int64(r.IntN(50))
			}
			if key := fmt.Sprint(x.prefix, x.trunk, x.from); !seen[key] {
				seen[key] = true
				table.rates = append(table.rates, x)
			}
		}
		rows := slices.Clone(table.rates)
		table.build()
		for range 200 {
			number, now := "+", int64(r.IntN(150))
			for range r.IntN(7) {
				number += string(rune('1' + r.IntN(3)))
			}
			var found [mostPriced]int32
			table.lookup(number, now, found[:])
			for k := range table.trunks {
				var want *rate
				for i := range rows {
					x := &rows[i]
					if int(x.trunk) == k && strings.HasPrefix(number[1:], x.prefix) && now >= x.from && now < x.until &&
						(want == nil || len(x.prefix) > len(want.prefix) || len(x.prefix) == len(want.prefix) && x.from > want.from) {
						want = x
					}
				}
				switch {
				case want == nil && found[k] >= 0:
					t.Fatalf("round %d: %s at %d: %+v, want none", round, number, now, table.rates[found[k]])
				case want != nil && (found[k] < 0 || table.rates[found[k]] != *want):
					t.Fatalf("round %d: %s at %d: rate %d, want %+v", round, number, now, found[k], *want)
				}
			}
		}
	}
}

func TestRateTexts(t *testing.T) {
	for text, want := range map[string]string{"0.0042": "0.0042", "1": "1", "0": "0", "12.500": "12.5", ".5": "0.5", "0.000000001": "0.000000001", "": "", "1.": "", "1,5": "", "1e3": "", "1234567": ""} {
		r, ok := parseRate(text)
		if ok != (want != "") || ok && r.String() != want {
			t.Errorf("%q is %s, %v; want %q", text, r, ok, want)
		}
	}
}

// A deck that changes one price among many is seen by the comparison of plans.
func TestCompareSeesPrices(t *testing.T) {
	before, _ := withDecks(t, trade, tradeDecks)
	after, d := withDecks(t, trade, map[string]string{"all.csv": strings.Replace(tradeDecks["all.csv"], "+336,0.05", "+336,0.001", 1), "blue.csv": tradeDecks["blue.csv"]})
	if after == nil {
		t.Fatal(describeAll(d))
	}
	if before.Version() == after.Version() {
		t.Error("other prices are another plan")
	}
	got := Compare(before, after, at(t, "2026-02-01T00:00:00Z"))
	if len(got.Shifts) != 1 || !got.Complete || !strings.HasPrefix(got.Shifts[0].Examples[0].To, "+336") {
		t.Errorf("%s", got)
	}
}

// hundredThousand is a deck of 100,000 prefixes over three trunks.
func hundredThousand() (deck string, numbers []string) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"red", "green", "blue"}
	var b strings.Builder
	b.WriteString("prefix,rate,trunk\n")
	seen := map[string]bool{}
	for len(seen) < 100_000 {
		prefix := fmt.Sprint(1 + r.IntN(9))
		for range 2 + r.IntN(6) {
			prefix += fmt.Sprint(r.IntN(10))
		}
		name := names[r.IntN(3)]
		if seen[prefix+name] {
			continue
		}
		seen[prefix+name] = true
		fmt.Fprintf(&b, "%s,%d.%04d,%s\n", prefix, r.IntN(2), r.IntN(10000), name)
		if len(numbers) < 4096 {
			numbers = append(numbers, "+"+prefix+"12345"[:min(5, 15-len(prefix))])
		}
	}
	return b.String(), numbers
}

func bigTrade(t testing.TB) (*Plan, []string) {
	deck, numbers := hundredThousand()
	text := strings.Replace(strings.Replace(trade, `"+33..."`, `"+[1-9]x{6,14}"`, 1), `"GB", "FR"`, `"*"`, 1)
	start := time.Now()
	p, d := withDecks(t, text, map[string]string{"all.csv": deck, "blue.csv": "prefix,rate\n33,1\n"})
	if p == nil {
		t.Fatal(describeAll(d))
	}
	t.Logf("100,000 prefixes read in %v, %d nodes", time.Since(start).Round(time.Millisecond), len(p.rates.nodes))
	return p, numbers
}

// A look-up of all prices of a number and the order of the trunks cost no allocation.
func TestLeastCostAllocations(t *testing.T) {
	p, numbers := bigTrade(t)
	g := p.trunkGroups["cheap"]
	e := env{plan: p, facts: &Facts{Now: at(t, "2026-02-01T00:00:00Z")}}
	var room [mostMembers]quote
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		e.number = numbers[i%len(numbers)]
		g.order(&e, room[:0])
		i++
	}); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}

// BenchmarkLeastCost100000 looks the prices of three trunks up among 100,000 prefixes and orders the trunks; the numbers
// change, so that the whole table is touched. /route is the whole decision of a call.
func BenchmarkLeastCost100000(b *testing.B) {
	p, numbers := bigTrade(b)
	g := p.trunkGroups["cheap"]
	b.Run("lookup", func(b *testing.B) {
		e := env{plan: p, facts: &Facts{Now: time.Now()}}
		var room [mostMembers]quote
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			e.number = numbers[i%len(numbers)]
			g.order(&e, room[:0])
		}
	})
	b.Run("route", func(b *testing.B) {
		facts := Facts{From: "1001", Now: time.Now()}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			facts.To = numbers[i%len(numbers)]
			p.Route(facts)
		}
	})
}
