package cluster

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tandem/test/wire"
)

// traffic is calls that begin at an even rate, each between two phones on UDP. Nothing fails the test by itself: what came of each stands
// in tries.
type traffic struct {
	p     *Pair
	call  func(from, to *wire.Phone, body string) try
	pairs chan [2]*wire.Phone // those that are free
	body  string
	stop  chan struct{}
	work  sync.WaitGroup

	mu    sync.Mutex
	tries []try
}

// try is one call.
type try struct {
	id       string        // the caller's Call-ID
	began    time.Time     // when its INVITE left first, without credentials
	took     time.Duration // until its 200 was there; the phone that is called answers at once
	answered bool          // the caller has heard a 200
	err      error
}

var errNobodyFree = errors.New("no phone is free: calls take too long")

// pairs registers phones whose users are first and those after it.
func (p *Pair) pairs(count, first int) (all [][2]*wire.Phone) {
	p.t.Helper()
	for n := range count {
		all = append(all, [2]*wire.Phone{p.phone(fmt.Sprint(first + 2*n)), p.phone(fmt.Sprint(first + 2*n + 1))})
	}
	return all
}

// traffic begins a call each so often, in turn between those of the pairs who are free. It is set up, and hung up at once.
func (p *Pair) traffic(every time.Duration, pairs [][2]*wire.Phone) *traffic {
	p.t.Helper()
	return p.trafficOf(setUp, every, pairs)
}

// trafficOf is traffic of another kind of calls.
func (p *Pair) trafficOf(call func(from, to *wire.Phone, body string) try, every time.Duration, pairs [][2]*wire.Phone) *traffic {
	p.t.Helper()
	t := &traffic{p: p, call: call, pairs: make(chan [2]*wire.Phone, len(pairs)), stop: make(chan struct{})}
	for _, pair := range pairs {
		t.pairs <- pair
	}
	p.inside("phones", func() { t.body = wire.NewMedia(p.t, phoneHost, "FLOW").SDP() })
	t.work.Go(func() { t.run(every) })
	return t
}

func (t *traffic) run(every time.Duration) {
	next := time.Now() // by the clock: a test that was late for some makes up for them
	due := time.NewTimer(every)
	defer due.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-due.C:
		}
		next = next.Add(every)
		due.Reset(time.Until(next.Add(every)))
		select {
		case pair := <-t.pairs:
			t.work.Go(func() {
				t.add(t.call(pair[0], pair[1], t.body))
				t.pairs <- pair
			})
		default:
			t.add(try{began: time.Now(), err: errNobodyFree})
		}
	}
}

func (t *traffic) add(x try) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.answered {
		t.p.ledger.add(x.id)
	}
	t.tries = append(t.tries, x)
}

// end waits for the last call, and gives them all in the order of their beginning.
func (t *traffic) end() []try {
	close(t.stop)
	t.work.Wait()
	slices.SortFunc(t.tries, func(a, b try) int { return a.began.Compare(b.began) })
	return t.tries
}

// callLimit is how long a call of traffic may take to be set up, and to end: what UDP repeats in that time gets over a takeover.
const callLimit = 10 * time.Second

// setUp is one call, with whatever UDP has to repeat.
func setUp(from, to *wire.Phone, body string) (x try) {
	over := make(chan struct{})
	var called sync.WaitGroup
	called.Go(func() { answerAll(to, body, over) })
	defer called.Wait()
	defer close(over)
	r := from.New("INVITE", to.User)
	r.Body = body
	x.began, x.id = time.Now(), r.CallID
	m, ok := from.Try(r, callLimit)
	if !ok || m.Status() != 401 {
		x.err = fmt.Errorf("INVITE without credentials: %v %q", ok, m.Start)
		return x
	}
	r = from.Sign(r, m)
	m, ok = from.Try(r, callLimit)
	x.took = time.Since(x.began)
	if !ok || m.Status() != 200 {
		x.err = fmt.Errorf("INVITE: %v %q", ok, m.Raw)
		return x
	}
	x.answered = true
	c := &wire.Call{Phone: from, From: r.From, ID: r.CallID, Seq: r.Seq}
	c.AckTo(m)
	if m, ok := from.Try(c.Next("BYE", ""), callLimit); !ok || m.Status() != 200 {
		x.err = fmt.Errorf("BYE: %v %q", ok, m.Start)
	}
	return x
}

// answerAll answers calls and their ends until over, and what has been sent by then.
func answerAll(at *wire.Phone, body string, over <-chan struct{}) {
	for ended := false; ; {
		m, ok := at.Poll(20*time.Millisecond, func(wire.Message) bool { return true })
		switch {
		case !ok && ended:
			return
		case m.Method() == "INVITE":
			at.RungBy(m).Respond(200, body)
		case m.Method() != "" && m.Method() != "ACK":
			at.Reply(m, 200, wire.Reply{})
		}
		select {
		case <-over:
			ended = true
		default:
		}
	}
}

// spread is what came of the calls that began within a time: how many, how many failed, and the times of the others in order.
func spread(tries []try, from, to time.Time) (took []time.Duration, failed []error) {
	for _, x := range tries {
		switch {
		case x.began.Before(from) || !x.began.Before(to):
		case x.err != nil:
			failed = append(failed, x.err)
		default:
			took = append(took, x.took)
		}
	}
	slices.Sort(took)
	return took, failed
}

// of is the time that so many of a thousand were not above; zero where there is none.
func of(sorted []time.Duration, thousandth int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*thousandth/1000)]
}
