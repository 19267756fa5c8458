package trunk

import (
	"testing"
	"time"

	"tandem/sip"
)

// goes is calls out, one a second, that end so.
func goes(s *Set, name string, from time.Time, n int, answered bool, cause sip.Cause) time.Time {
	for range n {
		c, _ := s.Find(name).Admit(from, Out, true)
		if answered {
			c.Answered(from)
		}
		c.Release(from, cause)
		from = from.Add(time.Second)
	}
	return from
}

func TestATrunkWhoseCallsGoBadlyIsDegraded(t *testing.T) {
	for _, c := range []struct {
		name     string
		health   Health
		answered int
		ended    int
		cause    sip.Cause
		want     string
	}{
		{"answers", Health{ASR: 0.5}, 30, 0, 0, ""},
		{"ASR", Health{ASR: 0.5}, 10, 20, sip.CauseBusy, "ASR 33% of 30 calls in 5m0s"},
		{"ASR does not matter", Health{}, 10, 20, sip.CauseBusy, ""},
		{"NER", Health{NER: 0.9}, 20, 10, sip.CauseUnspecified, "NER 67% of 30 calls in 5m0s"},
		{"busy is no fault of the network", Health{NER: 0.9}, 20, 10, sip.CauseBusy, ""},
		{"timeouts", Health{}, 5, 25, sip.CauseTimerExpired, "failures 83% of 30 calls in 5m0s"},
		{"half of them", Health{}, 15, 15, sip.CauseTimerExpired, ""},
		{"too few", Health{}, 0, 19, sip.CauseTemporary, ""},
		{"few are enough", Health{Calls: 3}, 0, 3, sip.CauseTemporary, "failures 100% of 3 calls in 5m0s"},
	} {
		s := grouped(GroupConfig{}, func(x *Config) { x.Health = c.health })
		now := goes(s, "a", noon, c.answered, true, sip.CauseNormal)
		now = goes(s, "a", now, c.ended, false, c.cause)
		state, why := s.Find("a").State(now)
		if why != c.want || (state == Degraded) != (c.want != "") {
			t.Errorf("%s: %s, %q, want %q", c.name, state, why, c.want)
		}
		// Who is degraded so comes after the others of its rank, and alone it still serves.
		got := chosen(s, now, 10, thirds)
		if (got["a"] == 0) != (c.want != "") {
			t.Errorf("%s: of ten calls %v", c.name, got)
		}
		if got := chosen(s, now, 1, thirds[:1]); got["a"] != 1 {
			t.Errorf("%s: a trunk that goes badly takes no call though no other is there", c.name)
		}
		if state, why := s.Find("a").State(now.Add(6 * time.Minute)); state != Up {
			t.Errorf("%s: still %s when the window has passed: %s", c.name, state, why)
		}
	}
}

// What a dead target did to its calls is not held against the trunk that has come back.
func TestReturnEndsABadName(t *testing.T) {
	s := grouped(GroupConfig{})
	tr, h := s.Find("a"), hop("192.0.2.1:5060")
	tr.targets.Learn(append(tr.hops, h))
	tr.Failed(noon, h, 0, "no reply")
	now := goes(s, "a", noon, 30, false, sip.CauseTimerExpired)
	if state, _ := tr.State(now); state == Up {
		t.Fatal("it is up")
	}
	tr.Worked(now, h)
	if state, why := tr.State(now); state != Up {
		t.Error(state, why)
	}
}
