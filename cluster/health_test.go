package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestHealthIsTheSumOfWhatIsWrong(t *testing.T) {
	carrier, gateway, disk, lag := "", "", error(nil), time.Duration(0)
	h := &health{probes: probes{
		carrier: func() string { return carrier }, gateway: func() string { return gateway },
		disk: func() error { return disk }, lag: func() time.Duration { return lag },
	}}
	for _, c := range []struct {
		name    string
		change  func()
		score   int
		changed string
	}{
		{"well", func() {}, 0, ""},
		{"late", func() { lag = time.Second }, 40, "1s late"},
		{"late as before", func() {}, 40, ""},
		{"disk full too", func() { disk = errors.New("3 MB are left") }, 100, "3 MB are left"},
		{"interface down", func() { carrier = "eth1" }, 200, "eth1 has no carrier"},
		{"gateway gone, the rest well", func() { carrier, disk, lag, gateway = "", nil, 0, "10.0.0.254" }, 60, "10.0.0.254 does not answer"},
		{"well again", func() { gateway = "" }, 0, "well again"},
	} {
		c.change()
		now, changed := h.measure()
		if now.Score != c.score || !strings.Contains(changed, c.changed) || (changed == "") != (c.changed == "") || h.get().Score != now.Score {
			t.Errorf("%s: %+v, told %q", c.name, now, changed)
		}
	}
}

// A node hands over when it is clearly worse for a while, not for a moment, not right after the role has moved, and not back.
func TestJudgeDoesNotFlap(t *testing.T) {
	var j judge
	now := time.Unix(0, 0)
	hands := func(length time.Duration, epoch uint64, own, other int) (after time.Duration, ok bool) {
		for begin := now; now.Sub(begin) < length; now = now.Add(healthEvery) {
			if j.step(now, epoch, own, other) {
				return now.Sub(begin), true
			}
		}
		return 0, false
	}
	steps := []struct {
		name       string
		length     time.Duration
		epoch      uint64
		own, other int
		want       bool
	}{
		{"well for a long time", time.Hour, 3, 0, 0, false},
		{"worse for a moment", 2 * time.Second, 3, 60, 0, false},
		{"well again", time.Minute, 3, 0, 0, false},
		{"a little worse", time.Hour, 3, 39, 0, false},
		{"both bad", time.Hour, 3, 100, 100, false},
		{"clearly worse", 10 * time.Second, 3, 60, 0, true},
		{"it stands by, and is worse still", time.Hour, 0, 100, 0, false},
		{"it serves again by hand, still worse: not at once", 19 * time.Second, 5, 60, 0, false},
		{"and then", 10 * time.Second, 5, 60, 0, true},
		{"phones cannot reach it any more", 2 * time.Second, 7, 100, 0, true},
	}
	for _, s := range steps {
		if after, ok := hands(s.length, s.epoch, s.own, s.other); ok != s.want {
			t.Errorf("%s: handed over %v after %v", s.name, ok, after)
		}
	}
}

func TestLagOfOneMomentIsForgiven(t *testing.T) {
	l := &lagMeter{worse: [4]time.Duration{0, time.Second, 0, 0}}
	if l.worst() > lagTooLong {
		t.Error("one bad second counts")
	}
	l.worse = [4]time.Duration{0, time.Second, 400 * time.Millisecond, time.Second}
	if l.worst() != 400*time.Millisecond {
		t.Errorf("worst %v", l.worst())
	}
}
