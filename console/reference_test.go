package console

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tandem/cluster"
)

var update = flag.Bool("update", false, "write the tables of PAIR.md anew")

const pairText = "../PAIR.md"

// The tables of alarms, events and metrics in PAIR.md are those of the code.
func TestPairReference(t *testing.T) {
	f := newClusterFamilies()
	all := f.all()
	if n := reflect.TypeFor[clusterFamilies]().NumField(); n != len(all) {
		t.Fatalf("%d metrics of the cluster, and %d in the reference", n, len(all))
	}
	text, err := os.ReadFile(pairText)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"alarms": alarmTable(), "events": eventTable(), "metrics": metricTable(all)} {
		place := regexp.MustCompile("(?s)<!-- " + name + " -->\n.*?<!-- end -->")
		if !place.MatchString(want) {
			t.Fatalf("PAIR.md has no place for %s", name)
		}
		want = place.ReplaceAllLiteralString(want, "<!-- "+name+" -->\n"+table+"<!-- end -->")
	}
	if *update {
		if err := os.WriteFile(pairText, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("the tables of PAIR.md are not those of the code: go test ./console -run TestPairReference -update")
	}
}

func alarmTable() string {
	var b strings.Builder
	b.WriteString("| Alarm | What it means | What to do |\n| --- | --- | --- |\n")
	for _, m := range cluster.Meanings {
		if m.Alarm {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, m.Means, m.Do)
		}
	}
	return b.String()
}

func eventTable() string {
	var b strings.Builder
	b.WriteString("| Event | What it means |\n| --- | --- |\n")
	for _, m := range cluster.Meanings {
		if !m.Alarm {
			fmt.Fprintf(&b, "| `%s` | %s |\n", m.Name, m.Means)
		}
	}
	return b.String()
}

func metricTable(all []*metric) string {
	var b strings.Builder
	b.WriteString("| Metric | Kind | What it says |\n| --- | --- | --- |\n")
	for _, m := range all {
		kind := "gauge"
		if m.kind == prometheus.CounterValue {
			kind = "counter"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.name, kind, m.help)
	}
	return b.String()
}
