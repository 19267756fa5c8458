package phone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// settingUp bounds the phones of a crowd that register or call at a time: a switch that is given a thousand handshakes in one
// instant answers the last of them late, and says nothing about the load that is wanted.
const settingUp = 8

// mostPhones is what one process carries: a browser's PeerConnection has two dozen goroutines.
const mostPhones = 1000

// A crowd is many phones in one process, as load: --phones of them, with user
// names and numbers to call that are counted up.
type crowd struct {
	o     *options
	out   io.Writer
	slots chan struct{} // of settingUp

	mu       sync.Mutex
	calls    []*Call
	errs     []error
	answered atomic.Int32
	over     atomic.Int32
}

// A Tally is what a crowd has come to, one line of JSON twice a second and one at the end.
type Tally struct {
	Phones    int    `json:"phones"`
	Answered  int    `json:"answered"`  // calls
	Connected int    `json:"connected"` // those of them that hear something
	Over      int    `json:"over"`
	Failed    int    `json:"failed"` // phones
	Sent      uint64 `json:"packets_sent"`
	Received  uint64 `json:"packets_received"`
	Lost      uint64 `json:"packets_lost"`
}

// actCrowd runs them until each has had its call, or ctx ends, which is no failure once all calls were up.
func (o *options) actCrowd(ctx context.Context, out io.Writer) error {
	if o.script != "" || o.reject != 0 || o.record != "" || (o.call == "") == !o.answer {
		return errors.New("--phones goes with one of --call and --answer, and not with --script, --reject or --record")
	}
	c := &crowd{o: o, out: out, slots: make(chan struct{}, settingUp)}
	telling, quiet := context.WithCancel(context.Background())
	var teller, phones sync.WaitGroup
	teller.Go(func() { c.tell(telling) })
	for i := range o.phones {
		phones.Go(func() {
			if err := c.one(ctx, i); err != nil {
				c.mu.Lock()
				c.errs = append(c.errs, fmt.Errorf("phone %d: %w", i, err))
				c.mu.Unlock()
			}
		})
	}
	phones.Wait()
	quiet()
	teller.Wait()
	if err := c.print(); err != nil {
		return err
	}
	if len(c.errs) > 0 {
		return fmt.Errorf("%d of %d phones failed, the first one: %w", len(c.errs), o.phones, c.errs[0])
	}
	return nil
}

// one is the life of phone i.
func (c *crowd) one(ctx context.Context, i int) error {
	o := *c.o
	var err error
	if o.config.User, err = counted(o.config.User, i); err != nil {
		return err
	}
	p, err := New(o.config)
	if err != nil {
		return err
	}
	defer p.Close()
	call, err := c.setUp(ctx, p, i)
	if err != nil || call == nil {
		return err
	}
	defer c.over.Add(1)
	limited, stop := context.WithTimeout(ctx, o.length)
	defer stop()
	select {
	case <-call.Done():
	case <-limited.Done():
	}
	leaving, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	err = call.Hangup(leaving)
	if p.Registration().Active {
		_ = p.Unregister(leaving)
	}
	return err
}

// setUp registers where that is wanted, and gives the call when it is answered; nil without an error: ctx ended before one came in.
func (c *crowd) setUp(ctx context.Context, p *Phone, i int) (*Call, error) {
	o := c.o
	waiting, stop := context.WithTimeout(ctx, o.patience)
	defer stop()
	if o.answer || o.register {
		if err := c.inTurn(waiting, func() error { return p.Register(waiting, o.expires) }); err != nil {
			return nil, err
		}
	}
	if o.answer {
		call, err := p.WaitIncoming(waiting)
		if err == nil {
			err = call.WaitAnswered(waiting)
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		c.note(call)
		return call, err
	}
	to, err := counted(o.call, i)
	if err != nil {
		return nil, err
	}
	var call *Call
	err = c.inTurn(waiting, func() (err error) {
		call, err = p.Call(waiting, to, CallOptions{Play: o.play})
		if err == nil && call.stream.peer != nil {
			err = call.stream.peer.waitConnected(waiting)
		}
		return err
	})
	if err == nil {
		c.note(call)
	}
	return call, err
}

// inTurn runs f when fewer than settingUp others are at it.
func (c *crowd) inTurn(ctx context.Context, f func() error) error {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.slots }()
	return f()
}

func (c *crowd) note(call *Call) {
	if call == nil {
		return
	}
	c.answered.Add(1)
	c.mu.Lock()
	c.calls = append(c.calls, call)
	c.mu.Unlock()
}

// tell prints the tally twice a second.
func (c *crowd) tell(ctx context.Context) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if c.print() != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *crowd) print() error {
	t := c.tally()
	if c.o.json {
		return json.NewEncoder(c.out).Encode(t)
	}
	_, err := fmt.Fprintf(c.out, "%d phones: %d calls answered, %d with sound, %d over, %d failed; packets: %d sent, %d received, %d lost\n",
		t.Phones, t.Answered, t.Connected, t.Over, t.Failed, t.Sent, t.Received, t.Lost)
	return err
}

func (c *crowd) tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Tally{Phones: c.o.phones, Answered: int(c.answered.Load()), Over: int(c.over.Load()), Failed: len(c.errs)}
	for _, call := range c.calls {
		s := call.stream
		s.mu.Lock()
		heard := s.hearing.received()
		t.Sent, t.Received, t.Lost = t.Sent+uint64(s.sending.packets), t.Received+uint64(heard), t.Lost+uint64(s.hearing.lost())
		s.mu.Unlock()
		if heard > 0 {
			t.Connected++
		}
	}
	return t
}

// counted is a number i further than the one given, with as many digits; what is no number stays as it is.
func counted(first string, i int) (string, error) {
	if i == 0 || first == "" {
		return first, nil
	}
	n, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return "", fmt.Errorf("--phones counts up from numbers, and %q is none", first)
	}
	return fmt.Sprintf("%0*d", len(first), n+uint64(i)), nil
}
