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

// limits counts channels and calls a second of one trunk: a plain value, exact in every window of a second.
type limits struct {
	channels, cps Limit
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

func newLimits(c *Config) limits {
	l := limits{channels: c.Channels, cps: c.CPS}
	for i, n := range [3]int{c.CPS.Out, c.CPS.In, c.CPS.Both} {
		l.recent[i].at = make([]time.Time, min(n, most))
	}
	return l
}

// adopt keeps what is in use when a reload changes the limits.
func (l *limits) adopt(c *Config) {
	busy := l.busy
	*l = newLimits(c)
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

// admit takes a channel, or says which limit stands in the way. What must pass (an emergency call) is counted and never
// refused.
func (l *limits) admit(now time.Time, d Direction, must bool) (refusal string) {
	if !must {
		if refusal = l.refuse(now, d); refusal != "" {
			return refusal
		}
	}
	l.busy[d]++
	l.recent[d].add(now)
	l.recent[2].add(now)
	return ""
}

func (l *limits) refuse(now time.Time, d Direction) string {
	one, rate := l.channels.Out, l.cps.Out
	if d == In {
		one, rate = l.channels.In, l.cps.In
	}
	switch {
	case l.channels.Both > 0 && l.busy[Out]+l.busy[In] >= l.channels.Both:
		return "full: " + strconv.Itoa(l.channels.Both) + " channels in use"
	case one > 0 && l.busy[d] >= one:
		return "full: " + strconv.Itoa(one) + " channels " + d.String() + " in use"
	case l.recent[2].full(now):
		return "full: " + strconv.Itoa(l.cps.Both) + " calls in this second"
	case l.recent[d].full(now):
		return "full: " + strconv.Itoa(rate) + " calls " + d.String() + " in this second"
	}
	return ""
}

func (l *limits) release(d Direction) { l.busy[d]-- }

func itoa(n int) string { return strconv.Itoa(n) }
