package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// T13: clocks an hour and five seconds apart. Nobody is deposed by a step, and who takes over with another clock has every registration and
// every call, also of phones that have not registered since; a call's record tells how long it was.
func TestSoakT13Clocks(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newPair(t, soakElection, "", clocks)
	const calls = 4
	round := 0
	var phones []*wire.Phone
	for n := range 2 * calls {
		phones = append(phones, p.phone(fmt.Sprint(1000+n)))
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour, 5 * time.Second, -5 * time.Second} {
		for _, who := range []string{"a", "b", "w"} {
			serves := p.serving()
			t.Logf("clock of %s %v ahead while %s serves", who, by, serves)
			before, _ := p.status(serves)
			var talks []*talk
			for n := range calls {
				talks = append(talks, p.connect(phones[2*n], phones[2*n+1], n))
			}
			p.stepped(who, by, serves)
			if after, _ := p.status(serves); after.Epoch != before.Epoch {
				t.Errorf("epoch %d, and %d after the step", before.Epoch, after.Epoch)
			}
			p.eventually(5*time.Second, "all calls and registrations on both nodes after the step", func() bool {
				n, r := p.load(serves)
				_, standing, held := p.stands(other(serves))
				return n == calls && r == len(phones) && standing == calls && held == len(phones)
			})
			for n, phone := range phones { // by the clock as it is now; the others go by what they were granted before
				if n%2 == round%2 {
					phone.Register()
				}
			}
			round++
			p.goOn(talks, 10*time.Second)
			p.kill(serves)
			p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
			p.goOn(talks, 20*time.Second)
			p.eventually(10*time.Second, "all calls and registrations", func() bool { n, r := p.load(other(serves)); return n == calls && r == len(phones) })
			var n, r int
			for range 50 { // and they stay
				p.goOn(talks, 10*time.Second)
				if n, r = p.load(other(serves)); n != calls || r != len(phones) {
					t.Errorf("%d calls of %d and %d registrations of %d", n, calls, r, len(phones))
					break
				}
			}
			for _, c := range talks {
				c.bye(c.a, c.b)
			}
			p.start(serves)
			p.eventually(90*time.Second, "whole again", p.whole)
			p.stepped(who, 0, p.serving())
		}
	}
	p.agree()
	p.saneDurations(2 * time.Minute)
}

// T13 too: a standby that starts with a clock an hour ahead, or behind, reads what was kept before it was. It tells whose clock is wrong, and when
// it takes over, registrations and calls are there; a registration ends when it was to end, not an hour later either.
func TestSoakT13StandbyStarts(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newPair(t, soakElection, "", clocks)
	const calls, granted, away = 2, 60 * time.Second, 30 * time.Second
	const life = 4 * granted // of a registration that is taken over: refreshes are not told each time
	var phones []*wire.Phone
	for n := range 2 * calls {
		phones = append(phones, p.phone(fmt.Sprint(1000+n)))
	}
	short := p.phone("1100")
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		serves := p.serving()
		t.Logf("%s starts with its clock %v ahead while %s serves", other(serves), by, serves)
		var talks []*talk
		for n := range calls {
			talks = append(talks, p.connect(phones[2*n], phones[2*n+1], n))
		}
		registered := time.Now()
		if m := short.Ask(short.Registration(short.Contact(), fmt.Sprintf("Expires: %d", int(granted/time.Second)))); m.Status() != 200 {
			t.Fatalf("REGISTER: %s", m.Raw)
		}
		p.kill(other(serves))
		for time.Since(registered) < away { // whose age it shall have
			p.goOn(talks, 10*time.Second)
		}
		p.step(other(serves), by)
		p.start(other(serves))
		p.eventually(60*time.Second, "whole", p.whole)
		p.eventually(10*time.Second, "told whose clock is wrong", func() bool {
			s, _ := p.status(serves)
			return strings.Contains(strings.Join(s.Problems, "\n"), "the clock of node "+other(serves))
		})
		p.kill(serves)
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
		p.goOn(talks, 20*time.Second)
		all := func(registrations int) func() bool {
			return func() bool { n, r := p.load(other(serves)); return n == calls && r == registrations }
		}
		p.eventually(10*time.Second, "all calls and registrations", all(len(phones)+1))
		if left := life - 10*time.Second - time.Since(registered); left > 0 {
			p.always(left, "all calls and registrations there", func() bool {
				n, r := p.load(other(serves))
				return n < 0 || n == calls && r == len(phones)+1 // or it has no time to say
			})
		} else {
			t.Logf("the machine is too slow to see whether a registration ends early: %v after it", time.Since(registered))
		}
		p.eventually(life+30*time.Second-time.Since(registered), "the registration that has ended gone, and nothing else", all(len(phones)))
		p.goOn(talks, 10*time.Second)
		for _, c := range talks {
			c.bye(c.a, c.b)
		}
		p.start(serves)
		p.eventually(90*time.Second, "whole again", p.whole)
		p.step(other(serves), 0)
		for _, phone := range phones { // by the clock as it is now
			phone.Register()
		}
	}
}

// saneDurations looks at the durations in all records of both nodes.
func (p *Pair) saneDurations(most time.Duration) {
	p.t.Helper()
	for _, name := range []string{"a", "b"} {
		f, err := os.Open(filepath.Join(p.dir, name, "state", "cdr.jsonl"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		for d := json.NewDecoder(f); ; {
			var r struct {
				Call     string
				Duration float64
			}
			if err := d.Decode(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				p.t.Fatal(err)
			}
			if r.Duration <= 0 || r.Duration > most.Seconds() {
				p.t.Errorf("call %s lasted %v s, says its record", r.Call, r.Duration)
			}
		}
		_ = f.Close()
	}
}
