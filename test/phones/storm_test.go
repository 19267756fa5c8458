package phones

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"tandem/cmd/tandem/phone"
)

// changes are what a phone may ask for in the middle of a call.
var changes = []struct {
	name string
	ask  func(context.Context, *phone.Call) error
}{
	{"hold", func(ctx context.Context, c *phone.Call) error { return c.Hold(ctx) }},
	{"resume", func(ctx context.Context, c *phone.Call) error { return c.Resume(ctx) }},
	{"late offer", func(ctx context.Context, c *phone.Call) error { return c.Reinvite(ctx, phone.Change{LateOffer: true}) }},
	{"update", func(ctx context.Context, c *phone.Call) error { return c.Update(ctx, phone.Change{}) }},
	{"hold by update", func(ctx context.Context, c *phone.Call) error {
		return c.Update(ctx, phone.Change{Direction: phone.SendOnly})
	}},
	{"inactive", func(ctx context.Context, c *phone.Call) error {
		return c.Reinvite(ctx, phone.Change{Direction: phone.Inactive})
	}},
	{"old hold", func(ctx context.Context, c *phone.Call) error {
		return c.Reinvite(ctx, phone.Change{Direction: phone.SendOnly, Blackhole: true})
	}},
	{"INFO", func(ctx context.Context, c *phone.Call) error { return c.SendInfo(ctx, "1") }},
}

// Two phones renegotiate at random, in turn and both at once. Whatever came before, both hear each other once both have
// resumed.
func TestRenegotiationsAtRandom(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for seed := range uint64(8) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, 1))
				k := o.connect(t, o.anyPhone(t, r), o.anyPhone(t, r))
				if seed%2 == 0 {
					for range 30 {
						change(t, "one", []*phone.Call{k.caller, k.callee}[r.IntN(2)], r)
					}
				} else {
					var both sync.WaitGroup
					both.Go(func() { changeOften(t, "caller", k.caller, rand.New(rand.NewPCG(seed, 2))) })
					both.Go(func() { changeOften(t, "callee", k.callee, rand.New(rand.NewPCG(seed, 3))) })
					both.Wait()
				}
				must(t, "caller resumes", k.caller.Resume(within(t)))
				must(t, "callee resumes", k.callee.Resume(within(t)))
				k.hear(t, "in the end")
				k.hangUp(t)
			})
		}
	})
	o.Idle(patience)
}

// anyPhone is a configuration at random.
func (o *office) anyPhone(t *testing.T, r *rand.Rand) phone.Config {
	t.Helper()
	c := o.config(o.extension(t), transports[r.IntN(len(transports))])
	if c.Transport == "tls" || c.Transport == "wss" {
		c.SRTP = []phone.SRTP{phone.SRTPOff, phone.SRTPOptional, phone.SRTPRequired}[r.IntN(3)]
	}
	c.Codecs = [][]string{{"PCMA"}, {"PCMU"}, {"PCMA", "PCMU"}, {"PCMU", "PCMA"}}[r.IntN(4)]
	return c
}

func changeOften(t *testing.T, who string, c *phone.Call, r *rand.Rand) {
	for range 6 {
		change(t, who, c, r)
	}
}

func change(t *testing.T, who string, c *phone.Call, r *rand.Rand) {
	t.Helper()
	one := changes[r.IntN(len(changes))]
	if err := one.ask(within(t), c); err != nil {
		t.Errorf("%s: %s: %v", who, one.name, err)
	}
}
