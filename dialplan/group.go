package dialplan

import (
	"slices"
	"time"
)

// Strategy is in which order a ring group rings.
type Strategy string

// The strategies. All but RingAll ring one member at a time.
const (
	RingAll     Strategy = "all"
	InOrder     Strategy = "in_order"
	RoundRobin  Strategy = "round_robin"  // the next call begins with the next member
	LongestIdle Strategy = "longest_idle" // first who has had no call for the longest time
)

// Group is a ring group.
type Group struct {
	Name     string
	Strategy Strategy
	Members  []string      // numbers of extensions, as written
	Timeout  time.Duration // of all ringing together
	Each     time.Duration // of one member

	place Place
}

// State is what a Plan must know of the moment to order the members of a ring group. Its owner is the room of the
// calls; Route only reads it. The zero State is the state after a start.
type State struct {
	Turns     map[string]uint64    // by group: calls that it has had, for round_robin
	IdleSince map[string]time.Time // by extension: when its last call ended; absent: it had none
}

// order is the members in the order of ringing. The list that is passed in is not touched.
func (s Strategy) order(group string, members []string, state *State) []string {
	switch {
	case len(members) < 2:
		return members
	case s == RoundRobin:
		first := int(state.Turns[group] % uint64(len(members)))
		return slices.Concat(members[first:], members[:first])
	case s == LongestIdle:
		sorted := slices.Clone(members)
		slices.SortStableFunc(sorted, func(a, b string) int {
			return state.IdleSince[a].Compare(state.IdleSince[b])
		})
		return sorted
	}
	return members
}

// others is the members without the caller. The list that is passed in is not touched.
func others(members []string, caller *Extension) []string {
	if caller == nil || !slices.Contains(members, caller.Number) {
		return members
	}
	return slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == caller.Number })
}
