package dialplan

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// withTable compiles HCL and a table of routes.
func withTable(t testing.TB, text, table string) (*Plan, hcl.Diagnostics) {
	src := sourceOf(t, text)
	src.Read = func(string) ([]byte, error) { return []byte(table), nil }
	return Compile(src)
}

const rates = people + `
trunk "a" { proxy = "192.0.2.1" }
trunk "b" { proxy = "192.0.2.2" }
routes "rates" {
  file      = "rates.csv"
  from      = [class.office]
  caller_id = call.extension.did
  dial {
    trunks  = [trunk.b]
    timeout = "90s"
  }
  failover { on = ["5xx"] }
}
route "internal" {
  to = "1xxx"
  dial { extension = call.to }
}
test "a row" {
  call   = { from = "1001", to = "+33140000000" }
  expect = { route = "rates/+33...", tried = ["trunk.a"] }
}
`

func TestRouteTable(t *testing.T) {
	table := "to,trunks,status\n+33...,a trunk.b,\n+336...,b,\n+338...,,403\n+44...,,\n+442079460018,,\n"
	p, d := withTable(t, rates, table)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	for to, want := range map[string]string{
		"+33140000000": "dial trunk a with +33140000000 trunk b with +33140000000 for 1m30s, next trunk on 5xx",
		"+33640000000": "dial trunk b with +33640000000 for 1m30s, next trunk on 5xx",
		"+33840000000": "reject 403 ",
		"02079460011":  "dial trunk b with +442079460011 for 1m30s, next trunk on 5xx",
	} {
		got := p.Route(Facts{From: "1001", To: to})
		if DescribeSteps(got.Steps) != want || !strings.HasPrefix(got.Route, "rates/+") {
			t.Errorf("%s takes %s: %s, want %s", to, got.Route, DescribeSteps(got.Steps), want)
		}
	}
	if got := p.Route(Facts{From: "1001", To: "+33140000000"}); got.Place != (Place{"/sounds/rates.csv", 2, 1}) || got.CallerID.Number != "+442079460018" {
		t.Errorf("%+v", got)
	}
	if proof := p.Test(); proof.Failed != 0 || proof.Routes != 2 || len(proof.Unreached) != 1 {
		t.Errorf("%s", proof)
	}
	if x := p.Explain(Facts{From: "1001", To: "1002"}); len(x.Reasons) != 1 {
		t.Errorf("a table is not told row by row: %v", x.Reasons)
	}
	other, _ := withTable(t, rates, strings.Replace(table, "b,", "a,", 1))
	if other.Version() == p.Version() {
		t.Error("another table is another plan")
	}
	if got := Compare(p, other, time.Unix(1790000000, 0)); len(got.Shifts) == 0 {
		t.Error("what a row changes is not seen")
	}
}

func TestBrokenRouteTables(t *testing.T) {
	for table, want := range map[string]string{
		"":                                 "empty table",
		"to,trunk\n":                       `"trunk" is none of to, trunks, extension, status. Did you mean "trunks"?`,
		"trunks\na\n":                      `must name a column "to"`,
		"to,to\n":                          "declared twice",
		"to,trunks\n+33...,c\n":            `/sounds/rates.csv:2,8-9: unknown trunk: There is no trunk "c". Did you mean "a"?`,
		"to,trunks\n+33...\n":              "has 1 values and the first row names 2",
		"to\n_33.\n":                       "/sounds/rates.csv:2,1-5: not a pattern",
		"to,status\n+33...,200\n":          "not a status",
		"to,extension\n+33...,1009\n":      `There is no extension "1009"`,
		"to\n+33...\n\"+34":                "not a table",
		"to\n+33...\n+33...\n":             "two routes on one pattern",
		"to\n+33x{6}5x\n+33x{5}5xx\n":      "ambiguous routes",
		"to\n" + strings.Repeat("y\n", 60): "mend the first 50",
	} {
		p, d := withTable(t, rates, table)
		if p != nil || !strings.Contains(describeAll(d), want) {
			t.Errorf("%q: no %q in\n%s", table, want, describeAll(d))
		}
	}
}

// priceList is a table of n prefixes of different lengths, as carriers write them.
func priceList(n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var b bytes.Buffer
	b.WriteString("to,status\n")
	seen := map[string]bool{}
	for len(seen) < n {
		prefix := fmt.Sprintf("+%d%0*d...", 1+r.IntN(9), 4+r.IntN(5), r.IntN(1_000_000_000))
		if len(prefix) <= 14 && !seen[prefix] {
			seen[prefix] = true
			fmt.Fprintf(&b, "%s,40%d\n", prefix, r.IntN(5))
		}
	}
	return b.String()
}

const listed = `
class "all" {
  countries = ["*"]
  premium   = true
}
extension "1001" { class = class.all }
routes "rates" { file = "rates.csv" }
`

// A million routes load in seconds and match in about a microsecond.
func TestAMillionRoutes(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	table := priceList(n)
	start := time.Now()
	p, d := withTable(t, listed, table)
	took := time.Since(start)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	var numbers []string
	for line := range strings.SplitSeq(table[:min(len(table), 400_000)], "\n") {
		if prefix, _, ok := strings.Cut(line, "..."); ok {
			numbers = append(numbers, (prefix + "1234567")[:len(prefix)+4])
		}
	}
	var room [16]int32
	start = time.Now()
	for range 10 {
		for _, number := range numbers {
			if len(p.matcher.match(number, room[:0])) == 0 {
				t.Fatal(number, "matches nothing")
			}
		}
	}
	each := time.Since(start) / time.Duration(10*len(numbers))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d routes loaded in %v, %v a match, %d MB", p.Routes(), took.Round(time.Millisecond), each, m.HeapAlloc>>20)
	if took > time.Minute || each > 50*time.Microsecond { // far above what it takes: other work shares the machine
		t.Errorf("loading took %v, a match %v", took, each)
	}
	runtime.KeepAlive(p)
}

// The compiled matcher beside what a dialplan of regular expressions does: ten thousand of them, tried in turn.
func BenchmarkMatcherBesideRegexps(b *testing.B) {
	table := priceList(10_000)
	p, d := withTable(b, listed, table)
	if p == nil {
		b.Fatal(describeAll(d))
	}
	var list []*regexp.Regexp
	var numbers []string
	for line := range strings.SplitSeq(table, "\n") {
		if prefix, _, ok := strings.Cut(line, "..."); ok {
			list = append(list, regexp.MustCompile("^"+regexp.QuoteMeta(prefix)+"[0-9]*$"))
			numbers = append(numbers, (prefix + "1234567")[:len(prefix)+4])
		}
	}
	b.Run("compiled", func(b *testing.B) {
		var room [16]int32
		for i := 0; b.Loop(); i++ {
			p.matcher.match(numbers[i%len(numbers)], room[:0])
		}
	})
	b.Run("route", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			p.Route(Facts{From: "1001", To: numbers[i%len(numbers)]})
		}
	})
	b.Run("regexps", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			number := numbers[i%len(numbers)]
			for _, re := range list {
				if re.MatchString(number) {
					break
				}
			}
		}
	})
}
