package dialplan

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"io"
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

// mostRowErrors bounds the messages about one table: the first fifty say what is wrong with the rest.
const mostRowErrors = 50

// rowReader reads one table.
type rowReader struct {
	*compiler
	name    string
	path    string
	text    []byte
	lines   []int // where each line begins
	csv     *csv.Reader
	columns []string
	shared  route             // what every row has
	steps   map[string][]Step // by what a row says beside its pattern
	wrong   int
	rows    int
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
	path, err := c.Resolve(name)
	var text []byte
	if err == nil {
		text, err = c.Read(path)
	}
	if err != nil {
		c.fail(r.Range("file"), "cannot be read", "%s.", capital(err.Error()))
		return
	}
	c.Files[path] = text
	t := &rowReader{compiler: c, name: b.Labels[0], path: path, text: text, shared: *shared, steps: map[string][]Step{}}
	t.read(r.Range("file"))
	sum := sha256.Sum256(text)
	c.plan.tables = append(c.plan.tables, routeTable{
		t.name, placeOf(b.DefRange), t.rows, hex.EncodeToString(sum[:6]) + " " + shared.describe(),
	})
}

func (t *rowReader) read(block hcl.Range) {
	body, _ := bytes.CutPrefix(t.text, []byte("\xef\xbb\xbf"))
	t.lines = append(t.lines, len(t.text)-len(body))
	for i, ch := range t.text {
		if ch == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	t.csv = csv.NewReader(bytes.NewReader(body))
	t.csv.FieldsPerRecord, t.csv.ReuseRecord = -1, true
	row, ok := t.next()
	if !ok || !t.header(row) {
		if !ok && t.wrong == 0 {
			t.bad(block, "empty table", "The first row names the columns: %s.", strings.Join(tableColumns, ", "))
		}
		return
	}
	for {
		row, ok := t.next()
		if !ok {
			return
		}
		if t.wrong > mostRowErrors {
			t.bad(t.at(row, 0), "more of it", "The rest of the table is not looked at: mend the first %d.", mostRowErrors)
			return
		}
		t.row(row)
	}
}

func (t *rowReader) bad(at hcl.Range, summary, format string, args ...any) {
	t.wrong++
	t.fail(at, summary, format, args...)
}

func (t *rowReader) next() ([]string, bool) {
	row, err := t.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, false
	case errors.As(err, &parse):
		t.bad(t.place(parse.Line, parse.Column, 1), "not a table", "%s: values are parted by commas, and one with a comma or quote stands in quotes.", parse.Err)
		return nil, false
	}
	return row, true
}

func (t *rowReader) header(row []string) bool {
	before := t.wrong
	for i, c := range row {
		c = strings.ToLower(strings.TrimSpace(c))
		if !slices.Contains(tableColumns, c) {
			t.bad(t.at(row, i), "unknown column", "%q is none of %s.%s", c, strings.Join(tableColumns, ", "), block.DidYouMean(c, tableColumns))
		} else if slices.Contains(t.columns, c) {
			t.bad(t.at(row, i), "declared twice", "The column %q is there already.", c)
		}
		t.columns = append(t.columns, c)
	}
	if !slices.Contains(t.columns, "to") {
		t.bad(t.at(row, 0), "missing column", "The first row must name a column \"to\", for the patterns.")
	}
	if len(t.columns) == 1 && len(t.shared.steps) == 0 && t.wrong == before {
		t.bad(t.at(row, 0), "no step", "Say what happens to the calls: a step in the block, or a column trunks, extension or status.")
	}
	return t.wrong == before
}

// row enters one route.
func (t *rowReader) row(row []string) {
	if len(row) != len(t.columns) {
		t.bad(t.at(row, len(row)-1), "wrong number of values", "The row has %d values and the first row names %d columns.", len(row), len(t.columns))
		return
	}
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
			t.bad(t.at(row, i), "not a pattern", "%s.", capital(err.Error()))
			return
		}
		r.to, r.toAt = p, t.at(row, i)
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
				t.bad(t.at(row, i), "unknown extension", "There is no extension %q.%s", value, block.DidYouMean(value, t.plan.numbers))
				return nil, false
			}
			return []Step{Dial{Targets: []Target{{Extension: strings.Clone(value)}}, Timeout: defaultRing}}, true
		case "status":
			if len(value) != 3 || value[0] < '4' || value[0] > '6' || !allDigits(value) {
				t.bad(t.at(row, i), "not a status", "A status is a refusal, 400 to 699.")
				return nil, false
			}
			status := int(value[0]-'0')*100 + int(value[1]-'0')*10 + int(value[2]-'0')
			return []Step{Reject{Status: status}}, true
		}
	}
	if len(t.shared.steps) == 0 {
		t.bad(t.at(row, 0), "no step", "The row says nothing of what happens to the call, and the block has no step for that.")
		return nil, false
	}
	return t.shared.steps, true
}

func (t *rowReader) overTrunks(row []string, i int, names []string) ([]Step, bool) {
	d := Dial{Timeout: defaultRing, Failover: Failover{FirstReply: firstReply}}
	if len(t.shared.steps) == 1 { // the block's dial says how long and what then
		if shared, ok := t.shared.steps[0].(Dial); ok && len(shared.Targets) > 0 && shared.Targets[0].Trunk != "" {
			d = shared
			d.Targets = nil
		}
	}
	for _, name := range names {
		name = strings.TrimPrefix(name, "trunk.")
		if t.plan.trunks[name] == nil {
			t.bad(t.at(row, i), "unknown trunk", "There is no trunk %q.%s", name, block.DidYouMean(name, keys(t.plan.trunks)))
			return nil, false
		}
		d.Targets = append(d.Targets, Target{Trunk: strings.Clone(name)})
	}
	return []Step{d}, true
}

// at is the place of a field of the row that was read last.
func (t *rowReader) at(row []string, i int) hcl.Range {
	line, column := t.csv.FieldPos(i)
	return t.place(line, column, max(len(row[i]), 1))
}

func (t *rowReader) place(line, column, length int) hcl.Range {
	start := hcl.Pos{Line: line, Column: column, Byte: t.lines[min(line, len(t.lines))-1] + column - 1}
	end := start
	end.Column += length
	end.Byte += length
	return hcl.Range{Filename: t.path, Start: start, End: end}
}
