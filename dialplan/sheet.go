package dialplan

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// mostRowErrors bounds the messages about one table: the first fifty say what is wrong with the rest.
const mostRowErrors = 50

// sheet is a file of comma-separated values (RFC 4180) whose first row names the columns, in any order. Every mistake has
// its line and column.
type sheet struct {
	*compiler
	path    string
	lines   []int // where each line begins
	csv     *csv.Reader
	columns []string
	also    func()   // what is asked of the columns beside that; nil: nothing
	row     []string // that was read last
	wrong   int
}

// sheet opens a table that a block names; nil: it cannot be read, which has been said.
func (c *compiler) sheet(name string, at hcl.Range) (t *sheet, text []byte) {
	path, err := c.Resolve(name)
	if err == nil {
		text, err = c.Read(path)
	}
	if err != nil {
		c.fail(at, "cannot be read", "%s.", capital(err.Error()))
		return nil, nil
	}
	c.Files[path] = text
	body, _ := bytes.CutPrefix(text, []byte("\xef\xbb\xbf"))
	t = &sheet{compiler: c, path: path, lines: []int{len(text) - len(body)}, csv: csv.NewReader(bytes.NewReader(body))}
	for i, ch := range text {
		if ch == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	t.csv.FieldsPerRecord, t.csv.ReuseRecord = -1, true
	return t, text
}

// read takes the header, whose columns are of known and have the needed ones, and then row after row.
func (t *sheet) read(at hcl.Range, known, needed []string, each func(row []string)) {
	if !t.next() {
		if t.wrong == 0 {
			t.bad(at, "empty table", "The first row names the columns: %s.", strings.Join(known, ", "))
		}
		return
	}
	if !t.header(known, needed) {
		return
	}
	for t.next() {
		switch {
		case t.wrong > mostRowErrors:
			t.bad(t.at(0), "more of it", "The rest of the table is not looked at: mend the first %d.", mostRowErrors)
			return
		case len(t.row) != len(t.columns):
			t.bad(t.at(len(t.row)-1), "wrong number of values", "The row has %d values and the first row names %d columns.", len(t.row), len(t.columns))
		default:
			each(t.row)
		}
	}
}

func (t *sheet) header(known, needed []string) bool {
	for i, c := range t.row {
		c = strings.ToLower(strings.TrimSpace(c))
		if !slices.Contains(known, c) {
			hint := block.DidYouMean(c, known)
			if strings.Contains(c, ";") {
				hint = " Values are parted by commas, not semicolons."
			}
			t.bad(t.at(i), "unknown column", "%q is none of %s.%s", c, strings.Join(known, ", "), hint)
		} else if slices.Contains(t.columns, c) {
			t.bad(t.at(i), "declared twice", "The column %q is there already.", c)
		}
		t.columns = append(t.columns, c)
	}
	for _, c := range needed {
		if !slices.Contains(t.columns, c) && t.wrong == 0 {
			t.bad(t.at(0), "missing column", "The first row must name a column %q.", c)
		}
	}
	if t.also != nil && t.wrong == 0 {
		t.also()
	}
	return t.wrong == 0
}

func (t *sheet) bad(at hcl.Range, summary, format string, args ...any) {
	t.wrong++
	t.fail(at, summary, format, args...)
}

func (t *sheet) next() bool {
	row, err := t.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return false
	case errors.As(err, &parse):
		t.bad(t.place(parse.Line, parse.Column, 1), "not a table", "%s: values are parted by commas, and one with a comma or quote stands in quotes.", parse.Err)
		return false
	}
	t.row = row
	return true
}

// at is the place of a field of the row that was read last.
func (t *sheet) at(i int) hcl.Range {
	line, column := t.csv.FieldPos(i)
	return t.place(line, column, max(len(t.row[i]), 1))
}

// line is where the row begins that was read last.
func (t *sheet) line() int {
	line, _ := t.csv.FieldPos(0)
	return line
}

func (t *sheet) place(line, column, length int) hcl.Range {
	start := hcl.Pos{Line: line, Column: column, Byte: t.lines[min(line, len(t.lines))-1] + column - 1}
	end := start
	end.Column += length
	end.Byte += length
	return hcl.Range{Filename: t.path, Start: start, End: end}
}
