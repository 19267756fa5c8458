package binary

import (
	"strings"
	"testing"
	"time"
)

// The tests of a configuration stand guard over a running switch: what fails them is not put in force, unless somebody
// says so; and diff tells beforehand what a reload would do.
func TestReloadRunsTheTestsFirst(t *testing.T) {
	s := Start(t, Office+Media)
	socket := "--socket=" + s.Dir + "/state/admin.sock"
	s.Write("more.hcl", "route \"more\" {\n  to = \"9000\"\n  echo {}\n}\ntest \"more\" {\n  call   = { from = \"1001\", to = \"9000\" }\n  expect = { route = \"more\", steps = [\"echo\"] }\n}\n")
	if out, err := s.Run("diff", socket); err != nil || !strings.Contains(out, "1001 dials 9000 at ") || !strings.Contains(out, "after   route \"more\": answer and echo") {
		t.Fatalf("diff: %v\n%s", err, out)
	}
	if out, err := s.Run("reload", socket); err != nil || !strings.Contains(out, "route more added") {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	s.Write("more.hcl", "route \"more\" {\n  to = \"9000\"\n  tone {}\n}\ntest \"more\" {\n  call   = { from = \"1001\", to = \"9000\" }\n  expect = { route = \"more\", steps = [\"echo\"] }\n}\n")
	if out, err := s.Run("reload", socket); err == nil || !strings.Contains(out, "1 of 1 tests of the configuration fail") || !strings.Contains(out, "steps is tone, expected echo") {
		t.Fatalf("a failing test is no obstacle: %v\n%s", err, out)
	}
	if out, err := s.Run("diff", socket); err != nil || !strings.Contains(out, "after   route \"more\": answer and play 1004 Hz") {
		t.Fatalf("it was put in force all the same: %v\n%s", err, out)
	}
	if out, err := s.Run("diff", "--config", s.Dir, "--running", s.Dir+"/state/admin.sock"); err != nil || !strings.Contains(out, "after   route \"more\": answer and play 1004 Hz") {
		t.Fatalf("diff of a folder: %v\n%s", err, out)
	}
	if out, err := s.Run("reload", "--force", socket); err != nil || !strings.Contains(out, "route more changed") {
		t.Fatalf("force: %v\n%s", err, out)
	}
	if out, err := s.Run("diff", socket); err != nil || !strings.Contains(out, "0 changes in behaviour") {
		t.Fatalf("diff after the reload: %v\n%s", err, out)
	}
	s.Idle(time.Second)
	s.Stop()
}
