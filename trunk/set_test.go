package trunk

import (
	"log/slog"
	"net/netip"
	"testing"

	"tandem/sip"
	"tandem/sip/transport"
)

// TestCarriersAreKnown: what a carrier sends costs no stranger's budget.
func TestCarriersAreKnown(t *testing.T) {
	s := New(Rooms{}, slog.New(slog.DiscardHandler))
	s.Update([]Config{
		{Name: "a", Proxies: []transport.Target{{Host: "carrier.example"}}, Accept: Accept{On: true, Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}},
		{Name: "b", Proxies: []transport.Target{{Host: "192.0.2.2"}}, Accept: Accept{On: true}},
	})
	a := s.Find("a")
	a.found(a.Config(), []transport.Hop{{Proto: transport.UDP, Addr: netip.MustParseAddrPort("203.0.113.5:5060")}})
	for addr, want := range map[string]bool{
		"198.51.100.7": true, "::ffff:198.51.100.7": true, "192.0.2.2": true, "203.0.113.5": true, "203.0.113.6": false, "198.51.101.7": false,
	} {
		if got := s.Knows(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is known: %v", addr, got)
		}
	}
	a.accept(a.Config(), nil)
	s.Update(nil)
	if s.Knows(netip.MustParseAddr("192.0.2.2")) {
		t.Error("a carrier that was taken away is known")
	}
}

func TestAReloadLeavesAloneWhatDidNotChange(t *testing.T) {
	s := New(Rooms{}, slog.New(slog.DiscardHandler))
	a := Config{Name: "a", Proxies: []transport.Target{{Host: "192.0.2.1"}}, Accept: Accept{On: true}}
	b := Config{Name: "b", Proxies: []transport.Target{{Host: "192.0.2.2"}}, Channels: Limit{Both: 1}}
	s.Update([]Config{a, b})
	first, second := s.Find("a"), s.Find("b")
	was, changed := first.changed, second.changed
	held, _ := second.Admit(noon, Out, false)
	if _, why := second.Admit(noon, Out, false); why == "" {
		t.Fatal("a full trunk admits")
	}
	b.Channels.Both = 2
	s.Update([]Config{a, b})
	if s.Find("a") != first || first.changed != was {
		t.Error("a trunk that did not change was touched")
	}
	select {
	case <-changed:
	default:
		t.Error("a trunk that changed does not know")
	}
	if c, why := second.Admit(noon, Out, false); c == nil {
		t.Error("the new limit is not in force:", why)
	} else {
		c.Release(noon, sip.CauseNormal)
	}
	s.Update([]Config{a})
	if s.Find("b") != nil || len(s.All()) != 1 {
		t.Error("a trunk that was taken away is still there")
	}
	held.Release(noon, sip.CauseNormal) // of a trunk that is gone
	if n := second.Snapshot(noon).ChannelsOut; n != 0 {
		t.Error(n, "channels of a trunk that is gone")
	}
}
