package cluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/console"
	"tandem/test/wire"
)

// before builds the switch as the version before would be, as far as records go: it reads and writes their form before the newest, and
// nothing newer.
func before(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tandem-before")
	cmd := exec.Command("go", "build", "-tags", "previous", "-o", path, "tandem/cmd/tandem")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// exchange stops a node that does not serve in an orderly way, and starts another binary in its place.
func (p *Pair) exchange(name, path string) {
	p.t.Helper()
	p.signal(name, syscall.SIGTERM)
	<-p.nodes[name].done
	p.nodes[name].path, p.nodes[name].earlier = path, p.nodes[name].earlier+p.nodes[name].out.String()
	p.start(name)
	p.eventually(60*time.Second, name+" with another version", p.whole)
}

// T14: the nodes are exchanged one after the other for an older version, and again for the newer one, while TANDEM_RATE calls (100) begin
// and end each second and TANDEM_CALLS others (10) go on from the first exchange to the last. No call is refused, left unanswered or
// ended by the switch, the planned changes are silent for less than 100 ms, each answered call has one record, and nothing of them stays.
func TestSoakT14RollingUpgrade(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	old, latest := before(t), ""
	// At a hundred calls a second those whose packets rest, and those that wait for a change, need some thousand ports.
	p := newRig(t, hosts, strings.Replace(soakConfiguration(), `"20000-23999"`, `"20000-31999"`, 1))
	p.eventually(60*time.Second, "pair whole", p.whole)
	u := newUpgrade(p, number("TANDEM_RATE", 100), number("TANDEM_CALLS", 10))
	u.phase("all of the newest version", func() { time.Sleep(5 * time.Second) }) // to compare with
	forms := 0
	for n, path := range []string{old, latest} {
		version := []string{"older", "newer"}[n]
		u.phase("witness to the "+version+" version", func() { p.exchange("w", path) })
		for range 2 {
			serves := p.serving()
			u.phase(other(serves)+" to the "+version+" version", func() { p.exchange(other(serves), path) })
			forms += strings.Count(p.nodes[serves].out.String(), "records written again")
			u.phase("change from "+serves, func() {
				p.failover(serves)
				p.eventually(10*time.Second, "the exchanged node serves", func() bool { return p.has(other(serves), virtual) })
				time.Sleep(time.Second)
			})
			u.phase("until whole", func() { p.eventually(60*time.Second, "whole again", p.whole) })
		}
	}
	if forms < 2 { // when the first older node came, and when the last one had gone
		t.Errorf("records were written again %d times", forms)
	}
	u.end()
}

// upgrade is the traffic of T14.
type upgrade struct {
	t        *testing.T
	p        *Pair
	rate     int
	flow     *traffic
	phones   int // that are registered
	talks    []*talk
	changing [2][2]*wire.Phone // of the calls that each phase ends with
	phases   []part
	quiet    [2]console.Status // before the first call
}

// part is a time of the test.
type part struct {
	name     string
	from, to time.Time
}

func newUpgrade(p *Pair, rate, calls int) *upgrade {
	u := &upgrade{t: p.t.(*testing.T), p: p, rate: rate}
	pairs := p.pairs(400, 1000) // a call that meets a change is set up by its second or third INVITE
	for _, pair := range pairs {
		pair[0].Heeds = true
	}
	long := p.pairs(calls+len(u.changing), 1900)
	copy(u.changing[:], long[calls:])
	u.phones = 2 * (len(pairs) + len(long))
	u.quiet = p.quiet()
	for n, pair := range long[:calls] {
		u.talks = append(u.talks, p.place(pair[0], pair[1], n))
	}
	p.goOn(u.talks, 10*time.Second)
	u.flow = p.trafficOf(brief, time.Second/time.Duration(rate), pairs)
	return u
}

// phase is something that happens under the calls: each of those that go on does so, two others come and go, and everybody stays registered.
func (u *upgrade) phase(what string, do func()) {
	t, p := u.t, u.p
	t.Helper()
	since, began := said(u.talks), time.Now()
	do()
	p.goOn(u.talks, 10*time.Second)
	gaps, lost, sent := silences(u.talks, since)
	t.Logf("T14 %s: %v; silence of %d calls %v (median), %v (longest), %d of %d packets lost besides", what, time.Since(began).Round(time.Millisecond), len(gaps),
		of(gaps, 500), of(gaps, 1000), lost, sent)
	if of(gaps, 1000) >= 100*time.Millisecond && timers() == soakElection {
		t.Errorf("%s: a call was silent for %v; less than 100 ms are promised", what, of(gaps, 1000))
	}
	if lost > sent/1000 {
		t.Errorf("%s: %d of %d packets were lost besides", what, lost, sent)
	}
	for n, pair := range u.changing {
		c := p.connect(pair[0], pair[1], len(u.talks)+n)
		c.hold(c.b, c.a, c.bm, c.am)
		c.bye(c.a, c.b)
	}
	if calls, registrations := p.load(p.serving()); registrations != u.phones || calls < len(u.talks) {
		t.Errorf("%s: %d calls and %d registrations", what, calls, registrations)
	}
	u.phases = append(u.phases, part{what, began, time.Now()})
}

// end hangs up, and compares what came of it all with what was there before.
func (u *upgrade) end() {
	t, p := u.t, u.p
	t.Helper()
	began, over := u.phases[0].from, time.Now()
	tries := u.flow.end()
	for _, x := range u.phases {
		took, failed := spread(tries, x.from, x.to)
		t.Logf("T14 %s: %d calls, set up in %v (median), %v (99 of 100), worst %v; %d failed", x.name, len(took), of(took, 500), of(took, 990), of(took, 1000), len(failed))
	}
	failed, late := 0, 0
	for _, x := range tries {
		switch {
		case x.err == nil:
		case errors.Is(x.err, errNobodyFree):
			late++
		default:
			if failed++; failed <= 20 {
				t.Errorf("the call of %s failed: %v", x.began.UTC().Format(time.StampMilli), x.err)
			}
		}
	}
	rate := float64(len(tries)) / over.Sub(began).Seconds()
	t.Logf("T14: %d calls in %v, %.1f a second, %d failed", len(tries), over.Sub(began).Round(time.Second), rate, failed)
	if late > 0 {
		t.Errorf("%d calls could not begin: %v", late, errNobodyFree)
	}
	if rate < 0.97*float64(u.rate) {
		t.Errorf("%.1f calls a second began, and not %d: this machine has too little time", rate, u.rate)
	}
	for n, c := range u.talks {
		if n%2 == 0 {
			c.hold(c.a, c.b, c.am, c.bm)
			c.bye(c.b, c.a)
		} else {
			c.hold(c.b, c.a, c.bm, c.am)
			c.bye(c.a, c.b)
		}
	}
	p.idle(p.serving())
	p.back(u.quiet)
	p.agree()
}
