package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
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

// records counts the call records of answered calls on both nodes, by id.
func (p *Pair) records() map[string]int {
	p.t.Helper()
	all := map[string]int{}
	for _, r := range p.recorded() {
		all[r.Call]++
	}
	return all
}

// agree compares the ledger of answered calls with the records of both nodes.
func (p *Pair) agree(answered int) {
	p.t.Helper()
	records := p.records()
	for id, n := range records {
		if n != 1 {
			p.t.Errorf("T5: %d records of call %s", n, id)
		}
	}
	if len(records) != answered {
		p.t.Errorf("T5: %d answered calls, and records of %d", answered, len(records))
	}
}

// agreeEach compares the callers' ledger, the Call-IDs of answered calls, with the records of both nodes: each has one, and there are no others.
func (p *Pair) agreeEach(answered []string) {
	p.t.Helper()
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
}
