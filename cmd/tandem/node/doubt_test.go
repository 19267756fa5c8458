package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/voicemail"
)

// What people have set, and the list of messages, are put again where the store may have something else: one key, or all.
func TestStateIsPutAgain(t *testing.T) {
	for _, key := range []string{"features/101", ""} {
		quiet := slog.New(slog.DiscardHandler)
		e, err := cluster.Open(t.Context(), cluster.Config{Node: "a", Dir: t.TempDir(), Buckets: buckets, SyncEvery: time.Second, AckWithin: 10 * time.Second}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		n := &Node{state: e, log: quiet, doubts: make(chan string, 1)}
		n.board = call.New(call.Config{}, call.Rooms{Memory: callMemory{engine: e}}, quiet)
		if n.boxes, err = voicemail.Open(voicemail.Config{Dir: filepath.Join(t.TempDir(), "voicemail")}, quiet); err != nil {
			t.Fatal(err)
		}
		n.built.Store(true)
		if err := n.board.Remember("features/101", []byte(`{"DND":true}`)); err != nil {
			t.Fatal(err)
		}
		n.doubt(bucketState, key)
		e.Flush(time.Second)
		var kept []string
		for r, err := range e.Load(context.Background(), bucketState) {
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, r.Key)
		}
		if len(kept) != 1 || kept[0] != "features/101" {
			t.Errorf("doubt of %q: the store has %q", key, kept)
		}
		e.Close()
	}
}
