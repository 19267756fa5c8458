package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkPut measures writes of 512 bytes to 10,000 keys: one at a time, and as many as the pipe takes.
func BenchmarkPut(b *testing.B) {
	value := make([]byte, 512)
	for _, sync := range []time.Duration{0, time.Second} {
		e, err := Open(context.Background(), Config{Node: "a", Dir: b.TempDir(), Buckets: testBuckets, SyncEvery: sync, AckWithin: 10 * time.Second}, quiet)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("one/sync=%v", sync), func(b *testing.B) { benchOne(b, e, value) })
		b.Run(fmt.Sprintf("piped/sync=%v", sync), func(b *testing.B) { benchPiped(b, e, "reg", value) })
		b.Run(fmt.Sprintf("sealed/sync=%v", sync), func(b *testing.B) { benchPiped(b, e, "call", value) })
		e.Close()
	}
}

func benchOne(b *testing.B, e *Engine, value []byte) {
	took := make([]time.Duration, 0, b.N)
	for i := range b.N {
		begin := time.Now()
		if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: fmt.Sprint(i % 10000), Value: value}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

func benchPiped(b *testing.B, e *Engine, bucket string, value []byte) {
	var wg sync.WaitGroup
	room := make(chan struct{}, 2048)
	begin := time.Now()
	for i := range b.N {
		room <- struct{}{}
		wg.Add(1)
		e.Put(Write{Bucket: bucket, Key: fmt.Sprint(i % 10000), Value: value, Done: func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-room
			wg.Done()
		}})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "writes/s")
}

// BenchmarkLease is what a media loop pays once a batch.
func BenchmarkLease(b *testing.B) {
	var l Lease
	l.begin(1)
	l.grant(BootTime() + time.Hour)
	for b.Loop() {
		if !l.Held() {
			b.Fatal("not held")
		}
	}
}

// BenchmarkMirror measures the same with a second node that holds every record too, in this process.
func BenchmarkMirror(b *testing.B) {
	t := newTwin(b, ByHand)
	a := t.start("a")
	t.start("b")
	defer t.endAll()
	t.eventually("b holds everything", func() bool { return a.engine.Status().Copy == "whole" })
	value := make([]byte, 512)
	b.Run("one", func(b *testing.B) { benchOne(b, a.engine, value) })
	b.Run("piped", func(b *testing.B) { benchPiped(b, a.engine, "reg", value) })
}
