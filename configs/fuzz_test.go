package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/dialplan"
)

// Whatever a person writes, a configuration is either loaded and can be asked, or refused with at least one error that
// has a place; and loading the same again says the same.
func FuzzLoad(f *testing.F) {
	f.Add(soundPart)
	cases, err := filepath.Glob("testdata/broken/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		question, _, _ := strings.Cut(string(text), "\n----\n")
		if _, body, ok := strings.Cut(question, "-- a.hcl --\n"); ok {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") { // of the machine that the test runs on
			return
		}
		load := func() (*Config, Diagnostics) {
			l := newLoader(".")
			l.readFile("fuzz.hcl", func() ([]byte, error) { return []byte(text), nil })
			l.readFile("sound.hcl", func() ([]byte, error) { return []byte(soundPart), nil })
			return l.load()
		}
		c, d := load()
		if (c == nil) != d.HasErrors() {
			t.Fatalf("config %v with %s", c != nil, d)
		}
		if _, again := load(); again.String() != d.String() {
			t.Fatalf("once\n%s\nand then\n%s", d, again)
		}
		if c != nil {
			c.Plan.Explain(dialplan.Facts{From: "1001", To: "1002", Now: time.Unix(0, 0)})
			for _, line := range Diff(c, c) {
				t.Fatalf("differs from itself: %s", line)
			}
		}
	})
}
