package relay

import (
	"net/netip"
	"testing"
	"time"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// Each step is a packet in sequence unless seq says otherwise; the verdicts are the rules of who may speak for a leg.
func TestSource(t *testing.T) {
	const exact, port2, nat, stranger = "198.51.100.1:4000", "198.51.100.1:4444", "203.0.113.9:5000", "192.0.2.66:4000"
	type step struct {
		after time.Duration
		from  string
		seq   uint16
		want  verdict
	}
	for name, c := range map[string]struct {
		exact, learn string
		steps        []step
	}{
		"exact at once": {exact, "", []step{
			{0, exact, 1, latched}, {0, exact, 2, accepted}, {0, port2, 3, refused}, {0, stranger, 3, refused}, {0, nat, 3, refused}}},
		"exact even late": {exact, "", []step{{time.Hour, exact, 1, latched}}},
		"another port, then the exact one replaces it": {exact, "", []step{
			{0, port2, 1, latched}, {0, port2, 2, accepted}, {0, exact, 1, latched}, {0, port2, 3, refused}}},
		"another port only in the window": {exact, "", []step{{learning, port2, 1, refused}, {0, exact, 1, latched}}},
		"not behind NAT: nobody else":     {exact, "", []step{{0, nat, 1, refused}, {0, nat, 2, refused}, {0, nat, 3, refused}, {0, nat, 4, refused}}},
		"NAT: proof first": {exact, "203.0.113.9", []step{
			{0, nat, 1, proving}, {0, nat, 2, proving}, {0, nat, 3, latched}, {0, nat, 4, accepted}}},
		"NAT: a gap begins the proof anew": {exact, "203.0.113.9", []step{
			{0, nat, 1, proving}, {0, nat, 2, proving}, {0, nat, 4, proving}, {0, nat, 5, proving}, {0, nat, 6, latched}}},
		"NAT: proof from two ports is none": {exact, "203.0.113.9", []step{
			{0, nat, 1, proving}, {0, "203.0.113.9:5001", 2, proving}, {0, nat, 3, proving}, {0, nat, 4, proving}, {0, nat, 5, latched}}},
		"NAT: strangers never": {exact, "203.0.113.9", []step{
			{0, stranger, 1, refused}, {0, stranger, 2, refused}, {0, stranger, 3, refused}, {0, stranger, 4, refused}}},
		"NAT: the window closes": {exact, "203.0.113.9", []step{
			{0, nat, 1, proving}, {learning, nat, 2, refused}, {0, nat, 3, refused}, {0, nat, 4, refused}}},
		"NAT: better replaces, worse does not": {exact, "203.0.113.9", []step{
			{0, nat, 1, proving}, {0, nat, 2, proving}, {0, nat, 3, latched},
			{0, exact, 1, latched}, {0, nat, 4, refused}, {0, nat, 5, refused}, {0, nat, 6, refused}}},
		"no usable SDP address": {"", "203.0.113.9", []step{
			{0, exact, 1, refused}, {0, nat, 1, proving}, {0, nat, 2, proving}, {0, nat, 3, latched}}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			var s source
			var e netip.AddrPort
			var l netip.Addr
			if c.exact != "" {
				e = ap(c.exact)
			}
			if c.learn != "" {
				l = netip.MustParseAddr(c.learn)
			}
			s.open(e, l, now)
			for i, step := range c.steps {
				now = now.Add(step.after)
				if got := s.judge(ap(step.from), 7, step.seq, now); got != step.want {
					t.Fatalf("step %d from %s: %d, want %d", i, step.from, got, step.want)
				}
			}
		})
	}
}

// A re-INVITE reopens the window, for a phone that changed its network; but nobody is pushed out who still speaks.
func TestSourceReopened(t *testing.T) {
	exact, nat := ap("192.168.1.2:4000"), netip.MustParseAddr("203.0.113.9")
	first, second := netip.AddrPortFrom(nat, 5000), netip.AddrPortFrom(nat, 6000)
	now := time.Unix(1000, 0)
	var s source
	s.open(exact, nat, now)
	for seq := range uint16(3) {
		s.judge(first, 7, seq, now)
	}
	now = now.Add(time.Minute)
	if got := s.judge(second, 7, 1, now); got != refused {
		t.Fatalf("before the re-INVITE: %d", got)
	}
	s.open(exact, nat, now)
	s.judge(first, 7, 4, now)
	for seq := range uint16(5) {
		if got := s.judge(second, 7, seq, now.Add(time.Duration(seq)*time.Millisecond)); got != refused {
			t.Fatalf("while the first one speaks: %d", got)
		}
	}
	now = now.Add(abandoned)
	for i, want := range []verdict{proving, proving, latched, accepted} {
		if got := s.judge(second, 7, uint16(10+i), now); got != want {
			t.Fatalf("packet %d: %d, want %d", i, got, want)
		}
	}
	if got := s.judge(first, 7, 9, now); got != refused {
		t.Fatalf("the old place: %d", got)
	}
	// Another SDP address forgets who was latched.
	s.open(ap("198.51.100.1:4000"), nat, now)
	if s.latched.IsValid() || s.judge(ap("198.51.100.1:4000"), 7, 1, now) != latched {
		t.Error("a new SDP address does not begin anew")
	}
}

func TestControl(t *testing.T) {
	media := ap("198.51.100.1:4000")
	for name, c := range map[string]struct {
		exact, from string
		media       netip.AddrPort
		late        bool
		want        bool
	}{
		"exact":                           {"198.51.100.1:4001", "198.51.100.1:4001", media, true, true},
		"exact before RTP":                {"198.51.100.1:4001", "198.51.100.1:4001", netip.AddrPort{}, true, true},
		"beside RTP":                      {"10.0.0.1:4001", "198.51.100.1:4001", media, true, true},
		"address of RTP":                  {"10.0.0.1:4001", "198.51.100.1:7777", media, false, true},
		"address of RTP, too late":        {"10.0.0.1:4001", "198.51.100.1:7777", media, true, false},
		"address of RTP, not latched yet": {"10.0.0.1:4001", "198.51.100.1:7777", netip.AddrPort{}, false, false},
		"stranger":                        {"198.51.100.1:4001", "192.0.2.66:4001", media, false, false},
	} {
		var ctl control
		now := time.Unix(1000, 0)
		ctl.open(ap(c.exact))
		ctl.until = now.Add(learningRTCP)
		if c.late {
			now = now.Add(learningRTCP)
		}
		if got := ctl.judge(ap(c.from), c.media, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if c.want && !ctl.judge(ap(c.from), c.media, now.Add(time.Hour)) {
			t.Errorf("%s: not kept", name)
		}
	}
	var ctl control
	ctl.open(ap("198.51.100.1:4001"))
	ctl.judge(ap("198.51.100.1:4001"), media, time.Unix(1000, 0))
	if ctl.judge(ap("198.51.100.1:9999"), media, time.Unix(1000, 0)) {
		t.Error("the exact source was replaced")
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1000, 0)
	l := limit(200, 100)
	admitted := 0
	for range 1000 {
		if l.allow(now) {
			admitted++
		}
	}
	if admitted != 101 {
		t.Errorf("burst of %d, want 101", admitted)
	}
	admitted = 0
	for range 2000 { // two seconds at 1,000 a second
		now = now.Add(time.Millisecond)
		if l.allow(now) {
			admitted++
		}
	}
	if admitted < 398 || admitted > 402 {
		t.Errorf("%d in two seconds, want 400", admitted)
	}
}
