package call

import (
	"strings"
	"testing"
)

// The disk is full and stays so until the switch stops: then the records are in the log, whole, and nobody is told that they are on the disk.
func TestLedgerOnAFullDisk(t *testing.T) {
	b := keepBooks(t, "/dev/full")
	b.start()
	told := func() { t.Error("told") }
	b.Write(Record{Call: "one"}, told)
	b.Write(Record{Call: "two"}, told)
	b.waits(2, "no space left")
	b.stop()
	b.counts(0, 2)
	if log := b.log.String(); !strings.Contains(log, "no space left") || !strings.Contains(log, `\"call\":\"two\"`) {
		t.Errorf("log: %s", log)
	}
}

// What was claimed stays claimed when the switch stops on a full disk: this node writes it when it is back.
func TestLedgerKeepsClaimsOfAFullDisk(t *testing.T) {
	b, c := keepBooks(t, "/dev/full"), &fakeClaims{path: "/dev/null", t: t}
	b.Use(c)
	b.start()
	b.Write(Record{Call: "one"}, func() { t.Error("told") })
	b.waits(1, "no space left")
	b.stop()
	if b.counts(0, 0); len(c.claimed) != 1 || len(c.released) != 0 {
		t.Errorf("%+v", c)
	}
}
