package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/console"
	"tandem/test/binary"
	"tandem/test/wire"
)

// fullFor is how long a disk stays full, and calls are made meanwhile.
const fullFor = 30 * time.Second

// T12: the disk of the serving node, of the standby, and of both is full for half a minute each, while TANDEM_CALLS calls (10) are in
// progress and five more a second are set up and hung up: all of them go on, the nodes say what is wrong with them as long as it is, and
// nobody has to start anything again. In the end each answered call has one record.
func TestSoakT12DiskFull(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newPair(t, patientElection, "")
	d := newFullDisks(p)
	d.round(t, "the serving node", func(s string) []string { return []string{s} })
	d.round(t, "the standby", func(s string) []string { return []string{other(s)} })
	d.round(t, "both switches", func(s string) []string { return []string{s, other(s)} })
	d.p.agree()
}

// T12 of a node that is alone: its disk is full, and it has nobody to hand over to.
func TestSoakT12DiskFullSingle(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newAlone(t)
	d := newFullDisks(p)
	d.round(t, "the only node", func(string) []string { return []string{"a"} })
	d.p.agree()
}

// newAlone is a rig of one node without a cluster.
func newAlone(t *testing.T) *Pair {
	hosts := map[string]string{"a": hosts["a"], "phones": phoneHost}
	p := &Pair{wires: newWires(t, hosts), t: t, dir: t.TempDir(), nodes: map[string]*process{}}
	dir := filepath.Join(p.dir, "a")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(configuration, "cluster {")
	_, after, _ := strings.Cut(rest, "\nlisten ")
	p.write("a", "switch.hcl", strings.NewReplacer("NAME", "a", "VIRTUAL", virtual).Replace(before+"listen "+after))
	p.write("a", "phones.csv", phoneTable())
	p.write("a", "password", binary.Password)
	p.disk("a")
	p.ip("-n", p.wires.nodes["a"].Name, "addr", "add", virtual+"/24", "dev", "eth0")
	p.nodes["a"] = &process{name: "a", dir: dir}
	t.Cleanup(p.stop)
	p.start("a")
	p.eventually(30*time.Second, "a node that serves", func() bool { s, ok := p.status("a"); return ok && s.Held })
	return p
}

// fullDisks is the rig of T12.
type fullDisks struct {
	p      *Pair
	phones []*wire.Phone    // of the calls in progress
	pairs  [][2]*wire.Phone // of those that come and go
}

func newFullDisks(p *Pair) *fullDisks {
	d := &fullDisks{p: p, phones: p.register(2 * number("TANDEM_CALLS", 10))}
	d.pairs = p.pairs(20, 1000+len(d.phones))
	return d
}

// round fills disks, has calls go on, come and go, makes room again, and waits until the cluster is as it was.
func (d *fullDisks) round(t *testing.T, whose string, which func(serves string) []string) {
	ok := d.p.run("disk of "+whose, func(t *testing.T) {
		p := d.p
		talks := p.talks(t, d.phones)
		calls := p.traffic(200*time.Millisecond, d.pairs)
		<-time.After(3 * time.Second)
		serves := p.serving()
		full := which(serves)
		began := time.Now()
		for _, name := range full {
			p.fill(name)
		}
		for _, name := range full {
			p.eventually(20*time.Second, "an alarm of "+name, func() bool { return d.complains(name) })
		}
		t.Logf("alarm after %v", time.Since(began).Round(100*time.Millisecond))
		watched := d.watch(full)
		for time.Since(began) < fullFor {
			p.goOn(talks, 20*time.Second)
			<-time.After(time.Second)
		}
		for n, c := range talks { // changed while it is full, and half of them ended
			c.hold(c.a, c.b, c.am, c.bm)
			if n%2 == 0 {
				c.bye(c.a, c.b)
			}
		}
		silent, waits := watched()
		t.Logf("%s serves, before it was %s; records of %d calls have waited; no alarm for %v", p.serving(), serves, waits, silent.Round(10*time.Millisecond))
		if slices.Contains(full, serves) && waits == 0 {
			t.Error("no record has waited, though the node that served had no room for it")
		}
		if silent > missedWithin {
			t.Errorf("nobody complained for %v, while a disk was full", silent)
		}
		for _, name := range full {
			p.free(name)
		}
		freed := time.Now()
		p.eventually(90*time.Second, "well again", d.well)
		t.Logf("well again %v after there was room", time.Since(freed).Round(100*time.Millisecond))
		<-time.After(2 * time.Second)
		d.count(t, calls.end())
		for n, c := range talks {
			if n%2 == 1 {
				c.goesOn(10 * time.Second)
				c.bye(c.b, c.a)
			}
		}
		p.idle(p.serving())
		p.eventually(30*time.Second, "a record for each call", func() bool { return len(p.records()) == len(p.ledger.all()) })
		for _, name := range full {
			if out := p.nodes[name].out.String(); !strings.Contains(out, "disk of the state") {
				t.Errorf("the log of %s does not name the disk", name)
			}
		}
	})
	if !ok {
		t.FailNow()
	}
}

// missedWithin is how long it may take until the other node misses one that has handed over and does not answer until there is room: three
// seconds unheard, and what lies between looks.
const missedWithin = 5 * time.Second

// watch looks all along, until it is ended, how long at most one of some nodes has not complained, and how many calls waited for a record.
func (d *fullDisks) watch(names []string) (end func() (silent time.Duration, waits int)) {
	var silent time.Duration
	var waits int
	var watching sync.WaitGroup
	stop := make(chan struct{})
	watching.Go(func() {
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		since := make([]time.Time, len(names))
		for {
			for n, name := range names {
				if now := time.Now(); since[n].IsZero() || d.complains(name) {
					since[n] = now
				}
				silent = max(silent, time.Since(since[n]))
			}
			waits = max(waits, d.wait())
			select {
			case <-stop:
				return
			case <-look.C:
			}
		}
	})
	over := sync.OnceFunc(func() { close(stop); watching.Wait() })
	d.p.t.Cleanup(over)
	return func() (time.Duration, int) { over(); return silent, waits }
}

// complains is true when a node that answers says that its disk is full, or, where it does not, when the other does of the node.
func (d *fullDisks) complains(name string) bool {
	s, ok := d.p.status(name)
	wrong := "disk of the state"
	if !ok && len(d.p.nodes) > 1 {
		s, ok = d.p.status(other(name))
		wrong = "node " + name + " "
	}
	return ok && slices.ContainsFunc(s.Problems, func(what string) bool { return strings.Contains(what, wrong) })
}

// well is true when nobody complains of anything any more.
func (d *fullDisks) well() bool {
	if len(d.p.nodes) > 1 {
		return d.p.whole()
	}
	s, ok := d.p.status("a")
	return ok && s.Held && !s.Degraded && s.Waits == 0 && len(s.Problems) == 0
}

// wait is how many calls have no record yet.
func (d *fullDisks) wait() (waits int) {
	for name := range d.p.nodes {
		if s, err := console.Dial(filepath.Join(d.p.dir, name, "state", "admin.sock")).Status(); err == nil {
			waits += s.RecordsWait
		}
	}
	return waits
}

// count takes what came of the calls that came and went: none may have failed.
func (d *fullDisks) count(t *testing.T, tries []try) {
	t.Helper()
	took, failed := spread(tries, time.Time{}, time.Now())
	t.Logf("%d calls came and went; set up in %v (median), %v (99 of 100), %v (worst)", len(tries), of(took, 500), of(took, 990), of(took, 1000))
	for _, err := range failed {
		t.Error(err)
	}
}
