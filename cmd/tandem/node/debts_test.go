package node

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/record"
	"tandem/registrar"
)

// Registrations that a deposed node has answered for outlive it, until the node that serves has them.
func TestDebts(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	debts := NewDebts()
	deposed := &Node{opts: Options{Debts: debts}, log: log}
	value, err := record.Marshal(registrar.Record{AOR: "1001", Written: time.Now(), Bindings: []registrar.BindingRecord{
		{Contact: "sip:1001@192.0.2.1", CallID: "owed", Registered: time.Now(), Expires: time.Now().Add(time.Hour)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	deposed.left([]cluster.Record{
		{Bucket: bucketRegistrations, Key: "1001", Value: value, Version: newestForm, Age: 2 * time.Second},
		{Bucket: bucketRegistrations, Key: "1002", Deleted: true, Age: time.Second},
		{Bucket: bucketRegistrations, Key: "1003", Value: value, Version: newestForm, Age: debtsKept},
		{Bucket: bucketCalls, Key: "call", Age: time.Second},
	})
	told, taken := debts.some(time.Now())
	if len(told) != 2 || len(taken) != 2 {
		t.Fatalf("%d told, %d taken", len(told), len(taken))
	}
	debts.back(taken) // nobody served
	if told, _ = debts.some(time.Now()); len(told) != 2 {
		t.Fatalf("%d told again", len(told))
	}
	if again, _ := debts.some(time.Now()); len(again) != 0 {
		t.Errorf("%d told once more", len(again))
	}

	serves := &Node{log: log, bindings: registrar.NewStore(nil)}
	old := registrar.Record{AOR: "1002", Bindings: []registrar.BindingRecord{{Contact: "sip:1002@192.0.2.2", Registered: time.Now().Add(-time.Minute), Expires: time.Now().Add(time.Hour)}}}
	serves.bindings.Apply(time.Now(), old, nil)
	began := time.Now().Add(-time.Second)
	serves.serves.Store(&began)
	serves.merge(told)
	got := serves.bindings.Lookup("1001", time.Now())
	if len(got) != 1 || got[0].CallID != "owed" {
		t.Fatalf("1001 is %+v", got)
	}
	if left := time.Until(got[0].Expires); left < time.Hour-3*time.Second || left > time.Hour-time.Second {
		t.Errorf("it has %v left, of an hour two seconds ago", left)
	}
	// A debt that is told once more, by who does not know how late he is, is older than what the phone has said here.
	newer := registrar.Record{AOR: "1001", Bindings: []registrar.BindingRecord{{Contact: "sip:1001@192.0.2.1", CallID: "here", Registered: time.Now(), Expires: time.Now().Add(time.Hour)}}}
	serves.bindings.Apply(time.Now(), newer, nil)
	for i := range told {
		told[i].Age, told[i].Since = 0, 0
	}
	serves.merge(told)
	if got = serves.bindings.Lookup("1001", time.Now()); len(got) != 1 || got[0].CallID != "here" {
		t.Errorf("1001 is %+v", got)
	}
	if n := len(serves.bindings.Lookup("1002", time.Now())); n != 0 {
		t.Errorf("%d bindings of 1002, which had been taken back", n)
	}
}

// A witness sees late registrations of a deposed node where there are shards, and answers for none.
func TestWitnessOwesNothing(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	n := &Node{opts: Options{Log: log}, log: log}
	value, err := record.Marshal(registrar.Record{AOR: "1001", Written: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	n.doubt(bucketRegistrations, "1001")
	n.left([]cluster.Record{{Bucket: bucketRegistrations, Key: "1001", Value: value, Version: newestForm}})
}
