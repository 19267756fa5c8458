package cluster

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tandem/test/wire"
)

// briefLife is how long a brief call is up.
const briefLife = 300 * time.Millisecond

// brief is a call of traffic that is up for briefLife, between phones that keep to RFC 3261: the caller repeats its INVITE no more
// once it has a provisional response, the called one repeats its 200 until it hears the ACK. It has failed when it is refused or not answered,
// when either side is hung up on before the caller hangs up, and when the called one is not told of that.
func brief(from, to *wire.Phone, body string) (x try) {
	c := &answerer{at: to, body: body, over: make(chan struct{}), calls: map[string]*answer{}}
	var called sync.WaitGroup
	called.Go(c.run)
	defer func() {
		close(c.over)
		if called.Wait(); x.err == nil {
			x.err = c.fault()
		}
		if x.err != nil {
			x.err = fmt.Errorf("%s to %s: %w", from.User, to.User, x.err)
		}
	}()
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
		x.err = fmt.Errorf("INVITE %s: %v %q", r.CallID, ok, m.Raw)
		return x
	}
	x.answered = true
	call := &wire.Call{Phone: from, From: r.From, ID: r.CallID, Seq: r.Seq}
	call.AckTo(m)
	if m, early := from.Poll(briefLife, func(m wire.Message) bool { return m.Method() == "BYE" && m.Get("call-id") == call.ID }); early {
		from.Reply(m, 200, wire.Reply{})
		x.err = fmt.Errorf("the caller was hung up on: %q", m.Raw)
		return x
	}
	c.ends.Store(true)
	if m, ok := from.Try(call.Next("BYE", ""), callLimit); !ok || m.Status() != 200 {
		x.err = fmt.Errorf("BYE of %s: %v %q", call.ID, ok, m.Start)
	}
	return x
}

// answerer answers at once what rings at one phone.
type answerer struct {
	at   *wire.Phone
	body string
	ends atomic.Bool // the caller hangs up
	over chan struct{}

	calls map[string]*answer // by Call-ID; of run
	early error              // what came before the caller hung up
}

// answer is a call that was answered.
type answer struct {
	call         *wire.Call
	acked, ended bool
	again        time.Time // when the 200 is due again
	wait         time.Duration
}

// run ends once the caller is done and every call that came about has ended.
func (c *answerer) run() {
	var last time.Time // set once the caller is done
	for {
		if m, ok := c.at.Poll(20*time.Millisecond, func(wire.Message) bool { return true }); ok {
			c.take(m)
			continue
		}
		now := time.Now()
		for _, a := range c.calls {
			if !a.acked && !a.ended && now.After(a.again) {
				a.call.Respond(200, c.body)
				a.wait = min(2*a.wait, 4*time.Second) // RFC 3261 §13.3.1.4
				a.again = now.Add(a.wait)
			}
		}
		select {
		case <-c.over:
			if last.IsZero() {
				last = now
			}
		default:
		}
		if !last.IsZero() && (c.fault() == nil || now.Sub(last) > callLimit) {
			return
		}
	}
}

func (c *answerer) take(m wire.Message) {
	id := m.Get("call-id")
	a := c.calls[id]
	switch m.Method() {
	case "INVITE":
		a = &answer{call: c.at.RungBy(m), wait: 500 * time.Millisecond}
		a.again = time.Now().Add(a.wait)
		c.calls[id] = a
		a.call.Respond(200, c.body)
	case "ACK":
		if a != nil {
			a.acked = true
		}
	case "":
	default:
		c.at.Reply(m, 200, wire.Reply{})
		if m.Method() == "BYE" && a != nil {
			if a.ended = true; !c.ends.Load() {
				c.early = fmt.Errorf("the called phone was hung up on: %q", m.Raw)
			}
		}
	}
}

// fault is what is wrong with the calls that came about; only of run, and after it.
func (c *answerer) fault() error {
	if c.early != nil {
		return c.early
	}
	up := 0
	for id, a := range c.calls {
		if !a.acked {
			continue // forgotten: nobody was told of an answer
		}
		if up++; !a.ended {
			return fmt.Errorf("the called phone was not told of the end of %s", id)
		}
	}
	if up > 1 {
		return fmt.Errorf("%d calls for one", up)
	}
	return nil
}
