package stranger

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets many tests run side by side: most of them wait for RFC 3261's 32 seconds to pass. Those that measure
// are not parallel, and so run before, alone.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "64")
	os.Exit(m.Run())
}
