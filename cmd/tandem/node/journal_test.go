package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/registrar"
)

// AORs count from their first write under way to the last, and as many as the store takes at a time are a crowd.
func TestBindingsUnderWay(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	engine, err := cluster.Open(context.Background(), cluster.Config{Node: "single", Dir: t.TempDir(), Buckets: buckets, SyncEvery: time.Second, AckWithin: time.Minute}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	j := newBindingJournal(engine, log)
	var answers sync.WaitGroup
	for n := range 300 {
		aor := fmt.Sprint(n % 100) // three writes each, some of them at once
		j.Put(registrar.Record{AOR: aor, Bindings: []registrar.BindingRecord{{Contact: fmt.Sprint(n), Expires: time.Now().Add(time.Hour)}}})
		answers.Add(1)
		j.after(aor, func(held bool) {
			if !held {
				t.Error("a record is not held")
			}
			answers.Done()
		})
		if now := j.aors.Load(); now > 100 || j.crowded() {
			t.Fatalf("%d of 100 AORs are under way, crowded %v", now, j.crowded())
		}
	}
	answers.Wait()
	if left := j.aors.Load(); left != 0 {
		t.Errorf("%d AORs are under way, and nothing is", left)
	}
	if j.aors.Store(crowd); !j.crowded() {
		t.Error("not crowded")
	}
}
