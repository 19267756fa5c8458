package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestDistIsFresh(t *testing.T) {
	files, err := Build("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 {
		t.Errorf("%d files are built, want phone.js, phone.css, tandem.js and licences.txt", len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "dist", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what its sources make: run `go generate ./console/pages`", name)
		}
	}
}

// What is vendored keeps its licence.
func TestModulesKeepTheirLicences(t *testing.T) {
	folders, err := filepath.Glob("../modules/*")
	if err != nil || len(folders) < 5 {
		t.Fatal(folders, err)
	}
	for _, f := range folders {
		if found, _ := filepath.Glob(filepath.Join(f, "[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*")); len(found) == 0 {
			t.Errorf("%s has no licence", f)
		}
	}
}
