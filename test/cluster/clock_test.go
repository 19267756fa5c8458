package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tandem/test/wire"
)

// T13: clocks an hour and five seconds apart. Nobody is deposed by a step, and who takes over with another clock has every registration and
// every call; a call's record tells how long it was.
func TestSoakT13Clocks(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newPair(t, soakElection, "", clocks)
	const calls = 4
	answered := 0
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
			answered += calls
			p.stepped(who, by, serves)
			if after, _ := p.status(serves); after.Epoch != before.Epoch {
				t.Errorf("epoch %d, and %d after the step", before.Epoch, after.Epoch)
			}
			for _, phone := range phones { // by the clock as it is now
				phone.Register()
			}
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
	p.agree(answered)
	p.saneDurations(2 * time.Minute)
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
