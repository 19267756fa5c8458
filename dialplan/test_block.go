package dialplan

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// Case is a test block: a call, what its targets answer, and what must come of it.
type Case struct {
	Name     string
	Place    Place
	Facts    Facts
	Outcomes Outcomes
	Digits   []string // pressed in menus, a try each

	timed  bool // it says when
	expect []expectation
}

// expectation is one entry of expect: a word of Trial.said and the text that it must give.
type expectation struct {
	what  string
	want  string
	files []string // for plays
	place Place
}

var (
	testSchema = block.Schema("call state outcome expect")

	// What may stand in a test's call and expect.
	callWords   = []string{"from", "trunk", "caller", "to", "domain", "at", "digits"}
	stateWords  = []string{"open", "closed", "do_not_disturb", "forward", "calls_this_minute", "minutes_today", "countries"}
	expectWords = []string{"route", "status", "number", "caller_id", "caller_name", "tried", "answered", "steps", "plays", "alarm"}
)

// entry is one key of an object in the configuration.
type entry struct {
	key   string
	keyAt hcl.Range
	value hcl.Expression
}

// entries reads an attribute that is an object, with a place for each key.
func (c *compiler) entries(r *block.Reader, name string) []entry {
	expr := r.Expr(name)
	if expr == nil {
		return nil
	}
	pairs, d := hcl.ExprMap(expr)
	if d.HasErrors() {
		c.fail(expr.Range(), "not an object", "%q must be an object: write it in braces, as in { from = \"1001\", to = \"1002\" }.", name)
		return nil
	}
	var out []entry
	for _, pair := range pairs {
		key, d := pair.Key.Value(c.Context)
		if d.HasErrors() || key.IsNull() || !key.IsKnown() || key.Type() != cty.String {
			c.fail(pair.Key.Range(), "not a name", "Write a name here, or a text in quotes.")
			continue
		}
		e := entry{key.AsString(), pair.Key.Range(), pair.Value}
		if slices.ContainsFunc(out, func(x entry) bool { return x.key == e.key }) {
			c.fail(e.keyAt, "said twice", "%q is there already.", e.key)
			continue
		}
		out = append(out, e)
	}
	return out
}

// known reports an entry whose key is none of the words.
func (c *compiler) knownEntry(e entry, of string, words []string) bool {
	if slices.Contains(words, e.key) {
		return true
	}
	hint := block.DidYouMean(e.key, words)
	if hint == "" {
		hint = " There are " + strings.Join(words, ", ") + "."
	}
	c.fail(e.keyAt, "unknown entry", "%q is nothing that %s may say.%s", e.key, of, hint)
	return false
}

// text evaluates an entry that must be a text.
func (c *compiler) entryText(e entry) (string, bool) {
	v, ok := c.entryValue(e)
	if !ok {
		return "", false
	}
	if v.Type() != cty.String {
		hint := ""
		if v.Type() == cty.Number {
			hint = " Put it in quotes."
		}
		c.fail(e.value.Range(), "wrong type", "%q must be a text in quotes, and this is %s.%s", e.key, block.TypeName(v.Type()), hint)
		return "", false
	}
	return v.AsString(), true
}

func (c *compiler) entryValue(e entry) (cty.Value, bool) {
	v, d := e.value.Value(c.Context)
	if d.HasErrors() {
		c.diags = append(c.diags, d...)
		return v, false
	}
	if v.IsNull() || !v.IsWhollyKnown() {
		c.fail(e.value.Range(), "no value", "%q needs a value.", e.key)
		return v, false
	}
	return v, true
}

// entryWords evaluates an entry that must be a list of texts.
func (c *compiler) entryWords(e entry) ([]string, bool) {
	v, ok := c.entryValue(e)
	if !ok {
		return nil, false
	}
	if !v.Type().IsTupleType() && !v.Type().IsListType() {
		c.fail(e.value.Range(), "not a list", "%q must be a list: write it in brackets, as in [\"1001\", \"1002\"].", e.key)
		return nil, false
	}
	words := []string{}
	for _, x := range v.AsValueSlice() {
		if x.IsNull() || x.Type() != cty.String {
			c.fail(e.value.Range(), "wrong type", "%q is a list of texts in quotes.", e.key)
			return nil, false
		}
		words = append(words, x.AsString())
	}
	return words, true
}

// test reads a test block.
func (c *compiler) test(b *hcl.Block) {
	r := c.open(b.Body, testSchema)
	r.Require("call", "expect")
	t := &Case{Name: b.Labels[0], Place: placeOf(b.DefRange), Outcomes: Outcomes{}}
	c.testCall(t, r)
	for _, e := range c.entries(r, "state") {
		if c.knownEntry(e, "a state", stateWords) {
			c.state(t, e)
		}
	}
	for _, e := range c.entries(r, "outcome") {
		if out, ok := c.outcome(e); ok {
			t.Outcomes[e.key] = out
		}
	}
	entries := c.entries(r, "expect")
	for _, e := range entries {
		c.expect(t, e)
	}
	if r.Has("expect") && len(entries) == 0 {
		c.fail(r.Range("expect"), "nothing expected", "A test that expects nothing cannot fail: say for example route = \"internal\" or tried = [\"1002\"].")
	}
	c.plan.tests = append(c.plan.tests, t)
}

