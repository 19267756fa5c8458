package trunk

import (
	"time"

	"tandem/sip"
)

// Counts are what a trunk has done since the switch started. Ratios are made of them where they are shown.
type Counts struct {
	Attempts    uint64            `json:"attempts"` // calls that were admitted
	Answered    uint64            `json:"answered"`
	Effective   uint64            `json:"effective"` // the network did its work: answered, busy, not answered, declined, no such number
	Refused     uint64            `json:"refused"`   // calls that a limit or the state kept off
	TalkSeconds float64           `json:"talk_seconds"`
	Talks       uint64            `json:"talks"` // answered calls that have ended
	PDDSeconds  float64           `json:"pdd_seconds"`
	PDDs        uint64            `json:"pdds"`               // calls that rang or were answered
	Causes      map[uint8]uint64  `json:"causes,omitempty"`   // ended calls by Q.850 cause
	Refusals    map[string]uint64 `json:"refusals,omitempty"` // "full", "group full", "minutes", "down", "drained"
}

// ASR is the share of attempts that were answered, 0 to 1 (ITU-T E.425).
func (c *Counts) ASR() float64 { return ratio(c.Answered, c.Attempts) }

// NER is the share of attempts with which the network did its work (ITU-T E.425).
func (c *Counts) NER() float64 { return ratio(c.Effective, c.Attempts) }

// ACD is the mean length of an answered call that has ended, in seconds.
func (c *Counts) ACD() float64 { return mean(c.TalkSeconds, c.Talks) }

// PDD is the mean time from INVITE to ringing or answer, in seconds.
func (c *Counts) PDD() float64 { return mean(c.PDDSeconds, c.PDDs) }

func ratio(a, b uint64) float64 { return mean(float64(a), b) }

func mean(sum float64, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// effective tells whether a call that ended so says nothing against the carrier.
func effective(c sip.Cause) bool {
	switch c {
	case sip.CauseUnallocated, sip.CauseNormal, sip.CauseBusy, sip.CauseNoUser, sip.CauseNoAnswer, sip.CauseRejected, 22, 28:
		return true
	}
	return false
}

// clone is a copy that shares no map.
func (c *Counts) clone() Counts {
	out := *c
	out.Causes, out.Refusals = map[uint8]uint64{}, map[string]uint64{}
	for k, v := range c.Causes {
		out.Causes[k] = v
	}
	for k, v := range c.Refusals {
		out.Refusals[k] = v
	}
	return out
}

// Channel is one call's place on a trunk, from Admit to Release. Its methods may be called from any goroutine; the zero
// of a pointer is a channel of nothing.
type Channel struct {
	trunk     *Trunk
	direction Direction
	began     time.Time
	groups    []*group // whose limits it counts against

	// Guarded by the trunk's lock.
	rang, answered time.Time
	metered        time.Time // since when its talk counts in the minutes
	released       bool
}

// Rang notes the first ringing or progress.
func (c *Channel) Rang(now time.Time) {
	if c == nil {
		return
	}
	c.trunk.mu.Lock()
	defer c.trunk.mu.Unlock()
	c.ring(now)
}

func (c *Channel) ring(now time.Time) {
	if c.rang.IsZero() && !c.released {
		c.rang = now
		counts := &c.trunk.counts[c.direction]
		counts.PDDSeconds += now.Sub(c.began).Seconds()
		counts.PDDs++
	}
}

// Answered notes the answer.
func (c *Channel) Answered(now time.Time) {
	if c == nil {
		return
	}
	c.trunk.mu.Lock()
	defer c.trunk.mu.Unlock()
	c.ring(now)
	if c.answered.IsZero() && !c.released {
		c.answered = now
		c.trunk.counts[c.direction].Answered++
		c.trunk.counts[c.direction].Effective++
		if c.direction == Out {
			c.metered = now
			c.trunk.meters.begin(now, now)
			c.trunk.quality.note(now, c.trunk.cfg.Load().Health.Window, true, 0)
		}
	}
}

// Release gives the channel back, once: further calls do nothing.
func (c *Channel) Release(now time.Time, cause sip.Cause) {
	if c == nil {
		return
	}
	c.trunk.mu.Lock()
	defer c.trunk.mu.Unlock()
	if c.released {
		return
	}
	c.released = true
	c.trunk.limits.release(c.direction)
	giveBack(c.groups, c.direction)
	counts := &c.trunk.counts[c.direction]
	counts.Causes[uint8(cause)]++
	if !c.answered.IsZero() {
		counts.Talks++
		counts.TalkSeconds += now.Sub(c.answered).Seconds()
		if c.direction == Out {
			c.trunk.meters.day.end(c.metered, now)
			c.trunk.meters.month.end(c.metered, now)
		}
		return
	}
	if effective(cause) {
		counts.Effective++
	}
	if c.direction == Out {
		c.trunk.quality.note(now, c.trunk.cfg.Load().Health.Window, false, cause)
	}
}

// Trunk is the trunk that the channel is of.
func (c *Channel) Trunk() *Trunk { return c.trunk }

// pace counts the calls of this second and the one before: a plain value.
type pace struct {
	second      int64
	calls, were int
}

func (p *pace) roll(now time.Time) {
	switch s := now.Unix(); {
	case s == p.second:
	case s == p.second+1:
		p.second, p.calls, p.were = s, 0, p.calls
	default:
		p.second, p.calls, p.were = s, 0, 0
	}
}

func (p *pace) add(now time.Time) {
	p.roll(now)
	p.calls++
}

// last is the calls of the last whole second.
func (p *pace) last(now time.Time) int {
	p.roll(now)
	return p.were
}
