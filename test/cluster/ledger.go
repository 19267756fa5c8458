package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// callRecord is what a test reads of a call record.
type callRecord struct {
	Call     string
	Answered *time.Time
	Legs     []struct {
		CallID string `json:"call_id"`
	}
}

// recorded are the call records of answered calls in the files of both nodes.
func (p *Pair) recorded() (all []callRecord) {
	p.t.Helper()
	for _, name := range []string{"a", "b"} {
		f, err := os.Open(filepath.Join(p.dir, name, "state", "cdr.jsonl"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		for d := json.NewDecoder(f); ; {
			var r callRecord
			if err := d.Decode(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				p.t.Fatal(err)
			}
			if r.Answered != nil && !r.Answered.IsZero() {
				all = append(all, r)
			}
		}
		_ = f.Close()
	}
	return all
}

// agedSize is how much an aged switch has written, in bytes: more than is looked at of it at any time.
const agedSize = 20 << 20

// aged gives both switches the files of some that have run for long: records of calls that nobody answered.
func aged(p *Pair) {
	p.t.Helper()
	var all bytes.Buffer
	for n := 0; all.Len() < agedSize; n++ {
		fmt.Fprintf(&all, `{"call":"AGED%012d","started":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:30Z","duration":0,"from":"1000","dialled":"1001","number":"1001",`+
			`"route":"internal","status":480,"cause":19,"ended_by":"switch","attempts":[{"extension":"1001","contact":"sip:1001@%s:5060","status":480}],"legs":[%s]}`+"\n",
			n, phoneHost, strings.Repeat(`{"leg":"a","party":"1000","transport":"UDP","media":{"codec":"PCMU","in":{"packets":0},"out":{"packets":0}}},`, 5)+`{"leg":"b1"}`)
	}
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(p.dir, name, "state")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cdr.jsonl"), all.Bytes(), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// records counts the call records of answered calls on both nodes, by id.
func (p *Pair) records() map[string]int {
	p.t.Helper()
	all := map[string]int{}
	for _, r := range p.recorded() {
		all[r.Call]++
	}
	return all
}

// recordedWithin is how long the last records may wait for a store that is slow.
const recordedWithin = 10 * time.Second

// ledger is what callers know: the Call-IDs of the calls whose answer they have heard.
type ledger struct {
	mu  sync.Mutex
	ids []string
}

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

// agree compares the callers' ledger with the records of both nodes: each answered call has one, and there are no others.
func (p *Pair) agree() {
	p.t.Helper()
	answered := p.ledger.all()
	for limit := time.Now().Add(recordedWithin); len(p.records()) < len(answered) && time.Now().Before(limit); {
		<-time.After(100 * time.Millisecond)
	}
	counts := make(map[string]int, len(answered))
	for _, id := range answered {
		counts[id] = 0
	}
	for _, r := range p.recorded() {
		known := false
		for _, l := range r.Legs {
			if n, ok := counts[l.CallID]; ok {
				counts[l.CallID], known = n+1, true
			}
		}
		if !known {
			p.t.Errorf("T5: a record of call %s, which no caller has had answered: %+v", r.Call, r)
		}
	}
	for id, n := range counts {
		if n != 1 {
			p.t.Errorf("T5: %d records of the call with Call-ID %s", n, id)
		}
	}
	p.t.Logf("T5: %d answered calls, and their records", len(answered))
}
