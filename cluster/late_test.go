package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// flights is a writer whose store answers when the test says so.
type flights struct {
	*writer
	start time.Time
}

func newFlights() flights {
	e := &Engine{cfg: Config{AckWithin: 50 * time.Millisecond, Backlog: 1 << 20}, buckets: map[string]*bucket{"reg": {Bucket: Bucket{Name: "reg"}}}}
	e.lease.grant(forever)
	return flights{&writer{e: e, flying: map[uint64]*flight{}, latest: map[string]*flight{}, backlog: map[string]*flight{}, dropped: map[string]bool{}}, time.Now()}
}

// leave sends a record so long after the start; told: it has waited, and nobody does for it.
func (x flights) leave(after time.Duration, told bool) {
	x.next++
	f := &flight{w: Write{Bucket: "reg"}, subject: fmt.Sprint(x.next), sent: x.start.Add(after), told: told}
	x.flying[x.next], x.latest[f.subject] = f, f
	x.order = append(x.order, x.next)
}

// late are the records that are overdue so long after the start, and whose writers must be told.
func (x flights) late(after time.Duration) (subjects []string) {
	all, _ := x.overdue(x.start.Add(after))
	for _, f := range all {
		subjects = append(subjects, f.subject)
	}
	return subjects
}

func (x flights) answered(flights ...uint64) {
	for _, n := range flights {
		delete(x.flying, n)
	}
	x.probing = false
}

// Records that left just before the store was found to be away are not waited for any longer than the first one.
func TestNobodyWaitsLonger(t *testing.T) {
	x := newFlights()
	for n := range 5 {
		x.leave(time.Duration(n)*10*time.Millisecond, false)
	}
	if got := x.late(55 * time.Millisecond); !slices.Equal(got, []string{"1"}) {
		t.Errorf("late: %q", got)
	}
	x.degraded = true
	if got := x.late(75 * time.Millisecond); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("late: %q", got)
	}
	x.leave(80*time.Millisecond, true)
	if got := x.late(95 * time.Millisecond); !slices.Equal(got, []string{"4", "5"}) || len(x.backlog) != 5 {
		t.Errorf("late: %q, %d wait", got, len(x.backlog))
	}
	if x.late(900 * time.Millisecond); len(x.flying) != 1 {
		t.Error("what nobody waits for was given up early")
	}
	if x.late(1100 * time.Millisecond); len(x.flying) != 0 || len(x.backlog) != 6 {
		t.Errorf("%d under way, %d wait", len(x.flying), len(x.backlog))
	}
}

// The store is back when all that waited is held, though more is on its way all the time.
func TestRestoredUnderLoad(t *testing.T) {
	x := newFlights()
	x.degraded, x.probing = true, true
	x.backlog["a"] = &flight{}
	if x.restored() {
		t.Fatal("something waits")
	}
	clear(x.backlog)
	x.leave(0, true)
	if x.restored() {
		t.Fatal("nothing has been answered")
	}
	x.probing = false
	x.leave(0, true)
	if x.restored() { // 1 and 2 are what waited
		t.Fatal("what waited is under way")
	}
	x.leave(5*time.Millisecond, true)
	x.answered(1)
	if x.late(6 * time.Millisecond); x.restored() {
		t.Fatal("2 is under way")
	}
	x.answered(2)
	if x.late(7 * time.Millisecond); !x.restored() {
		t.Fatal("what waited is held")
	}

	x.restored() // begins anew
	if x.late(2 * time.Second); x.restored() || !x.probing || len(x.backlog) != 1 {
		t.Errorf("3 is late: probing %v, %d wait", x.probing, len(x.backlog))
	}
}

