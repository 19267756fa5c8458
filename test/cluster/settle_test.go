package cluster

import (
	"os"
	"regexp"
	"slices"
	"strconv"
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
	claimed := regexp.MustCompile(`node ` + lost + ` has claimed the records of (\d+) calls .* tandem cluster settle ` + lost)
	waits := 0 // the other one writes what was not claimed yet
	p.eventually(30*time.Second, "told what to do", func() bool {
		s, _ := p.status(heir)
		for _, what := range s.Problems {
			if m := claimed.FindStringSubmatch(what); m != nil {
				waits, _ = strconv.Atoi(m[1])
			}
		}
		return waits > 0 && len(p.records())+waits == calls
	})
	t.Log(strings.TrimSpace(p.command(heir, "cluster", "settle", lost)))
	if n := len(p.records()); n != calls {
		t.Errorf("%d records after settle", n)
	}
	p.eventually(10*time.Second, "the problem is gone", func() bool {
		s, _ := p.status(heir)
		return !slices.ContainsFunc(s.Problems, claimed.MatchString)
	})
	p.free(lost)
	p.start(lost)
	p.eventually(90*time.Second, "whole again", p.whole)
	p.agree()
	if out, err := p.try(heir, "cluster", "settle", lost); err == nil || !strings.Contains(out, "is heard") {
		t.Errorf("settled for a node that is there: %v\n%s", err, out)
	}
}
