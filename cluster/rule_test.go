package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRuleOfTwoNodes(t *testing.T) {
	mine, theirs := turn{Epoch: 5, Node: "a"}, turn{Epoch: 5, Node: "b"}
	alone := turn{Epoch: 5, Node: "a", Alone: true}
	power := Fence{Command: []string{"/bin/off"}, After: 3 * time.Second}
	stands, servesWhole := word{Node: "b", Ready: true}, word{Node: "b", Serves: true, Holds: true}
	for _, c := range []struct {
		name string
		f    facts
		want verdict
	}{
		{"new, the other not heard", facts{first: true, silent: time.Hour}, stays},
		{"new, the first of two", facts{first: true, alive: true, word: stands}, serves},
		{"new, the first of two, the other not ready", facts{first: true, alive: true}, stays},
		{"new, the second of two", facts{alive: true, word: stands}, stays},
		{"the other serves", facts{last: mine, alive: true, word: servesWhole}, stays},
		{"its own turn, the other stands by", facts{last: mine, alive: true, word: stands}, serves},
		{"the other's turn, and it is not up yet", facts{last: theirs, alive: true, word: stands}, stays},
		{"its own turn, the other silent: it may have been promoted", facts{last: mine, silent: time.Hour}, stays},
		{"it served alone, and the other may still speak", facts{last: alone, silent: time.Second}, stays},
		{"it served alone, and the other is silent", facts{last: alone, silent: time.Minute}, serves},
		{"the serving node is silent", facts{last: theirs, word: servesWhole, silent: time.Hour}, stays},
		{"the serving node is silent, with a fence", facts{last: theirs, word: servesWhole, silent: 4 * time.Second, fence: power}, fences},
		{"silent for too short, with a fence", facts{last: theirs, word: servesWhole, silent: time.Second, fence: power}, stays},
		{"this node lacks records, with a fence", facts{last: theirs, word: word{Node: "b", Serves: true}, silent: time.Hour, fence: power}, stays},
		{"the other was never heard, with a fence", facts{last: theirs, silent: time.Hour, fence: power}, stays},
		{"keepalived says nothing", facts{decides: ByKeepalived, last: mine, alive: true, told: "BACKUP", word: stands}, stays},
		{"keepalived says MASTER, whatever the other says", facts{decides: ByKeepalived, last: theirs, alive: true, word: servesWhole, told: "MASTER"}, serves},
		{"keepalived has said MASTER, and the other was promoted since", facts{decides: ByKeepalived, last: theirs, alive: true, word: servesWhole, told: "MASTER", outdone: true}, stays},
		{"the same, and the other does not serve any more", facts{decides: ByKeepalived, last: theirs, alive: true, word: stands, told: "MASTER", outdone: true}, serves},
		{"the same, and the other is silent", facts{decides: ByKeepalived, last: theirs, word: servesWhole, silent: time.Hour, told: "MASTER", outdone: true}, serves},
		{"keepalived says FAULT", facts{decides: ByKeepalived, last: mine, told: "FAULT"}, stays},
	} {
		c.f.me = "a"
		if c.f.decides == ByVote {
			c.f.decides = ByHand
		}
		if got := rule(c.f); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTurnsAreWrittenDown(t *testing.T) {
	dir := t.TempDir()
	s, err := openTurns(dir, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		x       turn
		changed bool
	}{
		{"the first", turn{Epoch: 1, Node: "b"}, true},
		{"the same again", turn{Epoch: 1, Node: "b"}, false},
		{"one of the same epoch whose name comes before", turn{Epoch: 1, Node: "a"}, true},
		{"one of the same epoch whose name comes after", turn{Epoch: 1, Node: "b"}, false},
		{"a later one", turn{Epoch: 9, Node: "b", Alone: true}, true},
		{"an earlier one", turn{Epoch: 8, Node: "a"}, false},
		{"none", turn{}, false},
	} {
		if changed, err := s.learn(c.x); changed != c.changed || err != nil {
			t.Errorf("%s: %v, %v", c.name, changed, err)
		}
	}
	if err := s.alone(8, false); err != nil || !s.get().Alone {
		t.Errorf("a word on an earlier epoch changed a later one: %+v, %v", s.get(), err)
	}
	if err := s.alone(9, false); err != nil {
		t.Fatal(err)
	}
	again, err := openTurns(dir, "a", 3)
	if err != nil || again.get() != (turn{Epoch: 9, Node: "b"}) {
		t.Errorf("after a restart: %+v, %v", again.get(), err)
	}
	single, err := openTurns(t.TempDir(), "a", 3)
	if err != nil || single.get() != (turn{Epoch: 3, Node: "a", Alone: true}) {
		t.Errorf("of a node that was single: %+v, %v", single.get(), err)
	}
	// A write that was cut off in the middle leaves the turn before it.
	torn := filepath.Join(dir, "turn")
	if err := again.alone(9, true); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(torn, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("{\"serial"), int64(again.serial%2)*turnSlotSize+7); err != nil {
		t.Fatal(err)
	}
	before, err := openTurns(dir, "a", 0)
	if err != nil || before.get() != (turn{Epoch: 9, Node: "b"}) {
		t.Errorf("after a torn write: %+v, %v", before.get(), err)
	}
	if _, err := f.WriteAt(make([]byte, 2*turnSlotSize), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := openTurns(dir, "a", 0); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}