// A store that comes and goes is one alarm: its end is told when it has answered for a second.
func TestAlarmOfStoreThatComesAndGoes(t *testing.T) {
	x := newFlights()
	var told []string
	x.e.log, x.e.cfg.Tell = quiet, func(ev Event) { told = append(told, ev.Name) }
	x.epoch = 1
	sweep := func(after time.Duration) { x.sweep(x.start.Add(after)) }
	for _, begins := range []time.Duration{0, 300 * time.Millisecond, 1200 * time.Millisecond} {
		x.leave(begins, false)
		if sweep(begins + 60*time.Millisecond); !x.degraded || !slices.Equal(told, []string{"replication degraded"}) {
			t.Fatalf("late record of %v: degraded %v, told %q", begins, x.degraded, told)
		}
		clear(x.backlog)
		x.probing = false
		if sweep(begins + 200*time.Millisecond); x.degraded {
			t.Fatalf("degraded %v after all is held", begins)
		}
	}
	if sweep(2300 * time.Millisecond); len(told) != 1 {
		t.Errorf("told %q too early", told)
	}
	if sweep(2400 * time.Millisecond); !slices.Equal(told, []string{"replication degraded", "replication restored"}) {
		t.Errorf("told %q", told)
	}
}

// The store has only been slow: what waits leaves as soon as its late answer has come, not when it is tried next.
func TestLateAnswer(t *testing.T) {
	x := newFlights()
	x.e.log, x.e.cfg.Tell = quiet, func(Event) {}
	x.e.lease.begin(1)
	x.e.lease.grant(forever)
	x.inbox, x.epoch = "inbox.", 1
	x.leave(0, false)
	if x.sweep(x.start.Add(55 * time.Millisecond)); !x.degraded || len(x.backlog) != 1 {
		t.Fatalf("degraded %v, %d wait", x.degraded, len(x.backlog))
	}
	if x.sweep(x.start.Add(60 * time.Millisecond)); len(x.backlog) != 1 {
		t.Error("sent again although nobody answers")
	}
	x.answer(&nats.Msg{Subject: "inbox.1", Data: []byte(`{"stream":"reg","seq":7}`)})
	if x.sweep(x.start.Add(65 * time.Millisecond)); len(x.backlog) != 0 || len(x.flying) != 1 {
		t.Errorf("%d wait, %d under way", len(x.backlog), len(x.flying))
	}
}

// A store that does not answer may mean that nobody hears this node any more. Nobody is told that he may answer before a majority has agreed, later
// than the store was late, that this node serves; when another one does, all are told so.
func TestLateOnesWaitForAMajority(t *testing.T) {
	for name, word := range map[string]struct {
		comes func(x flights)
		want  error
	}{
		"none yet":                      {func(flights) {}, nil},
		"that is older than the doubt":  {func(x flights) { x.e.lease.grantSince(x.doubtful[0].doubted, time.Minute) }, nil},
		"and the lease has ended since": {func(x flights) { x.e.lease.grantSince(BootTime(), 0) }, nil},
		"that is later":                 {func(x flights) { x.e.lease.grantSince(BootTime(), time.Minute) }, ErrDegraded},
		"another node serves":           {func(x flights) { x.e.cfg.Left = func(all []Record) { t.Errorf("left %v", all) }; x.end() }, ErrFenced},
	} {
		t.Run(name, func(t *testing.T) {
			x := newFlights()
			x.e.log, x.e.cfg.Tell = quiet, func(Event) {}
			x.e.lease.begin(1)
			x.e.lease.grantSince(BootTime(), time.Minute)
			x.inbox, x.epoch = "inbox.", 1
			told := map[string][]error{}
			done := func(key string) func(error) { return func(err error) { told[key] = append(told[key], err) } }
			x.leave(0, false)
			x.flying[1].w.Done = done("under way")
			x.sweep(x.start.Add(55 * time.Millisecond))
			x.put(x.e.buckets["reg"], Write{Bucket: "reg", Key: "late", Done: done("put while it is away")})
			if len(told) > 0 || !x.degraded || len(x.backlog) != 2 {
				t.Fatalf("told %v, degraded %v, %d wait", told, x.degraded, len(x.backlog))
			}
			if n := x.owes(); n != 0 {
				t.Errorf("owes %d that nobody was answered for", n)
			}
			word.comes(x)
			x.sweep(x.start.Add(60 * time.Millisecond))
			x.agreed()
			x.agreed()
			for _, key := range []string{"under way", "put while it is away"} {
				if word.want == nil && len(told[key]) > 0 || word.want != nil && !slices.Equal(told[key], []error{word.want}) {
					t.Errorf("%s: told %v, and not %v", key, told[key], word.want)
				}
			}
		})
	}
}
