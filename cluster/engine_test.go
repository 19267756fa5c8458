package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var testBuckets = []Bucket{{Name: "reg", Given: true}, {Name: "call", Storage: Memory, Sealed: true}}

func openTest(t testing.TB, dir string) *Engine {
	t.Helper()
	e, err := Open(context.Background(), Config{Node: "a", Dir: dir, Buckets: testBuckets, AckWithin: 30 * time.Second}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func loadAll(t testing.TB, e *Engine, bucket string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r, err := range e.Load(context.Background(), bucket) {
		if err != nil {
			t.Fatal(err)
		}
		all[r.Key] = string(r.Value)
	}
	return all
}

func TestRecordsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	want := map[string]string{}
	var wg sync.WaitGroup
	for i := range 5000 { // more than a page
		key, value := fmt.Sprintf("sip:%d@example.com;x=<*.>", i), fmt.Sprintf("value %d", i)
		want[key] = value
		for _, bucket := range []string{"reg", "call"} {
			wg.Add(1)
			e.Put(Write{Bucket: bucket, Key: key, Value: []byte(value), Done: func(err error) {
				if err != nil {
					t.Error(err)
				}
				wg.Done()
			}})
		}
	}
	wg.Wait()
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "sip:7@example.com;x=<*.>", Delete: true}); err != nil {
		t.Fatal(err)
	}
	first := e.Lease().Epoch()
	e.Close()

	e = openTest(t, dir)
	defer e.Close()
	if second := e.Lease().Epoch(); second != first+1 || !e.Lease().Held() {
		t.Errorf("epoch %d after %d, held %v", second, first, e.Lease().Held())
	}
	if got := loadAll(t, e, "call"); len(got) != len(want) {
		t.Errorf("%d calls, want %d", len(got), len(want))
	}
	got := loadAll(t, e, "reg")
	delete(want, "sip:7@example.com;x=<*.>")
	for key, value := range want {
		if got[key] != value {
			t.Fatalf("%s is %q, want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d registrations, want %d", len(got), len(want))
	}
}

// What is deleted does not come back when the process is killed a moment later.
func TestDeletedStaysSoAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openTest(t, dir)
	defer e.Close()
	put(t, e, Write{Bucket: "reg", Key: "stays", Value: []byte("x")})
	put(t, e, Write{Bucket: "reg", Key: "gone", Value: []byte("x")})
	put(t, e, Write{Bucket: "reg", Key: "gone", Delete: true})
	<-time.After(2 * deletedForBrief) // when the mark of a brief bucket has gone
	after := t.TempDir()              // the disk as a kill would leave it
	if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	killed := openTest(t, after)
	defer killed.Close()
	if got := loadAll(t, killed, "reg"); len(got) != 1 || got["stays"] != "x" {
		t.Errorf("after a kill there are %v", got)
	}
}

func TestFollowerSeesEverythingInOrder(t *testing.T) {
	e := openTest(t, t.TempDir())
	defer e.Close()
	put := func(key, value string, del bool) {
		e.Put(Write{Bucket: "reg", Key: key, Value: []byte(value), Delete: del})
	}
	put("a", "1", false)
	put("a", "2", false)
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "b", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	f, err := e.Follow(context.Background(), "reg", func(r Record) {
		mu.Lock()
		defer mu.Unlock()
		what := r.Key + r.Key[:0] + "=" + string(r.Value)
		if r.Deleted {
			what = r.Key + " deleted"
		}
		seen = append(seen, what)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mu.Lock()
	if got := strings.Join(seen, ","); got != "a=2,b=1" {
		t.Errorf("at first %s", got)
	}
	seen = nil
	mu.Unlock()
	const n = 3000
	for i := range n {
		put("c", fmt.Sprint(i), false)
	}
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "b", Delete: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen[len(seen)-1] != "b deleted" || seen[len(seen)-2] != fmt.Sprintf("c=%d", n-1) {
		t.Errorf("the end is %v", seen[len(seen)-3:])
	}
	last := -1
	for _, s := range seen[:len(seen)-1] { // values that were overwritten may be left out, and none comes late
		var i int
		if _, err := fmt.Sscanf(s, "c=%d", &i); err != nil || i <= last {
			t.Fatalf("%s after c=%d", s, last)
		}
		last = i
	}
}

func TestSealedValuesAreNotOnTheDisk(t *testing.T) {
	seal, err := newSealer(bytes.Repeat([]byte{1}, keyLength))
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz")
	data := wrap(Write{Bucket: "call", Key: "x", Value: secret, Version: 3}, 7, "a", seal)
	if bytes.Contains(data, secret[:12]) {
		t.Error("the key stands in the record")
	}
	right := newOpener(bytes.Repeat([]byte{1}, keyLength))
	r, err := unwrap("call", "x", data, right)
	if err != nil || !bytes.Equal(r.Value, secret) || r.Version != 3 || r.Epoch != 7 || r.Node != "a" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := unwrap("call", "y", data, right); !errors.Is(err, errSeal) {
		t.Errorf("under another key's name: %v", err)
	}
	if _, err := unwrap("call", "x", data, newOpener(bytes.Repeat([]byte{2}, keyLength))); !errors.Is(err, errSeal) {
		t.Errorf("with another cluster key: %v", err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if r, err := unwrap("call", "x", bad, right); err == nil && bytes.Equal(r.Value, secret) {
			t.Errorf("byte %d changed, and nobody noticed", i)
		}
	}
}

func TestKeysAreOneToken(t *testing.T) {
	for _, key := range []string{"", "1001", "a.b", "*", ">", "=", "ä b", "sip:x@[::1]:5060;transport=tcp", "\x00\xff", "!fence"} {
		token := escape(key)
		if strings.ContainsAny(token, ".*> !") || token == "" {
			t.Errorf("%q is %q", key, token)
		}
		if back, ok := unescape(token); !ok || back != key {
			t.Errorf("%q is %q is %q, %v", key, token, back, ok)
		}
	}
	for _, token := range []string{"", "=4", "=zz", "a=", "=1"} {
		if key, ok := unescape(token); ok {
			t.Errorf("%q gives %q", token, key)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]Config{
		"no name":    {Dir: "x", Buckets: testBuckets},
		"dotted":     {Node: "a.b", Dir: "x", Buckets: testBuckets},
		"no folder":  {Node: "a", Buckets: testBuckets},
		"no bucket":  {Node: "a", Dir: "x"},
		"bad bucket": {Node: "a", Dir: "x", Buckets: []Bucket{{Name: "A b"}}},
	} {
		if _, err := c.withDefaults(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTwoProcessesDoNotShareAFolder(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir)
	defer e.Close()
	_, err := Open(context.Background(), Config{Node: "b", Dir: dir, Buckets: testBuckets}, quiet)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("the second one: %v", err)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		e := openTest(t, t.TempDir())
		f, err := e.Follow(context.Background(), "reg", func(Record) {})
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		e.Close()
	}
	for range 400 { // goroutines of the store end a moment after it says so
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		runtime.Gosched()
		<-time.After(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}
