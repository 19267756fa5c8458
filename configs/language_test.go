package configs

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/dialplan"
)

// Every word that is read is described, and every word that is described is read.
func TestLanguageIsDescribedWhole(t *testing.T) {
	read := schemas()
	described := map[string]bool{}
	for _, w := range Language() {
		described[w.key()] = true
		s := read[w.key()]
		if s == nil {
			t.Errorf("%s is described and not read", w.Name)
			continue
		}
		if w.Means == "" {
			t.Errorf("%s has no meaning", w.Name)
		}
		var want, got []string
		for _, a := range s.Attributes {
			want = append(want, a.Name)
		}
		for _, a := range w.Attributes {
			got = append(got, a.Name)
			if a.Means == "" || a.Type == "" {
				t.Errorf("%s.%s is not described", w.Name, a.Name)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s has %v, and described are %v", w.Name, want, got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if !described[name] {
			t.Errorf("%s is read and not described", name)
		}
	}
	for _, b := range topSchema.Blocks {
		if read[b.Type] == nil && !dialplan.IsLater(b.Type) {
			t.Errorf("block %s is in no schema", b.Type)
		}
	}
}

// page is the language for people; what stands between its marks is made by the code.
const page = "../DIALPLAN.md"

func generated() map[string]string {
	facts := "`" + strings.Join(dialplan.CallFacts(), "`, `") + "`\n"
	return map[string]string{"blocks": Reference(false), "steps": Reference(true), "facts": facts, "examples": examplesTable()}
}

func examplesTable() string {
	var b strings.Builder
	folders, _ := filepath.Glob("examples/*")
	for _, dir := range folders {
		c, _ := Load(dir)
		text, _ := os.ReadFile(filepath.Join(dir, "switch.hcl"))
		if text == nil {
			text, _ = os.ReadFile(filepath.Join(dir, "node.hcl"))
		}
		about, _, _ := strings.Cut(string(text), "\n#\n")
		about = strings.Join(strings.Fields(strings.ReplaceAll(about, "\n#", " ")), " ")
		b.WriteString("- `configs/" + dir + "`: " + strings.TrimPrefix(about, "# "))
		if c != nil && c.Plan.Tests() > 0 {
			b.WriteString(" Its tests reach every route.")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestDialplanPageIsFresh(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	fresh := string(text)
	for name, body := range generated() {
		begin, end := "<!-- "+name+": made by the code -->\n", "<!-- end of "+name+" -->"
		before, rest, ok1 := strings.Cut(fresh, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("the page has no place for %s", name)
		}
		fresh = before + begin + body + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fresh != string(text) {
		t.Error("DIALPLAN.md is stale: go test ./configs -run DialplanPage -update")
	}
}

func TestJSONSchema(t *testing.T) {
	text, err := json.Marshal(JSONSchema())
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, b := range topSchema.Blocks {
		if s.Properties[b.Type] == nil && !dialplan.IsLater(b.Type) {
			t.Errorf("no block %s", b.Type)
		}
	}
	for _, step := range dialplan.Steps() {
		if s.Defs["steps"].Properties[step] == nil && !dialplan.IsLater(step) {
			t.Errorf("no step %s", step)
		}
	}
}
