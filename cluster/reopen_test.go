package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What nats-server says when its disk is full is taken for what it is.
func TestStoreFault(t *testing.T) {
	for text, want := range map[string]bool{
		"JetStream out of resources, will be DISABLED":                                              true,
		"JetStream out of File resources, will be DISABLED":                                         true,
		"JetStream stream '$G > KV_reg' critical write error: write x.blk: no space left on device": true,
		"RAFT [a - C-R3F-x] Critical write error: write /s/tav.idx: no space left on device":        true,
		"Error writing stream metadata: open /s/meta.inf: no space left on device":                  true,
		"Route Error: read: connection reset by peer":                                               false,
	} {
		var s storeFault
		if s.note(text); s.Load() != want {
			t.Errorf("%q: %v", text, s.Load())
		}
	}
}

// A store that its full disk has ended is said to be, and runs again when there is room, with what it held and what was written meanwhile.
func TestStoreRunsAgain(t *testing.T) {
	e, err := Open(context.Background(), Config{Node: "a", Dir: t.TempDir(), Buckets: testBuckets, AckWithin: time.Second}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	put := func(key string) {
		err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: key, Value: []byte("value of " + key)})
		if err != nil && err != ErrDegraded { // a busy machine may be late
			t.Fatal(err)
		}
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		end, again := time.NewTimer(30*time.Second), time.NewTicker(20*time.Millisecond)
		defer end.Stop()
		defer again.Stop()
		for !ok() {
			select {
			case <-again.C:
			case <-end.C:
				t.Fatalf("not %s: %q", what, e.Status().Problems)
			}
		}
	}
	well := func() bool { return len(e.Status().Problems) == 0 }
	put("before")
	eventually("held", well)
	if err := e.server.Load().ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	e.fault.note("JetStream out of resources, will be DISABLED")
	if s := e.Status(); !strings.Contains(fmt.Sprint(s.Problems), "the store of this node could not write to its disk") {
		t.Errorf("problems: %q", s.Problems)
	}
	put("meanwhile")
	eventually("well again", well)
	put("after")
	eventually("held", func() bool { return well() && len(loadAll(t, e, "reg")) == 3 })
	if held := loadAll(t, e, "reg"); held["before"] != "value of before" || held["meanwhile"] != "value of meanwhile" {
		t.Errorf("%q", held)
	}
}
