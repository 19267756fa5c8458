// Package block reads HCL blocks into Go values: typed attributes with bounds, references to named things,
// and suggestions for misspelt words. Every mistake becomes a diagnostic with its place, and reading goes on, so
// that a person sees all of them at once.
//
// It knows nothing of telephony, opens no file and keeps nothing. The compiler of the dialplan and the loader of the
// configuration use it at load time; nothing on the path of a call does.
package block

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Reader reads one block's attributes. Attributes that are absent or wrong give their default.
type Reader struct {
	Attributes hcl.Attributes
	Blocks     hcl.Blocks
	Missing    hcl.Range // where the block ends, the place of "something is missing"

	ctx   *hcl.EvalContext
	diags *hcl.Diagnostics
	meant map[string]bool // known words that unknown ones were near to: they are there, misspelt
}

// Schema names the attributes of a block and the types of its inner blocks. An entry of blocks is a type followed by
// the names of its labels, as in "on class".
func Schema(attributes string, blocks ...string) *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, name := range strings.Fields(attributes) {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: name})
	}
	for _, b := range blocks {
		words := strings.Fields(b)
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: words[0], LabelNames: words[1:]})
	}
	return s
}

// Open reads the content of a body. What does not belong there is reported, with a suggestion where a known name is
// near.
func Open(body hcl.Body, schema *hcl.BodySchema, ctx *hcl.EvalContext, diags *hcl.Diagnostics) *Reader {
	content, d := body.Content(schema)
	*diags = append(*diags, d...)
	r := &Reader{
		Attributes: content.Attributes, Blocks: content.Blocks, Missing: content.MissingItemRange,
		ctx: ctx, diags: diags, meant: map[string]bool{},
	}
	for _, diag := range d {
		if _, after, ok := strings.Cut(diag.Detail, "Did you mean \""); ok {
			word, _, _ := strings.Cut(after, "\"")
			r.meant[word] = true
		}
	}
	return r
}

// Meant tells whether a word of the schema is there, misspelt: that has been reported, so its absence need not be.
func (r *Reader) Meant(word string) bool { return r.meant[word] }

// Fail reports an error at a place.
func (r *Reader) Fail(at hcl.Range, summary, format string, args ...any) {
	*r.diags = append(*r.diags, Errorf(at, summary, format, args...))
}

// Errorf makes a diagnostic of severity error.
func Errorf(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}

// Warnf makes a diagnostic of severity warning.
func Warnf(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	d := Errorf(at, summary, format, args...)
	d.Severity = hcl.DiagWarning
	return d
}

// Has tells whether the attribute is written.
func (r *Reader) Has(name string) bool { return r.Attributes[name] != nil }

// Expr is the attribute's expression, or nil.
func (r *Reader) Expr(name string) hcl.Expression {
	if a := r.Attributes[name]; a != nil {
		return a.Expr
	}
	return nil
}

// Range is the place of the attribute's value, or the end of the block where it is absent.
func (r *Reader) Range(name string) hcl.Range {
	if a := r.Attributes[name]; a != nil {
		return a.Expr.Range()
	}
	return r.Missing
}

// Require reports each of the named attributes that is absent.
func (r *Reader) Require(names ...string) {
	for _, name := range names {
		if !r.Has(name) && !r.meant[name] {
			r.Fail(r.Missing, "missing "+name, "The attribute %q is required here.", name)
		}
	}
}

// Value evaluates the attribute as a value of the type; false: absent, null or wrong (and reported).
func (r *Reader) Value(name string, want cty.Type) (cty.Value, bool) {
	expr := r.Expr(name)
	if expr == nil {
		return cty.NilVal, false
	}
	return r.eval(name, expr, want)
}

func (r *Reader) eval(name string, expr hcl.Expression, want cty.Type) (cty.Value, bool) {
	v, d := expr.Value(r.ctx)
	if d.HasErrors() {
		*r.diags = append(*r.diags, d...)
		return cty.NilVal, false
	}
	if v.IsNull() {
		r.Fail(expr.Range(), "no value", "%q needs a value: leave the attribute out for its default.", name)
		return cty.NilVal, false
	}
	// A number is not silently a text nor the other way about: 0044 written bare would lose its zeros.
	if got := v.Type(); !got.Equals(want) && (got.IsPrimitiveType() || want.IsPrimitiveType()) {
		r.Fail(expr.Range(), "wrong type", "%q must be %s, and this is %s.%s", name, TypeName(want), TypeName(got), quoteHint(got, want))
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || !v.IsWhollyKnown() {
		r.Fail(expr.Range(), "wrong type", "%q must be %s.", name, TypeName(want))
		return cty.NilVal, false
	}
	return v, true
}

func quoteHint(got, want cty.Type) string {
	if got == cty.Number && want == cty.String {
		return " Put it in quotes."
	}
	if got == cty.String && want != cty.String {
		return " Leave the quotes away."
	}
	return ""
}

// TypeName is a type for people.
func TypeName(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a text in quotes"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		return "a list"
	case t.IsObjectType(), t.IsMapType():
		return "an object"
	}
	return t.FriendlyName()
}

