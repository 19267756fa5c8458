package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/dialplan"
)

// Every example folder loads, without so much as a warning; its tests pass, and they reach every route.
func TestExamplesLoad(t *testing.T) {
	folders, err := os.ReadDir("examples")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, f := range folders {
		t.Run(f.Name(), func(t *testing.T) {
			c, d := Load(filepath.Join("examples", f.Name()))
			if c == nil || len(d) != 0 {
				t.Fatal(d)
			}
			if proof := c.Plan.Test(); proof.Failed > 0 || len(proof.Unreached) > 0 || len(proof.Tests) == 0 {
				t.Error(proof.String())
			}
			for _, s := range c.Plan.Sounds() {
				text, err := os.ReadFile(s)
				if err != nil || !strings.HasPrefix(string(text), "RIFF") {
					t.Errorf("%s is no sound: %v", s, err)
				}
			}
		})
	}
}

func TestOfficeCalls(t *testing.T) {
	c, d := Load("examples/office")
	if c == nil {
		t.Fatal(d)
	}
	monday, sunday := "2026-11-23T10:00:00Z", "2026-11-22T10:00:00Z"
	for _, x := range []struct {
		from, to, at, route string
		status              int
	}{
		{"1001", "1005", monday, "colleague", 0},
		{"1001", "600", monday, "sales-open", 0},
		{"1001", "600", sunday, "sales-closed", 0},
		{"1001", "020 7946 0020", monday, "own-number", 0},
		{"1001", "020 7946 0100", monday, "outside", 0},
		{"1001", "0033140000000", monday, "", 403},
		{"1900", "1001", monday, "lobby", 0},
		{"1900", "1002", monday, "", 403},
		{"1900", "*43", monday, "echo", 0},
	} {
		at, err := time.Parse(time.RFC3339, x.at)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Plan.Route(dialplan.Facts{From: x.from, To: x.to, Now: at})
		if got.Route != x.route || got.Reject.Status != x.status {
			t.Errorf("%s dials %s: %q %d\n%+v", x.from, x.to, got.Route, got.Reject.Status, got.Reasons)
		}
	}
	if x, ok := c.Plan.Extension("1004"); !ok || x.Name != "Dan, store" || x.Class != "staff" || x.SRTP != "optional" {
		t.Errorf("1004 is %+v", x)
	}
	if c.Credentials["1004"].MD5 == "" || c.Credentials["1004"].SHA256 != "" {
		t.Errorf("1004 may use %+v", c.Credentials["1004"])
	}
}
