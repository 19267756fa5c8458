package trunk

import (
	"strconv"
	"time"
)

// Direction is which way a call goes over a trunk.
type Direction uint8

// The directions.
const (
	Out Direction = iota // we call the carrier
	In                   // the carrier calls us
)

// String is "out" or "in".
func (d Direction) String() string {
	if d == In {
		return "in"
	}
	return "out"
}

// limits counts channels and calls a second of one trunk or group: a plain value, exact in every window of a second.
type limits struct {
	channels, cps Limit
	of            string // of whom a refusal speaks, as in " of group uk"; empty: of the trunk
	busy          [2]int // channels in use, by direction
	recent        [3]window
}

// window keeps the instants of the last calls that were admitted, as many as one second may have.
type window struct {
	at   []time.Time
	next int
}

// most bounds what a limit of calls a second may be, and so the memory of a window.
const most = 10_000

func newLimits(channels, cps Limit) limits {
	l := limits{channels: channels, cps: cps}
	for i, n := range [3]int{cps.Out, cps.In, cps.Both} {
		l.recent[i].at = make([]time.Time, min(n, most))
	}
	return l
}

// adopt keeps what is in use when a reload changes the limits.
func (l *limits) adopt(channels, cps Limit) {
	busy := l.busy
	*l = newLimits(channels, cps)
	l.busy = busy
}

// full tells whether no more calls may begin in the window at now.
func (w *window) full(now time.Time) bool {
	return len(w.at) > 0 && now.Sub(w.at[w.next]) < time.Second && !w.at[w.next].IsZero()
}

func (w *window) add(now time.Time) {
	if len(w.at) > 0 {
		w.at[w.next] = now
		w.next = (w.next + 1) % len(w.at)
	}
}

// take counts a call that begins. What must pass (an emergency call) is counted too, and never refused.
func (l *limits) take(now time.Time, d Direction) {
	l.busy[d]++
	l.recent[d].add(now)
	l.recent[2].add(now)
}

// refuse says which limit stands in the way of one more call; empty: none.
func (l *limits) refuse(now time.Time, d Direction) string {
	one, rate := l.channels.of(d), l.cps.of(d)
	switch {
	case l.channels.Both > 0 && l.busy[Out]+l.busy[In] >= l.channels.Both:
		return "full: " + strconv.Itoa(l.channels.Both) + " channels" + l.of + " in use"
	case one > 0 && l.busy[d] >= one:
		return "full: " + strconv.Itoa(one) + " channels " + d.String() + l.of + " in use"
	case l.recent[2].full(now):
		return "full: " + strconv.Itoa(l.cps.Both) + " calls" + l.of + " in this second"
	case l.recent[d].full(now):
		return "full: " + strconv.Itoa(rate) + " calls " + d.String() + l.of + " in this second"
	}
	return ""
}

// of is the limit of one direction.
func (l Limit) of(d Direction) int {
	if d == In {
		return l.In
	}
	return l.Out
}

func (l *limits) release(d Direction) { l.busy[d]-- }

func itoa(n int) string { return strconv.Itoa(n) }
