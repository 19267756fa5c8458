package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rehearsed is the row of a member in what a rehearsal says, by the heads of its table.
func rehearsed(out, member string) map[string]string {
	cells := map[string]string{}
	var heads []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "MEMBER":
			heads = f
		case f[0] == member && len(heads) > 0:
			for i, head := range heads[:min(len(heads), slices.Index(heads, "HEALTH"))] { // none of those has blanks
				cells[head] = f[i]
			}
		}
	}
	return cells
}

// A rehearsal counts the calls and the registrations that would survive; it says no, and why, while there is no standby.
func TestRehearsalTellsWhatSurvives(t *testing.T) {
	t.Parallel()
	const calls = 2
	p := NewPair(t, election)
	p.line(calls)
	all := len(p.phones) + 1
	from := p.serving()
	to := other(from)
	counts := func(calls int) func() bool {
		return func() bool {
			out, err := p.try(from, "failover", "--rehearse")
			r := rehearsed(out, to)
			return err == nil && strings.Contains(out, fmt.Sprintf("node %s can take over from %s", to, from)) &&
				r["ROLE"] == "standby" && r["SYNCED"] == "yes" && r["REGISTRATIONS"] == fmt.Sprint(all) && r["CALLS"] == fmt.Sprint(calls)
		}
	}
	p.eventually(20*time.Second, "registrations counted, and no call", counts(0))
	var talks []*talk
	for n := range calls {
		talks = append(talks, p.connect(p.phones[2*n], p.phones[2*n+1], n))
	}
	p.eventually(20*time.Second, "calls counted", counts(calls))
	out, err := p.try(to, "failover", "--rehearse")
	if err == nil || !strings.Contains(out, "nobody can take over") || !strings.Contains(out, "("+from+" is): ask there") {
		t.Errorf("asked of the standby: %v, %s", err, out)
	}

	p.kill(to)
	p.eventually(20*time.Second, "no, and why", func() bool {
		out, err := p.try(from, "failover", "--rehearse")
		return err != nil && strings.Contains(out, "nobody can take over") && strings.Contains(out, "node "+to+" is no standby at this moment")
	})
	if out, err := p.try(from, "failover"); err == nil || !strings.Contains(out, "is no standby at this moment") {
		t.Errorf("a change to a node that is dead: %v, %s", err, out)
	}
	for _, c := range talks {
		c.bye(c.b, c.a)
	}
	p.idle(from)
}
