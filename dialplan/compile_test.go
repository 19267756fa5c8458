package dialplan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"tandem/dialplan/block"
)

// sourceOf reads HCL texts as files a.hcl, b.hcl, … the way a configuration is read.
func sourceOf(t testing.TB, texts ...string) Source {
	t.Helper()
	src := Source{Files: map[string][]byte{}, Resolve: func(path string) (string, error) {
		if strings.HasPrefix(path, "missing") {
			return "", fmt.Errorf("%s does not exist", path)
		}
		return "/sounds/" + path, nil
	}, Read: func(path string) ([]byte, error) { return nil, fmt.Errorf("%s does not exist", path) }}
	for i, text := range texts {
		name := string(rune('a'+i)) + ".hcl"
		file, d := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
		if d.HasErrors() {
			t.Fatal(d)
		}
		src.Files[name] = file.Bytes
		Prepare(file.Body)
		content, d := file.Body.Content(&hcl.BodySchema{Blocks: append(Schema(), hcl.BlockHeaderSchema{Type: "extension", LabelNames: []string{"number"}})})
		if d.HasErrors() {
			t.Fatal(d)
		}
		for _, b := range content.Blocks {
			if b.Type != "extension" {
				src.Blocks = append(src.Blocks, b)
				continue
			}
			var diags hcl.Diagnostics
			r := block.Open(b.Body, block.Schema("name class did"), nil, &diags)
			x := Declared{Extension: Extension{Number: b.Labels[0], Name: r.Text("name", ""), DID: r.Text("did", ""), SRTP: "optional"}, At: b.LabelRanges[0], DIDAt: r.Range("did")}
			if e := r.Expr("class"); e != nil {
				ref, ok := r.Ref(e, "class")
				if ok {
					x.Class, x.ClassAt = ref.Name, ref.NameAt
				}
			}
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			src.Extensions = append(src.Extensions, x)
		}
	}
	return src
}

// plan compiles HCL texts that must be right.
func plan(t testing.TB, texts ...string) *Plan {
	t.Helper()
	p, d := Compile(sourceOf(t, texts...))
	if d.HasErrors() {
		t.Fatal(describeAll(d))
	}
	return p
}

func describeAll(d hcl.Diagnostics) string {
	var b strings.Builder
	for _, diag := range d {
		fmt.Fprintf(&b, "%s: %s: %s\n", diag.Subject, diag.Summary, diag.Detail)
	}
	return b.String()
}

// refused compiles HCL texts that must be wrong, and wants each of the texts in a message.
func refused(t *testing.T, want []string, texts ...string) {
	t.Helper()
	p, d := Compile(sourceOf(t, texts...))
	if p != nil || !d.HasErrors() {
		t.Errorf("loaded: %s", strings.Join(texts, "\n"))
		return
	}
	got := describeAll(d)
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in\n%s", w, got)
		}
	}
}

const people = `
numbering { country = "GB" }
class "office" {
  max_calls = 2
  countries = ["GB", "FR"]
}
class "guest" {}
extension "1001" {
  name  = "Alice"
  class = class.office
  did   = "+442079460018"
}
extension "1002" {
  name  = "Bob"
  class = class.office
}
extension "1003" {
  name  = "Guest"
  class = class.guest
}
extension "1004" {}
`

func TestTwoRoutesThatClash(t *testing.T) {
	route := func(name, rest string) string {
		return fmt.Sprintf("route %q {\n %s\n echo {}\n}\n", name, rest)
	}
	t.Run("crossing", func(t *testing.T) {
		refused(t, []string{`b.hcl:2,7-13: ambiguous routes: Route "second" (15xx) and route "first" (1xx5) at a.hcl:22:1 both match 1505`},
			people+route("first", `to = "1xx5"`), route("second", `to = "15xx"`))
	})
	t.Run("equal", func(t *testing.T) {
		refused(t, []string{"two routes on one pattern", "both match 2000"}, people+route("first", `to = "2xxx"`)+route("second", `to = "2x{3}"`))
	})
	t.Run("equal in other words", func(t *testing.T) {
		refused(t, []string{"two routes on one pattern", "both match 00"}, people+route("first", `to = "x{1,2}x"`)+route("second", `to = "xx{1,2}"`))
	})
	t.Run("conditions in two files", func(t *testing.T) {
		refused(t, []string{"conditions in two files"},
			people+route("first", "to = \"2xxx\"\n when = call.hour < 9"), route("second", "to = \"2xxx\"\n when = call.hour > 17"))
	})
	t.Run("a class and one of its members", func(t *testing.T) {
		refused(t, []string{"two routes on one pattern"}, people+route("first", "to = \"2xxx\"\n from = [class.office]")+route("second", "to = \"2xxx\"\n from = [extension[\"1001\"]]"))
	})
	t.Run("too intricate", func(t *testing.T) {
		refused(t, []string{"patterns too intricate"}, people+route("first", `to = "x{0,30}5x{20}"`)+route("second", `to = "x{30}5x{20}"`))
	})
	for name, texts := range map[string][]string{
		"other callers":       {route("a", "to = \"1xx5\"\n from = [class.office]"), route("b", "to = \"15xx\"\n from = [class.guest]")},
		"one inside":          {route("a", `to = "1xxx"`), route("b", `to = "15xx"`), route("c", `to = "1505"`)},
		"a condition":         {route("a", "to = \"1xxx\"\n when = call.hour < 9") + route("b", `to = "1xxx"`)},
		"two conditions":      {route("a", "to = \"1xxx\"\n when = call.hour < 9") + route("b", "to = \"1xxx\"\n when = call.hour > 17")},
		"no member of hers":   {route("a", "to = \"2xxx\"\n from = [class.guest]") + route("b", "to = \"2xxx\"\n from = [extension[\"1001\"]]")},
		"nothing in common":   {route("a", `to = "1xxx"`), route("b", `to = "2xxx"`)},
		"more digits, fewer ": {route("a", `to = "+..."`), route("b", `to = "+44..."`), route("c", `to = "+442079460018"`)},
	} {
		t.Run(name, func(t *testing.T) { plan(t, append([]string{people}, texts...)...) })
	}
}

