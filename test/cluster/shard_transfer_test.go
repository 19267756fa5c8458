package cluster

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// attended has a phone that was called from another shard call somebody of a third, and make one call of the two: each is in another
// shard. A dialog that nobody has leaves the call as it was.
func (s *Shards) attended(t *testing.T) {
	carol, alice, bob := s.phoneAt("b", "1971"), s.phoneAt("a", "1972"), s.phoneAt("c", "1973")
	s.registered += 3
	s.known(s.registered)
	first := s.connect(carol, alice, 400) // of shard b
	second := s.connect(alice, bob, 401)  // of shard a
	refer := func(replaces string) wire.Message {
		r := first.b.Next("REFER", "")
		r.Contact = alice.Contact()
		r.Extra = append(r.Extra, "Refer-To: <"+alice.URI("1973")+"?Replaces="+url.QueryEscape(replaces)+">")
		return alice.Do(r)
	}
	var told string
	notified := func() {
		if m, ok := alice.Poll(time.Millisecond, func(m wire.Message) bool { return m.Method() == "NOTIFY" }); ok {
			alice.Reply(m, 200, wire.Reply{})
			told = m.Body
		}
	}
	if m := refer("nobody@nowhere;to-tag=1;from-tag=2"); m.Status() != 202 {
		t.Fatalf("REFER: %s", m.Raw)
	}
	s.eventually(10*time.Second, "the transfer has failed", func() bool {
		notified()
		reoffered(first.a, first.am)
		reoffered(first.b, first.bm)
		return strings.HasPrefix(told, "SIP/2.0 480")
	})
	s.eventually(5*time.Second, "the first call goes on", func() bool {
		reoffered(first.a, first.am)
		reoffered(first.b, first.bm)
		heard, _ := first.am.Heard(first.bm.Mark)
		return heard > 10
	})

	if m := refer(second.a.ID + ";to-tag=" + wire.Tag(second.a.To) + ";from-tag=" + wire.Tag(second.a.From)); m.Status() != 202 {
		t.Fatalf("REFER: %s", m.Raw)
	}
	s.eventually(10*time.Second, "those who stay hear each other", func() bool {
		notified()
		reoffered(first.a, first.am)
		reoffered(second.b, second.bm)
		x, _ := first.am.Heard(second.bm.Mark)
		y, _ := second.bm.Heard(first.am.Mark)
		return strings.HasPrefix(told, "SIP/2.0 200") && x > 10 && y > 10
	})
	for range 2 { // the transferor leaves both calls
		alice.Reply(alice.Request(5*time.Second, "BYE"), 200, wire.Reply{})
	}
	first.bm.Stop()
	second.am.Stop()
	(&talk{p: s.Pair, a: first.a, b: second.b, am: first.am, bm: second.bm}).bye(second.b, first.a)
}
