package cluster

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// T10: calls begin at TANDEM_RATE a second (100) while the standby is killed, and with it the leader of the store's streams; while the witness is
// killed; and while the standby is frozen for some seconds and answers nothing. 99 of 100 are set up within 100 ms all the time, that of
// the store's election and that after it, and each has one record.
func TestSoakT10UnderLoad(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	p := newRig(t, hosts, soakConfiguration())
	p.eventually(60*time.Second, "pair whole", p.whole)
	rate := number("TANDEM_RATE", 100)
	pairs := p.pairs(rate/2, 1000)
	for _, f := range []struct {
		name     string
		begin    func(serves string)
		end      func(serves string)
		degrades bool
	}{
		{"standby killed", func(s string) { p.kill(other(s)) }, func(s string) { p.start(other(s)) }, true},
		{"witness killed", func(string) { p.kill("w") }, func(string) { p.start("w") }, false},
		{"standby frozen", func(s string) { p.signal(other(s), syscall.SIGSTOP) }, func(s string) { p.signal(other(s), syscall.SIGCONT) }, true},
	} {
		serves := p.serving()
		flow := p.traffic(time.Second/time.Duration(rate), pairs)
		time.Sleep(5 * time.Second) // of calls to compare with
		watch := p.watchDegraded(serves)
		fault := time.Now()
		f.begin(serves)
		time.Sleep(15 * time.Second) // the store elects within 4 to 9 s
		mended := time.Now()
		f.end(serves)
		p.eventually(90*time.Second, "whole again after "+f.name, p.whole)
		spans := watch.end()
		var from, until time.Time
		if len(spans) > 0 {
			from, until = spans[0].from, spans[0].to
		}
		tries := flow.end()
		for _, s := range spans {
			t.Logf("T10 %s: degraded from %v to %v after it", f.name, s.from.Sub(fault).Round(time.Millisecond), s.to.Sub(fault).Round(time.Millisecond))
		}
		if f.degrades != (!from.IsZero() && from.Before(mended)) {
			t.Errorf("%s: degraded %v, and should be %v", f.name, !from.IsZero(), f.degrades)
		}
		if p.serving() != serves {
			t.Errorf("the role has moved after %s", f.name)
		}
		for _, part := range []struct {
			name     string
			from, to time.Time
		}{
			{"before", time.Time{}, fault}, {"the first second", fault, fault.Add(time.Second)}, {"while degraded", from, until}, {"until it was mended", fault, mended},
			{"and whole again", mended, time.Now()},
		} {
			took, failed := spread(tries, part.from, part.to)
			t.Logf("T10 %s, %s: %d calls, set up in %v (median), %v (99 of 100), worst %v; %d failed", f.name, part.name, len(took), of(took, 500), of(took, 990), of(took, 1000), len(failed))
			if len(failed) > 0 {
				t.Errorf("%s, %s: %d calls failed, the first by %v", f.name, part.name, len(failed), failed[0])
			}
			if of(took, 990) >= 100*time.Millisecond {
				t.Errorf("%s, %s: T10 promises 99 of 100 in less than 100 ms, and it took %v", f.name, part.name, of(took, 990))
			}
		}
	}
	p.idle(p.serving())
	p.agree()
}

// watcher notes when a node's store was degraded.
type watcher struct {
	stop  chan struct{}
	work  sync.WaitGroup
	spans []span
}

type span struct{ from, to time.Time }

func (p *Pair) watchDegraded(name string) *watcher {
	w := &watcher{stop: make(chan struct{})}
	w.work.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for was := false; ; {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			s, ok := p.status(name)
			now := time.Now()
			is := ok && s.Degraded
			if is && !was {
				w.spans = append(w.spans, span{from: now})
			}
			if is {
				w.spans[len(w.spans)-1].to = now
			}
			was = is
		}
	})
	return w
}

func (w *watcher) end() []span {
	close(w.stop)
	w.work.Wait()
	return w.spans
}