// Text reads a text.
func (r *Reader) Text(name, absent string) string {
	v, ok := r.Value(name, cty.String)
	if !ok {
		return absent
	}
	return v.AsString()
}

// Bool reads true or false.
func (r *Reader) Bool(name string, absent bool) bool {
	v, ok := r.Value(name, cty.Bool)
	if !ok {
		return absent
	}
	return v.True()
}

// Int reads a whole number between two bounds, both included.
func (r *Reader) Int(name string, absent, least, most int) int {
	v, ok := r.Value(name, cty.Number)
	if !ok {
		return absent
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < int64(least) || n > int64(most) {
		r.Fail(r.Range(name), "out of range", "%q must be a whole number from %d to %d.", name, least, most)
		return absent
	}
	return int(n)
}

// Duration reads a time such as "20s" or "1h30m", or a number of seconds, between two bounds, both included.
func (r *Reader) Duration(name string, absent, least, most time.Duration) time.Duration {
	expr := r.Expr(name)
	if expr == nil {
		return absent
	}
	v, diags := expr.Value(r.ctx)
	if diags.HasErrors() {
		*r.diags = append(*r.diags, diags...)
		return absent
	}
	var d time.Duration
	switch {
	case v.IsNull() || !v.IsKnown() || v.Type() != cty.Number && v.Type() != cty.String:
		r.Fail(expr.Range(), "wrong type", "%q must be a time such as \"20s\".", name)
		return absent
	case v.Type() == cty.Number:
		seconds, _ := v.AsBigFloat().Float64()
		d = time.Duration(seconds * float64(time.Second))
	default:
		var err error
		if d, err = time.ParseDuration(v.AsString()); err != nil {
			r.Fail(expr.Range(), "not a time", "%q is not a time. Write a number and a unit: \"500ms\", \"20s\", \"10m\", \"1h30m\".", v.AsString())
			return absent
		}
	}
	if d < least || d > most {
		r.Fail(expr.Range(), "out of range", "%q must be between %v and %v.", name, least, most)
		return absent
	}
	return d
}

// Word is a text with the place where it stands.
type Word struct {
	Text string
	At   hcl.Range
}

// Words reads a list of texts, each with its own place, or that of the whole where the list is not written out.
func (r *Reader) Words(name string) []Word {
	var words []Word
	if expr := r.Expr(name); expr != nil {
		if _, d := hcl.ExprList(expr); d.HasErrors() {
			v, d := expr.Value(r.ctx)
			if list, err := convert.Convert(v, cty.List(cty.String)); !d.HasErrors() && err == nil && list.IsWhollyKnown() && !list.IsNull() {
				for _, e := range list.AsValueSlice() {
					words = append(words, Word{e.AsString(), expr.Range()})
				}
				return words
			}
		}
	}
	for _, expr := range r.List(name) {
		if v, ok := r.eval(name, expr, cty.String); ok {
			words = append(words, Word{v.AsString(), expr.Range()})
		}
	}
	return words
}

// List is the expressions of a list, unevaluated; a missing attribute is an empty list.
func (r *Reader) List(name string) []hcl.Expression {
	expr := r.Expr(name)
	if expr == nil {
		return nil
	}
	list, d := hcl.ExprList(expr)
	if d.HasErrors() {
		r.Fail(expr.Range(), "not a list", "%q must be a list: write it in brackets, as in [a, b].", name)
		return nil
	}
	return list
}

// Empty tells whether the attribute is a list that is written out and has nothing in it.
func (r *Reader) Empty(name string) bool {
	expr := r.Expr(name)
	if expr == nil {
		return false
	}
	list, d := hcl.ExprList(expr)
	return !d.HasErrors() && len(list) == 0
}

// OneOf reads a text that must be one of the options.
func (r *Reader) OneOf(name, absent string, options ...string) string {
	text := r.Text(name, absent)
	if text == absent {
		return text
	}
	for _, o := range options {
		if text == o {
			return text
		}
	}
	r.Fail(r.Range(name), "unknown "+name, "%q is not one of %s.%s", text, strings.Join(options, ", "), DidYouMean(text, options))
	return absent
}

// Native gives the syntax tree of an expression. In a JSON file an expression is a string, either bare
// ("class.office") or as a template ("${class.office}"); both are understood.
func Native(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	if native, ok := expr.(hclsyntax.Expression); ok {
		return native, nil
	}
	raw, d := expr.Value(nil)
	if d.HasErrors() || raw.IsNull() || raw.Type() != cty.String {
		return nil, hcl.Diagnostics{Errorf(expr.Range(), "not an expression", "In JSON an expression is a string, such as \"class.office\" or \"${call.to}\".")}
	}
	text, start := raw.AsString(), expr.Range().Start
	start.Column++
	start.Byte++
	if inner, ok := strings.CutPrefix(text, "${"); ok && strings.HasSuffix(inner, "}") {
		text = inner[:len(inner)-1]
		start.Column += 2
		start.Byte += 2
	}
	return hclsyntax.ParseExpression([]byte(text), expr.Range().Filename, start)
}
