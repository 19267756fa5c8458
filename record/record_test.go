package record

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

type leg struct {
	Name  string         `json:"name"`
	At    netip.AddrPort `json:"at,omitzero"`
	Bytes []byte         `json:"bytes,omitempty"`
}

type call struct {
	ID    string        `json:"id"`
	Began time.Time     `json:"began"`
	Ended *time.Time    `json:"ended,omitempty"`
	For   time.Duration `json:"for"`
	Legs  []leg         `json:"legs"`
	Other *leg          `json:"other,omitempty"`
	Plain struct{ Routes []string }
}

// later is the same value in the next version, which has a field more and one less.
type later struct {
	ID   string `json:"id"`
	Tone string `json:"tone"`
	Legs []leg  `json:"legs"`
}

func sample() call {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	c := call{ID: "x", Began: at, Ended: &at, For: time.Second, Legs: []leg{{Name: "a", At: netip.MustParseAddrPort("[2001:db8::1]:5060"), Bytes: []byte{0, 1}}}, Other: &leg{Name: "b"}}
	c.Plain.Routes = []string{"<sip:a;lr>"}
	return c
}

func TestRoundTrip(t *testing.T) {
	for name, write := range map[string]func(any) ([]byte, error){"as written now": Marshal, "as the version before wrote": json.Marshal} {
		for kind, in := range map[string]call{"full": sample(), "empty": {}} {
			raw, err := write(in)
			var out call
			if err := errors.Join(err, Unmarshal(raw, &out)); err != nil || !reflect.DeepEqual(in, out) {
				t.Errorf("%s, %s: %+v, %v", name, kind, out, err)
			}
		}
	}
}

func TestFieldsComeAndGo(t *testing.T) {
	raw, _ := Marshal(sample())
	var next later
	if err := Unmarshal(raw, &next); err != nil || next.ID != "x" || next.Tone != "" || len(next.Legs) != 1 {
		t.Errorf("the next version reads %+v, %v", next, err)
	}
	raw, _ = Marshal(later{ID: "y", Tone: "440"})
	var before call
	if err := Unmarshal(raw, &before); err != nil || before.ID != "y" || before.Legs != nil {
		t.Errorf("the version before reads %+v, %v", before, err)
	}
}

func TestTornValues(t *testing.T) {
	raw, _ := Marshal(sample())
	for n := range raw {
		if err := Unmarshal(raw[:n], new(call)); err == nil {
			t.Fatalf("%d of %d bytes were read", n, len(raw))
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	raw, _ := Marshal(sample())
	f.Add(raw)
	f.Add([]byte(`{"id":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c call
		if Unmarshal(data, &c) != nil {
			return
		}
		again, err := Marshal(c)
		var back call
		if err == nil {
			err = Unmarshal(again, &back)
		}
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	})
}
