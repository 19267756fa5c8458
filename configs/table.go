package configs

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan"
	"tandem/dialplan/block"
)

// tableColumns are what a table of extensions may have; the first row names them, in any order.
var tableColumns = []string{"extension", "name", "password", "class", "did", "srtp", "webrtc"}

// mostTableErrors bounds the messages about one table: the first fifty say what is wrong with the rest.
const mostTableErrors = 50

// largestTable bounds a table, in bytes: one of a million phones is a fifth of it.
const largestTable = 512 << 20

// table reads extensions { file = "phones.csv" }: comma-separated values (RFC 4180) with a header row.
func (l *loader) table(b *hcl.Block) {
	r := l.open(b.Body, tableSchema)
	r.Require("file")
	name := r.Text("file", "")
	if name == "" {
		return
	}
	path := l.path(name)
	if l.tables[path] {
		r.Fail(r.Range("file"), "declared twice", "This table is read already.")
		return
	}
	if info, err := os.Stat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > largestTable) {
		r.Fail(r.Range("file"), "not a table", "A table is a plain file of at most %d MiB.", largestTable>>20)
		return
	}
	l.tables[path] = true
	text, err := os.ReadFile(path)
	if err != nil {
		r.Fail(r.Range("file"), "cannot be read", "%s: %s.", path, reason(err))
		return
	}
	class, _ := l.class(r)
	if !filepath.IsAbs(name) {
		path = filepath.Join(l.dir, name) // as the other files are shown
	}
	t := &table{
		loader: l, path: path, text: text,
		class: class, srtp: r.OneOf("srtp", srtpPolicies[0], srtpPolicies...), webrtc: r.OneOf("webrtc", webPolicies[0], webPolicies...),
	}
	l.files[path] = t.text
	if class != "" {
		t.classAt = r.Range("class")
	}
	t.read()
}

// table is one table on its way into extensions.
type table struct {
	*loader
	path    string
	text    []byte
	lines   []int // where each line begins
	columns []string
	csv     *csv.Reader
	row     []string
	class   string // where the row has none
	classAt hcl.Range
	srtp    string
	webrtc  string
	errors  int
}

func (t *table) read() {
	body, _ := bytes.CutPrefix(t.text, []byte("\xef\xbb\xbf")) // spreadsheets put it there
	rows := bytes.Count(body, []byte{'\n'}) + 1
	t.lines = append(make([]int, 0, rows+1), len(t.text)-len(body))
	// A hundred thousand are not copied a dozen times over.
	t.extensions, t.secrets = slices.Grow(t.extensions, rows), slices.Grow(t.secrets, rows)
	for i, c := range t.text {
		if c == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	t.csv = csv.NewReader(bytes.NewReader(body))
	t.csv.FieldsPerRecord, t.csv.ReuseRecord = -1, true
	if !t.next() || !t.header() {
		return
	}
	for t.next() {
		if t.errors > mostTableErrors {
			t.diags = append(t.diags, block.Errorf(t.at(0), "more of it", "The rest of the table is not looked at: mend the first %d.", mostTableErrors))
			return
		}
		t.extension()
	}
}

func (t *table) next() bool {
	row, err := t.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return false
	case errors.As(err, &parse):
		t.fail(t.place(parse.Line, parse.Column, 1), "not a table", "%s: values are parted by commas, and one with a comma or quote stands in quotes.", parse.Err)
		return false
	}
	t.row = row
	return true
}

func (t *table) fail(at hcl.Range, summary, format string, args ...any) {
	t.errors++
	t.diags = append(t.diags, block.Errorf(at, summary, format, args...))
}

// header reads the names of the columns.
func (t *table) header() bool {
	t.columns = slices.Clone(t.row)
	ok := true
	for i, c := range t.columns {
		c = strings.ToLower(strings.TrimSpace(c))
		if !slices.Contains(tableColumns, c) {
			hint := block.DidYouMean(c, tableColumns)
			if strings.Contains(c, ";") {
				hint = " Values are parted by commas, not semicolons."
			}
			t.fail(t.at(i), "unknown column", "%q is none of %s.%s", c, strings.Join(tableColumns, ", "), hint)
			ok = false
		} else if slices.Contains(t.columns[:i], c) {
			t.fail(t.at(i), "declared twice", "The column %q is there already.", c)
			ok = false
		}
		t.columns[i] = c
	}
	for _, need := range []string{"extension", "password"} {
		if ok && !slices.Contains(t.columns, need) {
			t.fail(t.at(0), "missing column", "The first row must name a column %q.", need)
			ok = false
		}
	}
	return ok
}

// at is the place of a field of the row.
func (t *table) at(i int) hcl.Range {
	if i >= len(t.row) {
		i = len(t.row) - 1
	}
	line, column := t.csv.FieldPos(i)
	return t.place(line, column, max(len(t.row[i]), 1))
}

func (t *table) place(line, column, length int) hcl.Range {
	start := hcl.Pos{Line: line, Column: column, Byte: t.lines[min(line, len(t.lines))-1] + column - 1}
	end := start
	end.Column += length
	end.Byte += length
	return hcl.Range{Filename: t.path, Start: start, End: end}
}

// extension reads a row.
func (t *table) extension() {
	if len(t.row) != len(t.columns) {
		t.fail(t.at(len(t.row)-1), "wrong number of values", "The row has %d values and the first row names %d columns.", len(t.row), len(t.columns))
		return
	}
	x := dialplan.Declared{Extension: dialplan.Extension{Class: t.class, SRTP: t.srtp, WebRTC: t.webrtc}, ClassAt: t.classAt}
	var s secret
	ok := false
	for i, c := range t.columns {
		value := strings.TrimSpace(t.row[i])
		switch c {
		case "extension":
			x.Number, x.At = strings.Clone(value), t.at(i)
		case "name":
			if x.Name = strings.Clone(value); !printable(value) {
				t.fail(t.at(i), "not a name", "A name is one line without control characters: it goes on the wire.")
			}
		case "password":
			s, ok = t.password(i, value)
		case "class":
			if value != "" {
				x.Class, x.ClassAt = strings.Clone(value), t.at(i)
			}
		case "did":
			x.DID, x.DIDAt = strings.Clone(value), t.at(i)
		case "srtp":
			if value != "" {
				x.SRTP = t.policy(i, value, srtpPolicies)
			}
		case "webrtc":
			if value != "" {
				x.WebRTC = t.policy(i, value, webPolicies)
			}
		}
	}
	if ok {
		t.secrets = append(t.secrets, ownSecret{x.Number, s})
	}
	t.extensions = append(t.extensions, x)
}

// policy reads one of a few words; what is none of them counts as the first.
func (t *table) policy(i int, value string, policies []string) string {
	for _, p := range policies {
		if p == value {
			return p
		}
	}
	t.fail(t.at(i), "unknown "+t.columns[i], "%q is not one of %s.%s", value, strings.Join(policies, ", "), block.DidYouMean(value, policies))
	return policies[0]
}

// password reads a field such as env:ALICE or sha256:…; a password itself is refused, and not shown again.
func (t *table) password(i int, value string) (secret, bool) {
	s, err := t.secret(value)
	if err == nil {
		return s, true
	}
	at := t.at(i)
	if errors.Is(err, errSecretForm) {
		if value == "" {
			t.fail(at, "no password", "Extensions prove who they are: %s.", err)
			return secret{}, false
		}
		t.hidden[t.path] = append(t.hidden[t.path], at)
		t.fail(at, "password in the file", "A password does not stand in a table: %s.", err)
		return secret{}, false
	}
	t.fail(at, "no password", "%s.", capital(err.Error()))
	return secret{}, false
}
