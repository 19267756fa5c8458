package node

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem/cluster"
)

// A claim stands in the store until the states of its calls have gone, and nobody but its node writes those records.
func TestClaims(t *testing.T) {
	engine, err := cluster.Open(context.Background(), cluster.Config{Node: "a", Dir: t.TempDir(), Buckets: buckets, SyncEvery: time.Second, AckWithin: 10 * time.Second},
		slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ctx := context.Background()
	if err := engine.PutWait(ctx, cluster.Write{Bucket: bucketCalls, Key: "one", Value: []byte("state")}); err != nil {
		t.Fatal(err)
	}
	c := &claims{engine: engine, node: "a"}
	key, err := c.Claim(ctx, []byte(`{"call":"one"}`+"\n"))
	if err != nil || !strings.HasPrefix(key, "a/") {
		t.Fatalf("claimed %q, %v", key, err)
	}
	all := func(bucket string) claimed {
		out := claimed{}
		for r, err := range engine.Load(ctx, bucket) {
			if err != nil {
				t.Fatal(err)
			}
			out.take(r)
		}
		return out
	}
	got := all(bucketRecords)
	if elsewhere := got.calls("b"); len(elsewhere) != 1 || elsewhere[0] != "one" {
		t.Errorf("to the other node %q are elsewhere", elsewhere)
	}
	if elsewhere := got.calls("a"); len(elsewhere) != 0 {
		t.Errorf("to its own node %q are elsewhere", elsewhere)
	}
	c.Release(key, []string{"one"})
	for end := time.Now().Add(10 * time.Second); len(all(bucketRecords)) > 0 && time.Now().Before(end); { // the claim goes after the states
		engine.Flush(10 * time.Second)
	}
	if n, m := len(all(bucketRecords)), len(all(bucketCalls)); n+m != 0 {
		t.Errorf("%d claims and %d calls are left", n, m)
	}

	// One that the store did not take in time goes without another call.
	if key, err = c.Claim(ctx, []byte(`{"call":"two"}`+"\n")); err != nil {
		t.Fatal(err)
	}
	c.left = []release{{key, []string{"two"}}}
	running, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- c.run(running) }()
	for end := time.Now().Add(10 * time.Second); len(all(bucketRecords)) > 0 && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond)
	}
	stop()
	if <-done; len(all(bucketRecords)) != 0 {
		t.Error("a release that was late is forgotten")
	}
}
