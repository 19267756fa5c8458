package block

import (
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestNearest(t *testing.T) {
	words := []string{"address", "transport", "certificate", "is_open", "to", "office"}
	for given, want := range map[string]string{
		"adress": "address", "tranpsort": "transport", "certifcate": "certificate", "open": "is_open", "too": "to",
		"OFFICE": "office", "ofice": "office", "zzz": "", "": "", "completely-else": "",
	} {
		if got := Nearest(given, words); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
	if slips("ab", "ba") != 1 || slips("kitten", "sitting") != 3 || slips("", "abc") != 3 {
		t.Error("slips are counted wrong")
	}
}

func TestRefs(t *testing.T) {
	kinds := []string{"class", "extension", "ring_group"}
	for text, want := range map[string]Ref{
		`class.office`:      {Kind: "class", Name: "office"},
		`class["2nd"]`:      {Kind: "class", Name: "2nd"},
		`extension["0044"]`: {Kind: "extension", Name: "0044"},
	} {
		got, d := RefOf(expression(t, text), kinds...)
		if d != nil || got.Kind != want.Kind || got.Name != want.Name {
			t.Errorf("%s: %+v %v", text, got, d)
		}
		if back := Spell(got.Kind, got.Name); back != text {
			t.Errorf("%s is spelt %s", text, back)
		}
	}
	for text, want := range map[string]string{
		`extension.1001`:     `A number that stands bare loses its leading zeros, so extensions have one spelling. Did you mean extension["1001"]?`,
		`extension.0044`:     `A number that stands bare loses its leading zeros, so extensions have one spelling. Did you mean extension["0044"]?`,
		`extension[1001]`:    `A number that stands bare loses its leading zeros, so extensions have one spelling. Did you mean extension["1001"]?`,
		`extension.alice`:    `A number that stands bare loses its leading zeros, so extensions have one spelling. Did you mean extension["alice"]?`,
		`"1001"`:             `A quoted text is not a reference. Write class["1001"] or extension["1001"] or ring_group["1001"].`,
		`class`:              `Name which one: class.name.`,
		`class.office.x`:     `The reference ends after the name: write class.name.`,
		`clas.office`:        `"clas" cannot stand here: write class.name or extension["name"] or ring_group.name. Did you mean "class"?`,
		`1 + 1`:              `Write class.name or extension["name"] or ring_group.name.`,
		`extension[call.to]`: `Write class.name or extension["name"] or ring_group.name.`,
	} {
		if got, d := RefOf(expression(t, text), kinds...); d == nil || d.Detail != want {
			t.Errorf("%s: %+v %v", text, got, d)
		}
	}
}

func expression(t *testing.T, text string) hcl.Expression {
	t.Helper()
	e, d := hclsyntax.ParseExpression([]byte(text), "x.hcl", hcl.InitialPos)
	if d.HasErrors() {
		t.Fatal(d)
	}
	return e
}

func TestReader(t *testing.T) {
	file, d := hclsyntax.ParseConfig([]byte(`
text = "0044"
yes = true
count = 12
half = 0.5
wait = "90s"
seconds = 2.5
words = ["a", "b", 3]
none = []
nothing = null
choice = "second"
`), "x.hcl", hcl.InitialPos)
	if d.HasErrors() {
		t.Fatal(d)
	}
	var diags hcl.Diagnostics
	r := Open(file.Body, Schema("text yes count half wait seconds words none nothing choice"), nil, &diags)
	if r.Text("text", "") != "0044" || !r.Bool("yes", false) || r.Int("count", 0, 1, 20) != 12 || r.Text("absent", "default") != "default" {
		t.Error("a value is wrong")
	}
	if r.Duration("wait", 0, 0, time.Hour) != 90*time.Second || r.Duration("seconds", 0, 0, time.Hour) != 2500*time.Millisecond {
		t.Error("a time is wrong")
	}
	if r.OneOf("choice", "first", "first", "second") != "second" || !r.Empty("none") || r.Empty("words") || r.Empty("absent") {
		t.Error("a choice or list is wrong")
	}
	if len(diags) != 0 {
		t.Fatal(diags)
	}
	for name, read := range map[string]func(){
		"a number as text": func() { r.Text("count", "") },
		"text as a number": func() { r.Int("text", 0, 0, 100) },
		"half a count":     func() { r.Int("half", 0, 0, 100) },
		"out of bounds":    func() { r.Int("count", 0, 0, 10) },
		"no time":          func() { r.Duration("text", 0, 0, time.Hour) },
		"too long":         func() { r.Duration("wait", 0, 0, time.Minute) },
		"a number in text": func() { r.Words("words") },
		"not a list":       func() { r.Words("text") },
		"null":             func() { r.Text("nothing", "") },
		"no such choice":   func() { r.OneOf("choice", "first", "first", "third") },
		"missing":          func() { r.Require("text", "absent") },
	} {
		before := len(diags)
		if read(); len(diags) != before+1 {
			t.Errorf("%s: %d diagnostics", name, len(diags)-before)
		}
	}
}
