package configs

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostic is one mistake, or one thing that is probably a mistake.
type Diagnostic struct {
	Severity   string `json:"severity"` // "error" or "warning"
	File       string `json:"file"`
	Line       int    `json:"line,omitempty"`   // from 1; 0: the file or folder as a whole
	Column     int    `json:"column,omitempty"` // from 1, in characters
	EndLine    int    `json:"end_line,omitempty"`
	EndColumn  int    `json:"end_column,omitempty"`
	Summary    string `json:"summary"`
	Detail     string `json:"detail,omitempty"`
	Suggestion string `json:"suggestion,omitempty"` // what was meant, where that can be guessed
	Source     string `json:"source,omitempty"`     // the line, with passwords made unreadable

	mark string // blanks and tabs up to the caret, and carets
}

// Diagnostics is all that is to be said of a configuration, by file and line. As JSON it is a list.
type Diagnostics []Diagnostic

// HasErrors tells whether the configuration cannot be used.
func (d Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d, func(x Diagnostic) bool { return x.Severity == "error" })
}

// String is all diagnostics for people; empty where there are none.
func (d Diagnostics) String() string {
	var b strings.Builder
	for _, x := range d {
		b.WriteString(x.String())
	}
	return b.String()
}

// Error is String: diagnostics with errors among them may be returned as an error.
func (d Diagnostics) Error() string { return d.String() }

// String is the place, the message, the source line with carets, and the suggestion.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	fmt.Fprintf(&b, ": %s: %s\n", d.Severity, d.Summary)
	if d.Line > 0 {
		fmt.Fprintf(&b, "%5d | %s\n      | %s\n", d.Line, d.Source, d.mark)
	}
	if d.Detail != "" {
		fmt.Fprintf(&b, "        %s\n", d.Detail)
	}
	if d.Suggestion != "" {
		fmt.Fprintf(&b, "        did you mean %s?\n", d.Suggestion)
	}
	return b.String()
}

// meant finds the suggestion that a message ends with: ours, and those of the HCL library.
var meant = regexp.MustCompile(` ?Did you mean (?:to define argument )?("[^"]*"|[^?]+)\?(?: If so, .*)?$`)

// diagnostics turns what was found into what is shown.
func (l *loader) diagnostics() Diagnostics {
	out := make(Diagnostics, 0, len(l.diags))
	for _, d := range l.diags {
		out = append(out, l.diagnostic(d))
	}
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.CompactFunc(out, func(a, b Diagnostic) bool { return a == b })
}

func (l *loader) diagnostic(d *hcl.Diagnostic) Diagnostic {
	x := Diagnostic{Severity: "error", Summary: lower(d.Summary), Detail: d.Detail, File: l.dir}
	if d.Severity == hcl.DiagWarning {
		x.Severity = "warning"
	}
	if why, ok := strings.CutPrefix(x.Detail, `Invalid value for "where" parameter: `); ok {
		x.Summary, x.Detail = "no secret", capital(why)
	}
	if m := meant.FindStringSubmatch(x.Detail); m != nil {
		x.Suggestion = m[1]
		x.Detail = strings.TrimSuffix(x.Detail, m[0])
	}
	if d.Subject == nil {
		return x
	}
	r := *d.Subject
	x.File = r.Filename
	if r.Start.Line == 0 {
		return x
	}
	x.Line, x.Column, x.EndLine, x.EndColumn = r.Start.Line, r.Start.Column, r.End.Line, r.End.Column
	x.Source, x.mark = snippet(l.show(r.Filename), r)
	return x
}

// show is a file as it may be shown.
func (l *loader) show(name string) []byte {
	text, ok := l.shown[name]
	if !ok {
		text = concealed(l.files[name])
		for _, r := range l.hidden[name] {
			stars(text[min(r.Start.Byte, len(text)):min(r.End.Byte, len(text))])
		}
		l.shown[name] = text
	}
	return text
}

// snippet is the first line of a range and the carets under it.
func snippet(text []byte, r hcl.Range) (line, mark string) {
	start := min(r.Start.Byte, len(text))
	first := bytes.LastIndexByte(text[:start], '\n') + 1
	last := len(text)
	if i := bytes.IndexByte(text[start:], '\n'); i >= 0 {
		last = start + i
	}
	end := min(max(r.End.Byte, start+1), last)
	pad := strings.Map(func(c rune) rune {
		if c == '\t' {
			return c
		}
		return ' '
	}, string(text[first:start]))
	carets := 1
	if end > start {
		carets = len([]rune(string(text[start:end])))
	}
	return strings.TrimRight(string(text[first:last]), "\r"), pad + strings.Repeat("^", carets)
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-0x20) + s[1:]
}

// lower makes the first letter small, unless the word is a name or an abbreviation.
func lower(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z' {
		return string(s[0]+0x20) + s[1:]
	}
	return s
}

var (
	plainPassword = regexp.MustCompile(`(?m)"?\b(?:password|secret)"?\s*[=:]\s*"((?:[^"\\\n]|\\.)*)"`)
	barePassword  = regexp.MustCompile(`\bpassword"?\s*[=:]\s*([0-9]+)`)
	inSecret      = regexp.MustCompile(`\bsecret\(\s*\\?"([^"\n]*)"`)
	storedHash    = regexp.MustCompile(`\b(?:sha256|md5):([^"\s,\\]+)`)
)

// concealed is a file as it may be shown: passwords and hashes are stars, of the same length, so that columns hold.
func concealed(text []byte) []byte {
	out := bytes.Clone(text)
	for _, re := range []*regexp.Regexp{plainPassword, barePassword, inSecret, storedHash} {
		for _, m := range re.FindAllSubmatchIndex(text, -1) {
			if at := text[m[2]:m[3]]; re == storedHash || !pointer.Match(at) {
				stars(out[m[2]:m[3]])
			}
		}
	}
	return out
}

// pointer is what says where a secret is, and not the secret.
var pointer = regexp.MustCompile(`^(?:env|file|sha256|md5):|^\$\{`)

func stars(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
