package node

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/configs"
	"tandem/record"
	"tandem/registrar"
)

// A value is written in the form before as that version wrote it, and read again as it was.
func TestForms(t *testing.T) {
	in := registrar.Record{AOR: "1001", Bindings: []registrar.BindingRecord{{Contact: "sip:1001@192.0.2.1", CallID: "x", CSeq: 7, Expires: time.Unix(2e9, 5).UTC()}}}
	raw, err := record.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	for form, json := range map[uint8]bool{1: true, compactForm: false} {
		got, value := inForm[registrar.Record](form, raw)
		var out registrar.Record
		if err := record.Unmarshal(value, &out); err != nil || got != form || (value[0] == '{') != json || !reflect.DeepEqual(in, out) {
			t.Errorf("form %d: %d, %q: %+v, %v", form, got, value, out, err)
		}
	}
	if got, value := inForm[registrar.Record](1, []byte{0xff}); got != newestForm || len(value) != 1 {
		t.Errorf("what is no value: form %d, %q", got, value)
	}
}

// A single node writes the newest form: there is nobody who could not read it.
func TestFormOfSingleNode(t *testing.T) {
	cfg := &configs.Config{}
	cfg.Node.StateDir = t.TempDir()
	engine, err := (&Node{log: slog.New(slog.DiscardHandler)}).startState(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if engine.Form() != newestForm {
		t.Errorf("form %d, not %d", engine.Form(), newestForm)
	}
}

// A node cannot take over while there is something that it cannot read.
func TestUnread(t *testing.T) {
	var u unread
	a, b := cluster.Record{Bucket: bucketCalls, Key: "a"}, cluster.Record{Bucket: bucketRegistrations, Key: "a"}
	for _, step := range []struct {
		r    cluster.Record
		is   bool
		want int
	}{{a, false, 0}, {a, true, 1}, {b, true, 2}, {a, true, 2}, {a, false, 1}, {b, false, 0}} {
		if u.note(step.r, step.is); u.count() != step.want {
			t.Errorf("%+v: %d", step, u.count())
		}
	}
}
