// Package house holds the arrows: which room may import which.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// may lists what each room may import of ours; its own sub-folders are rooms of their own. Tests may import more.
var may = map[string][]string{
	"sip":             {},
	"media/sdp":       {},
	"media/rtp":       {},
	"media/codec":     {},
	"media/ice":       {},
	"media/turn":      {},
	"cluster":         {},
	"certificate":     {},
	"record":          {},
	"token":           {},
	"sip/transport":   {"sip"},
	"sip/transaction": {"sip", "sip/transport"},
	"sip/dialog":      {"sip"},
	"sip/digest":      {"sip"},
	"sip/siptest":     {"sip", "sip/transport"},
	"stir":            {"sip"},
	"dialplan":        {"sip"},
	"media/secure":    {"media/rtp"},
	"registrar":       {"sip", "sip/transport", "sip/transaction", "sip/digest"},
	"trunk":           {"sip", "sip/transport", "sip/transaction", "sip/digest"},
	"voicemail":       {"sip", "sip/transport", "sip/transaction", "registrar"},
	"sip/proxy":       {"sip", "sip/transport", "sip/transaction"},
	"media/relay":     {"media/rtp", "media/secure", "media/ice", "media/codec"},
	"media":           {"media/relay", "media/rtp", "media/secure", "media/ice", "media/codec", "media/sdp"},
	"call": {
		"sip", "sip/transport", "sip/transaction", "sip/dialog", "sip/digest", "media", "media/codec", "dialplan",
		"record", "registrar", "trunk", "voicemail", "stir",
	},
	"configs": {
		"sip", "sip/transport", "sip/transaction", "sip/digest", "media", "dialplan", "registrar", "trunk", "call", "cluster", "voicemail", "certificate", "media/turn", "stir",
		"token",
	},
	"console":         {"*"},
	"cmd/tandem/node": {"*"},
	"cmd/tandem":      {"*"},
	// The phone and the phones of the tests are strangers: they share no code with what they test.
	"cmd/tandem/phone": {},
	"test":             {"*"},
}

// room is the longest prefix of a folder that is named in may.
func room(folder string) string {
	for f := folder; f != "."; f = path.Dir(f) {
		if _, ok := may[f]; ok {
			return f
		}
	}
	return ""
}

func TestArrowsPointDown(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, _ := filepath.Rel(root, file)
		checkFile(t, file, filepath.ToSlash(filepath.Dir(rel)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, file, folder string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	from := room(folder)
	if from == "" {
		t.Errorf("%s: the folder %s is no room that this test knows: give it its place", file, folder)
		return
	}
	for _, spec := range parsed.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		ours, ok := strings.CutPrefix(name, "tandem/")
		if !ok {
			continue
		}
		if to := room(ours); to != from && !allowed(from, to) {
			t.Errorf("%s: %s may not import %s", file, from, ours)
		}
	}
}

func allowed(from, to string) bool {
	for _, m := range may[from] {
		if m == "*" || m == to {
			return true
		}
	}
	return false
}

// TestTheGuardSees makes sure that the check above can fail.
func TestTheGuardSees(t *testing.T) {
	for _, arrow := range [][2]string{{"sip", "sip/transport"}, {"dialplan", "call"}, {"media/relay", "sip"}, {"cmd/tandem/phone", "media/codec"}} {
		if allowed(room(arrow[0]), room(arrow[1])) {
			t.Errorf("%s may import %s, and must not", arrow[0], arrow[1])
		}
	}
}
