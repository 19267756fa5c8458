// Package soak lets phones call each other at random, with every rudeness that phones have, for as long as TANDEM_SOAK
// says (make soak; ten seconds otherwise), and then looks for what was left behind.
package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// media ends a call two seconds after both sides have fallen silent, so that a plug that was pulled is noticed soon.
const media = `
media {
  ports          = "20000-29999"
  silence        = "2s"
  loopback_peers = true
  private_peers  = true
}
registrar { min_expires = "10s" }
`

// where a phone of each transport registers.
var ports = map[string]int{"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 5066, "wss": 7443}

var transports = []string{"udp", "tcp", "tls", "ws", "wss"}

// soak is one run.
type soak struct {
	t      *testing.T
	s      *binary.Switch
	seed   uint64
	calls  atomic.Int64
	spoken atomic.Int64 // calls that were answered
	pulled atomic.Int64
}

func TestSoak(t *testing.T) {
	length := 10 * time.Second
	if v := os.Getenv("TANDEM_SOAK"); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatalf("TANDEM_SOAK=%s: %v", v, err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("TANDEM_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	t.Logf("%v with TANDEM_SEED=%d", length, seed)
	k := &soak{t: t, s: binary.Start(t, binary.Office+media), seed: seed}
	begin := k.s.Process()
	goroutines := k.s.Metrics()["go_goroutines"]

	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var wg sync.WaitGroup
	for n := 1001; n <= 1009; n++ {
		wg.Go(func() { k.live(ctx, strconv.Itoa(n)) })
	}
	wg.Go(func() { k.watch(ctx, length) })
	wg.Wait()

	t.Logf("%d calls, %d answered, %d plugs pulled", k.calls.Load(), k.spoken.Load(), k.pulled.Load())
	if k.calls.Load() == 0 || k.spoken.Load() == 0 {
		t.Fatal("nobody called anybody")
	}
	// A transaction lives up to 64*T1 after the last word, and a dead phone may be asked once more before that.
	k.s.Clean(110 * time.Second)
	m := k.s.Metrics()
	for name, v := range m {
		if binary.Sum(map[string]float64{name: v}, "tandem_panics_total") > 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if got := len(k.s.Records()); got < int(m["tandem_calls_started_total"]) {
		t.Errorf("%d call records for %v calls", got, m["tandem_calls_started_total"])
	}
	k.s.Eventually(15*time.Second, "back at the goroutines of the start", func() bool {
		return k.s.Metrics()["go_goroutines"] <= goroutines+5
	})
	end := k.s.Process()
	t.Logf("memory %d to %d MiB, files %d to %d, CPU %v", begin.RSS>>20, end.RSS>>20, begin.FDs, end.FDs, end.CPU)
	if end.FDs > begin.FDs+5 {
		t.Errorf("%d open files, %d at the start", end.FDs, begin.FDs)
	}
}

// watch notes the switch's size as the run goes on.
func (k *soak) watch(ctx context.Context, length time.Duration) {
	tick := time.NewTicker(max(length/20, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p, m := k.s.Process(), k.s.Metrics()
			k.t.Logf("%v: %d MiB, %d files, %v goroutines, %v calls, %v dialogs, %v ports, %v transactions", time.Now().Format(time.TimeOnly),
				p.RSS>>20, p.FDs, m["go_goroutines"], m["tandem_calls"], m["tandem_dialogs"], m[`tandem_media_ports{state="used"}`],
				binary.Sum(m, "tandem_transactions"))
		}
	}
}

// live is one extension's life: phones come, call, are called and go.
func (k *soak) live(ctx context.Context, user string) {
	n, _ := strconv.ParseUint(user, 10, 64)
	r := rand.New(rand.NewPCG(k.seed, n))
	for ctx.Err() == nil {
		p, err := k.plugIn(ctx, user, transports[r.IntN(len(transports))], r)
		if err != nil {
			if ctx.Err() == nil {
				k.t.Errorf("%s: %v", user, err)
			}
			return
		}
		for i := 2 + r.IntN(8); i > 0 && ctx.Err() == nil; i-- {
			k.call(ctx, p, r)
		}
		if r.IntN(3) == 0 {
			k.pulled.Add(1)
			_ = p.Abandon()
			continue
		}
		if r.IntN(2) == 0 {
			_ = p.Unregister(ctx)
		}
		_ = p.Close()
	}
}

// plugIn registers a phone that answers as its owner feels.
func (k *soak) plugIn(ctx context.Context, user, transport string, r *rand.Rand) (*phone.Phone, error) {
	mood := rand.New(rand.NewPCG(r.Uint64(), 1))
	var mu sync.Mutex
	p, err := phone.New(phone.Config{
		Server: k.s.Addr(ports[transport]), Transport: transport, User: user, Password: binary.Password, Insecure: true,
		Local: "127.0.0.1",
		Answer: phone.Answer{Func: func(c *phone.Call) {
			mu.Lock()
			what, after := mood.IntN(10), time.Duration(mood.IntN(400))*time.Millisecond
			mu.Unlock()
			k.pickUp(c, what, after)
		}},
	})
	if err != nil {
		return nil, err
	}
	if err := p.Register(ctx, 30*time.Second); err != nil {
		_ = p.Close()
		return nil, fmt.Errorf("register over %s: %w", transport, err)
	}
	return p, nil
}

// pickUp is what a callee does.
func (k *soak) pickUp(c *phone.Call, what int, after time.Duration) {
	wait := time.NewTimer(after)
	defer wait.Stop()
	switch what {
	case 0:
		_ = c.Reject(486, "")
		return
	case 1:
		_ = c.Reject(603, "")
		return
	case 2:
		_ = c.Progress()
	case 3: // answers without having rung
	default:
		_ = c.Ring()
	}
	select {
	case <-wait.C:
	case <-c.Done():
		return
	}
	if c.Accept() == nil {
		c.PlayTone(440)
	}
}

// call makes one call and does something with it. What comes of it is not looked at: people hang up, are busy and
// pull plugs. What stays behind in the switch is.
func (k *soak) call(ctx context.Context, p *phone.Phone, r *rand.Rand) {
	k.calls.Add(1)
	target := strconv.Itoa(1001 + r.IntN(9))
	if r.IntN(4) == 0 {
		target = []string{"9196", "9197", "9199", "4711"}[r.IntN(4)]
	}
	o := phone.CallOptions{LateOffer: r.IntN(8) == 0, Play: "tone:300"}
	if r.IntN(4) == 0 {
		o.CancelAfter = time.Duration(1+r.IntN(300)) * time.Millisecond
	}
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := p.Call(limit, target, o)
	if err != nil {
		return
	}
	k.spoken.Add(1)
	talk := time.NewTimer(time.Duration(r.IntN(1500)) * time.Millisecond)
	defer talk.Stop()
	switch r.IntN(6) {
	case 0:
		if c.Hold(limit) == nil {
			_ = c.Resume(limit)
		}
	case 1:
		_ = c.SendDTMF(limit, "1#")
	case 2:
		_ = c.Reinvite(limit, phone.Change{})
	case 3:
		_ = c.SendInfo(limit, "5")
	}
	select {
	case <-talk.C:
	case <-c.Done():
	case <-limit.Done():
	}
	_ = c.Hangup(limit)
}
