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

// willing is the members that may be rung: not the caller, and nobody who wants no calls. Forwards of members do not
// count in a group: it is the group that is called. The list that is passed in is not touched.
func (e *env) willing(members []string) []string {
	no := func(m string) bool {
		x := e.plan.extensions[m]
		return x != nil && (x == e.caller || e.features(x).DoNotDisturb)
	}
	if !slices.ContainsFunc(members, no) {
		return members
	}
	return slices.DeleteFunc(slices.Clone(members), no)
}
