package call

import (
	"testing"
	"time"
)

// Deadlines of a call do not depend on the clock of who wrote them, nor on that of who goes on.
func TestStateByAnotherClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"same": 0, "an hour ahead": time.Hour, "an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			theirs := func(left time.Duration) time.Time { return byClock(now, now.Add(left)).Add(ahead) }
			s := State{Written: theirs(0), Started: theirs(-20 * time.Second), Up: theirs(-10 * time.Second), EndsAt: theirs(time.Hour)}
			s.A.Timer.Due, s.A.Unacked, s.B = theirs(15*time.Minute), &UnackedState{GiveUp: theirs(30 * time.Second)}, &LegState{}
			s.Ringing = &RingingState{Ends: theirs(20 * time.Second)}
			s.here(now, 2*time.Second)
			for what, x := range map[string]struct {
				at   time.Time
				left time.Duration
			}{
				"started": {s.Started, -22 * time.Second}, "up": {s.Up, -12 * time.Second}, "ends": {s.EndsAt, time.Hour - 2*time.Second},
				"refresh": {s.A.Timer.Due, 15*time.Minute - 2*time.Second}, "given up": {s.A.Unacked.GiveUp, 28 * time.Second},
				"rings": {s.Ringing.Ends, 18 * time.Second},
			} {
				if got := x.at.Sub(now); got != x.left {
					t.Errorf("%s: in %v, want %v", what, got, x.left)
				}
			}
			if !s.B.Timer.Due.IsZero() {
				t.Error("a side without a session timer has one")
			}
		})
	}
}
