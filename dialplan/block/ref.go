package block

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Ref is a reference to a named thing, such as class.office or extension["1001"].
type Ref struct {
	Kind, Name string
	At         hcl.Range // the whole reference
	NameAt     hcl.Range // the name in it
}

// Ref reads an expression that must be a reference of one of the kinds.
func (r *Reader) Ref(expr hcl.Expression, kinds ...string) (Ref, bool) {
	ref, d := RefOf(expr, kinds...)
	if d != nil {
		*r.diags = append(*r.diags, d)
		return Ref{}, false
	}
	return ref, true
}

// Refs reads a list of references.
func (r *Reader) Refs(name string, kinds ...string) []Ref {
	var refs []Ref
	for _, expr := range r.List(name) {
		if ref, ok := r.Ref(expr, kinds...); ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// RefOf reads an expression that must be a reference of one of the kinds.
func RefOf(expr hcl.Expression, kinds ...string) (Ref, *hcl.Diagnostic) {
	native, diags := Native(expr)
	if diags.HasErrors() {
		return Ref{}, diags[0]
	}
	path, diags := hcl.AbsTraversalForExpr(native)
	if diags.HasErrors() {
		return Ref{}, notRef(expr, native, kinds)
	}
	return FromPath(path, kinds...)
}

// notRef explains why something is no reference; a quoted name is the usual mistake.
func notRef(expr, native hcl.Expression, kinds []string) *hcl.Diagnostic {
	if v, d := native.Value(nil); !d.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		return Errorf(expr.Range(), "not a reference", "A quoted text is not a reference. Write %s.", spellings(v.AsString(), kinds))
	}
	return Errorf(expr.Range(), "not a reference", "Write %s.", spellings("name", kinds))
}

func spellings(name string, kinds []string) string {
	out := make([]string, len(kinds))
	for i, kind := range kinds {
		out[i] = Spell(kind, name)
	}
	return strings.Join(out, " or ")
}

// Spell writes a reference the one way that it is written: extension["1001"], class.office.
func Spell(kind, name string) string {
	if kind == "extension" || !identifier(name) {
		return kind + `["` + name + `"]`
	}
	return kind + "." + name
}

func identifier(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z' || s[i] == '_'
		if !letter && (i == 0 || s[i] != '-' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}

// FromPath reads a reference from a traversal.
func FromPath(path hcl.Traversal, kinds ...string) (Ref, *hcl.Diagnostic) {
	root := path[0].(hcl.TraverseRoot)
	at := path.SourceRange()
	if !contains(kinds, root.Name) {
		return Ref{}, Errorf(root.SrcRange, "wrong kind of reference", "%q cannot stand here: write %s.%s",
			root.Name, spellings("name", kinds), DidYouMean(root.Name, kinds))
	}
	if len(path) < 2 {
		return Ref{}, Errorf(at, "incomplete reference", "Name which one: %s.", Spell(root.Name, "name"))
	}
	if len(path) > 2 {
		return Ref{}, Errorf(at, "not a reference", "The reference ends after the name: write %s.", spellings("name", []string{root.Name}))
	}
	switch step := path[1].(type) {
	case hcl.TraverseAttr:
		if root.Name == "extension" {
			return Ref{}, teach(step.SrcRange, step.Name)
		}
		return Ref{root.Name, step.Name, at, step.SrcRange}, nil
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return Ref{root.Name, step.Key.AsString(), at, step.SrcRange}, nil
		}
		return Ref{}, teach(at, digits(step))
	}
	return Ref{}, Errorf(at, "not a reference", "Write %s.", spellings("name", kinds))
}

func teach(at hcl.Range, name string) *hcl.Diagnostic {
	return Errorf(at, "extension without quotes",
		"A number that stands bare loses its leading zeros, so extensions have one spelling. Did you mean extension[%q]?", name)
}

// digits is the number as it was written. All that the parser has lost of it are zeros in front, and the width of the
// source tells how many: one byte more than the digits in extension.0044, two more in extension[44].
func digits(step hcl.TraverseIndex) string {
	text := step.Key.AsBigFloat().Text('f', -1)
	width := step.SrcRange.End.Byte - step.SrcRange.Start.Byte
	if zeros := width - len(".") - len(text); width != len("[]")+len(text) && zeros > 0 && zeros < 64 {
		return strings.Repeat("0", zeros) + text
	}
	return text
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
