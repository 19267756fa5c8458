package browser

import (
	"os"
	"testing"
)

// plainPassword names a password without a space, which baresip's configuration cannot hold.
const plainPassword = "TANDEM_TEST_PASSWORD"

func TestMain(m *testing.M) {
	_ = os.Setenv(plainPassword, "tandem1020")
	code := m.Run()
	if chromium.end != nil {
		chromium.end()
	}
	os.Exit(code)
}
