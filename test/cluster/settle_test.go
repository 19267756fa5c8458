package cluster

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A switch is lost with a full disk: it had claimed the records of calls and could not write them. The other one says so, writes them where
// somebody says that the machine will not be back, and when it is back all the same, no record is there twice.
func TestSoakSettle(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newPair(t, soakElection, "")
	const calls = 5
	phones := p.register(2 * calls)
	talks := p.talks(t, phones)
	lost := p.serving()
	heir := other(lost)
	p.fill(lost)
	for _, c := range talks {
		c.bye(c.a, c.b)
	}
	p.idle(lost)
	p.kill(lost)
	p.eventually(30*time.Second, "the other serves", func() bool { s, ok := p.status(heir); return ok && s.Role == "active" && s.Held })
	if n := len(p.records()); n != 0 {
		t.Fatalf("%d records are written; the disk was not full", n)
	}
	p.eventually(30*time.Second, "told what to do", func() bool {
		s, _ := p.status(heir)
		return slices.ContainsFunc(s.Problems, func(what string) bool {
			return strings.Contains(what, "has claimed the records of 5 calls") && strings.Contains(what, "tandem cluster settle "+lost)
		})
	})
	t.Log(strings.TrimSpace(p.command(heir, "cluster", "settle", lost)))
	if n := len(p.records()); n != calls {
		t.Errorf("%d records after settle", n)
	}
	p.eventually(10*time.Second, "the problem is gone", func() bool {
		s, _ := p.status(heir)
		return !slices.ContainsFunc(s.Problems, func(what string) bool { return strings.Contains(what, "claimed") })
	})
	p.free(lost)
	p.start(lost)
	p.eventually(90*time.Second, "whole again", p.whole)
	p.agree(calls)
	if out, err := p.try(heir, "cluster", "settle", lost); err == nil || !strings.Contains(out, "is heard") {
		t.Errorf("settled for a node that is there: %v\n%s", err, out)
	}
}
