package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const office = "../../configs/examples/office"

// run runs a command as a person would, and gives what it prints.
func run(t *testing.T, c *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.Execute()
	return out.String(), err
}

// changed is a copy of the office with one text replaced.
func changed(t *testing.T, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(office)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.hcl"))
	found := false
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if after := strings.ReplaceAll(string(text), from, to); after != string(text) {
			found = true
			if err := os.WriteFile(name, []byte(after), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !found && from != "" {
		t.Fatalf("no %q in the office", from)
	}
	return dir
}

func TestTestCommand(t *testing.T) {
	out, err := run(t, testCommand(), office, "--all")
	if err != nil || !strings.Contains(out, " 0 failed; 8 of 8 routes reached") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run(t, testCommand(), changed(t, "fri 09:00-16:00", "fri 09:00-16:00\", \"sun 09:00-12:00"))
	if err == nil || !strings.Contains(out, "FAIL  sales on a Sunday") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run(t, testCommand(), "--json", "--config", office)
	var proof struct {
		Tests  []struct{ Passed bool }
		Failed int
	}
	if err != nil || json.Unmarshal([]byte(out), &proof) != nil || len(proof.Tests) < 10 || !proof.Tests[0].Passed {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDiffCommand(t *testing.T) {
	out, err := run(t, diffCommand(), "--config", changed(t, "", ""), "--running", office, "--exit-code")
	if err != nil || !strings.HasPrefix(out, "0 changes in behaviour (compared: ") {
		t.Errorf("a copy differs: %v\n%s", err, out)
	}
	later := changed(t, "fri 09:00-16:00", "fri 09:00-17:00")
	out, err = run(t, diffCommand(), "--config", later, "--running", office, "--exit-code")
	if err == nil || !strings.Contains(out, "1001 dials 600 at ") || !strings.Contains(out, "before  route \"sales-closed\"") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = run(t, diffCommand(), "--config", later, "--running", office, "--json"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplayCommand(t *testing.T) {
	cdr := filepath.Join(t.TempDir(), "cdr.jsonl")
	records := `{"call":"c1","started":"2026-11-27T16:30:00Z","from":"1004","dialled":"600","number":"600","route":"sales-closed","caller_id":"1004","plan":"x","status":200}
{"call":"c2","started":"2026-11-27T10:00:00Z","from":"1001","dialled":"1002","number":"1002","route":"colleague","caller_id":"1001","plan":"x","status":200,"attempts":[{"extension":"1002","status":200}]}
{"half a line
`
	if err := os.WriteFile(cdr, []byte(records), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, replayCommand(), "--cdr", cdr, "--config", office)
	if err != nil || out != "0 of 2 calls would go differently\n1 lines are no call records\n" {
		t.Errorf("%v\n%s", err, out)
	}
	later := changed(t, "fri 09:00-16:00", "fri 09:00-17:00")
	out, err = run(t, replayCommand(), "--cdr", cdr, "--config", later)
	if err != nil || !strings.Contains(out, "1004 dialled 600\n  route     was sales-closed, would be sales-open") || !strings.Contains(out, "1 of 2 calls") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = run(t, replayCommand(), "--cdr", cdr, "--config", later, "--json"); err != nil || !strings.Contains(out, `"what": "route"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFmtCommand(t *testing.T) {
	dir := changed(t, "  from = [class.staff]\n", "  from=[class.staff]\n")
	out, err := run(t, fmtCommand(), "--check", dir)
	if err == nil || !strings.Contains(out, "calls.hcl\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = run(t, fmtCommand(), dir); err != nil || !strings.Contains(out, "calls.hcl\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = run(t, fmtCommand(), "--check", dir); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRouteCommandWithTrunks(t *testing.T) {
	const carrier = "../../configs/examples/carrier"
	out, err := run(t, routeCommand(), "--config", carrier, "--trunk", "customer", "--caller", "+442079460018", "--to", "+33140000000", "--down", "trunk.blue")
	if err != nil || !strings.Contains(out, "call      trunk customer dials +33140000000") || !strings.HasSuffix(out, "tried     trunk.blue, trunk.green\nends      200, answered by trunk.green\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := run(t, routeCommand(), "--config", carrier, "--to", "+33140000000"); err == nil {
		t.Error("nobody calls, and that is well")
	}
}

func TestSchemaCommand(t *testing.T) {
	if out, err := run(t, schemaCommand()); err != nil || !json.Valid([]byte(out)) || !strings.Contains(out, `"ring_group"`) {
		t.Errorf("%v\n%.300s", err, out)
	}
}
