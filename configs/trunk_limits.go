package configs

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan"
	"tandem/dialplan/block"
	"tandem/trunk"
)

var healthSchema = block.Schema("window calls asr ner failures")

const (
	// mostCalls bounds channels and calls a second: more is a slip of the keyboard.
	mostCalls = 10_000
	// mostMinutes is those of a month on mostCalls channels.
	mostMinutes = mostCalls * 60 * 24 * 31
)

func trunkLimits(r *block.Reader, c *trunk.Config) {
	c.Channels = trunk.Limit{
		Both: r.Int("channels", 0, 1, mostCalls), In: r.Int("channels_in", 0, 1, mostCalls), Out: r.Int("channels_out", 0, 1, mostCalls),
	}
	c.CPS = trunk.Limit{
		Both: r.Int("cps", 0, 1, mostCalls), In: r.Int("cps_in", 0, 1, mostCalls), Out: r.Int("cps_out", 0, 1, mostCalls),
	}
	c.MinutesPerDay = r.Int("minutes_per_day", 0, 1, mostMinutes)
	c.MinutesPerMonth = r.Int("minutes_per_month", 0, 1, mostMinutes)
	if c.Timezone = r.Text("timezone", ""); c.Timezone == "" {
		return
	}
	if _, err := time.LoadLocation(c.Timezone); err != nil || c.Timezone == "Local" {
		r.Fail(r.Range("timezone"), "unknown time zone", "%q is no time zone: write one such as \"Europe/London\".", c.Timezone)
	}
}

// health reads when a trunk whose calls go badly counts as degraded; shares are percentages.
func (l *loader) health(c *trunk.Config, b *hcl.Block) {
	r := l.open(b.Body, healthSchema)
	percent := func(name string, absent int) float64 { return float64(r.Int(name, absent, 0, 100)) / 100 }
	c.Health = trunk.Health{
		Window: r.Duration("window", trunk.DefaultWindow, 10*time.Second, time.Hour),
		Calls:  r.Int("calls", trunk.DefaultCalls, 1, 100_000),
		ASR:    percent("asr", 0), NER: percent("ner", 0), Failures: percent("failures", trunk.DefaultFailures*100),
	}
}

// trunkGroups takes the groups from the plan, which says who is in them, and gives the trunks the time zone of the place.
func (l *loader) trunkGroups(plan *dialplan.Plan) {
	limit := func(n [3]int) trunk.Limit { return trunk.Limit{Both: n[0], In: n[1], Out: n[2]} }
	for _, g := range plan.TrunkGroups() {
		c := trunk.GroupConfig{
			Name: g.Name, Capacity: g.Strategy == dialplan.ByCapacity, Channels: limit(g.Channels), CPS: limit(g.CPS),
		}
		for _, m := range g.Members {
			c.Trunks = append(c.Trunks, m.Trunk)
		}
		l.config.TrunkGroups = append(l.config.TrunkGroups, c)
	}
	for i := range l.config.Trunks {
		if t := &l.config.Trunks[i]; t.Timezone == "" {
			t.Timezone = plan.Zone().String()
		}
	}
}
