package call

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
	"tandem/trunk"
)

// groupPlan is tradePlan with a group of its trunks, half and half, and a third one behind them.
var groupPlan = strings.Replace(strings.Replace(strings.Replace(tradePlan, "{\n  max_calls = 2\n", "{\n", 1), `trunk "second" {}`, `trunk "second" {}
trunk "third" {}
trunk_group "out" {
  trunks = [trunk.first, trunk.second]
  member {
    trunk    = trunk.third
    priority = 2
  }
}
`, 1), "trunks  = [trunk.first, trunk.second]", "trunks  = [trunk_group.out]", 1)

// inGroup is inTrade with groupPlan.
func inGroup(t *testing.T, limits trunk.GroupConfig, test func(o *office), change ...func(c *trunk.Config)) {
	t.Helper()
	inOffice(t, func(o *office) {
		var configs []trunk.Config
		for i, name := range []string{"first", "second", "third"} {
			c := trunk.Config{Name: name, Proxies: []transport.Target{{Host: fmt.Sprintf("192.0.2.7%d", i+1)}}, CallerID: "+442079460000"}
			for _, f := range change {
				f(&c)
			}
			configs = append(configs, c)
		}
		limits.Name, limits.Trunks = "out", []string{"first", "second", "third"}
		set := trunk.New(trunk.Rooms{Network: wires{o, map[string]bool{}, new(int)}}, slog.New(slog.DiscardHandler))
		set.Update(configs, limits)
		o.board.trunks = set
		test(o)
		o.pass(40 * time.Second)
		if g := set.Groups()[0]; g.ChannelsIn+g.ChannelsOut != 0 {
			t.Errorf("%d channels of the group are held", g.ChannelsIn+g.ChannelsOut)
		}
	}, func(_ *Config, s *Settings) { s.Plan = planOf(t, groupPlan) }, func(_ *Config, s *Settings) {
		for _, x := range s.Plan.Extensions() {
			s.Credentials[x.Number] = digest.NewCredential(x.Number, realm, secretWord+x.Number)
		}
	})
}

// carriers are the three at their addresses.
func (o *office) carriers() (out [3]*phone) {
	for i := range out {
		out[i] = o.phone(transport.UDP, fmt.Sprint("carrier", i), 71+i)
	}
	return out
}

func TestAGroupSharesItsCallsAndFailsOver(t *testing.T) {
	inGroup(t, trunk.GroupConfig{}, func(o *office) {
		alice, carriers := o.alice(), o.carriers()
		for i := range 4 { // in turns, since the weights are equal
			a := alice.invites(abroad, "offer of alice")
			b := carriers[i%2].rung()
			b.says(486, "")
			carriers[i%2].hears(sip.ACK)
			a.hears("486")
		}
		a := alice.invites(abroad, "offer of alice") // and the first again: it fails, then its equal, then who stands behind
		for i := range 3 {
			b := carriers[i].rung()
			b.says(503, "")
			carriers[i].hears(sip.ACK)
		}
		a.hears("480")
		o.pass(40 * time.Second)
		records := o.ledger.all()
		last := records[len(records)-1]
		var tried []string
		for _, x := range last.Attempts {
			tried = append(tried, fmt.Sprintf("%s of %s %d", x.Trunk, x.Group, x.Status))
		}
		equal(t, "tried", tried, "first of out 503", "second of out 503", "third of out 503")
	})
}

func TestAFullGroupIsPassedOver(t *testing.T) {
	inGroup(t, trunk.GroupConfig{Channels: trunk.Limit{Both: 1}}, func(o *office) {
		alice, carriers := o.alice(), o.carriers()
		a := alice.invites(abroad, "offer of alice")
		b := carriers[0].rung()
		b.says(200, "answer")
		carriers[0].hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		full := alice.invites(abroad, "offer of alice")
		full.hears("503")
		urgent := alice.invites("999", "offer of alice")
		c := carriers[0].rung()
		c.says(486, "")
		carriers[0].hears(sip.ACK)
		urgent.hears("486")
		o.hangsUp(a, b)
		for _, r := range o.ledger.all() {
			if r.Dialled != abroad || len(r.Attempts) < 3 {
				continue
			}
			for i, name := range []string{"first", "second", "third"} {
				if x := r.Attempts[i]; x.Trunk != name || x.Reason != "group full: 1 channels of group out in use" || x.Status != 503 {
					t.Errorf("%+v", x)
				}
			}
			return
		}
		t.Error("no record says why")
	})
}

func TestMinutesThatAreUsedUpAreARefusal(t *testing.T) {
	inGroup(t, trunk.GroupConfig{}, func(o *office) {
		alice, carriers := o.alice(), o.carriers()
		a := alice.invites(abroad, "offer of alice")
		b := carriers[0].rung()
		b.says(200, "answer")
		carriers[0].hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		o.pass(61 * time.Second) // it goes on, and counts
		next := alice.invites(abroad, "offer of alice")
		c := carriers[1].rung()
		c.says(503, "")
		carriers[1].hears(sip.ACK)
		c = carriers[2].rung()
		c.says(486, "")
		carriers[2].hears(sip.ACK)
		next.hears("486")
		o.hangsUp(a, b)
		for _, r := range o.ledger.all() {
			if len(r.Attempts) == 3 && r.Attempts[0].Reason == "minutes: 1 a day are used up" && r.Attempts[0].Trunk == "first" {
				return
			}
		}
		t.Errorf("no record says why: %+v", o.ledger.all())
	}, func(c *trunk.Config) { c.MinutesPerDay = 1 })
}
