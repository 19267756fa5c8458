package dialplan

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// routeTable is routes that stand in a file of comma-separated values, one pattern a line: a carrier's price list has a
// million of them, and blocks for each would be another ten seconds of reading. A row is a route like any other; only
// what it shares with the rest of its table stands in the block.
type routeTable struct {
	name string
	at   Place
	rows int
	text string // what the block says, and a hash of the file
}

var (
	// tableSchema is a route's without its pattern.
	tableSchema = func() *hcl.BodySchema {
		s := *routeSchema
		s.Attributes = append(slices.DeleteFunc(slices.Clone(s.Attributes), func(a hcl.AttributeSchema) bool { return a.Name == "to" }),
			hcl.AttributeSchema{Name: "file"})
		return &s
	}()
	tableColumns = []string{"to", "trunks", "extension", "status"}
)

// rowReader reads one table.
type rowReader struct {
	*sheet
	name   string
	shared route             // what every row has
	steps  map[string][]Step // by what a row says beside its pattern
	rows   int
}

// routes reads a routes block and its table.
func (c *compiler) routes(b *hcl.Block) {
	r := c.open(b.Body, tableSchema)
	r.Require("file")
	shared := &route{at: b.DefRange, to: &Pattern{text: "the patterns of its table"}}
	c.routeRest(shared, r, b)
	name := r.Text("file", "")
	if name == "" {
		return
	}
	sheet, text := c.sheet(name, r.Range("file"))
	if sheet == nil {
		return
	}
	t := &rowReader{sheet: sheet, name: b.Labels[0], shared: *shared, steps: map[string][]Step{}}
	t.also = func() {
		if len(t.columns) == 1 && len(shared.steps) == 0 {
			t.bad(t.at(0), "no step", "Say what happens to the calls: a step in the block, or a column trunks, extension or status.")
		}
	}
	t.read(r.Range("file"), tableColumns, []string{"to"}, t.enter)
	sum := sha256.Sum256(text)
	c.plan.tables = append(c.plan.tables, routeTable{
		t.name, placeOf(b.DefRange), t.rows, hex.EncodeToString(sum[:6]) + " " + shared.describe(),
	})
}

// enter takes one route.
func (t *rowReader) enter(row []string) {
	r := t.shared
	var rest strings.Builder
	for i, c := range t.columns {
		value := strings.TrimSpace(row[i])
		if c != "to" {
			rest.WriteString(value + "\x00")
			continue
		}
		p, err := ParsePattern(strings.Clone(value))
		if err != nil {
			t.bad(t.at(i), "not a pattern", "%s.", capital(err.Error()))
			return
		}
		r.to, r.toAt = p, t.at(i)
	}
	key := rest.String()
	steps, ok := t.steps[key]
	if !ok {
		if steps, ok = t.stepsOf(row); !ok {
			return
		}
		t.steps[key] = steps
	}
	r.at, r.steps, r.table = r.toAt, steps, t.name
	r.name = t.name + "/" + r.to.text
	t.rows++
	t.plan.routes = append(t.plan.routes, &r)
}

// stepsOf is what a row does: what its columns say, or else what the block says.
func (t *rowReader) stepsOf(row []string) ([]Step, bool) {
	for i, c := range t.columns {
		value := strings.TrimSpace(row[i])
		if c == "to" || value == "" {
			continue
		}
		switch c {
		case "trunks":
			return t.overTrunks(row, i, strings.Fields(value))
		case "extension":
			if t.plan.extensions[value] == nil {
				t.bad(t.at(i), "unknown extension", "There is no extension %q.%s", value, block.DidYouMean(value, t.plan.numbers))
				return nil, false
			}
			return []Step{Dial{Targets: []Target{{Extension: strings.Clone(value)}}, Timeout: defaultRing}}, true
		case "status":
			if len(value) != 3 || value[0] < '4' || value[0] > '6' || !allDigits(value) {
				t.bad(t.at(i), "not a status", "A status is a refusal, 400 to 699.")
				return nil, false
			}
			status := int(value[0]-'0')*100 + int(value[1]-'0')*10 + int(value[2]-'0')
			return []Step{Reject{Status: status}}, true
		}
	}
	if len(t.shared.steps) == 0 {
		t.bad(t.at(0), "no step", "The row says nothing of what happens to the call, and the block has no step for that.")
		return nil, false
	}
	return t.shared.steps, true
}

func (t *rowReader) overTrunks(row []string, i int, names []string) ([]Step, bool) {
	d := Dial{Timeout: defaultRing, Failover: Failover{FirstReply: firstReply}}
	if len(t.shared.steps) == 1 { // the block's dial says how long and what then
		if shared, ok := t.shared.steps[0].(Dial); ok && overTrunks(shared.Targets) {
			d = shared
			d.Targets = nil
		}
	}
	for _, name := range names {
		target, ok := t.plan.named(strings.Clone(name))
		if !ok {
			name = strings.TrimPrefix(name, "trunk.")
			t.bad(t.at(i), "unknown trunk", "There is no trunk %q.%s", name, block.DidYouMean(name, keys(t.plan.trunks)))
			return nil, false
		}
		d.Targets = append(d.Targets, target)
	}
	return []Step{d}, true
}
