package trunk

import (
	"fmt"
	"time"

	"tandem/sip"
)

// Health is when a trunk whose calls go badly counts as degraded. Shares are 0 to 1; 0: they do not matter.
type Health struct {
	Window   time.Duration // of the calls that count
	Calls    int           // so many at least: of few calls nothing follows
	ASR, NER float64       // at least
	Failures float64       // at most: no reply, no connection, and failures of the carrier's network
}

// Defaults of Health.
const (
	DefaultWindow   = 5 * time.Minute
	DefaultCalls    = 20
	DefaultFailures = 0.5
)

func (h Health) withDefaults() Health {
	if h.Window == 0 {
		h.Window = DefaultWindow
	}
	if h.Calls == 0 {
		h.Calls = DefaultCalls
	}
	if h.Failures == 0 {
		h.Failures = DefaultFailures
	}
	return h
}

// slots is in how many parts a window moves on.
const slots = 12

// quality is how the calls out over a trunk went lately: a plain value of fixed size.
type quality struct {
	slots [slots]slot
}

type slot struct {
	turn                                 int64 // which one it is, counted from the beginning of time
	ended, answered, effective, failures int
}

// note counts a call: when it is answered, or when it ends without.
func (q *quality) note(now time.Time, window time.Duration, answered bool, cause sip.Cause) {
	turn := now.UnixNano() / max(int64(window)/slots, 1)
	s := &q.slots[turn%slots]
	if s.turn != turn {
		*s = slot{turn: turn}
	}
	s.ended++
	switch {
	case answered:
		s.answered++
		s.effective++
	case effective(cause):
		s.effective++
	case networkFailed(cause):
		s.failures++
	}
}

// networkFailed tells whether a cause speaks of the carrier's network, and not of the called side or the request (Q.850: no
// circuit, out of order, temporary failure, congestion, timer expired).
func networkFailed(c sip.Cause) bool {
	switch c {
	case sip.CauseNoCircuit, sip.CauseOutOfOrder, sip.CauseTemporary, sip.CauseTimerExpired, 38, 42:
		return true
	}
	return false
}

// poor is why the calls of the window count as going badly; empty: they do not.
func (q *quality) poor(now time.Time, h *Health) string {
	turn := now.UnixNano() / max(int64(h.Window)/slots, 1)
	var sum slot
	for i := range q.slots {
		if s := &q.slots[i]; turn-s.turn < slots && s.turn <= turn {
			sum.ended += s.ended
			sum.answered += s.answered
			sum.effective += s.effective
			sum.failures += s.failures
		}
	}
	if sum.ended == 0 || sum.ended < h.Calls {
		return ""
	}
	share := func(n int) float64 { return float64(n) / float64(sum.ended) }
	say := func(what string, n int) string {
		return fmt.Sprintf("%s %.0f%% of %d calls in %v", what, 100*share(n), sum.ended, h.Window)
	}
	switch {
	case h.Failures > 0 && share(sum.failures) > h.Failures:
		return say("failures", sum.failures)
	case share(sum.answered) < h.ASR:
		return say("ASR", sum.answered)
	case share(sum.effective) < h.NER:
		return say("NER", sum.effective)
	}
	return ""
}