func (c *compiler) testCall(t *Case, r *block.Reader) {
	before := len(c.diags)
	for _, e := range c.entries(r, "call") {
		if !c.knownEntry(e, "a call", callWords) {
			continue
		}
		if e.key == "digits" {
			t.Digits, _ = c.entryWords(e)
			continue
		}
		text, ok := c.entryText(e)
		if !ok {
			continue
		}
		at := e.value.Range()
		switch e.key {
		case "from":
			t.Facts.From = text
			if c.plan.extensions[text] == nil {
				c.fail(at, "unknown extension", "There is no extension %q.%s", text, block.DidYouMean(text, c.plan.numbers))
			}
		case "trunk":
			t.Facts.Trunk = strings.TrimPrefix(text, "trunk.")
			if c.plan.trunks[t.Facts.Trunk] == nil {
				c.fail(at, "unknown trunk", "There is no trunk %q.%s", text, block.DidYouMean(t.Facts.Trunk, keys(c.plan.trunks)))
			}
		case "caller":
			t.Facts.Caller = text
		case "to":
			t.Facts.To = text
		case "domain":
			t.Facts.Domain = text
		case "at":
			when, err := time.Parse(time.RFC3339, text)
			if err != nil {
				c.fail(at, "not a moment", "Write when as in \"2026-11-23T10:00:00Z\" or \"2026-11-23T10:00:00+01:00\".")
			}
			t.Facts.Now, t.timed = when, true
		}
	}
	if !r.Has("call") || len(c.diags) > before {
		return // what is missing may be there, misspelt
	}
	if t.Facts.To == "" {
		c.fail(r.Range("call"), "nothing dialled", "A call of a test says what is dialled: to = \"1002\".")
	}
	if (t.Facts.From == "") == (t.Facts.Trunk == "") {
		c.fail(r.Range("call"), "who calls", "A call of a test comes from an extension, from = \"1001\", or over a trunk, trunk = \"a\".")
	}
}

// outcome reads "trunk.a" = 503 or "1001" = "busy".
func (c *compiler) outcome(e entry) (Outcome, bool) {
	if slices.Contains(c.hooks, e.key) {
		text, ok := c.entryText(e)
		return Outcome{Body: text}, ok
	}
	name, trunk := strings.CutPrefix(e.key, "trunk.")
	if trunk && c.plan.trunks[name] == nil {
		c.fail(e.keyAt, "unknown trunk", "There is no trunk %q.%s", name, block.DidYouMean(name, keys(c.plan.trunks)))
		return Outcome{}, false
	}
	if !trunk && c.plan.extensions[name] == nil {
		c.fail(e.keyAt, "unknown target", "An outcome is for an extension, \"1001\", for a trunk, \"trunk.a\", or for a hook, by its URL.%s", block.DidYouMean(name, c.plan.numbers))
		return Outcome{}, false
	}
	v, ok := c.entryValue(e)
	if !ok {
		return Outcome{}, false
	}
	words := slices.Sorted(maps.Keys(outcomeWords))
	switch v.Type() {
	case cty.String:
		if out, ok := outcomeWords[v.AsString()]; ok {
			return out, true
		}
		c.fail(e.value.Range(), "unknown outcome", "%q is none of %s, and no status such as 503.%s", v.AsString(), strings.Join(words, ", "), block.DidYouMean(v.AsString(), words))
		return Outcome{}, false
	case cty.Number:
		if n, _ := v.AsBigFloat().Int64(); n == 200 || n >= 300 && n <= 699 {
			return Outcome{Status: int(n)}, true
		}
	}
	c.fail(e.value.Range(), "unknown outcome", "An outcome is 200, a status from 300 to 699, or one of %s.", strings.Join(words, ", "))
	return Outcome{}, false
}

func (c *compiler) expect(t *Case, e entry) {
	if !c.knownEntry(e, "expect", expectWords) {
		return
	}
	x := expectation{what: e.key, place: placeOf(e.value.Range())}
	ok := true
	switch e.key {
	case "tried", "steps", "plays":
		var words []string
		if words, ok = c.entryWords(e); ok {
			x.want, x.files = strings.Join(words, ", "), words
		}
	case "status":
		var v cty.Value
		if v, ok = c.entryValue(e); ok {
			n := int64(0)
			if v.Type() == cty.Number {
				n, _ = v.AsBigFloat().Int64()
			}
			if ok = n == 200 || n >= 300 && n <= 699; !ok {
				c.fail(e.value.Range(), "not a status", "A status is what the caller gets: 200, or 300 to 699.")
			}
			x.want = strconv.FormatInt(n, 10)
		}
	case "route":
		x.want, ok = c.entryText(e)
		if ok && x.want != "" && !c.routeNamed(x.want) {
			c.fail(e.value.Range(), "unknown route", "There is no route %q.%s", x.want, block.DidYouMean(x.want, c.routeNames()))
		}
	default:
		x.want, ok = c.entryText(e)
	}
	if ok {
		t.expect = append(t.expect, x)
	}
}

func (c *compiler) routeNamed(name string) bool {
	if _, ok := c.first["route\x00"+name]; ok {
		return true
	}
	return slices.ContainsFunc(c.plan.routes, func(r *route) bool { return r.table != "" && r.name == name })
}

func (c *compiler) routeNames() []string {
	var names []string
	for key := range c.first {
		if name, ok := strings.CutPrefix(key, "route\x00"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
