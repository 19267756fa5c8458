package call

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeClaims notes what a ledger says before and after it writes.
type fakeClaims struct {
	mu       sync.Mutex
	refuse   error
	path     string
	t        *testing.T
	claimed  []string // calls
	early    bool     // a line was in the file before its claim
	released []string
}

func (c *fakeClaims) Claim(_ context.Context, lines []byte) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return "", c.refuse
	}
	ledger := NewFileLedger(c.path, nil)
	written, _ := ledger.Written()
	for _, id := range Claimed(lines) {
		c.claimed = append(c.claimed, id)
		c.early = c.early || written[id]
	}
	return "claim", nil
}

func (c *fakeClaims) Release(_ string, calls []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written, _ := NewFileLedger(c.path, nil).Written()
	for _, id := range calls {
		if !written[id] {
			c.t.Errorf("call %s is forgotten before its record is in the file", id)
		}
	}
	c.released = append(c.released, calls...)
}

// Every record is claimed before it is written, and calls that have a state are forgotten afterwards.
func TestLedgerClaims(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	b, c := keepBooks(t, path), &fakeClaims{path: path, t: t}
	b.Use(c)
	b.start()
	for i := range 10 {
		done := func() { t.Error("told past the claims") }
		if i%2 == 1 {
			done = nil
		}
		b.Write(Record{Call: fmt.Sprint(i)}, done)
	}
	b.counts(10, 0)
	b.stop()
	if c.early || len(c.claimed) != 10 || len(c.released) != 5 {
		t.Errorf("%+v", c)
	}
}

// What another node writes is not written here; calls that were never answered have nobody else.
func TestLedgerOfADeposedNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	b := keepBooks(t, path)
	b.Use(&fakeClaims{path: path, t: t, refuse: errors.New("deposed")})
	b.Write(Record{Call: "answered"}, func() {})
	b.Write(Record{Call: "refused"}, nil)
	b.start()
	b.counts(1, 0)
	b.stop()
	if got := calls(t, path); !slices.Equal(got, []string{"refused"}) {
		t.Errorf("written %q", got)
	}
}

// A node that is back writes what it had claimed and not written, once.
func TestLedgerSettles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	b := keepBooks(t, path)
	b.start()
	b.Write(Record{Call: "one", Ended: time.Unix(0, 0)}, nil)
	b.counts(1, 0)
	b.stop()
	lines := []byte(`{"call":"one"}` + "\n" + `{"call":"two"}` + "\n" + "no record\n")
	for range 2 {
		if err := NewFileLedger(path, nil).Settle(lines); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(calls(t, path), " "); got != "one two" {
		t.Errorf("written %q", got)
	}
}
