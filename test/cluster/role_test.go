package cluster

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// election is long: three nodes share two cores with everything else that is tested, and what is tested here is who serves.
const election = 1500 * time.Millisecond

// One pair, one fault after the other: who serves, and who has the address.
func TestRoles(t *testing.T) {
	t.Parallel()
	p := NewPair(t, election)
	p.run("T2 planned change", func(t *testing.T) {
		p.eventually(40*time.Second, "whole", p.whole)
		from := p.serving()
		if out := p.command(from, "failover", "--rehearse"); !strings.Contains(out, "can take over") {
			t.Error(out)
		}
		p.failover(from)
		p.eventually(5*time.Second, "address on the other node", func() bool { return p.has(other(from), virtual) && !p.has(from, virtual) })
		p.eventually(40*time.Second, "whole again", p.whole)
		if out, err := p.try(from, "failover"); err == nil || !strings.Contains(out, "ask there") {
			t.Errorf("asked of the standby: %s", out)
		}
	})

	p.run("T1 the active node is killed", func(t *testing.T) {
		from := p.serving()
		p.kill(from)
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
		// The dead node's kernel forgets the address by itself.
		p.eventually(4*time.Second, "address gone from the dead node", func() bool { return !p.has(from, virtual) })
		p.start(from)
		p.eventually(40*time.Second, "whole again", p.whole)
		if p.serving() == from {
			t.Error("the node that came back took the role")
		}
	})

	p.run("T3 the witness is frozen", func(t *testing.T) {
		from := p.serving()
		before, _ := p.status(from)
		p.signal("w", syscall.SIGSTOP)
		p.always(2*election, "serving without the witness", func() bool {
			s, ok := p.status(from)
			return ok && s.Role == "active" && s.Epoch == before.Epoch
		})
		p.signal("w", syscall.SIGCONT)
		p.eventually(40*time.Second, "whole again", p.whole)
	})

	p.run("T3 two machines do not promote themselves", func(t *testing.T) {
		from := p.serving()
		p.kill("w")
		p.kill(from)
		to := other(from)
		p.eventually(20*time.Second, "it says so", func() bool {
			s, ok := p.status(to)
			return ok && s.Role == "no majority" && len(s.Problems) > 0 && strings.Contains(strings.Join(s.Problems, " "), "no majority")
		})
		if p.has(to, virtual) {
			t.Error("it has promoted itself all the same")
		}
		p.start("w")
		p.eventually(20*time.Second, "with the witness it serves", func() bool { return p.has(to, virtual) })
	})
}
