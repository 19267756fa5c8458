package console

import (
	"strconv"

	"tandem/trunk"
)

// trunkFamilies are the metrics of each trunk. Their labels are bounded: trunks by the configuration, causes by Q.850.
type trunkFamilies struct {
	trunkUp, trunkRegistered, trunkChannels, trunkLimit, trunkTargetDead *metric
	trunkAttempts, trunkAnswered, trunkEffective, trunkRefused           *metric
	trunkTalk, trunkTalks, trunkPDD, trunkPDDs, trunkEnded               *metric
	trunkMinutes, trunkMinutesLimit, trunkPace                           *metric
	groupChannels, groupLimit                                            *metric
}

func newTrunkFamilies() trunkFamilies {
	const both = "direction"
	return trunkFamilies{
		trunkUp:           gauge("trunk_state", "1 for the state that the trunk is in: up, degraded, down or drained.", "trunk", "state"),
		trunkRegistered:   gauge("trunk_registrations", "Registrations at the carrier, by state.", "trunk", "state"),
		trunkChannels:     gauge("trunk_channels", "Channels in use.", "trunk", both),
		trunkLimit:        gauge("trunk_channels_limit", "Channels that the trunk has; 0: no limit.", "trunk"),
		trunkTargetDead:   gauge("trunk_targets", "Targets of the trunk, by whether they answer.", "trunk", "state"),
		trunkAttempts:     counter("trunk_calls", "Calls that took a channel.", "trunk", both),
		trunkAnswered:     counter("trunk_calls_answered", "Of those, answered: ASR is their share.", "trunk", both),
		trunkEffective:    counter("trunk_calls_effective", "Of those, the ones with which the network did its work: NER is their share.", "trunk", both),
		trunkRefused:      counter("trunk_calls_refused", "Calls that a limit or the state kept off.", "trunk", both, "why"),
		trunkTalk:         counter("trunk_talk_seconds", "Length of answered calls that have ended: ACD is their mean.", "trunk", both),
		trunkTalks:        counter("trunk_talks", "Answered calls that have ended.", "trunk", both),
		trunkPDD:          counter("trunk_post_dial_delay_seconds", "Time to the first ringing: PDD is its mean.", "trunk", both),
		trunkPDDs:         counter("trunk_rings", "Calls that rang or were answered.", "trunk", both),
		trunkMinutes:      gauge("trunk_minutes", "Minutes of calls to the carrier in the period, those in progress included.", "trunk", "period"),
		trunkMinutesLimit: gauge("trunk_minutes_limit", "Minutes that they may be; 0: no limit.", "trunk", "period"),
		trunkPace:         gauge("trunk_calls_per_second", "Calls that took a channel in the last whole second.", "trunk"),
		groupChannels:     gauge("trunk_group_channels", "Channels in use over all trunks of a group.", "group", both),
		groupLimit:        gauge("trunk_group_channels_limit", "Channels that the group has; 0: no limit.", "group"),
		trunkEnded:        counter("trunk_calls_ended", "Calls that gave their channel back, by Q.850 cause.", "trunk", both, "cause"),
	}
}

func (c collector) collectTrunks(put putter) {
	for _, g := range c.src.TrunkGroups() {
		put(c.groupChannels, float64(g.ChannelsOut), g.Group, "out")
		put(c.groupChannels, float64(g.ChannelsIn), g.Group, "in")
		put(c.groupLimit, float64(g.Channels), g.Group)
	}
	panics := uint64(0)
	defer func() { put(c.panics, float64(panics), "trunk") }()
	for _, t := range c.src.Trunks() {
		panics += t.Panics
		for _, state := range []trunk.State{trunk.Up, trunk.Degraded, trunk.Down, trunk.Drained} {
			put(c.trunkUp, one(t.State == state.String()), t.Trunk, state.String())
		}
		registrations := map[string]int{}
		for _, r := range t.Registrations {
			registrations[r.State]++
		}
		for state, n := range registrations {
			put(c.trunkRegistered, float64(n), t.Trunk, state)
		}
		dead := 0
		for _, target := range t.Targets {
			dead += int(one(target.Dead))
		}
		put(c.trunkTargetDead, float64(dead), t.Trunk, "dead")
		put(c.trunkTargetDead, float64(len(t.Targets)-dead), t.Trunk, "alive")
		put(c.trunkLimit, float64(t.Channels), t.Trunk)
		put(c.trunkMinutes, t.Minutes.Today, t.Trunk, "day")
		put(c.trunkMinutes, t.Minutes.ThisMonth, t.Trunk, "month")
		put(c.trunkMinutesLimit, float64(t.Minutes.DayLimit), t.Trunk, "day")
		put(c.trunkMinutesLimit, float64(t.Minutes.MonthLimit), t.Trunk, "month")
		put(c.trunkPace, float64(t.PerSecond), t.Trunk)
		put(c.trunkChannels, float64(t.ChannelsOut), t.Trunk, "out")
		put(c.trunkChannels, float64(t.ChannelsIn), t.Trunk, "in")
		c.collectFigures(put, t.Trunk, "out", &t.Out)
		c.collectFigures(put, t.Trunk, "in", &t.In)
	}
}

func (c collector) collectFigures(put putter, name, direction string, f *trunk.Figures) {
	put(c.trunkAttempts, float64(f.Attempts), name, direction)
	put(c.trunkAnswered, float64(f.Answered), name, direction)
	put(c.trunkEffective, float64(f.Effective), name, direction)
	put(c.trunkTalk, f.TalkSeconds, name, direction)
	put(c.trunkTalks, float64(f.Talks), name, direction)
	put(c.trunkPDD, f.PDDSeconds, name, direction)
	put(c.trunkPDDs, float64(f.PDDs), name, direction)
	for why, n := range f.Refusals {
		put(c.trunkRefused, float64(n), name, direction, why)
	}
	for cause, n := range f.Causes {
		put(c.trunkEnded, float64(n), name, direction, strconv.Itoa(int(cause)))
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
