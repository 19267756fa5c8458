package browser

import (
	"flag"
	"os"
	"testing"
)

// relaySecret names what a relay and the switch share.
const relaySecret = "TANDEM_TEST_RELAY"

// plainPassword names a password without a space, which baresip's configuration cannot hold.
const plainPassword = "TANDEM_TEST_PASSWORD"

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // they wait for sound and timers more than for the machine
	_ = os.Setenv(plainPassword, "tandem1020")
	_ = os.Setenv(relaySecret, "0123456789abcdef0123456789abcdef")
	code := m.Run()
	if chromium.end != nil {
		chromium.end()
	}
	os.Exit(code)
}
