package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What we ship is in the one style.
func TestShippedFilesAreFormatted(t *testing.T) {
	files, err := filepath.Glob("examples/*/*.hcl")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	demo, _ := filepath.Glob("demo/*.hcl")
	for _, name := range append(files, demo...) {
		if changed, err := FormatFile(name, false); err != nil || changed {
			t.Errorf("%s: tandem fmt would change it (%v)", name, err)
		}
	}
}

func TestFormatFile(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "a.hcl"), filepath.Join(dir, "b.hcl")
	if err := os.WriteFile(name, []byte("route \"a\" {\nto=\"1xxx\"\n   when    = true\n}\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.hcl", link); err != nil {
		t.Fatal(err)
	}
	if changed, err := FormatFile(link, false); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := FormatFile(link, true); err != nil || !changed {
		t.Fatal(changed, err)
	}
	text, _ := os.ReadFile(name)
	info, _ := os.Lstat(link)
	mode, _ := os.Stat(name)
	if string(text) != "route \"a\" {\n  to   = \"1xxx\"\n  when = true\n}\n" || info.Mode()&os.ModeSymlink == 0 || mode.Mode().Perm() != 0o640 {
		t.Errorf("%s\n%v %v", text, info.Mode(), mode.Mode())
	}
	if changed, err := FormatFile(name, true); err != nil || changed {
		t.Errorf("a second time it changes: %v", err)
	}
	if files, err := Files(dir); err != nil || len(files) != 2 {
		t.Errorf("%v %v", files, err)
	}
	if _, d := Format("x.hcl", []byte("route {")); !d.HasErrors() || !strings.Contains(d.String(), "x.hcl:1:") {
		t.Errorf("broken syntax: %s", d)
	}
}
