package call

import (
	"strings"
	"testing"
)

// The disk is full.
func TestLedgerOnAFullDisk(t *testing.T) {
	b := keepBooks(t, "/dev/full")
	b.start()
	b.Write(Record{Call: "one"}, func() {})
	b.Write(Record{Call: "two"}, func() {})
	b.counts(0, 2)
	b.stop()
	if log := b.log.String(); !strings.Contains(log, "no space left") || !strings.Contains(log, `\"call\":\"two\"`) {
		t.Errorf("log: %s", log)
	}
}
