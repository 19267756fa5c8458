package dialplan

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// manyRoutes is a plan of n routes: prefixes of a carrier's price list, under one route for the world.
func manyRoutes(t testing.TB, n int) *Plan {
	var b strings.Builder
	b.WriteString(strings.Replace(people, `"GB", "FR"`, `"*"`, 1))
	b.WriteString("route \"world\" {\n to = \"+[1-9]x{6,14}\"\n reject {\n status = 403\n }\n}\n")
	b.WriteString("route \"internal\" {\n to = \"1xxx\"\n dial {\n extension = call.to\n }\n}\n")
	for i := range n - 2 {
		fmt.Fprintf(&b, "route \"p%d\" {\n to = \"+%d%05d...\"\n echo {}\n}\n", i, 1+i%9, i)
	}
	return plan(t, b.String())
}

func TestTenThousandRoutes(t *testing.T) {
	start := time.Now()
	p := manyRoutes(t, 10000)
	t.Logf("10,000 routes compiled in %v, %d nodes", time.Since(start).Round(time.Millisecond), len(p.matcher.nodes))
	for _, c := range []struct{ to, route string }{
		{"+1000000", "p0"}, {"+200001123", "p1"}, {"+99999999", "world"}, {"1002", "internal"}, {"+5000041234567", "p4"},
	} {
		if d := p.Route(Facts{From: "1001", To: c.to}); d.Route != c.route {
			t.Errorf("%s takes %q, want %q: %+v", c.to, d.Route, c.route, d.Reasons)
		}
	}
}

// A long number costs no more than its digits: what is dialled comes from strangers.
func TestRouteIsBoundedByTheNumber(t *testing.T) {
	p := manyRoutes(t, 1000)
	for _, to := range []string{strings.Repeat("9", 64<<10), "+" + strings.Repeat("4", 64<<10), strings.Repeat("(a+)+", 12<<10)} {
		start := time.Now()
		d := p.Route(Facts{From: "1001", To: to})
		if took := time.Since(start); took > time.Second {
			t.Errorf("%d octets took %v", len(to), took)
		}
		if d.Reject.Status != 404 || len(d.Reasons) != 1 || len(d.Reasons[0].Why) > 300 {
			t.Errorf("%.10s… is answered %d, with %.300v", to, d.Reject.Status, d.Reasons)
		}
	}
}

func TestRouteAllocations(t *testing.T) {
	p := manyRoutes(t, 1000)
	if n := testing.AllocsPerRun(100, func() { p.matcher.match("+44207946001", nil) }); n > 1 {
		t.Errorf("a match allocates %v times", n)
	}
	facts := Facts{From: "1001", To: "1002"}
	if n := testing.AllocsPerRun(100, func() { p.Route(facts) }); n > 6+spare {
		t.Errorf("routing to an extension allocates %v times", n)
	}
	facts.To = "+200001123"
	if n := testing.AllocsPerRun(100, func() { p.Route(facts) }); n > 4+spare {
		t.Errorf("routing by prefix allocates %v times", n)
	}
}

func BenchmarkRoute10000(b *testing.B) {
	p := manyRoutes(b, 10000)
	for name, to := range map[string]string{"prefix": "+5000041234567", "internal": "1002", "none": "*77"} {
		facts := Facts{From: "1001", To: to}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Route(facts)
			}
		})
	}
}

func BenchmarkMatch10000(b *testing.B) {
	p := manyRoutes(b, 10000)
	var room [16]int32
	b.ReportAllocs()
	for b.Loop() {
		p.matcher.match("+5000041234567", room[:0])
	}
}

func BenchmarkRouteGuarded(b *testing.B) {
	p := plan(b, office)
	facts := Facts{From: "1001", To: "+442079460000", Now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	b.ReportAllocs()
	for b.Loop() {
		p.Route(facts)
	}
}
