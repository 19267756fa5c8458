package dialplan

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// numbers gives one number of each region, as they are dialled.
func (c *comparison) numbers() ([]string, bool) {
	var whole bool
	c.repriced, whole = repriced(c.plans[0].rates, c.plans[1].rates)
	matchers := []*matcher{c.plans[0].matcher, c.plans[1].matcher, c.marks(), countryMatcher()}
	sig := c.permits()
	only := -1
	if touched, some := c.touched(); some {
		if len(touched) == 0 {
			return nil, whole
		}
		matchers, only = append(matchers, newMatcher(touched)), len(matchers)
	}
	numbers, complete := regionsOf(matchers, only, func(number string, accepted [][]int32) string {
		b := make([]byte, 0, 64)
		for _, list := range accepted[:3] {
			b = binary.AppendUvarint(b, uint64(len(list)))
			for _, p := range list {
				b = binary.AppendUvarint(b, uint64(p))
			}
		}
		return string(b) + sig(Country(number))
	})
	complete = complete && whole
	a, b := c.plans[0].numbering, c.plans[1].numbering
	if a == b {
		return numbers, complete
	}
	all := slices.Clone(numbers) // what is dialled means something else: try the numbers as they are dialled too
	for _, n := range numbers {
		for _, x := range []*Numbering{&a, &b} {
			if d := x.Dial(n); !slices.Contains(all[max(0, len(all)-4):], d) && d != n {
				all = append(all, d)
			}
		}
	}
	return all, complete
}

// touched is the patterns of the routes that differ, where nothing else does: a call to any other number
// goes as before. false: something differs that any call may depend on.
func (c *comparison) touched() ([]*Pattern, bool) {
	was, is := c.plans[0].shared(), c.plans[1].shared()
	if was != is {
		return nil, false
	}
	var out []*Pattern
	seen := map[string]bool{}
	add := func(p *Pattern) {
		if !seen[p.key()] {
			seen[p.key()] = true
			out = append(out, p)
		}
	}
	for i, p := range c.plans {
		other := c.plans[1-i]
		same := map[string]bool{} // tables that both have, row by row
		for _, t := range p.tables {
			same[t.name] = slices.ContainsFunc(other.tables, func(o routeTable) bool { return o.name == t.name && o.text == t.text })
		}
		theirs := map[string]string{}
		for _, r := range other.routes {
			if !same[r.table] {
				theirs[r.name] = r.describe()
			}
		}
		for _, r := range p.routes {
			if !same[r.table] && theirs[r.name] != r.describe() {
				add(r.to)
			}
		}
	}
	for _, prefix := range c.repriced {
		if p, err := ParsePattern(prefix); err == nil {
			add(p)
		}
	}
	return out, true
}

// mostRepriced bounds the prefixes with another price that are compared.
const mostRepriced = 2000

// repriced is the patterns of the prefixes that have other rows in one table than in the other; false: there are more.
func repriced(a, b *rateTable) (patterns []string, whole bool) {
	var tables [2]*rateTable
	for i, t := range []*rateTable{a, b} {
		if tables[i] = t; t == nil {
			tables[i] = &rateTable{}
		}
	}
	var at [2]int
	for {
		prefix := ""
		for i, t := range tables {
			if at[i] < len(t.rates) && (prefix == "" || t.rates[at[i]].prefix < prefix) {
				prefix = t.rates[at[i]].prefix
			}
		}
		if prefix == "" {
			return patterns, true
		}
		var rows [2]string
		for i, t := range tables {
			for ; at[i] < len(t.rates) && t.rates[at[i]].prefix == prefix; at[i]++ {
				r := &t.rates[at[i]]
				rows[i] += fmt.Sprintln(t.trunks[r.trunk], r.cost, r.rate, t.currencies[r.currency], r.from, r.until)
			}
		}
		if rows[0] == rows[1] {
			continue
		}
		if len(patterns) == mostRepriced {
			return patterns, false
		}
		patterns = append(patterns, "+"+prefix+"...")
	}
}

// shared is all that a plan says beside its routes and rate decks.
func (p *Plan) shared() string {
	var b strings.Builder
	for _, part := range p.parts(false) {
		fmt.Fprintf(&b, "%s\x00%s\x00%s\n", part.Kind, part.Name, part.Text)
	}
	return b.String()
}

// permits tells which classes may dial a country, as a text.
func (c *comparison) permits() func(country string) string {
	memo := map[string]string{}
	return func(country string) string {
		if s, ok := memo[country]; ok {
			return s
		}
		var b strings.Builder
		for _, p := range c.plans {
			fmt.Fprint(&b, country == p.numbering.Country, country == "")
			for _, name := range keys(p.classes) {
				list := p.classes[name].Countries
				fmt.Fprint(&b, slices.Contains(list, country) || slices.Contains(list, "*"))
			}
		}
		memo[country] = b.String()
		return memo[country]
	}
}

func countryMatcher() *matcher {
	var patterns []*Pattern
	for _, prefix := range slices.Sorted(maps.Keys(world.country)) {
		if p, err := ParsePattern("+" + prefix + "..."); err == nil {
			patterns = append(patterns, p)
		}
	}
	return newMatcher(patterns)
}

// marks is the numbers and prefixes that the plans tell apart beside their patterns: extensions, numbers of their own
// in the public network, and what stands in conditions.
func (c *comparison) marks() *matcher {
	var patterns []*Pattern
	seen := map[string]bool{}
	add := func(text string) {
		if p, err := ParsePattern(text); err == nil && !seen[p.key()] {
			seen[p.key()] = true
			patterns = append(patterns, p)
		}
	}
	for _, text := range c.repriced {
		add(text)
	}
	for _, p := range c.plans {
		for number := range p.extensions {
			add(number)
		}
		for number := range p.dids {
			add(number)
		}
		for _, r := range p.routes {
			for _, text := range r.when.literals() {
				add(text)
				add(text + "...")
			}
		}
		for _, text := range p.marks() {
			add(text)
		}
	}
	return newMatcher(patterns)
}

// marks is the patterns of a plan beside those of its routes.
func (p *Plan) marks() []string {
	var out []string
	for _, l := range p.blocks {
		for _, d := range l.destinations {
			out = append(out, d.text)
		}
	}
	if p.emergency != nil {
		out = append(out, p.emergency.Numbers...)
	}
	for _, prefix := range premium {
		out = append(out, prefix+"...")
	}
	return out
}

// literals is the texts that an expression has written out.
func (x *expression) literals() []string {
	var out []string
	if x == nil {
		return nil
	}
	hclsyntax.VisitAll(x.tree, func(n hclsyntax.Node) hcl.Diagnostics { //nolint:errcheck // the visitor collects
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String && !l.Val.IsNull() {
			out = append(out, l.Val.AsString())
		}
		return nil
	})
	return out
}
