package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

func newTestPool(t *testing.T, first, last uint16, now *time.Time) *Pool {
	t.Helper()
	p, err := NewPool(first, last, func() time.Duration { return 30 * time.Second }, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPoolHandsOutEachPairOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newTestPool(t, 20001, 20101, &now)
	seen := make(map[uint16]bool)
	var order []uint16
	for {
		port, err := p.take(loopback)
		if errors.Is(err, ErrNoPorts) {
			break
		}
		if err != nil || port%2 != 0 || port < 20002 || port > 20100 || seen[port] {
			t.Fatalf("port %d, error %v, seen before: %v", port, err, seen[port])
		}
		seen[port] = true
		order = append(order, port)
	}
	if len(seen) != 50 { // 20002 to 20100
		t.Errorf("%d pairs, want 50", len(seen))
	}
	rising := 0
	for i := 1; i < len(order); i++ {
		if order[i] == order[i-1]+2 {
			rising++
		}
	}
	if rising > 10 {
		t.Errorf("%d of 50 ports follow the one before: not a random choice", rising)
	}
	if !p.InUse(netip.AddrPortFrom(loopback, 20011)) || p.InUse(netip.MustParseAddrPort("127.0.0.2:20011")) {
		t.Error("InUse does not tell our ports from others")
	}
}

func TestPoolQuarantine(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newTestPool(t, 20000, 20003, &now)
	a, _ := p.take(loopback)
	b, _ := p.take(loopback)
	p.rest(loopback, a)
	p.rest(loopback, a) // again: nothing
	now = now.Add(10 * time.Second)
	p.rest(loopback, b)
	for _, step := range []struct {
		after time.Duration
		want  uint16
	}{{19 * time.Second, 0}, {time.Second, a}, {9 * time.Second, 0}, {time.Second, b}} {
		now = now.Add(step.after)
		got, err := p.take(loopback)
		if got != step.want || (step.want == 0) != errors.Is(err, ErrNoPorts) {
			t.Errorf("after %v: port %d, %v, want %d", step.after, got, err, step.want)
		}
	}
	if used, resting, free := p.Count(); used != 2 || resting != 0 || free != 0 {
		t.Errorf("used %d resting %d free %d", used, resting, free)
	}
}

func TestPoolRanges(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, r := range [][2]uint16{{0, 0}, {20000, 20000}, {20001, 20002}, {65535, 65535}, {30000, 20000}} {
		if _, err := NewPool(r[0], r[1], nil, nil); err == nil {
			t.Errorf("%d-%d taken", r[0], r[1])
		}
	}
	p := newTestPool(t, 65534, 65535, &now)
	if port, err := p.take(loopback); port != 65534 || err != nil {
		t.Errorf("port %d, %v", port, err)
	}
}

// A pair that somebody else sits on, with either half, is passed over and never handed out by mistake.
func TestOpenPassesOverForeignPorts(t *testing.T) {
	odd := newPeer(t, "127.77.0.3:24003", 1)
	even := newPeer(t, "127.77.0.3:24004", 1)
	_, _ = odd, even
	r := start(t, Config{First: 24000, Last: 24007})
	var open []*Port
	for {
		p, err := r.Open(netip.MustParseAddr("127.77.0.3"), nil, nil)
		if errors.Is(err, ErrNoPorts) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		open = append(open, p)
		if n := p.Local().Port(); n != 24000 && n != 24006 {
			t.Errorf("port %d given, which is not free", n)
		}
	}
	if len(open) != 2 {
		t.Errorf("%d pairs, want 2", len(open))
	}
	if got := r.Totals(); got.Free != 2 || got.InUse != 2 || got.Ports != 2 {
		t.Errorf("totals %+v", got)
	}
}

// Two relays with one range on one machine do not share a port, although each opens two sockets on its own.
func TestTwoRelaysDoNotShare(t *testing.T) {
	c := Config{First: 24010, Last: 24013}
	one, two := start(t, c), start(t, c)
	a := openLeg(t, one, nil, "127.0.0.1:0", 1, Settings{})
	b := openLeg(t, two, nil, "127.0.0.1:0", 2, Settings{})
	if a.Local() == b.Local() {
		t.Fatalf("both on %v", a.Local())
	}
	a.say(8) // a is latched now, with a second socket
	a.wait(Latched)
	if p, err := two.Open(loopback, nil, nil); !errors.Is(err, ErrNoPorts) {
		p.Close()
		t.Errorf("third pair: %v", err)
	}
}

func TestPortsAfterManySessions(t *testing.T) {
	now := time.Now()
	r, err := New(Config{First: 24100, Last: 24299, Quarantine: 30 * time.Second, Now: func() time.Time { return now }},
		slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	alone := netip.MustParseAddr("127.77.0.2") // where no other test takes a port
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for range 20 {
		var open []*Port
		for range 50 {
			a, err := r.Open(alone, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, a)
		}
		for i := 0; i+1 < len(open); i += 2 {
			if err := Join(open[i], open[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range open {
			p.Close()
			p.Close()
		}
		if got := r.Totals(); got.InUse != 0 || got.Ports != 0 || got.Resting != 50 || got.Free != 50 {
			t.Fatalf("after closing: %+v", got)
		}
		now = now.Add(31 * time.Second)
	}
	if got := r.Totals(); got.Resting != 0 || got.Free != 100 {
		t.Errorf("in the end: %+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := r.Open(alone, nil, nil); err == nil {
		t.Log("portable build: ports may still be opened after Run")
	}
}

// Pairs that came with calls of another process are claimed, also where they are free, at rest or of another range; none is given out twice.
func TestPoolClaim(t *testing.T) {
	now := time.Now()
	p, err := NewPool(4000, 4019, func() time.Duration { return time.Minute }, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []uint16{4018, 4000, 4008, 6000, 3998} {
		if err := p.claim(loopback, port); err != nil {
			t.Fatal(port, err)
		}
		if p.claim(loopback, port) == nil {
			t.Errorf("%d claimed twice", port)
		}
	}
	p.rest(loopback, 4008)
	if err := p.claim(loopback, 4008); err != nil {
		t.Errorf("a pair at rest: %v", err)
	}
	p.give(loopback, []uint16{6000})
	p.rest(loopback, 3998)
	now = now.Add(time.Hour)
	taken := map[uint16]bool{4018: true, 4000: true, 4008: true}
	for range 7 {
		port, err := p.take(loopback)
		if err != nil || taken[port] || port < 4000 || port > 4018 {
			t.Fatalf("took %d, %v", port, err)
		}
		taken[port] = true
	}
	if port, err := p.take(loopback); err == nil {
		t.Errorf("took %d of an empty range", port)
	}
	for port := range taken {
		p.give(loopback, []uint16{port})
	}
	if used, resting, free := p.Count(); used != 0 || resting != 0 || free != 10 {
		t.Errorf("%d used, %d resting, %d free", used, resting, free)
	}
}
