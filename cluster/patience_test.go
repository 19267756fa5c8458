package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A lease counts from when what a majority has agreed to was sent.
func TestAgreedSince(t *testing.T) {
	p := newPatience(nil)
	if at := p.agreedSince(1); at != 0 {
		t.Errorf("nobody has agreed: %v", at)
	}
	for id, at := range map[raft.ServerID]time.Duration{"b": 70, "c": 30, "d": 90, "w": 50} {
		p.agreed[id] = at
	}
	for members, want := range map[int]time.Duration{1: 90, 2: 70, 3: 50, 4: 30, 5: 0} {
		if at := p.agreedSince(members); at != want {
			t.Errorf("%d others have agreed since %v, want %v", members, at, want)
		}
	}
}
