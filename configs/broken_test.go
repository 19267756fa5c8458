package configs

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sound is what stands beside every broken file, so that only what it is about is wrong.
const soundPart = `
node "pbx" {
  domains = ["example.com"]
}
listen "phones" {
  transport = "udp"
  address   = "127.0.0.1:5060"
}
class "office" {}
extension "1001" {
  name     = "Alice"
  password = secret("sha256:0000000000000000000000000000000000000000000000000000000000000000")
  class    = class.office
}
extension "1002" {
  password = secret("md5:00000000000000000000000000000000")
}
route "internal" {
  to = "1xxx"
  dial { extension = call.to }
}
`

// TestBrokenConfigurations reads testdata/broken: files between lines "-- name --", a line "----", and all that is to
// be said of them. Without a first line "# alone" the sound part stands beside them.
func TestBrokenConfigurations(t *testing.T) {
	cases, err := filepath.Glob("testdata/broken/*.txt")
	if err != nil || len(cases) < 100 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			question, want, _ := strings.Cut(string(text), "\n----\n")
			t.Chdir(t.TempDir())
			lay(t, question)
			config, d := Load(".")
			if config != nil || !d.HasErrors() {
				t.Errorf("loaded, with %s", d)
			}
			got := strings.ReplaceAll(d.String(), cwd(t), "DIR")
			if *update {
				if err := os.WriteFile(filepath.Join(home, name), []byte(question+"\n----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			asJSON(t, d)
		})
	}
}

func cwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// lay writes the files of a question into the working folder.
func lay(t *testing.T, question string) {
	t.Helper()
	if !strings.HasPrefix(question, "# alone\n") {
		write(t, "sound.hcl", soundPart)
	}
	name := ""
	var text strings.Builder
	for line := range strings.SplitAfterSeq(question+"\n", "\n") {
		if inner, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(inner, " --") {
			if name != "" {
				write(t, name, text.String())
			}
			name = strings.TrimSuffix(inner, " --")
			text.Reset()
			continue
		}
		text.WriteString(line)
	}
	if name != "" {
		write(t, name, text.String())
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// asJSON wants every diagnostic to say for programs what it says for people.
func asJSON(t *testing.T, d Diagnostics) {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back []struct {
		Severity, File, Summary string
		Line, Column            int
	}
	if err := json.Unmarshal(text, &back); err != nil || len(back) != len(d) {
		t.Fatalf("%s: %v", text, err)
	}
	for i, x := range back {
		if x.Severity == "" || x.File == "" || x.Summary == "" || x.Line != d[i].Line || x.Column != d[i].Column {
			t.Errorf("%+v is not %+v", x, d[i])
		}
	}
}
