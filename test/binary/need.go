package binary

import (
	"os"
	"os/exec"
	"testing"
)

// Need leaves a test out where a foreign program is not installed, and says how to get it. With
// TANDEM_PEERS=required, as CI has it, the test fails instead.
func Need(t testing.TB, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("TANDEM_PEERS") == "required" {
		t.Fatalf("%s is not installed: apt-get install %s", program, debianPackage)
	}
	t.Skipf("%s is not installed; on Debian: apt-get install %s", program, debianPackage)
}
