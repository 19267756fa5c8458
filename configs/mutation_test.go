package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/dialplan"
)

// A mutation is a slip of a person who edits a dialplan: it gives the texts that one file may become.
type mutation struct {
	name string
	of   func(text string) []string
}

var (
	twoInAList = regexp.MustCompile(`((?:trunks|members|extensions) +=) \[((?:trunk|extension)[^,\]\n]*), ((?:trunk|extension)[^,\]\n]*)([,\]])`)
	guard      = regexp.MustCompile(`(?m)^ *when += .*\n`)
	pattern    = regexp.MustCompile(`(?m)^( *to += ")([^"\n]*)(")`)
	hours      = regexp.MustCompile(`(\d\d):(\d\d)"`)
	onBlock    = regexp.MustCompile(`on ("[a-z_]+")`)
)

// each gives the text with one match after the other replaced.
func each(text string, re *regexp.Regexp, by func(m []string) string) []string {
	var out []string
	for _, at := range re.FindAllStringSubmatchIndex(text, -1) {
		var m []string
		for i := 0; i < len(at); i += 2 {
			m = append(m, text[at[i]:at[i+1]])
		}
		if with := by(m); with != m[0] {
			out = append(out, text[:at[0]]+with+text[at[1]:])
		}
	}
	return out
}

var mutations = []mutation{
	{"two targets swapped", func(t string) []string {
		return each(t, twoInAList, func(m []string) string { return fmt.Sprintf("%s [%s, %s%s", m[1], m[3], m[2], m[4]) })
	}},
	{"a guard dropped", func(t string) []string { return each(t, guard, func([]string) string { return "" }) }},
	{"a guard turned round", func(t string) []string {
		return each(t, regexp.MustCompile(`is_open`), func([]string) string { return "is_closed" })
	}},
	{"a pattern widened", func(t string) []string {
		return each(t, pattern, func(m []string) string {
			i := strings.LastIndexAny(m[2], "0123456789")
			if i < 0 || strings.ContainsAny(m[2], "[{.") {
				return m[0]
			}
			return m[1] + m[2][:i] + "x" + m[2][i+1:] + m[3]
		})
	}},
	{"a pattern narrowed", func(t string) []string {
		return each(t, pattern, func(m []string) string {
			return m[1] + strings.Replace(m[2], "x", "[0-8]", 1) + m[3]
		})
	}},
	{"a closing hour moved", func(t string) []string {
		return each(t, hours, func(m []string) string { return m[1] + `:45"` })
	}},
	{"another failure handled", func(t string) []string {
		return each(t, onBlock, func(m []string) string {
			if m[1] == `"declined"` {
				return m[0]
			}
			return `on "415"`
		})
	}},
}

// Every slip in every example is caught: the file is refused, a test fails, or diff names a call that goes another way.
func TestMutationsAreCaught(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	folders, err := filepath.Glob("examples/*")
	if err != nil || len(folders) < 5 {
		t.Fatal(folders, err)
	}
	total, by := 0, map[string]int{}
	for _, folder := range folders {
		original, d := Load(folder)
		if original == nil {
			t.Fatal(d)
		}
		dir := filepath.Join(t.TempDir(), filepath.Base(folder))
		if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "calls.hcl")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mutations {
			for i, mutant := range m.of(string(text)) {
				total++
				write(t, name, mutant)
				how := caught(original.Plan, dir, now)
				by[how]++
				if how == "" {
					t.Errorf("%s: %s (%d) is not caught", folder, m.name, i)
				}
			}
		}
	}
	t.Logf("%d slips: %v", total, by)
	if total < 60 || by["a test fails"] < 20 || by["diff reports it"] < 10 {
		t.Errorf("%d slips in all: %v", total, by)
	}
}

// caught is how a configuration is found to be another than it was; empty: it is not.
func caught(before *dialplan.Plan, dir string, now time.Time) string {
	after, _ := Load(dir)
	switch {
	case after == nil:
		return "it is refused"
	case after.Plan.Test().Failed > 0:
		return "a test fails"
	case len(dialplan.Compare(before, after.Plan, now).Shifts) > 0:
		return "diff reports it"
	}
	return ""
}

// diff alone sees every slip that loads: tests are what a person thought of.
func TestDiffSeesWhatTestsMiss(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	original, _ := Load("examples/office")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("examples/office")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "calls.hcl")
	text, _ := os.ReadFile(name)
	seen := 0
	for _, m := range mutations {
		for i, mutant := range m.of(string(text)) {
			write(t, name, mutant)
			after, _ := Load(dir)
			if after == nil {
				continue
			}
			seen++
			if len(dialplan.Compare(original.Plan, after.Plan, now).Shifts) == 0 {
				t.Errorf("%s (%d) changes nothing that diff sees", m.name, i)
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d slips load", seen)
	}
}