// Conditions are checked for what they could never answer, not only for spelling.
func TestConditionsAreCheckedAtLoad(t *testing.T) {
	schedule := "schedule \"office\" {\n timezone = \"Europe/London\"\n open = [\"mon-fri 09:00-17:30\"]\n}\n"
	for when, want := range map[string]string{
		`call.hor < 9`:                             `call has no "hor". Did you mean "hour"?`,
		`schedule.ofice.is_open`:                   `Did you mean "office"?`,
		`schedule.office.open`:                     `schedule.office has no "open". Did you mean "is_open"?`,
		`schedule.office`:                          `schedule.NAME.is_open`,
		`call.extension`:                           "is not a value: it has class, did, name, number",
		`call.extension.nam == "x"`:                `Did you mean "name"?`,
		`cal.hour < 9`:                             `Did you mean "call"?`,
		`call.hour`:                                "A condition must be true or false, and this is a number",
		`"true"`:                                   "A condition must be true or false, and this is a text in quotes",
		`call.hour == "9"`:                         "never equal",
		`call.from + 1 > 2`:                        "This is a text in quotes, and a number is needed",
		`call.from < "2"`:                          "This is a text in quotes, and a number is needed",
		`call.hour / call.minute > 1`:              "Divide only by a number",
		`call.hour % 0 == 1`:                       "Divide only by a number",
		`call.hour && true`:                        "Unsuitable value for left operand",
		`!call.from`:                               "This is a text in quotes, and true or false is needed",
		`call.hour > 3 ? true : null`:              "null is no answer",
		`[true][call.hour]`:                        "no computed indexes",
		`matches(call.from, call.to)`:              "is written out",
		`matches(call.from, "9.")`:                 `is written "..."`,
		`startswith(call.hour, "1")`:               "This is a number, and a text in quotes is needed",
		`beginswith(call.from, "1")`:               "no function named",
		`call.class == class.ofice`:                `Did you mean "office"?`,
		`call.class == extension["1001"]`:          "not \"extension\"",
		`call.to.x == "1"`:                         "call.to has no parts",
		`startswith([for x in ["a"] : x][0], "a")`: "no loops",
	} {
		t.Run(when, func(t *testing.T) {
			refused(t, []string{want}, people+schedule, "route \"r\" {\n to = \"1xxx\"\n when = "+when+"\n echo {}\n}\n")
		})
	}
	for _, when := range []string{
		`schedule.office.is_open`, `!schedule.office.is_open && call.hour >= 8`, `schedule.office.is_closed || call.weekday == "sat"`,
		`call.class == class.office`, `call.extension.did != ""`, `call.hour % 2 == 0`, `startswith(call.from, "+44")`, `endswith(call.to, "5")`,
		`matches(call.from, "+44...")`, `oneof(call.to, "1001", "1002")`, `(call.hour > 8 ? call.minute : 0) < 30`, `call.date == "2026-12-25"`,
	} {
		t.Run(when, func(t *testing.T) {
			p := plan(t, people+schedule, "route \"r\" {\n to = \"1xxx\"\n when = "+when+"\n echo {}\n}\n")
			for _, caller := range []string{"1001", "1004"} {
				for _, r := range p.Route(Facts{From: caller, To: "1001", Now: at(t, "2026-11-23T10:07:00Z")}).Reasons {
					if strings.Contains(r.Why, "failed") {
						t.Error(r.Why)
					}
				}
			}
		})
	}
}

func TestNumberingTakesAPatternsForm(t *testing.T) {
	_, d := Compile(sourceOf(t, people+"route \"r\" {\n to = \"020...\"\n echo {}\n}\n"))
	if got := describeAll(d); !strings.Contains(got, "numbering comes first") || d.HasErrors() {
		t.Errorf("020... in Britain: %s", got)
	}
	for _, fine := range []string{"+4420...", "1xxx", "0", "00", "*98", "...", "999"} {
		if _, d := Compile(sourceOf(t, people+"route \"r\" {\n to = \""+fine+"\"\n echo {}\n}\n")); len(d) != 0 {
			t.Errorf("%s: %s", fine, describeAll(d))
		}
	}
}

// The version names what the plan says and nothing else.
func TestVersion(t *testing.T) {
	one := "route \"a\" {\n to = \"1xxx\"\n dial {\n extension = call.to\n }\n}\n"
	two := "route \"b\" {\n to = \"9\"\n echo {}\n}\n"
	v := plan(t, people+one+two).Version()
	if len(v) != 12 {
		t.Errorf("version %q", v)
	}
	if o := plan(t, two, "# said again\n"+people, strings.ReplaceAll(one, " ", "   ")).Version(); o != v {
		t.Errorf("files and blanks made %s of %s", o, v)
	}
	for what, texts := range map[string][]string{
		"a pattern":   {people, strings.Replace(one, "1xxx", "10xx", 1), two},
		"a timeout":   {people, strings.Replace(one, "call.to", "call.to\n timeout = 30", 1), two},
		"a name":      {strings.Replace(people, "Alice", "Alicia", 1), one, two},
		"a country":   {strings.Replace(people, `"FR"`, `"DE"`, 1), one, two},
		"no route b":  {people, one},
		"another tel": {people + "extension \"1005\" {}\n", one, two},
	} {
		if plan(t, texts...).Version() == v {
			t.Errorf("%s changed and the version did not", what)
		}
	}
}
