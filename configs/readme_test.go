package configs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestReadmeExamplesLoad puts every hcl block of README into a folder of its own and loads it.
func TestReadmeExamplesLoad(t *testing.T) {
	t.Setenv("ALICE", "a password")
	t.Setenv("BOB", "another one")
	t.Setenv("CARRIER_A", "a third one")
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Fatal("README has no configuration")
	}
	for _, b := range blocks {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "readme.hcl"), b[1], 0o600); err != nil {
			t.Fatal(err)
		}
		if cfg, diags := Load(dir); cfg == nil {
			t.Errorf("example of README does not load:\n%s", diags)
		}
	}
}
