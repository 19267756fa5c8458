package trunk

import (
	"log/slog"
	"testing"

	"tandem/sip"
	"tandem/sip/transport"
)

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
