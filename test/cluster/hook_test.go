package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mover is a hook that does what a cloud does: it takes the address from the other machine, gives it to this one, and has the router, which is the
// phones' namespace here, forget where it was.
const mover = `#!/bin/sh
echo "$TANDEM_ROLE $TANDEM_EPOCH" >>FOLDER/moved
case "$TANDEM_ROLE" in
active)
  ip -n OTHER addr del VIRTUAL/24 dev eth0 2>/dev/null
  ip addr add VIRTUAL/24 dev eth0 && ip -n PHONES neigh flush to VIRTUAL
  ;;
standby)
  ip addr del VIRTUAL/24 dev eth0 2>/dev/null
  true
  ;;
esac
`

// movers gives each switch its hook.
func movers(p *Pair) {
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(p.dir, name)
		space := func(name string) string { return p.wires.nodes[name].Name }
		p.write(name, "move", strings.NewReplacer("FOLDER", dir, "OTHER", space(other(name)), "PHONES", space("phones"), "VIRTUAL", virtual).Replace(mover))
		if err := os.Chmod(filepath.Join(dir, "move"), 0o700); err != nil {
			p.t.Fatal(err)
		}
	}
}

// Somebody else moves the address, as in a cloud: the hook is all that tells him. Calls go on when the serving node is killed, either side hangs
// up, and each has one record; after a planned change too.
func TestHookMovesTheAddress(t *testing.T) {
	t.Parallel()
	const moves = `  address "VIRTUAL/24" { interface = "eth0" }`
	text := strings.Replace(strings.ReplaceAll(configuration, "ELECTION", election.String()), moves, `  hook { command = ["FOLDER/move"] }`, 1)
	p := newRig(t, hosts, text, movers)
	p.eventually(60*time.Second, "pair whole", p.whole)
	phones := p.register(8)
	for _, f := range []struct {
		name       string
		begin, end func(serves string)
	}{
		{"killed", p.kill, p.start},
		{"planned", p.failover, func(string) {}},
	} {
		p.run(f.name, func(t *testing.T) {
			talks := p.talks(t, phones)
			serves := p.serving()
			f.begin(serves)
			p.eventually(20*time.Second, "address on the other node", func() bool { return p.has(other(serves), virtual) && !p.has(serves, virtual) })
			p.carryOn(t, talks, phones)
			f.end(serves)
			p.eventually(60*time.Second, "whole again", p.whole)
			moved, err := os.ReadFile(filepath.Join(p.dir, other(serves), "moved"))
			if s, _ := p.status(other(serves)); err != nil || !strings.HasSuffix(strings.TrimSpace(string(moved)), fmt.Sprint("active ", s.Epoch)) {
				t.Errorf("%s serves in epoch %d, and its hook was told\n%s", other(serves), s.Epoch, moved)
			}
		})
	}
	p.agree()
}
